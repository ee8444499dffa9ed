package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/mxdesk/mxdesk/"

// layers are the top-level folders from the ground up. A folder imports itself
// and those before it.
var layers = []string{"metrics", "ticketing", "auth", "queue", "server", "cmd"}

// only lists, for packages that must stay pure, all that they may import beside
// the standard library, and why.
var only = []struct {
	pkg   string
	allow []string
	why   string
}{
	{"ticketing", []string{module + "ticketing/store"}, "the domain knows no SMTP, HTTP, SQL, engine or metrics"},
	{"ticketing/store", nil, "the port is what engines adapt to, not the other way round"},
	{"metrics", []string{"github.com/prometheus/client_golang/"}, "everybody imports it, so it imports nobody"},
}

// never lists imports that are kept to the packages that adapt them.
var never = []struct {
	path string
	home []string
	why  string
}{
	{"github.com/emersion/go-smtp", []string{"server/smtpd"}, "its traps are guarded in one place"},
	{"github.com/emersion/go-message", []string{"ticketing/mail"}, "only mail knows MIME"},
	{"github.com/emersion/go-msgauth", []string{"auth"}, "only auth signs and formats results"},
	{"github.com/dgraph-io/badger", []string{"ticketing/store/badgerdb"}, "engines stay behind the port"},
	{"github.com/jackc/pgx", []string{"ticketing/store/pgdb"}, "engines stay behind the port"},
	{"github.com/blevesearch/bleve", []string{"ticketing/search"}, "the index stays behind its interface"},
	{module + "ticketing/store/badgerdb", []string{"cmd"}, "only cmd names an engine"},
	{module + "ticketing/store/pgdb", []string{"cmd"}, "only cmd names an engine"},
	{module + "ticketing/store/memdb", []string{"cmd"}, "only cmd names an engine"},
	{module + "ticketing", []string{"ticketing", "auth", "queue", "server", "cmd"}, "the layers point one way"},
}

// alone are packages that can be used without the rest of their folder.
var alone = []string{"auth/dns", "auth/message", "auth/spf", "auth/dkim", "auth/dmarc", "auth/arc", "auth/iprev", "auth/dnsbl"}

type imported struct{ pkg, file, path string }

// imports reads every import of the tree. It parses the files itself: a test
// that asked the go command would be answered from the test cache.
func imports(t *testing.T, tests bool) []imported {
	t.Helper()
	root := "../.."
	var out []imported
	err := fs.WalkDir(os.DirFS(root), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && p != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "mxdesk-data") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") != tests {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, p), nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, i := range f.Imports {
			name, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			out = append(out, imported{pkg: path.Dir(p), file: p, path: name})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) == 0 {
		t.Fatal("found no imports: the test looks in the wrong place")
	}
	return out
}

func under(pkg, folder string) bool { return pkg == folder || strings.HasPrefix(pkg, folder+"/") }

func TestLayers(t *testing.T) {
	for _, i := range imports(t, false) {
		folder, _, _ := strings.Cut(i.pkg, "/")
		mine := slices.Index(layers, folder)
		if mine < 0 {
			t.Errorf("%s: %s is no layer of the house: %v", i.file, folder, layers)
			continue
		}
		rest, ok := strings.CutPrefix(i.path, module)
		if !ok {
			continue
		}
		theirs, _, _ := strings.Cut(rest, "/")
		if slices.Index(layers, theirs) > mine {
			t.Errorf("%s imports %s: %s is to the right of %s in %v", i.file, i.path, theirs, folder, layers)
		}
	}
}

func TestPurity(t *testing.T) {
	for _, i := range imports(t, false) {
		for _, rule := range only {
			if i.pkg != rule.pkg || !strings.Contains(strings.Split(i.path, "/")[0], ".") {
				continue
			}
			if !slices.ContainsFunc(rule.allow, func(a string) bool { return strings.HasPrefix(i.path, a) }) && !under(i.path, module+rule.pkg+"/internal") {
				t.Errorf("%s imports %s: %s", i.file, i.path, rule.why)
			}
		}
		for _, rule := range never {
			if (i.path == rule.path || strings.HasPrefix(i.path, rule.path+"/") && !strings.HasPrefix(rule.path, module)) &&
				!slices.ContainsFunc(rule.home, func(h string) bool { return under(i.pkg, h) }) {
				t.Errorf("%s imports %s: %s", i.file, i.path, rule.why)
			}
		}
		if slices.ContainsFunc(alone, func(a string) bool { return under(i.pkg, a) }) {
			rest, ok := strings.CutPrefix(i.path, module)
			if ok && !slices.ContainsFunc(alone, func(a string) bool { return under(rest, a) }) {
				t.Errorf("%s imports %s: this package is usable alone", i.file, i.path)
			}
		}
	}
}

func TestTopLevelFolders(t *testing.T) {
	entries, err := os.ReadDir("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		known := slices.Contains(layers, e.Name()) || slices.Contains([]string{"docs", "mxdesk-data", "test-output", "dist"}, e.Name())
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && !known {
			t.Errorf("folder %s: the house has the folders %v and docs", e.Name(), layers)
		}
	}
}

package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mxdesk/mxdesk/metrics"
)

// golden compares a generated page of docs with the one in the tree. With
// UPDATE_DOCS=1 it writes it instead.
func golden(t *testing.T, name, want string) {
	t.Helper()
	goldenFile(t, filepath.Join("../../docs", name), want)
}

func goldenFile(t *testing.T, file, want string) {
	t.Helper()
	if os.Getenv("UPDATE_DOCS") != "" {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the code says: run UPDATE_DOCS=1 go test -run %s ./cmd/mxdesk", file, t.Name())
	}
}

func TestDocsConfig(t *testing.T) {
	c := DefaultConfig()
	c.Hostname = "localhost"
	var b bytes.Buffer
	b.WriteString("# Settings\n\nFlags come first (`--config`, `--data`, `--set section.key=value`), then the environment (`MXDESK_<SECTION>_<KEY>`, lists separated by\n" +
		"commas), then the file that `--config` or `MXDESK_CONFIG` names, then these defaults. An unknown key or a bad value ends the program with code 2 and one\n" +
		"line that names file, line and key. `mxdesk config check` looks for them, names variables that are no setting, and warns of what is fine for a trial\n" +
		"only: a host name that others cannot look up, mail that is captured, LMTP on a public address, a folder that everybody can write to. `mxdesk config print` shows what holds.\n\n```toml\n")
	if err := printConfig(&b, c); err != nil {
		t.Fatal(err)
	}
	golden(t, "config.md", strings.TrimRight(b.String(), "\n")+"\n```\n")
}

// described matches the description of a collector.
var described = regexp.MustCompile(`fqName: "([^"]+)", help: ("(?:[^"\\]|\\.)*"), unit: "[^"]*", constLabels: \{[^}]*\}, variableLabels: \{([^}]*)\}`)

// registry notes the descriptions of what is registered.
type registry struct {
	prometheus.Registerer
	rows map[string]string
}

func (r *registry) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		ch := make(chan *prometheus.Desc, 100)
		c.Describe(ch)
		close(ch)
		for d := range ch {
			m := described.FindStringSubmatch(d.String())
			help, err := strconv.Unquote(m[2])
			if err != nil {
				panic(err)
			}
			kind := strings.TrimSuffix(strings.TrimPrefix(strings.ToLower(fmt.Sprintf("%T", c)), "*prometheus."), "vec")
			if strings.Contains(kind, ".") { // a collector of our own
				kind = "gauge"
				if strings.HasSuffix(m[1], "_total") {
					kind = "counter"
				}
			}
			r.rows[m[1]] = fmt.Sprintf("| `%s` | %s | %s | %s |\n", m[1], kind, strings.ReplaceAll(m[3], ",", ", "), help)
		}
	}
	r.Registerer.MustRegister(cs...)
}

func TestDocsMetrics(t *testing.T) {
	r := &registry{Registerer: prometheus.NewPedanticRegistry(), rows: map[string]string{}}
	metrics.New(r)
	var b strings.Builder
	b.WriteString("# Metrics\n\n`/metrics` on the metrics listener. Besides these there are the usual `go_` and `process_` ones. Times are in seconds, sizes in octets.\n\n" +
		"| name | kind | labels | meaning |\n|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(r.rows)) {
		b.WriteString(r.rows[name])
	}
	golden(t, "metrics.md", b.String())
}

var citation = regexp.MustCompile(`rfc-editor\.org/rfc/rfc(\d+)(?:#(?:section|appendix)-([A-Za-z0-9](?:[A-Za-z0-9.]*[A-Za-z0-9])?))?`)

// TestDocsRFCs keeps the index of cited sections equal to the code.
func TestDocsRFCs(t *testing.T) {
	type cite struct {
		rfc     int
		section string
	}
	cites := map[cite][]string{}
	root := os.DirFS("../..")
	err := fs.WalkDir(root, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && p != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "mxdesk-data") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		text, err := fs.ReadFile(root, p)
		for _, m := range citation.FindAllStringSubmatch(string(text), -1) {
			n, _ := strconv.Atoi(m[1])
			c := cite{n, m[2]}
			if !slices.Contains(cites[c], path.Dir(p)) {
				cites[c] = append(cites[c], path.Dir(p))
			}
		}
		return err
	})
	if err != nil || len(cites) == 0 {
		t.Fatalf("%d citations, %v", len(cites), err)
	}
	keys := slices.SortedFunc(maps.Keys(cites), func(a, b cite) int {
		if a.rfc != b.rfc {
			return a.rfc - b.rfc
		}
		return compareSections(a.section, b.section)
	})
	var b strings.Builder
	b.WriteString("# RFCs\n\nEvery section that the code cites, and where.\n\n| section | package |\n|---|---|\n")
	for _, c := range keys {
		slices.Sort(cites[c])
		name, anchor := fmt.Sprintf("RFC %d", c.rfc), ""
		if c.section != "" {
			name += " section " + c.section
			anchor = "#section-" + c.section
		}
		fmt.Fprintf(&b, "| [%s](https://www.rfc-editor.org/rfc/rfc%d%s) | %s |\n", name, c.rfc, anchor, strings.Join(cites[c], ", "))
	}
	golden(t, "rfcs.md", b.String())
}

// compareSections orders 4.2 before 4.10.
func compareSections(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		x, errX := strconv.Atoi(as[i])
		y, errY := strconv.Atoi(bs[i])
		if errX != nil || errY != nil {
			if c := strings.Compare(as[i], bs[i]); c != 0 {
				return c
			}
			continue
		}
		if x != y {
			return x - y
		}
	}
	return len(as) - len(bs)
}

// TestDocsConformance keeps the table of the differential test on its page. The
// figures of the suites there are those of "make conformance".
func TestDocsConformance(t *testing.T) {
	const begin, end = "<!-- differences, written by TestDocsConformance -->\n", "<!-- end of differences -->\n"
	page := readFile(t, "../../docs/conformance.md")
	head, rest, _ := strings.Cut(page, begin)
	_, tail, ok := strings.Cut(rest, end)
	if !ok {
		t.Fatal("no place for the differences")
	}
	var b strings.Builder
	b.WriteString("| case | peer | about | it says | we say | clause | why |\n|---|---|---|---|---|---|---|\n")
	for _, d := range disagreements(t) {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", d.name, d.peer, d.mechanism, d.theirs, d.ours, clauseLink(t, d.clause), d.reason)
	}
	golden(t, "conformance.md", head+begin+"\n"+b.String()+"\n"+end+tail)
}

// clauseLink makes a link of words like "RFC 6376 section 3.5".
func clauseLink(t *testing.T, clause string) string {
	t.Helper()
	m := regexp.MustCompile(`^RFC (\d{4}) section ([\d.]+)$`).FindStringSubmatch(clause)
	if m == nil {
		t.Fatalf("clause %q", clause)
	}
	return fmt.Sprintf("[%s](https://www.rfc-editor.org/rfc/rfc%s#section-%s)", clause, m[1], m[2])
}

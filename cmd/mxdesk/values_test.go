package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/smtp"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/mxdesk/mxdesk/auth/dns"
)

// wrongValues are values that mean nothing and values that name nothing, for
// every command that takes values. NONE and FILE are a path without a file, and
// one with a mail.
var wrongValues = map[string]struct{ senseless, absent []string }{
	"ticket list":    {[]string{"--limit=-1", "--limit=x", "--state=lost"}, []string{"--project=none"}},
	"ticket show":    {[]string{"support", "support#x", "#1"}, []string{"support#9", "none#1"}},
	"ticket reply":   {[]string{"support --body=x", "support#1 --body=", "support#1 --body=LONG"}, []string{"support#9 --body=x", "support#1 --body=x --as=nobody@corp.test"}},
	"ticket note":    {[]string{"support --body=x", "support#1 --body=", "support#1 --body=LONG"}, []string{"support#9 --body=x"}},
	"ticket close":   {[]string{"support"}, []string{"support#9", "support#1 --as=nobody@corp.test"}},
	"ticket reopen":  {[]string{"support"}, []string{"support#9", "support#1"}},
	"ticket wait":    {[]string{"support"}, []string{"support#9"}},
	"ticket assign":  {[]string{"support"}, []string{"support#9", "support#1 nobody@corp.test"}},
	"ticket label":   {[]string{"support x", "support#1 <>", "support#1", "support#1 --remove=<>"}, []string{"support#9 x"}},
	"project create": {[]string{"../x", "postmaster", "new --alias=nobody"}, []string{"support"}},
	"project set":    {[]string{"support --policy=strict"}, []string{"none --policy=hold"}},
	"alias add":      {[]string{"support nobody", "support a@../../etc"}, []string{"none a@desk.test", "support support@desk.test"}},
	"alias remove":   {[]string{"nobody"}, []string{"nobody@desk.test"}},
	"domain add":     {[]string{"a..b", "../x"}, []string{"desk.test"}},
	"domain remove":  {[]string{"a..b"}, []string{"other.test", "desk.test"}},
	"domain show":    {[]string{"a..b"}, []string{"other.test"}},
	"domain set":     {[]string{"desk.test --policy=strict", "a..b --policy=hold"}, []string{"other.test --policy=hold"}},
	"dkim keygen":    {[]string{"../x", "new.test --rsa-bits=1024", "new.test --rsa-bits=x"}, []string{"desk.test"}},
	"dkim list":      {[]string{"../x"}, []string{"other.test"}},
	"dkim rotate":    {[]string{"../x", "desk.test --rsa-bits=1024", "desk.test --now --abort"}, []string{"other.test", "desk.test --abort"}},
	"dkim dns":       {[]string{"../x"}, []string{"other.test"}},
	"agent add":      {[]string{"nobody"}, []string{"admin@localhost"}},
	"agent link":     {nil, []string{"nobody@corp.test"}},
	"agent sign-out": {nil, []string{"nobody@corp.test", "support-bot"}},
	"agent remove":   {nil, []string{"nobody@corp.test", "admin@localhost"}},
	"queue list":     {[]string{"--state=lost", "--limit=-1", "--limit=x"}, nil},
	"queue show":     {nil, []string{"none"}},
	"queue retry":    {[]string{"", "x --all", "x --to=desk.test", "--all --to=desk.test", "--to=<>"}, []string{"none"}},
	"queue cancel":   {[]string{"", "x --to=desk.test", "--to=<>", "--all"}, []string{"none"}},
	"held list":      {[]string{"--limit=-1", "--limit=x"}, nil},
	"held show":      {nil, []string{"none"}},
	"held release":   {nil, []string{"none"}},
	"held delete":    {nil, []string{"none"}},
	"trace":          {nil, []string{"nobody@x.test", "support#9"}},
	"verify":         {[]string{"--ip=300.1.1.1 FILE", "--now=yesterday FILE", "--dns-server=:53 FILE", "--spf-only FILE", "- -", ""}, nil},
	"parse":          {[]string{"- -", ""}, nil},
	"backup":         {[]string{"NONE --keep=-1", "NONE --keep=x", "- --keep=1"}, nil},
	"restore":        {[]string{""}, nil},
	"store ls":       {[]string{"'x", "--after='x", "--limit=-1", "--limit=x"}, nil},
	"store dump":     {[]string{"'x", "--after='x", "--limit=-1", "--limit=x"}, nil},
}

// A value that means nothing ends every command with exit code 2, one that names
// nothing or does not fit with 1, a file that is not there with 3, and no server
// with 4; with --json all of them say so in JSON.
func TestExitCodesOfWrongValues(t *testing.T) {
	data := deskWithTicket(t)
	file, none := tempFile(t, "a.eml", customer), filepath.Join(t.TempDir(), "none")
	fill := strings.NewReplacer("FILE", file, "NONE", none, "LONG", strings.Repeat("x", 100<<10))
	expect := func(words, values string, want int) {
		t.Helper()
		args := strings.Fields(words)
		for v := range strings.FieldsSeq(values) {
			args = append(args, fill.Replace(v))
		}
		_, stderr, code := command(t, append([]string{"--data=" + data}, args...)...)
		if code != want || !strings.HasPrefix(stderr, "mxdesk: ") {
			t.Errorf("%s %s: exit %d, want %d: %s", words, values, code, want, stderr)
		}
		if said := complaints(t, append([]string{"--json", "--data=" + data}, args...)); said[0].Exit != want {
			t.Errorf("%s %s --json: %+v, want exit %d", words, values, said, want)
		}
	}
	parser, err := grammar(&commands{})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, leaf := range parser.Model.Leaves(false) {
		path := leaf.Path()
		seen[path] = true
		values, ok := wrongValues[path]
		if takesValues(leaf) != ok {
			t.Errorf("mxdesk %s takes values: %v, and has wrong ones here: %v", path, !ok, ok)
		}
		expect(path, "--no-such-flag", exitUsage)
		if !slices.ContainsFunc(leaf.Positional, func(a *kong.Positional) bool { return a.IsCumulative() }) {
			expect(path, strings.Repeat("x ", len(leaf.Positional)+1), exitUsage)
		}
		for _, v := range values.senseless {
			expect(path, v, exitUsage)
		}
		for _, v := range values.absent {
			expect(path, v, exitRefused)
		}
	}
	for path := range wrongValues {
		if !seen[path] {
			t.Errorf("there is no command %s", path)
		}
	}
	for _, path := range []string{"verify NONE", "verify --dns-zone=NONE FILE", "parse NONE", "restore NONE", "restore NONE --list"} {
		expect("", path, exitIO)
	}
	for _, path := range []string{"ready", "ticket list", "trace x", "dkim list"} {
		expect(path, "--data=NONE", exitNoDesk)
	}
	for _, set := range []string{"--set=no.such=1", "--set=smtp.max_size=x", "--config=NONE"} {
		expect("config check", set, exitUsage)
		expect("ticket list", set, exitUsage)
	}
}

// complaints runs a command that fails, and returns what it says: nothing but
// JSON objects of one shape, whose last has the exit code.
func complaints(t *testing.T, args []string) []complaint {
	t.Helper()
	_, stderr, code := command(t, args...)
	var said []complaint
	dec := json.NewDecoder(strings.NewReader(stderr))
	dec.DisallowUnknownFields()
	for dec.More() {
		var c complaint
		if err := dec.Decode(&c); err != nil || c.Error == "" || c.Reason == "" {
			t.Errorf("%q: %v: %s", args, err, stderr)
			break
		}
		said = append(said, c)
	}
	if len(said) == 0 || said[len(said)-1].Exit != code || strings.Count(stderr, "\n") != len(said) {
		t.Fatalf("%q: exit %d: %s", args, code, stderr)
	}
	return said
}

// The word for an error is that of the server where it has one, and each file
// that cannot be read has its own.
func TestErrorsInJSON(t *testing.T) {
	data, none := deskWithTicket(t), filepath.Join(t.TempDir(), "none")
	for args, want := range map[string]string{
		"ticket show none#1":               "project-not-found",
		"trace nobody@x.test":              "mail-not-found",
		"ticket":                           "usage",
		"ticket -- x":                      "usage",
		"parse " + none + " " + none + "2": "io",
		"ready --data=" + none:             "no-server",
	} {
		said := complaints(t, append([]string{"--json", "--data=" + data}, strings.Fields(args)...))
		if said[0].Reason != want || len(said) != 1 && !strings.HasPrefix(args, "parse") {
			t.Errorf("%s: %+v, want reason %s", args, said, want)
		}
	}
	if _, stderr, _ := command(t, "ticket", "reply", "x", "--", "--json"); !strings.HasPrefix(stderr, "mxdesk: ") {
		t.Errorf("what follows -- is no flag: %s", stderr)
	}
}

// takesValues tells whether a command has anything that could be wrong besides
// its words.
func takesValues(leaf *kong.Node) bool {
	return len(leaf.Positional) > 0 || slices.ContainsFunc(leaf.Flags, func(f *kong.Flag) bool { return !f.IsBool() })
}

// deskWithTicket starts a desk with ticket support#1 and returns its data
// folder.
func deskWithTicket(t *testing.T) string {
	t.Helper()
	c := localConfig(t)
	c.Hostname, c.File = "localhost", "desk.toml"
	z, err := dns.ParseZone([]byte(zone))
	if err != nil {
		t.Fatal(err)
	}
	app, err := NewApp(t.Context(), c, Parts{Resolver: z})
	if err == nil {
		err = app.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { app.Drain(context.WithoutCancel(t.Context())) })
	mustCommand(t, "project", "create", "support", "--alias", "support@desk.test", "--data", c.Data)
	conn, err := smtp.Dial(app.ports["smtp"][0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = conn.Mail("ann@plain.test")
	if err == nil {
		err = conn.Rcpt("support@desk.test")
	}
	if err != nil {
		t.Fatal(err)
	}
	w, err := conn.Data()
	if err == nil {
		fmt.Fprint(w, mailText("ann@plain.test", "Hello", "1@plain.test", "", "Hi."))
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return c.Data
}

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// testdata returns the path of a file of the shared test data, or skips the
// test where there is none.
func testdata(t *testing.T, name string) string {
	t.Helper()
	root := cmp.Or(os.Getenv("CORPORA"), filepath.Join("..", "..", "..", "shared", "corpora"))
	if _, err := os.Stat(root); err != nil {
		t.Skipf("test data not present: %s (set CORPORA to its folder)", root)
	}
	return filepath.Join(root, filepath.FromSlash(name))
}

// verifying runs "mxdesk verify" with arguments.
func verifying(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, err bytes.Buffer
	e := &Env{Ctx: t.Context(), Stdin: strings.NewReader(""), Stdout: &out, Stderr: &err, Getenv: func(string) string { return "" }}
	code = run(e, append([]string{"verify"}, args...))
	return out.String(), err.String(), code
}

// verifiedLines runs "mxdesk verify --json" and reads its lines.
func verifiedLines(t *testing.T, args ...string) []verified {
	t.Helper()
	stdout, stderr, code := verifying(t, append([]string{"--json"}, args...)...)
	if code != exitOK || stderr != "" {
		t.Fatalf("verify %q: code %d, %s", args, code, stderr)
	}
	var list []verified
	for line := range strings.Lines(stdout) {
		var v verified
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		list = append(list, v)
	}
	return list
}

func tempFile(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func readJSON(t *testing.T, file string, v any) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// txtZone writes a zone of TXT records. The text TEMPERROR is a name server that
// gives no answer, PERMERROR a name without TXT records.
func txtZone(t *testing.T, texts map[string][]string) string {
	t.Helper()
	zone := map[string][][]string{}
	for name, list := range texts {
		for _, text := range list {
			entry := []string{"TXT", text}
			switch text {
			case "TEMPERROR":
				entry = []string{"TIMEOUT"}
			case "PERMERROR":
				entry = []string{"A", "192.0.2.1"}
			}
			zone[name] = append(zone[name], entry)
		}
	}
	data, err := json.Marshal(zone)
	if err != nil {
		t.Fatal(err)
	}
	return tempFile(t, "zone.json", string(data))
}

func TestVerifyOpenSPF(t *testing.T) {
	var scenarios []struct {
		Description string
		Zone        json.RawMessage
		Tests       []struct {
			Name, Helo, Host, MailFrom string
			Result                     []string
			Explanation                string
		}
	}
	readJSON(t, testdata(t, "spf/openspf/rfc7208-tests.json"), &scenarios)
	total := 0
	for _, s := range scenarios {
		zone := tempFile(t, "zone.json", string(s.Zone))
		for _, c := range s.Tests {
			total++
			got := verifiedLines(t, "--spf-only", "--ip="+c.Host, "--helo="+c.Helo, "--mail-from="+c.MailFrom, "--dns-zone="+zone)
			if len(got) != 1 || got[0].File != "" || !slices.Contains(c.Result, got[0].SPF.Result) {
				t.Errorf("%s: %s: %+v, want %v", s.Description, c.Name, got, c.Result)
				continue
			}
			want := strings.TrimPrefix(c.Explanation, "DEFAULT")
			if c.Explanation != "" && got[0].SPF.Explanation != want {
				t.Errorf("%s: %s: explanation %q, want %q", s.Description, c.Name, got[0].SPF.Explanation, want)
			}
		}
	}
	t.Logf("%d tests", total)
	if total != 203 {
		t.Errorf("%d tests, want 203", total)
	}
}

func TestVerifyARC(t *testing.T) {
	var scenarios []struct {
		Description string
		Zone        map[string]string `json:"txt-records"`
		Tests       []struct{ Name, Message, CV string }
	}
	readJSON(t, testdata(t, "arc/valimail/validation.json"), &scenarios)
	total := 0
	for _, s := range scenarios {
		texts := map[string][]string{}
		for name, text := range s.Zone {
			texts[name] = []string{text}
		}
		zone := txtZone(t, texts)
		for _, c := range s.Tests {
			total++
			want := cmp.Or(strings.ToLower(c.CV), "fail") // sealed as failed already
			lf := tempFile(t, "lf.eml", c.Message)
			crlf := tempFile(t, "crlf.eml", strings.ReplaceAll(c.Message, "\n", "\r\n"))
			got := verifiedLines(t, "--dns-zone="+zone, lf, crlf)
			if len(got) != 2 || got[0].ARC.Result != want || got[1].ARC.Result != want || got[0].File != lf {
				t.Errorf("%s: %s: %+v, want %s", s.Description, c.Name, got, want)
			}
		}
	}
	t.Logf("%d tests", total)
	if total != 175 {
		t.Errorf("%d tests, want 175", total)
	}
}

// TestVerifyChasquid compares the results of DKIM. The suite's case of too many
// signatures has another limit than ours; ours are compared as far as it goes.
func TestVerifyChasquid(t *testing.T) {
	files, err := filepath.Glob(testdata(t, "dkim/chasquid/*.msg"))
	if err != nil || len(files) != 11 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	passed := map[string]bool{"SUCCESS": true}
	for _, file := range files {
		base := strings.TrimSuffix(file, ".msg")
		texts := map[string][]string{}
		if zone, err := os.ReadFile(base + ".dns"); err == nil {
			for line := range strings.Lines(strings.ReplaceAll(string(zone), "\\\n", "")) {
				if name, text, ok := strings.Cut(line, ":"); ok {
					texts[name] = append(texts[name], strings.TrimSpace(text))
				}
			}
		}
		got := verifiedLines(t, "--dns-zone="+txtZone(t, texts), "--now=2026-01-01T00:00:00Z", file)
		var want struct {
			Results []struct{ Domain, State string }
		}
		if _, err := os.Stat(base + ".result"); err != nil {
			continue
		}
		readJSON(t, base+".result", &want)
		if len(got) != 1 || len(got[0].DKIM) < len(want.Results) {
			t.Errorf("%s: %+v", file, got)
			continue
		}
		for i, w := range want.Results {
			g := got[0].DKIM[i]
			if (g.Result == "pass") != passed[w.State] || (g.Result == "temperror") != (w.State == "TEMPFAIL") {
				t.Errorf("%s: signature %d: %s (%s), want %s", filepath.Base(file), i, g.Result, g.Reason, w.State)
			}
		}
	}
}

const customer = "From: Ann <ann@example.com>\nSubject: Hello\n\nHello.\n"

func annZone(t *testing.T) string {
	t.Helper()
	return txtZone(t, map[string][]string{
		"example.com":        {"v=spf1 ip4:192.0.2.1 -all"},
		"_dmarc.example.com": {"v=DMARC1; p=reject"},
	})
}

// TestVerifyJSON fixes the shape that scripts rely on.
func TestVerifyJSON(t *testing.T) {
	zone, file := annZone(t), tempFile(t, "a.eml", customer)
	stdout, stderr, code := verifying(t, "--json", "--ip=192.0.2.1", "--helo=mx.example.com", "--mail-from=ann@example.com", "--dns-zone="+zone, file)
	want := fmt.Sprintf(`{"file":%q,"spf":{"result":"pass","domain":"example.com","scope":"mfrom","explanation":"","mechanism":"ip4:192.0.2.1"},"dkim":[],`+
		`"dmarc":{"result":"pass","domain":"example.com","policy":"reject","disposition":"none","aligned_spf":true,"aligned_dkim":false},`+
		`"arc":{"result":"none","sealers":[],"reason":""},"iprev":{"result":"permerror"},"helo":{"result":"unresolvable"},"verdict":{"action":"accept","reason":"dmarc-pass"},`+
		`"authentication_results":"localhost; spf=pass smtp.mailfrom=example.com; dkim=none; dmarc=pass header.from=example.com policy.dmarc=reject; iprev=permerror policy.iprev=192.0.2.1"}`+"\n", file)
	if stdout != want || stderr != "" || code != exitOK {
		t.Errorf("code %d %s\n got %s\nwant %s", code, stderr, stdout, want)
	}
	stdout, _, _ = verifying(t, "--json", "--spf-only", "--dns-zone="+zone)
	want = `{"file":"","spf":{"result":"none","domain":"","scope":"","explanation":"","mechanism":""},"dkim":[],` +
		`"dmarc":{"result":"none","domain":"","policy":"","disposition":"none","aligned_spf":false,"aligned_dkim":false},` +
		`"arc":{"result":"none","sealers":[],"reason":""},"verdict":{"action":"accept","reason":"none"},"authentication_results":"localhost; none"}` + "\n"
	if stdout != want {
		t.Errorf("got %s\nwant %s", stdout, want)
	}
}

func TestVerifyClient(t *testing.T) {
	zone, file := annZone(t), tempFile(t, "a.eml", customer)
	tests := []struct {
		args []string
		want string // spf domain scope dmarc action
	}{
		{nil, "none   fail reject"},
		{[]string{"--mail-from=ann@example.com"}, "none   fail reject"},
		{[]string{"--ip=192.0.2.1", "--mail-from="}, "none   fail reject"},
		{[]string{"--ip=192.0.2.1", "--mail-from=", "--helo=example.com"}, "pass example.com helo pass accept"},
		{[]string{"--ip=192.0.2.1", "--mail-from", "", "--helo", "example.com"}, "pass example.com helo pass accept"},
		{[]string{"--ip=::ffff:192.0.2.1", "--mail-from=<ann@example.com>"}, "pass example.com mfrom pass accept"},
		{[]string{"--ip=2001:db8::1", "--mail-from=ann@example.com"}, "fail example.com mfrom fail reject"},
	}
	for _, tt := range tests {
		for _, v := range verifiedLines(t, append(tt.args, "--dns-zone="+zone, file)...) {
			got := strings.Join([]string{v.SPF.Result, v.SPF.Domain, v.SPF.Scope, v.DMARC.Result, string(v.Verdict.Verdict.Action)}, " ")
			if v.SPF.Domain == "" && v.SPF.Scope == "helo" {
				got = strings.Replace(got, " helo", " ", 1)
			}
			if got != tt.want {
				t.Errorf("%q: %q, want %q", tt.args, got, tt.want)
			}
		}
	}
}

func TestVerifyErrors(t *testing.T) {
	zone, file := annZone(t), tempFile(t, "a.eml", customer)
	missing := filepath.Join(t.TempDir(), "missing.eml")
	stdout, stderr, code := verifying(t, "--json", "--dns-zone="+zone, missing, file, t.TempDir(), file)
	if code != exitIO || strings.Count(stdout, "\n") != 2 || strings.Count(stderr, "\n") != 2 || !strings.Contains(stderr, missing) {
		t.Errorf("code %d\n%s%s", code, stdout, stderr)
	}
	for args, want := range map[string]int{
		"--ip=300.1.1.1 " + file:                         exitUsage,
		"--now=yesterday " + file:                        exitUsage,
		"--dns-zone=" + missing + " " + file:             exitIO,
		"--dns-zone=" + file + " " + file:                exitIO,
		"--spf-only " + file:                             exitUsage,
		"--dns-server=:53 " + file:                       exitUsage,
		"--dns-server=x --dns-zone=" + zone + " " + file: exitUsage,
		"--dns-zone=" + zone:                             exitUsage,
		"--no-such-flag " + file:                         exitUsage,
		"--dns-zone=" + zone + " " + file:                exitOK,
		"--dns-zone=" + zone + " --ip= " + file:          exitOK,
		"--dns-zone=" + zone + " " + "/dev/null":         exitIO,
	} {
		stdout, stderr, code := verifying(t, strings.Fields(args)...)
		if code != want || (want == exitOK) != (stderr == "") {
			t.Errorf("%s: code %d, want %d\n%s%s", args, code, want, stdout, stderr)
		}
	}
}

func TestNameServerAddress(t *testing.T) {
	for server, want := range map[string]string{
		"192.0.2.1": "192.0.2.1:53", "192.0.2.1:5353": "192.0.2.1:5353", "ns.example.com": "ns.example.com:53", "ns.example.com:54": "ns.example.com:54",
		"2001:db8::1": "[2001:db8::1]:53", "[2001:db8::1]": "[2001:db8::1]:53", "[2001:db8::1]:54": "[2001:db8::1]:54",
		"": "", ":53": "", "x:": "", "x:0": "", "x:y": "", "x:65536": "", "x:1:2": "", "[x": "",
	} {
		got, err := nameServerAddress(server)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v, want %q", server, got, err, want)
		}
	}
}

func TestVerifyHuman(t *testing.T) {
	file := tempFile(t, "a.eml", customer)
	stdout, _, code := verifying(t, "--ip=192.0.2.1", "--mail-from=ann@example.com", "--dns-zone="+annZone(t), file)
	want := file + `
  spf      pass      example.com mfrom ip4:192.0.2.1
  iprev    permerror
  arc      none
  dmarc    pass      example.com aligned by spf policy reject
  verdict  accept    dmarc-pass

Authentication-Results: localhost;
    spf=pass smtp.mailfrom=example.com;
    dkim=none;
    dmarc=pass header.from=example.com policy.dmarc=reject;
    iprev=permerror policy.iprev=192.0.2.1
`
	if stdout != want || code != exitOK {
		t.Errorf("got\n%s\nwant\n%s", stdout, want)
	}
}

// TestVerifyLeavesNothing runs in an empty folder.
func TestVerifyLeavesNothing(t *testing.T) {
	zone, file := annZone(t), tempFile(t, "a.eml", customer)
	dir := t.TempDir()
	t.Chdir(dir)
	verifiedLines(t, "--dns-zone="+zone, file)
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if names, err := d.Readdirnames(1); err != io.EOF {
		t.Errorf("%v, %v", names, err)
	}
}

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"github.com/mxdesk/mxdesk/server/api"
	"github.com/mxdesk/mxdesk/ticketing"
)

// Errors say what to do next, and end with the code that the help lists.
func TestErrorsSayWhatToDo(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for _, k := range []string{filepath.Join(dir, "other.pem"), key} { // the certificate is that of the last one
		if err := selfSign("desk.test", cert, k, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	mail, zone := file("mail.eml", "From: ann@customer.test\r\n\r\nHi.\r\n"), file("zone.json", "customer.test. A 192.0.2.1\n")
	certificate := "--set=tls.certificate=" + cert
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"tickets"}, exitUsage, `Try "mxdesk --help".`},
		{[]string{"ticket", "shwo"}, exitUsage, `Try "mxdesk ticket --help".`},
		{[]string{"ticket", "reply", "support#1"}, exitUsage, `Try "mxdesk ticket reply --help".`},
		{[]string{"backup", filepath.Join(dir, "backup"), "--keep=-1"}, exitUsage, "--keep is 0 or more"},
		{[]string{"verify", "--dns-zone", zone, mail}, exitIO, zone + ": zone: invalid character 'c' looking for beginning of value: write it as {"},
		{[]string{"verify", "--dns-zone", filepath.Join(dir, "none.json"), mail}, exitIO, "no such file"},
		{[]string{"config", "check", certificate, "--set=tls.key=" + key}, exitOK, ""},
		{[]string{"config", "check", certificate, "--set=tls.key=" + filepath.Join(dir, "none.pem")}, exitIO, "tls.key"},
		{[]string{"config", "check", certificate, "--set=tls.key=" + filepath.Join(dir, "other.pem")}, exitIO, "private key does not match"},
	} {
		var out, errs bytes.Buffer
		e := &Env{Ctx: t.Context(), Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }}
		if code := run(e, c.args); code != c.code || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%q: exit %d, %q, want %d, %q", c.args, code, &errs, c.code, c.want)
		}
	}
}

// A key that may not be read is no matter of the data folder.
func TestCertificateErrorsAreNotOfTheData(t *testing.T) {
	c := certificate{chain: filepath.Join(t.TempDir(), "none.pem"), now: time.Now}
	for named, want := range map[string]string{"/etc/desk.pem": "tls.certificate", "": "remove both"} {
		cfg := DefaultConfig()
		cfg.TLS.Certificate = named
		if got := startError(cfg, c.load()).Error(); !strings.Contains(got, want) || strings.Contains(got, "--data") {
			t.Errorf("error = %q", got)
		}
	}
}

func TestTraceTellsReplyAndLists(t *testing.T) {
	var out bytes.Buffer
	v := &ticketing.Verdict{Lists: ticketing.ListsResult{Hits: []ticketing.ListHit{{Zone: "bl.test", Listed: "192.0.2.77", Answer: "127.0.0.4", Weight: 5, Text: "see https://bl.test"}}}}
	showTransaction(&Env{Stdout: &out}, api.Transaction{Code: 550, Enhanced: "5.7.1", Stage: "data", Auth: v, Ticket: "support#1", Held: "t7.1"})
	for _, want := range []string{"550 5.7.1 at DATA\n", "releases  t7.1\n", "bl.test lists 192.0.2.77: 127.0.0.4, weight 5 see https://bl.test\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %s", want, &out)
		}
	}
}

func TestZoneOfADomain(t *testing.T) {
	var out bytes.Buffer
	long := "v=DKIM1; p=" + strings.Repeat("A", 400)
	printRecord(&out, api.Record{Name: "desk.test", Type: "MX", Value: "10 mx.desk.test."}, true)
	printRecord(&out, api.Record{Name: "s._domainkey.desk.test", Type: "TXT", Value: long}, true)
	p := mdns.NewZoneParser(&out, "", "")
	first, _ := p.Next()
	second, _ := p.Next()
	if mx, ok := first.(*mdns.MX); !ok || mx.Mx != "mx.desk.test." || mx.Preference != 10 {
		t.Errorf("first record: %v, %v", first, p.Err())
	}
	if txt, ok := second.(*mdns.TXT); !ok || len(txt.Txt) != 2 || strings.Join(txt.Txt, "") != long {
		t.Errorf("second record: %v, %v", second, p.Err())
	}
}

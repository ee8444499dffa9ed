package dkim

import (
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mxdesk/mxdesk/auth/message"
)

// parseZone reads "name: text" lines; a backslash continues a line.
func parseZone(text string) map[string][]string {
	zone := map[string][]string{}
	text = strings.ReplaceAll(text, "\\\n", "")
	for line := range strings.Lines(text) {
		name, record, ok := strings.Cut(strings.TrimSpace(line), ":")
		if ok {
			zone[name] = append(zone[name], strings.TrimSpace(record))
		}
	}
	return zone
}

// TestChasquid runs the eleven cases. Case 02 is about a cap of five
// signatures; in the zone of case 06 PERMERROR stands for a name that cannot
// be had.
func TestChasquid(t *testing.T) {
	dir := corpora(t, "dkim/chasquid")
	files, err := filepath.Glob(filepath.Join(dir, "*.msg"))
	if err != nil || len(files) != 11 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	passed := 0
	for _, file := range files {
		base := strings.TrimSuffix(file, ".msg")
		if t.Run(filepath.Base(base), func(t *testing.T) {
			m := read(t, readFile(t, file))
			if text, err := os.ReadFile(base + ".error"); err == nil && string(text) != "<nil>" {
				if m.Defect == nil {
					t.Error("malformed header goes unnoticed")
				}
				return
			}
			zone := map[string][]string{}
			if text, err := os.ReadFile(base + ".dns"); err == nil {
				zone = parseZone(string(text))
			}
			for name, records := range zone {
				if records[0] == "PERMERROR" {
					zone[name] = []string{"NODATA"}
				}
			}
			v := New(&fakeDNS{txt: zone}, Options{Now: testNow, MaxSignatures: 5})
			compareChasquid(t, readFile(t, base+".result"), v.Verify(t.Context(), m))
		}) {
			passed++
		}
	}
	t.Attr("conformance", fmt.Sprintf("dkim/chasquid | DKIM results | %d/%d", passed, len(files)))
}

func compareChasquid(t *testing.T, expected string, got []Result) {
	t.Helper()
	var want struct {
		Results []struct{ Domain, Selector, B, State string }
	}
	if err := json.Unmarshal([]byte(expected), &want); err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want.Results) {
		t.Fatalf("%d results, want %d", len(got), len(want.Results))
	}
	states := map[string]string{
		Pass: "SUCCESS", TempError: "TEMPFAIL",
		Fail: "PERMFAIL", Neutral: "PERMFAIL", Policy: "PERMFAIL", PermError: "PERMFAIL",
	}
	for i, w := range want.Results {
		g := got[i]
		if states[g.Result] != w.State {
			t.Errorf("signature %d: %s (%s), want %s", i, g.Result, g.Reason, w.State)
		}
		if w.Domain != "" && (g.Domain != w.Domain || g.Selector != w.Selector || !strings.HasPrefix(w.B, g.BPrefix)) {
			t.Errorf("signature %d: %s %s %s", i, g.Domain, g.Selector, g.BPrefix)
		}
	}
}

const (
	rfc8463Ed  = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
	rfc8463RSA = "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWR" +
		"iGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutAC" +
		"DfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3" +
		"Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
)

// TestRFC8463 verifies the example message, which has a signature of each
// kind.
//
// https://www.rfc-editor.org/rfc/rfc8463#appendix-A
func TestRFC8463(t *testing.T) {
	raw := "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n" +
		" d=football.example.com; i=@football.example.com;\r\n" +
		" q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n" +
		" subject : date : message-id : from : subject : date;\r\n" +
		" bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n" +
		" b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r\n" +
		" Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r\n" +
		"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n" +
		" d=football.example.com; i=@football.example.com;\r\n" +
		" q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r\n" +
		" date : message-id : from : subject : date;\r\n" +
		" bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n" +
		" b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\r\n" +
		" DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\r\n" +
		" dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\r\n" +
		"From: Joe SixPack <joe@football.example.com>\r\n" +
		"To: Suzie Q <suzie@shopping.example.net>\r\n" +
		"Subject: Is dinner ready?\r\n" +
		"Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n" +
		"Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n" +
		"\r\nHi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n"
	zone := map[string][]string{
		"brisbane._domainkey.football.example.com": {rfc8463Ed},
		"test._domainkey.football.example.com":     {rfc8463RSA},
	}
	got := verify(t, zone, raw)
	want := []Result{
		{Result: Pass, Domain: "football.example.com", Selector: "brisbane", Algorithm: "ed25519-sha256",
			KeyBits: 256, Identity: "@football.example.com", BPrefix: "/gCrinpc"},
		{Result: Pass, Domain: "football.example.com", Selector: "test", Algorithm: "rsa-sha256",
			KeyBits: 1024, Identity: "@football.example.com", BPrefix: "F45dVWDf", Weak: true},
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%+v, want %+v", got[i], want[i])
		}
	}
	for i, r := range verify(t, zone, strings.ReplaceAll(raw, "\r\n", "\n")) {
		if r.Result != Pass {
			t.Errorf("signature %d with bare line feeds: %s", i, r.Reason)
		}
	}
	for i, r := range verify(t, zone, strings.Replace(raw, "dinner", "supper", 1)) {
		if r.Result != Fail || r.Reason != "signature did not verify" {
			t.Errorf("signature %d with another subject: %s %s", i, r.Result, r.Reason)
		}
	}
}

// TestDkimpyMessages verifies the signed messages. The keys of two of them are
// not in the suite: of those the body hash is checked, by the reason.
func TestDkimpyMessages(t *testing.T) {
	dir := corpora(t, "dkim/dkimpy")
	football := map[string][]string{
		"brisbane._domainkey.football.example.com": {rfc8463Ed},
		"test._domainkey.football.example.com":     {rfc8463RSA},
	}
	exim := map[string][]string{"sed._domainkey.test.ex": {readFile(t, dir, "eximtest.dns")}}
	tests := []struct {
		file string
		zone map[string][]string
		want string
	}{
		{"rfc6376.signed.msg", football, "pass pass"},
		{"ed25519test2.msg", exim, "pass"},
		{"test2.message", nil, "permerror: no key for signature"},
		{"message.mbox", nil, "permerror: no key for signature"},
		{"test.message", nil, ""},
	}
	passed := 0
	for _, tt := range tests {
		var got []string
		for _, r := range verify(t, tt.zone, readFile(t, dir, tt.file)) {
			word := r.Result
			if r.Reason != "" {
				word += ": " + r.Reason
			}
			got = append(got, word)
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s: %s, want %s", tt.file, s, tt.want)
			continue
		}
		passed++
	}
	t.Attr("conformance", fmt.Sprintf("dkim/dkimpy | DKIM of signed mails, among them that of RFC 8463 | %d/%d", passed, len(tests)))
}

// TestDkimpyKeys signs the suite's messages with its key and verifies them
// with each of its records.
func TestDkimpyKeys(t *testing.T) {
	dir := corpora(t, "dkim/dkimpy")
	key, err := ParsePEM([]byte(readFile(t, dir, "test.private")))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ file, want string }{
		{"test.txt", ""},
		{"test2.txt", ""},
		{"badk.txt", "unknown key type"},
		{"badversion.txt", "key record of another version"},
		{"test_bad.txt", "key malformed"},
		{"test_tlsrpt.txt", "key not for email"},
		{"ed25519test.dns", "key of another type"},
	}
	passed, run := 0, 0
	for _, name := range []string{"test.message", "test_extra.message"} {
		raw := readFile(t, dir, name)
		for _, c := range []string{"relaxed/relaxed", "simple/relaxed"} {
			tags := "v=1; a=rsa-sha256; c=" + c + "; d=example.com; s=test; h=from:to:subject:received; bh=BH"
			signed := forge(t, key, tags, raw)
			for _, tt := range tests {
				run++
				zone := map[string][]string{"test._domainkey.example.com": {readFile(t, dir, tt.file)}}
				if got := verify(t, zone, signed)[0]; got.Reason != tt.want {
					t.Errorf("%s %s %s: %s %q, want %q", name, c, tt.file, got.Result, got.Reason, tt.want)
					continue
				}
				passed++
			}
		}
	}
	t.Attr("conformance", fmt.Sprintf("dkim/dkimpy | DKIM key records, sound and broken | %d/%d", passed, run))
	if err := NewSigner("example.com", nil).Sign(nil, strings.NewReader(readFile(t, dir, "test_nofrom.message"))); err == nil {
		t.Error("a message without from field is signed")
	}
}

// TestDkimpySign signs with the suite's keys: the example of RFC 8463 anew, to
// the same octets, and a mail that the suite has a key and a record for.
//
// https://www.rfc-editor.org/rfc/rfc8463#appendix-A
func TestDkimpySign(t *testing.T) {
	dir := corpora(t, "dkim/dkimpy")
	rsaKey, err := ParsePEM([]byte(readFile(t, dir, "test2.private")))
	if err != nil {
		t.Fatal(err)
	}
	signed := readFile(t, dir, "rfc6376.signed.msg")
	if !strings.HasSuffix(signed, readFile(t, dir, "rfc6376.msg")) {
		t.Error("the signed mail does not end in the plain one")
	}
	passed, m := 0, read(t, signed)
	for _, f := range m.Get("DKIM-Signature") {
		tags, err := message.ParseTags(f.RawValue())
		if err != nil {
			t.Fatal(err)
		}
		content, err := ReadContent(tags)
		if err != nil {
			t.Fatal(err)
		}
		key := rsaKey
		if content.Algorithm == "ed25519-sha256" {
			key = seedKey(t, readFile(t, dir, "rfc8032_7_1.key"))
		}
		hash := HeaderHash(m, content, f, tags)
		b, err := SignHash(key, hash[:])
		if err != nil || string(b) != string(content.Signature) {
			t.Errorf("%s: another signature, %v", content.Algorithm, err)
			continue
		}
		passed++
	}
	zone := map[string][]string{"test._domainkey.example.com": {readFile(t, dir, "ed25519test.dns")}}
	tags := "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.com; s=test; h=from:to:subject; bh=BH"
	raw := forge(t, seedKey(t, readFile(t, dir, "ed25519test.key")), tags, readFile(t, dir, "ed25519test.msg"))
	if got := verify(t, zone, raw)[0]; got.Result != Pass {
		t.Errorf("ed25519test.msg: %s (%s)", got.Result, got.Reason)
	} else {
		passed++
	}
	t.Attr("conformance", fmt.Sprintf("dkim/dkimpy | DKIM signing with its keys | %d/%d", passed, 3))
}

// seedKey reads the base64 of an Ed25519 seed.
func seedKey(t *testing.T, text string) crypto.Signer {
	t.Helper()
	seed, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(seed) != ed25519.SeedSize {
		t.Fatalf("%d octets, %v", len(seed), err)
	}
	return ed25519.NewKeyFromSeed(seed)
}

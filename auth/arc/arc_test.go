package arc

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/auth/dkim"
	"github.com/mxdesk/mxdesk/auth/message"
)

const mail = "From: Ann <ann@example.org>\r\nTo: list@example.net\r\nSubject: hello\r\nDate: Sun, 1 Mar 2026 12:00:00 +0000\r\n\r\nFirst line\r\n"

var key = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

func testNow() time.Time { return time.Unix(1772366400, 0) }

// zoneOf publishes the key of n sealers.
func zoneOf(t testing.TB, n int) *fakeDNS {
	t.Helper()
	record, err := dkim.DNSRecord(key)
	if err != nil {
		t.Fatal(err)
	}
	zone := map[string]string{}
	for i := range n {
		zone[fmt.Sprintf("sel._domainkey.hop%d.example", i+1)] = record
	}
	return &fakeDNS{txt: zone}
}

// relay seals a message as one hop does that finds the given chain.
func relay(t testing.TB, raw string, hop int, state string) string {
	t.Helper()
	set, err := Seal(read(t, raw), Result{Result: state}, fmt.Sprintf("mx.hop%d.example; spf=pass smtp.mailfrom=a@example.org; arc=%s", hop, state),
		SealOptions{Domain: fmt.Sprintf("hop%d.example", hop), Selector: "sel", Key: key, Now: testNow})
	if err != nil {
		t.Fatal(err)
	}
	return string(set) + raw
}

// relayed passes a message through n hops.
func relayed(t testing.TB, n int) string {
	raw, state := mail, None
	for i := range n {
		raw, state = relay(t, raw, i+1, state), Pass
	}
	return raw
}

func TestChain(t *testing.T) {
	fake := zoneOf(t, 3)
	got := New(fake, Options{Now: testNow}).Verify(t.Context(), read(t, relayed(t, 3)))
	if got.Result != Pass || got.OldestPass != 0 || got.Reason != "" || got.Partial {
		t.Errorf("%+v", got)
	}
	if want := []string{"hop1.example", "hop2.example", "hop3.example"}; !slices.Equal(got.Sealers, want) {
		t.Errorf("sealers %q", got.Sealers)
	}
	want := []string{
		"mx.hop1.example; spf=pass smtp.mailfrom=a@example.org; arc=none",
		"mx.hop2.example; spf=pass smtp.mailfrom=a@example.org; arc=pass",
		"mx.hop3.example; spf=pass smtp.mailfrom=a@example.org; arc=pass",
	}
	if !slices.Equal(got.AAR, want) {
		t.Errorf("results %q", got.AAR)
	}
	if fake.lookups != 3 {
		t.Errorf("%d lookups", fake.lookups)
	}
}

// TestOldestPass changes the message between hops: the seals stay good, the
// message signatures before the change do not.
func TestOldestPass(t *testing.T) {
	changes := map[string]func(string) string{
		"subject": func(s string) string { return strings.Replace(s, "Subject: ", "Subject: [list] ", 1) },
		"body":    func(s string) string { return s + "-- \r\nlist footer\r\n" },
	}
	for name, change := range changes {
		for after := range 3 {
			raw, state := mail, None
			for hop := range 4 {
				raw, state = relay(t, raw, hop+1, state), Pass
				if hop == after {
					raw = change(raw)
				}
			}
			got := New(zoneOf(t, 4), Options{Now: testNow}).Verify(t.Context(), read(t, raw))
			if got.Result != Pass || got.OldestPass != after+2 {
				t.Errorf("%s after hop %d: %s (%s), oldest %d", name, after+1, got.Result, got.Reason, got.OldestPass)
			}
		}
		got := New(zoneOf(t, 2), Options{Now: testNow}).Verify(t.Context(), read(t, change(relayed(t, 2))))
		if got.Result != Fail || !strings.HasPrefix(got.Reason, "message signature 2: ") {
			t.Errorf("%s after the last hop: %s (%s)", name, got.Result, got.Reason)
		}
	}
}

func TestVerifyFailures(t *testing.T) {
	good := relayed(t, 2)
	swap := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %q in the message", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	down := zoneOf(t, 2)
	down.txt["sel._domainkey.hop1.example"] = "TEMPERROR"
	limited := zoneOf(t, 2)
	tests := []struct {
		name   string
		raw    string
		dns    *fakeDNS
		result string
		reason string
	}{
		{"no chain", mail, limited, None, ""},
		{"results changed", swap("mx.hop1.example; spf=pass", "mx.hop1.example; spf=fail"), limited, Fail, "seal 2: signature did not verify"},
		{"seal gone", swap("ARC-Seal:", "X-Seal:"), limited, Fail, "incomplete set"},
		{"results gone", swap("ARC-Authentication-Results:", "X-Results:"), limited, Fail, "incomplete set"},
		{"state changed", swap("cv=pass", "cv=none"), limited, Fail, "seal 2 has a wrong cv"},
		{"said to be failed", swap("cv=pass", "cv=fail"), limited, Fail, "chain was sealed as failed"},
		{"state unknown", swap("cv=pass", "cv=maybe"), limited, Fail, "arc-seal: malformed tag cv"},
		{"instance twice", swap("i=2; mx", "i=1; mx"), limited, Fail, "arc-authentication-results: instance twice"},
		{"instance missing", swap("i=2; mx", "i=3; mx"), limited, Fail, "arc-authentication-results: instance out of order"},
		{"seal with h", swap("cv=pass; ", "cv=pass; h=from; "), limited, Fail, "arc-seal: tag h is not allowed"},
		{"no key", good, zoneOf(t, 1), Fail, "message signature 2: no key for signature"},
		{"name server failure", good, down, TempError, "seal 1: key lookup failed"},
		{"failure and name server failure", swap("mx.hop2.example; spf", "mx.hop2.example; SPF"), down, Fail, "seal 2: signature did not verify"},
		{"body", good + "more", limited, Fail, "message signature 2: body hash did not verify"},
	}
	for _, tt := range tests {
		got := New(tt.dns, Options{Now: testNow}).Verify(t.Context(), read(t, tt.raw))
		if got.Result != tt.result || got.Reason != tt.reason {
			t.Errorf("%s: %s (%s), want %s (%s)", tt.name, got.Result, got.Reason, tt.result, tt.reason)
		}
	}
}

// TestFromUnsigned wants From among what a message signature covers: our own
// signs even one that is not there.
func TestFromUnsigned(t *testing.T) {
	sealed := func(raw string, names ...string) string {
		set, err := Seal(read(t, raw), Result{Result: None}, "mx.hop1.example; none",
			SealOptions{Domain: "hop1.example", Selector: "sel", Key: key, Now: testNow, Headers: names})
		if err != nil {
			t.Fatal(err)
		}
		return string(set) + raw
	}
	without := strings.TrimPrefix(mail, "From: Ann <ann@example.org>\r\n")
	for _, tt := range []struct {
		name, raw, result string
		oldest            int
		partial           bool
	}{
		{"by default", sealed(mail), Pass, 0, false},
		{"in any case", sealed(mail, "to", "FROM"), Pass, 0, false},
		{"other fields", sealed(mail, "to", "x-from"), Fail, 0, false},
		{"nothing", sealed(mail, ""), Pass, 0, true},
		{"by the latest", relay(t, sealed(mail, "to"), 2, Pass), Pass, 2, false},
		{"none there", sealed(without), Pass, 0, false},
		{"none there, and added", "From: eve@example.org\r\n" + sealed(without), Fail, 0, false},
	} {
		got := New(zoneOf(t, 2), Options{Now: testNow}).Verify(t.Context(), read(t, tt.raw))
		if got.Result != tt.result || got.OldestPass != tt.oldest || got.Partial != tt.partial {
			t.Errorf("%s: %s (%s), oldest %d, partial %t", tt.name, got.Result, got.Reason, got.OldestPass, got.Partial)
		}
	}
}

func TestSealStates(t *testing.T) {
	o := SealOptions{Domain: "hop3.example", Selector: "sel", Key: key, Now: testNow}
	broken := strings.Replace(relayed(t, 2), "hello", "changed", 1)
	failed := relay(t, broken, 3, Fail)
	got := New(zoneOf(t, 3), Options{Now: testNow}).Verify(t.Context(), read(t, failed))
	if got.Result != Fail || got.Reason != "chain was sealed as failed" {
		t.Errorf("%+v", got)
	}
	tests := []struct {
		name, raw string
		chain     Result
	}{
		{"already failed", failed, got},
		{"not known", relayed(t, 2), Result{Result: TempError}},
		{"full", relayed(t, 50), Result{Result: Pass}},
	}
	for _, tt := range tests {
		if set, err := Seal(read(t, tt.raw), tt.chain, "mx.example", o); set != nil || err != nil {
			t.Errorf("%s: %q, %v", tt.name, set, err)
		}
	}
	if _, err := Seal(read(t, mail), Result{Result: None}, "mx.example\r\nX: 1", o); err == nil {
		t.Error("results with a line end are taken")
	}
	for _, chain := range []string{"", Pass, "maybe"} {
		if _, err := Seal(read(t, mail), Result{Result: chain}, "mx.example", o); err == nil {
			t.Errorf("chain %q on a message without sets is taken", chain)
		}
	}
	if _, err := Seal(read(t, relayed(t, 2)), Result{Result: None}, "mx.example", o); err == nil {
		t.Error("chain none on a message with sets is taken")
	}
	o.Key = unknownKey{}
	if _, err := Seal(read(t, mail), Result{Result: None}, "mx.example", o); err == nil {
		t.Error("a key of unknown type is taken")
	}
}

type unknownKey struct{ crypto.Signer }

func (unknownKey) Public() crypto.PublicKey { return nil }

// TestSealLines checks that lines are folded and keep the order of trace
// fields.
func TestSealLines(t *testing.T) {
	raw := relay(t, mail, 1, None)
	for line := range strings.Lines(raw) {
		if len(line) > 120 || !strings.HasSuffix(line, "\r\n") {
			t.Errorf("line %q", line)
		}
	}
	m := read(t, raw)
	for i, name := range []string{sealField, signatureField, resultsField, "From"} {
		if m.Fields[i].Name != name {
			t.Errorf("field %d is %s", i, m.Fields[i].Name)
		}
	}
}

// TestLongestChain verifies 50 sets with one lookup for each key, and shows
// that 51 are refused unseen.
func TestLongestChain(t *testing.T) {
	fake := zoneOf(t, 50)
	raw := relayed(t, 50)
	got := New(fake, Options{Now: testNow}).Verify(t.Context(), read(t, raw))
	if got.Result != Pass || len(got.Sealers) != 50 || fake.lookups != 50 {
		t.Errorf("%s (%s), %d sealers, %d lookups", got.Result, got.Reason, len(got.Sealers), fake.lookups)
	}
	fake.lookups = 0
	for _, tt := range []struct {
		raw   string
		limit int
	}{{raw, 49}, {"ARC-Seal: i=51\r\n" + raw, 0}, {strings.Repeat("ARC-Seal: i=1\r\n", 500) + mail, 0}} {
		got = New(fake, Options{MaxSets: tt.limit}).Verify(t.Context(), read(t, tt.raw))
		if got.Result != Fail || got.Reason != "too many sets" || fake.lookups != 0 {
			t.Errorf("%s (%s), %d lookups", got.Result, got.Reason, fake.lookups)
		}
	}
}

func TestSplitResults(t *testing.T) {
	tests := []struct {
		value    string
		instance int
		payload  string
		ok       bool
	}{
		{"i=1; mx.example; spf=pass", 1, "mx.example; spf=pass", true},
		{" (a (nested \\) one)) i (b) = (c) 12 (d) ;mx.example", 12, "mx.example", true},
		{"i=50;", 50, "", true},
		{"i=100; mx", 0, "", false},
		{"i=; mx", 0, "", false},
		{"i=1 mx", 0, "", false},
		{"j=1; mx", 0, "", false},
		{"i 1; mx", 0, "", false},
		{"(open i=1; mx", 0, "", false},
		{"mx; i=1", 0, "", false},
		{"", 0, "", false},
	}
	for _, tt := range tests {
		i, payload, err := splitResults(tt.value)
		if i != tt.instance || payload != tt.payload || (err == nil) != tt.ok {
			t.Errorf("%q: %d, %q, %v", tt.value, i, payload, err)
		}
	}
}

// FuzzSet: whatever the chain of a mail is, a further set keeps it so.
func FuzzSet(f *testing.F) {
	full := relayed(f, 2)
	f.Add([]byte(full))
	f.Add([]byte(relay(f, mail, 1, Fail)))
	f.Add([]byte("ARC-Seal: i=1; cv=none\r\nARC-Message-Signature: i=1\r\nARC-Authentication-Results: i=1; x\r\n\r\n"))
	f.Add([]byte(mail))
	f.Add([]byte(strings.ReplaceAll(full, "\r\n", "\n")))
	v := New(zoneOf(f, 3), Options{Now: testNow})
	o := SealOptions{Domain: "hop3.example", Selector: "sel", Key: key, Now: testNow}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := message.Read(bytes.NewReader(raw), int64(len(raw)), message.Limits{})
		if err != nil {
			return
		}
		got := v.Verify(t.Context(), m)
		if (got.Reason == "") != (got.Result == Pass || got.Result == None) {
			t.Fatalf("%+v", got)
		}
		set, err := Seal(m, got, "mx.example; arc="+got.Result, o)
		if err != nil {
			t.Fatal(err)
		}
		if got.Result == Pass && set == nil && len(got.Sealers) < maxInstance {
			t.Fatal("a chain that passes is not sealed")
		}
		if set == nil || len(raw) > 0 && (raw[0] == ' ' || raw[0] == '\t') { // it would continue the set
			return
		}
		sealed, want := read(t, string(set)+string(raw)), Pass
		if got.Result == Fail {
			want = Fail
		}
		next := v.Verify(t.Context(), sealed)
		if next.Result != want || want == Pass && len(next.Sealers) != len(got.Sealers)+1 {
			t.Fatalf("%+v sealed is %+v", got, next)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	raw := relayed(b, 3)
	v := New(zoneOf(b, 3), Options{Now: testNow})
	b.ReportAllocs()
	for b.Loop() {
		if r := v.Verify(b.Context(), read(b, raw)); r.Result != Pass {
			b.Fatal(r.Reason)
		}
	}
}

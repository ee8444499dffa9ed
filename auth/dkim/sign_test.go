package dkim

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	msgauth "github.com/emersion/go-msgauth/dkim"
)

const outgoing = "Received: from here\r\nFrom: Desk <desk@example.org>\r\nTo: ann@example.net\r\nCc: bob@example.net\r\n" +
	"Subject: Re: hello\r\nDate: Sun, 1 Mar 2026 12:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n" +
	"In-Reply-To: <0@example.net>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello Ann,\r\n.\r\n\r\n"

func signOutgoing(t testing.TB) (signed string, zone map[string][]string) {
	t.Helper()
	keys := []Key{{"r1", rsa2048()}, {"e1", edKey}}
	var b bytes.Buffer
	if err := NewSigner("example.org", keys).Sign(&b, strings.NewReader(outgoing)); err != nil {
		t.Fatal(err)
	}
	return b.String(), map[string][]string{
		"r1._domainkey.example.org": {publish(t, rsa2048())},
		"e1._domainkey.example.org": {publish(t, edKey)},
	}
}

func TestSignAndVerify(t *testing.T) {
	signed, zone := signOutgoing(t)
	if !strings.HasSuffix(signed, outgoing) {
		t.Error("message has changed")
	}
	v := New(&fakeDNS{txt: zone}, Options{})
	results := v.Verify(t.Context(), read(t, signed))
	if len(results) != 2 {
		t.Fatalf("%d signatures", len(results))
	}
	for i, algorithm := range []string{"rsa-sha256", "ed25519-sha256"} {
		if r := results[i]; r.Result != Pass || r.Algorithm != algorithm || r.Weak || r.BodyLimited {
			t.Errorf("%+v", r)
		}
	}
	lookup := func(name string) ([]string, error) { return zone[name], nil }
	others, err := msgauth.VerifyWithOptions(strings.NewReader(signed), &msgauth.VerifyOptions{LookupTXT: lookup})
	if err != nil || len(others) != 2 {
		t.Fatalf("%d verifications, %v", len(others), err)
	}
	for _, o := range others {
		if o.Err != nil {
			t.Errorf("the other verifier: %v", o.Err)
		}
	}
}

// TestSignCovers changes, adds and removes fields of a signed message.
func TestSignCovers(t *testing.T) {
	signed, zone := signOutgoing(t)
	v := New(&fakeDNS{txt: zone}, Options{})
	change := func(old, new string) string { return strings.Replace(signed, old, new, 1) }
	tests := []struct{ name, raw, want string }{
		{"trace field added", "Received: from there\r\n" + signed, Pass},
		{"trace field changed", change("from here", "from elsewhere"), Pass},
		{"second from", "From: eve@example.com\r\n" + signed, Fail},
		{"second subject", "Subject: won\r\n" + signed, Fail},
		{"reply-to added", "Reply-To: eve@example.com\r\n" + signed, Fail},
		{"second to", "To: eve@example.com\r\n" + signed, Fail},
		{"second date", "Date: now\r\n" + signed, Fail},
		{"second message-id", "Message-ID: <2@example.org>\r\n" + signed, Fail},
		{"cc changed", change("Cc: bob", "Cc: bill"), Fail},
		{"cc removed", change("Cc: bob@example.net\r\n", ""), Fail},
		{"type changed", change("text/plain", "text/html"), Fail},
		{"thread changed", change("<0@example.net>", "<9@example.net>"), Fail},
	}
	for _, tt := range tests {
		for _, r := range v.Verify(t.Context(), read(t, tt.raw)) {
			if r.Result != tt.want {
				t.Errorf("%s: %s %s, want %s", tt.name, r.Algorithm, r.Result, tt.want)
			}
		}
	}
}

// TestOversigned adds one more of each field that decides what a reader sees,
// above the others and below them, to a message that has it and one that has
// not.
func TestOversigned(t *testing.T) {
	fields := map[string]string{
		"From": "desk@example.org", "Subject": "hello", "To": "ann@example.net", "Date": "Sun, 1 Mar 2026 12:00:00 +0000",
		"Message-ID": "<1@example.org>", "Reply-To": "desk+1@example.org", "Cc": "bob@example.net", "In-Reply-To": "<0@example.net>",
		"References": "<0@example.net>", "MIME-Version": "1.0", "Content-Type": "text/plain; charset=utf-8", "Content-Transfer-Encoding": "7bit",
		"Auto-Submitted": "auto-replied", "List-Unsubscribe": "<https://example.org/stop>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
	}
	zone := map[string][]string{"r1._domainkey.example.org": {publish(t, rsa2048())}, "e1._domainkey.example.org": {publish(t, edKey)}}
	v := New(&fakeDNS{txt: zone}, Options{})
	s := NewSigner("example.org", []Key{{"r1", rsa2048()}, {"e1", edKey}})
	check := func(what, raw, want string) {
		t.Helper()
		results := v.Verify(t.Context(), read(t, raw))
		if len(results) != 2 {
			t.Fatalf("%s: %d signatures", what, len(results))
		}
		for _, r := range results {
			if r.Result != want {
				t.Errorf("%s: %s %s, want %s", what, r.Algorithm, r.Result, want)
			}
		}
	}
	for name := range fields {
		for _, present := range []bool{true, false} {
			var header strings.Builder
			for n, value := range fields {
				if n != name || present {
					header.WriteString(n + ": " + value + "\r\n")
				}
			}
			if name == "From" && !present {
				continue // nobody can sign that
			}
			var b bytes.Buffer
			if err := s.Sign(&b, strings.NewReader(header.String()+"\r\nHello\r\n")); err != nil {
				t.Fatal(err)
			}
			more := name + ": " + fields[name] + "\r\n"
			what := fmt.Sprintf("%s, present %t", name, present)
			check(what, b.String(), Pass)
			check(what+", added above", more+b.String(), Fail)
			check(what+", added below", strings.Replace(b.String(), "\r\n\r\n", "\r\n"+more+"\r\n", 1), Fail)
		}
	}
}

// TestUnsubscribeIsSigned changes and removes what a reader's mail program
// offers as a button.
//
// https://www.rfc-editor.org/rfc/rfc8058#section-4
func TestUnsubscribeIsSigned(t *testing.T) {
	const link, post = "List-Unsubscribe: <mailto:stop@example.org>\r\n", "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
	var b bytes.Buffer
	if err := NewSigner("example.org", []Key{{"e1", edKey}}).Sign(&b, strings.NewReader(link+post+outgoing)); err != nil {
		t.Fatal(err)
	}
	signed := b.String()
	for _, tt := range []struct{ name, raw, want string }{
		{"as sent", signed, Pass},
		{"link changed", strings.Replace(signed, "stop@example.org", "stop@example.com", 1), Fail},
		{"link removed", strings.Replace(signed, link, "", 1), Fail},
		{"another link added", "List-Unsubscribe: <mailto:stop@example.com>\r\n" + signed, Fail},
		{"post removed", strings.Replace(signed, post, "", 1), Fail},
	} {
		v := New(&fakeDNS{txt: map[string][]string{"e1._domainkey.example.org": {publish(t, edKey)}}}, Options{})
		if r := v.Verify(t.Context(), read(t, tt.raw)); len(r) != 1 || r[0].Result != tt.want {
			t.Errorf("%s: %+v, want %s", tt.name, r, tt.want)
		}
	}
}

type failingKey struct{ crypto.Signer }

var errSign = errors.New("token removed")

func (failingKey) Public() crypto.PublicKey { return edKey.Public() }

func (failingKey) Sign(_ io.Reader, _ []byte, _ crypto.SignerOpts) ([]byte, error) {
	return nil, errSign
}

func TestSignErrors(t *testing.T) {
	var b bytes.Buffer
	one := func(k crypto.Signer) *Signer { return NewSigner("example.org", []Key{{"a", edKey}, {"b", k}}) }
	if err := one(failingKey{}).Sign(&b, strings.NewReader(outgoing)); !errors.Is(err, errSign) {
		t.Errorf("failing key: %v", err)
	}
	if err := one(edKey).Sign(&b, iotest.ErrReader(errSign)); !errors.Is(err, errSign) {
		t.Errorf("failing reader: %v", err)
	}
	for name, raw := range map[string]string{
		"no from":  "To: a\r\n\r\n",
		"two from": "From: a\r\nFrom: b\r\n\r\n",
	} {
		if err := one(edKey).Sign(&b, strings.NewReader(raw)); !errors.Is(err, errFrom) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if b.Len() > 0 {
		t.Errorf("%d bytes written", b.Len())
	}
}

func TestKeys(t *testing.T) {
	r, e, err := GenerateKeys(2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []crypto.Signer{r, e} {
		text, err := EncodePEM(k)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParsePEM(text)
		if err != nil {
			t.Fatal(err)
		}
		record, err := ParseRecord(publish(t, back))
		if err != nil {
			t.Fatal(err)
		}
		algorithm, err := Algorithm(k)
		if err != nil || !strings.HasPrefix(algorithm, record.Type) {
			t.Errorf("%s key makes %s, %v", record.Type, algorithm, err)
		}
		var hash [32]byte
		sig, err := SignHash(k, hash[:])
		if err != nil {
			t.Fatal(err)
		}
		if err := record.check(Base{Algorithm: algorithm, Signature: sig}, hash); err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
	}
	if bits := r.Public().(*rsa.PublicKey).N.BitLen(); bits != 2048 {
		t.Errorf("rsa key of %d bits", bits)
	}
}

func TestSameKey(t *testing.T) {
	parse := func(record string) *Record {
		r, err := ParseRecord(record)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r, e := publish(t, rsa2048()), publish(t, edKey)
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{r, r, true},
		{e, "p=" + e[strings.Index(e, "p=")+2:] + " ; k=ed25519; t=y", true},
		{r, "k = rsa ; p=" + strings.Replace(r[strings.Index(r, "p=")+2:], "A", "A \t", 3), true},
		{r, e, false},
		{e, r, false},
		{r, publish(t, rsa1024()), false},
	} {
		if got := parse(tt.a).SameKey(parse(tt.b)); got != tt.want {
			t.Errorf("%.30s and %.30s: %t", tt.a, tt.b, got)
		}
	}
}

func TestKeyErrors(t *testing.T) {
	for _, bits := range []int{-1, 0, 1024, 2047, 8193} {
		if _, _, err := GenerateKeys(bits); err == nil {
			t.Errorf("made an rsa key of %d bits", bits)
		}
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DNSRecord(ec); !errors.Is(err, errKeyType) {
		t.Errorf("record of ecdsa key: %v", err)
	}
	if _, err := Algorithm(ec); !errors.Is(err, errKeyType) {
		t.Errorf("algorithm of ecdsa key: %v", err)
	}
	text, err := EncodePEM(ec)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"ecdsa":    string(text),
		"nothing":  "",
		"no der":   "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		"no pkcs1": "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
	} {
		if _, err := ParsePEM([]byte(text)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// benchMail is a message of 10 KiB with one RSA-2048 signature.
func benchMail(b *testing.B) (raw string, record string) {
	var out bytes.Buffer
	long := outgoing + strings.Repeat("The quick brown fox jumps over the lazy dog.\r\n", 220)
	if err := NewSigner("example.org", []Key{{"r1", rsa2048()}}).Sign(&out, strings.NewReader(long)); err != nil {
		b.Fatal(err)
	}
	return out.String(), publish(b, rsa2048())
}

func BenchmarkVerify(b *testing.B) {
	raw, record := benchMail(b)
	v := New(&fakeDNS{txt: map[string][]string{"r1._domainkey.example.org": {record}}}, Options{})
	b.ReportAllocs()
	for b.Loop() {
		if r := v.Verify(b.Context(), read(b, raw)); r[0].Result != Pass {
			b.Fatal(r[0].Reason)
		}
	}
}

func BenchmarkVerifyMsgauth(b *testing.B) {
	raw, record := benchMail(b)
	o := &msgauth.VerifyOptions{LookupTXT: func(string) ([]string, error) { return []string{record}, nil }}
	b.ReportAllocs()
	for b.Loop() {
		if v, err := msgauth.VerifyWithOptions(strings.NewReader(raw), o); err != nil || v[0].Err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	s := NewSigner("example.org", []Key{{"r1", rsa2048()}, {"e1", edKey}})
	for b.Loop() {
		if err := s.Sign(&bytes.Buffer{}, strings.NewReader(outgoing)); err != nil {
			b.Fatal(err)
		}
	}
}

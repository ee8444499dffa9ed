package auth

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/mxdesk/mxdesk/auth/arc"
	"github.com/mxdesk/mxdesk/auth/dkim"
	"github.com/mxdesk/mxdesk/auth/dns"
	"github.com/mxdesk/mxdesk/auth/message"
	"github.com/mxdesk/mxdesk/ticketing"
)

// rawMessage is a message in memory.
type rawMessage struct{ *strings.Reader }

func (r rawMessage) SHA256() [32]byte { return sha256.Sum256(nil) }

func raw(text string) ticketing.Raw { return rawMessage{strings.NewReader(text)} }

// testKey signs for every domain of the tests.
var testKey = sync.OnceValue(func() crypto.Signer {
	_, key, err := dkim.GenerateKeys(2048)
	if err != nil {
		panic(err)
	}
	return key
})

// keyRecord publishes testKey.
func keyRecord(t testing.TB) string {
	t.Helper()
	text, err := dkim.DNSRecord(testKey())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// sign puts a DKIM signature above a message.
func sign(t testing.TB, domain, text string) string {
	t.Helper()
	var out strings.Builder
	s := dkim.NewSigner(domain, []dkim.Key{{Selector: "s", Private: testKey()}})
	if err := s.Sign(&out, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// signLength signs the header and only the first octet of the body.
func signLength(t testing.TB, domain, text string) string {
	t.Helper()
	body := sha256.Sum256([]byte("H"))
	field := "DKIM-Signature: v=1; a=ed25519-sha256; c=simple/simple; d=" + domain + "; s=s; h=from; l=1; bh=" +
		base64.StdEncoding.EncodeToString(body[:]) + "; b="
	m := parse(t, field+"AAAA\r\n"+text)
	tags, err := message.ParseTags(m.Fields[0].RawValue())
	if err != nil {
		t.Fatal(err)
	}
	content, err := dkim.ReadContent(tags)
	if err != nil {
		t.Fatal(err)
	}
	hash := dkim.HeaderHash(m, content, m.Fields[0], tags)
	signature, err := dkim.SignHash(testKey(), hash[:])
	if err != nil {
		t.Fatal(err)
	}
	return field + base64.StdEncoding.EncodeToString(signature) + "\r\n" + text
}

func parse(t testing.TB, text string) *message.Message {
	t.Helper()
	m, err := message.Read(strings.NewReader(text), int64(len(text)), message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// seal puts an ARC set above a message that has none.
func seal(t testing.TB, domain, results, text string) string {
	t.Helper()
	return sealNames(t, domain, results, text)
}

// sealNames is seal with the names of the fields to sign; none are the default.
func sealNames(t testing.TB, domain, results, text string, names ...string) string {
	t.Helper()
	set, err := arc.Seal(parse(t, text), arc.Result{Result: arc.None}, results,
		arc.SealOptions{Domain: domain, Selector: "s", Key: testKey(), Headers: names})
	if err != nil {
		t.Fatal(err)
	}
	return string(set) + text
}

// zone makes a resolver of "name: text" lines, one TXT record each; the text
// TIMEOUT is a name server that gives no answer.
func zone(t testing.TB, text string) dns.Resolver {
	t.Helper()
	records := map[string][][]string{}
	for line := range strings.Lines(text) {
		name, record, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok {
			continue
		}
		entry := []string{"TXT", record}
		if record == "TIMEOUT" {
			entry = entry[1:]
		}
		records[name] = append(records[name], entry)
	}
	data, err := json.Marshal(records)
	if err != nil {
		t.Fatal(err)
	}
	z, err := dns.ParseZone(data)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// envelope is a transaction from 192.0.2.1.
func envelope(mailFrom string) *ticketing.Envelope {
	return &ticketing.Envelope{
		ID: "t1", Client: netip.MustParseAddrPort("192.0.2.1:25"), Helo: "mail.example.com", MailFrom: mailFrom, Hostname: "desk.example",
	}
}

// publicKey is a key of which only the public half is known.
type publicKey struct{ key crypto.PublicKey }

func (k publicKey) Public() crypto.PublicKey { return k.key }

func (publicKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("no private key")
}

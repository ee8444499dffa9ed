package auth

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"github.com/mxdesk/mxdesk/auth/arc"
	"github.com/mxdesk/mxdesk/auth/dkim"
	"github.com/mxdesk/mxdesk/auth/dns"
	"github.com/mxdesk/mxdesk/auth/message"
	"github.com/mxdesk/mxdesk/ticketing"
)

// benchMail is a mail of 10 KiB with an RSA-2048 signature and two ARC sets,
// and the records that vouch for it.
type benchMail struct {
	text     string
	records  map[string]string
	resolver dns.Resolver // a cache over a zone of the records
	raw      ticketing.Raw
}

// benchKeys are those of the author and of two relays.
var benchKeys = sync.OnceValue(func() (keys [3]*rsa.PrivateKey) {
	for i := range keys {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys[i] = key
	}
	return keys
})

const benchHeader = "Received: from mail.author.example (mail.author.example [192.0.2.1])\r\n" +
	"\tby mx.relay.example with ESMTPS id 4F1c2D3e4Fz9sT\r\n\tfor <desk@example.net>; Sun, 22 Nov 2026 10:00:00 +0000 (UTC)\r\n" +
	"From: Ann Author <ann@author.example>\r\nTo: Desk <desk@example.net>\r\nCc: Bob <bob@author.example>\r\n" +
	"Subject: The printer on the second floor prints nothing but\r\n\tthe letter e since this morning\r\n" +
	"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <4F1c2D3e.5060708@author.example>\r\n" +
	"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n" +
	"User-Agent: Mozilla Thunderbird\r\nContent-Language: en-GB\r\n\r\n"

// benchEnvelope is a transaction with a client on this machine: the names of one
// elsewhere are looked up too, which is no part of what is measured.
func benchEnvelope() *ticketing.Envelope {
	env := envelope("ann@author.example")
	env.Client = netip.MustParseAddrPort("127.0.0.1:25")
	return env
}

func newBenchMail(b testing.TB) benchMail {
	b.Helper()
	keys := benchKeys()
	var body strings.Builder
	for body.Len() < 10<<10 {
		body.WriteString("The quick brown fox jumps over the lazy dog, and the printer prints e.\r\n")
	}
	var text strings.Builder
	signer := dkim.NewSigner("author.example", []dkim.Key{{Selector: "s", Private: keys[0]}})
	if err := signer.Sign(&text, strings.NewReader(benchHeader+body.String())); err != nil {
		b.Fatal(err)
	}
	mail := benchMail{text: text.String(), records: map[string]string{
		"author.example":        "v=spf1 ip6:2001:db8::/32 ip4:127.0.0.0/8 -all",
		"_dmarc.author.example": "v=DMARC1; p=reject; rua=mailto:dmarc@author.example",
	}}
	for i, domain := range []string{"author.example", "relay1.example", "relay2.example"} {
		record, err := dkim.DNSRecord(keys[i])
		if err != nil {
			b.Fatal(err)
		}
		mail.records["s._domainkey."+domain] = record
	}
	state := arc.None
	for i, domain := range []string{"relay1.example", "relay2.example"} {
		results := domain + "; spf=pass smtp.mailfrom=ann@author.example; dkim=pass header.d=author.example; dmarc=pass header.from=author.example"
		set, err := arc.Seal(parse(b, mail.text), arc.Result{Result: state}, results, arc.SealOptions{Domain: domain, Selector: "s", Key: keys[i+1]})
		if err != nil {
			b.Fatal(err)
		}
		mail.text, state = string(set)+mail.text, arc.Pass
	}
	var lines strings.Builder
	for name, record := range mail.records {
		fmt.Fprintf(&lines, "%s: %s\n", name, record)
	}
	mail.resolver = dns.NewCache(zone(b, lines.String()), dns.CacheOptions{MinTTL: time.Hour})
	mail.raw = raw(mail.text)
	return mail
}

// verify checks the mail with all mechanisms, which have to pass.
func (mail benchMail) verify(b testing.TB, v *Verifier, env *ticketing.Envelope) {
	out := v.Verify(b.Context(), env, mail.raw)
	if out.SPF.Result != "pass" || len(out.DKIM) != 1 || out.DKIM[0].Result != "pass" || out.ARC.Result != "pass" || out.DMARC.Result != "pass" {
		b.Fatal(out.AuthenticationResults)
	}
}

// octets are what a signature covers, in canonical form.
type octets struct {
	data      []byte
	sum       [sha256.Size]byte
	signature []byte
	key       *rsa.PublicKey
}

// floor is the cryptography without which the mail cannot be verified: the
// body is hashed once, the fields each signature covers once for it, the sets
// below a seal with those of the next one.
type floor struct {
	body    []byte
	signed  []octets
	sealing []byte
}

func newFloor(b testing.TB, text string) floor {
	b.Helper()
	m := parse(b, text)
	keys := benchKeys()
	// Bodies of the test end in one CRLF and have no white space to take out.
	fl := floor{body: []byte(text[strings.Index(text, "\r\n\r\n")+4:])}
	for i, f := range append(m.Get("DKIM-Signature"), bottomUp(m.Get("ARC-Message-Signature"))...) {
		tags, content := contentOf(b, f)
		var data []byte
		for signed := range m.Select(content.Headers, f.Offset) {
			data = message.Relaxed.AppendField(data, signed)
		}
		fl.add(data, f, tags, content.Base, &keys[i].PublicKey)
	}
	var chain []byte
	for i, f := range bottomUp(m.Get("ARC-Seal")) {
		tags, err := message.ParseTags(f.RawValue())
		if err != nil {
			b.Fatal(err)
		}
		base, err := dkim.ReadBase(tags)
		if err != nil {
			b.Fatal(err)
		}
		chain = message.Relaxed.AppendField(chain, bottomUp(m.Get("ARC-Authentication-Results"))[i])
		chain = message.Relaxed.AppendField(chain, bottomUp(m.Get("ARC-Message-Signature"))[i])
		fl.add(chain, f, tags, base, &keys[i+1].PublicKey)
		chain = message.Relaxed.AppendField(chain, f)
	}
	seals := fl.signed[len(fl.signed)-2:]
	fl.sealing = seals[1].data
	seals[0].data, seals[1].data = seals[0].data[len(seals[0].data)-300:], nil
	return fl
}

func bottomUp(fields []message.Field) []message.Field {
	slices.Reverse(fields)
	return fields
}

func contentOf(b testing.TB, f message.Field) (message.Tags, dkim.Content) {
	b.Helper()
	tags, err := message.ParseTags(f.RawValue())
	if err != nil {
		b.Fatal(err)
	}
	content, err := dkim.ReadContent(tags)
	if err != nil {
		b.Fatal(err)
	}
	return tags, content
}

func (fl *floor) add(data []byte, f message.Field, tags message.Tags, base dkim.Base, key *rsa.PublicKey) {
	data = message.Relaxed.AppendUnsigned(slices.Clone(data), f, tags)
	fl.signed = append(fl.signed, octets{data, sha256.Sum256(data), base.Signature, key})
}

// run does the work of the floor.
func (fl floor) run(b testing.TB) {
	sha256.Sum256(fl.body)
	sha256.Sum256(fl.sealing)
	for _, s := range fl.signed {
		sha256.Sum256(s.data)
		if err := rsa.VerifyPKCS1v15(s.key, crypto.SHA256, s.sum[:], s.signature); err != nil {
			b.Fatal(err)
		}
	}
}

// cpuTime is the processor time this process has used.
func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// maxAllocations is how many allocations a verification may make beside those
// of its cryptography.
const maxAllocations = 64

func TestVerifyAllocations(t *testing.T) {
	mail := newBenchMail(t)
	v, env, fl := New(mail.resolver, Options{}), benchEnvelope(), newFloor(t, mail.text)
	mail.verify(t, v, env) // warms the cache
	whole := testing.AllocsPerRun(200, func() { mail.verify(t, v, env) })
	crypto := testing.AllocsPerRun(200, func() { fl.run(t) })
	t.Logf("%.0f allocations, %.0f of them in crypto", whole, crypto)
	if whole-crypto > maxAllocations && !raceDetector {
		t.Errorf("%.0f allocations beside cryptography, want at most %d", whole-crypto, maxAllocations)
	}
}

// BenchmarkCost measures the parts of BenchmarkAuth in turns and by processor
// time, so that what else the machine does falls on all of them alike.
func BenchmarkCost(b *testing.B) {
	mail := newBenchMail(b)
	v, env, fl := New(mail.resolver, Options{}), benchEnvelope(), newFloor(b, mail.text)
	signatures := dkim.New(mail.resolver, dkim.Options{})
	parts := [...]struct {
		name string
		run  func()
	}{
		{"verify", func() { mail.verify(b, v, env) }},
		{"floor", func() { fl.run(b) }},
		{"dkim", func() { mail.verifyDKIM(b, signatures) }},
		{"msgauth", func() { mail.verifyMsgauth(b) }},
	}
	var took [len(parts)]time.Duration
	const turn = 20
	rounds := 0
	for b.Loop() {
		for i, part := range parts {
			start := cpuTime(b)
			for range turn {
				part.run()
			}
			took[i] += cpuTime(b) - start
		}
		rounds++
	}
	for i, part := range parts {
		b.ReportMetric(float64(took[i].Microseconds())/float64(rounds*turn), part.name+"-us")
	}
	b.ReportMetric(float64(took[0])/float64(took[1]), "x-floor")
	b.ReportMetric(float64(took[3])/float64(took[2]), "x-msgauth")
	b.ReportMetric(0, "ns/op")
}

// verifyDKIM checks the author's signature alone.
func (mail benchMail) verifyDKIM(b testing.TB, v *dkim.Verifier) {
	if r := v.Verify(b.Context(), parse(b, mail.text)); len(r) != 1 || r[0].Result != dkim.Pass {
		b.Fatal(r)
	}
}

// verifyMsgauth does the same with go-msgauth, from answers at hand.
func (mail benchMail) verifyMsgauth(b testing.TB) {
	o := msgauth.VerifyOptions{LookupTXT: func(name string) ([]string, error) { return []string{mail.records[name]}, nil }}
	r, err := msgauth.VerifyWithOptions(strings.NewReader(mail.text), &o)
	if err != nil || len(r) != 1 || r[0].Err != nil {
		b.Fatal(r, err)
	}
}

// BenchmarkAuth sets the whole of a verification beside the cryptography it
// cannot do without, and the DKIM part of it beside go-msgauth.
func BenchmarkAuth(b *testing.B) {
	mail := newBenchMail(b)
	b.Run("verify", func(b *testing.B) {
		v, env := New(mail.resolver, Options{}), benchEnvelope()
		b.ReportAllocs()
		for b.Loop() {
			mail.verify(b, v, env)
		}
	})
	b.Run("floor", func(b *testing.B) {
		fl := newFloor(b, mail.text)
		b.ReportAllocs()
		for b.Loop() {
			fl.run(b)
		}
	})
	b.Run("dkim", func(b *testing.B) {
		v := dkim.New(mail.resolver, dkim.Options{})
		b.ReportAllocs()
		for b.Loop() {
			mail.verifyDKIM(b, v)
		}
	})
	b.Run("msgauth", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			mail.verifyMsgauth(b)
		}
	})
}

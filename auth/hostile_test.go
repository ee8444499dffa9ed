package auth

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"math/big"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxdesk/mxdesk/auth/arc"
	"github.com/mxdesk/mxdesk/auth/dkim"
	"github.com/mxdesk/mxdesk/auth/dns"
	"github.com/mxdesk/mxdesk/ticketing"
)

// What one message may cost at most, whatever is in it.
const (
	maxCPU    = time.Second
	maxMemory = 8 << 20 // octets allocated in all, freed ones included
)

// bounded runs something hostile and says what it cost.
func bounded(t *testing.T, run func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := cpuTime(t)
	run()
	took := cpuTime(t) - start
	runtime.ReadMemStats(&after)
	memory := after.TotalAlloc - before.TotalAlloc
	t.Logf("%v, %d KiB", took.Round(10*time.Microsecond), memory>>10)
	if took > maxCPU && !raceDetector {
		t.Errorf("took %v of processor time", took)
	}
	if memory > maxMemory && !raceDetector {
		t.Errorf("allocated %d KiB", memory>>10)
	}
}

// hostile is a message, the zone it is checked with, and what comes of it.
type hostile struct {
	name string
	mail func(t *testing.T) string
	zone func(t *testing.T) string
	from string // of the envelope
	want string // "spf dkim arc dmarc action"; dkim is that of the first of n signatures, as "fail*10"
}

func TestHostile(t *testing.T) {
	const plain = "From: a@author.example\r\nSubject: x\r\n\r\nHi.\r\n"
	just := func(text string) func(*testing.T) string { return func(*testing.T) string { return text } }
	repeat := func(s string, n int) func(*testing.T) string { return just(strings.Repeat(s, n) + plain) }
	key := func(t *testing.T) string { return "s._domainkey.author.example: " + keyRecord(t) }
	labels := strings.Repeat("a.", 123) + "example"
	for _, h := range []hostile{
		{"200 signatures", func(t *testing.T) string {
			signed := sign(t, "author.example", plain)
			return strings.Repeat(signed[:len(signed)-len(plain)], 200) + plain
		}, key, "", "none pass*10 none none accept"},
		{"200 signatures that fail", func(t *testing.T) string {
			signed := sign(t, "author.example", plain)
			return strings.Repeat(signed[:len(signed)-len(plain)], 200) + plain + "more\r\n"
		}, key, "", "none fail*10 none none accept"},
		{"50 huge ARC sets", func(t *testing.T) string { return sealed(t, 50, strings.Repeat("x; ", 1200), plain) },
			key, "", "none - pass none accept"},
		{"51 ARC sets", func(t *testing.T) string {
			return strings.Repeat("ARC-Seal: i=51\r\nARC-Message-Signature: i=51\r\nARC-Authentication-Results: i=51; x\r\n", 51) + plain
		}, key, "", "none - fail none accept"},
		{"5,000 folds", just("Subject: x" + strings.Repeat("\r\n y", 5000) + "\r\n" + plain), key, "", "none - none none accept"},
		{"5,000 folds of a signature", func(t *testing.T) string {
			return strings.Replace(sign(t, "author.example", plain), "; h=", ";"+strings.Repeat("\r\n ", 5000)+"h=", 1)
		}, key, "", "none pass*1 none none accept"},
		{"5,000 folds of From", just("From:" + strings.Repeat("\r\n x", 5000) + " <a@author.example>\r\n\r\n"), key, "", "none - none none accept"},
		{"10,000 fields", repeat("Received: x\r\n", 10000), key, "", "none - none none hold"},
		{"999 fields", repeat("Received: x\r\n", 998), key, "", "none - none none accept"},
		{"a line of 1 MB", just("Subject: " + strings.Repeat("x", 1<<20) + "\r\n" + plain), key, "", "none - none none hold"},
		{"a body line of 1 MB", just(plain + strings.Repeat("x ", 1<<19)), key, "", "none - none none accept"},
		{"a body of 4 MB of blanks", just(plain + strings.Repeat(" \t\r\n", 1<<20)), key, "", "none - none none accept"},
		{"100,000 addresses", just("From: " + strings.Repeat("a@b.c,", 100000) + "\r\n\r\n"), key, "", "none - none none hold"},
		{"40,000 addresses", just("From: " + strings.Repeat("a@b.c,", 40000) + "\r\n\r\n"), key, "", "none - none none accept"},
		{"1,000 domains in From", func(*testing.T) string {
			var list strings.Builder
			for i := range 1000 {
				fmt.Fprintf(&list, "a@d%d.example, ", i)
			}
			return "From: " + list.String() + "x\r\n\r\n"
		}, key, "", "none - none fail accept"},
		{"10,000 comments in one another", just("From: " + strings.Repeat("(", 10000) + strings.Repeat(")", 10000) + " a@author.example\r\n\r\n"),
			key, "", "none - none none accept"},
		{"200,000 parentheses", just("From: " + strings.Repeat("(", 200000) + " a@author.example\r\n\r\n"), key, "", "none - none none accept"},
		{"200,000 quotes", just("From: " + strings.Repeat("\"\\", 100000) + " a@author.example\r\n\r\n"), key, "", "none - none none accept"},
		{"200,000 encoded words", just("From: " + strings.Repeat("=?", 100000) + " a@author.example\r\n\r\n"), key, "", "none - none none accept"},
		{"odd header and 4 MB", just("Odd\r\n" + plain + strings.Repeat("x\r\n", 1<<20)), key, "", "none - none none accept"},
		{"h= with 10,000 names", func(t *testing.T) string {
			field := "DKIM-Signature: v=1; a=ed25519-sha256; d=author.example; s=s; bh=" + strings.Repeat("A", 43) + "=; b=AAAA; h=" +
				strings.Repeat("received:", 10000) + "from\r\n"
			return strings.Repeat(field, 2) + strings.Repeat("Received: x\r\n", 990) + plain
		}, key, "", "none fail*2 none none accept"},
		{"80,000 tags", just("DKIM-Signature: v=1" + strings.Repeat(";a=", 80000) + "\r\n" + plain), key, "", "none neutral*1 none none accept"},
		{"80,000 other tags", func(*testing.T) string {
			var list strings.Builder
			for i := range 30000 {
				fmt.Fprintf(&list, ";a%d=", i)
			}
			return "DKIM-Signature: v=1" + list.String() + "\r\n" + plain
		}, key, "", "none neutral*1 none none accept"},
		{"records of 64 KiB", func(t *testing.T) string { return sign(t, "author.example", plain) }, func(t *testing.T) string {
			long := strings.Repeat("x", 65000)
			return "author.example: v=spf1 " + strings.Repeat("a ", 32000) + "\n_dmarc.author.example: v=DMARC1; p=reject; " + long +
				"\ns._domainkey.author.example: v=DKIM1; p=" + long
		}, "a@author.example", "permerror permerror*1 none none accept"},
		{"SPF of 64 KiB of networks", just(plain), just("author.example: v=spf1" + strings.Repeat(" ip4:10.0.0.0/8", 4300)),
			"a@author.example", "permerror - none none accept"},
		{"SPF macros that grow", just(plain), just("author.example: v=spf1" + strings.Repeat(" exists:"+strings.Repeat("%{l}%{s}%{L255r+-.}", 300)+".x", 11)),
			strings.Repeat("a-+.b", 2000) + "@author.example", "permerror - none none accept"},
		{"SPF that includes itself", just(plain), just("author.example: v=spf1" + strings.Repeat(" include:author.example", 2000)),
			"a@author.example", "permerror - none none accept"},
		{"keys of 16,384 bits", func(t *testing.T) string { return weak(t, 10) + plain }, func(t *testing.T) string { return publicKeys(t, 16384, 65537, 10) },
			"", "none policy*10 none none accept"},
		{"keys of 8,192 bits with a large exponent", func(t *testing.T) string { return weak(t, 10) + plain },
			func(t *testing.T) string { return publicKeys(t, 8192, 1<<31-1, 10) }, "", "none policy*10 none none accept"},
		{"keys of 8,192 bits", func(t *testing.T) string { return weak(t, 10) + plain }, func(t *testing.T) string { return publicKeys(t, 8192, 65537, 10) },
			"", "none fail*10 none none accept"},
		{"124 labels, as many as fit", just("From: a@" + labels + "\r\n\r\n"), just(labels + ": v=spf1 -all"), "a@" + labels, "fail - none none accept"},
	} {
		t.Run(h.name, func(t *testing.T) {
			v := New(zone(t, h.zone(t)), Options{})
			env, text := envelope(h.from), raw(h.mail(t))
			var out *ticketing.Verdict
			bounded(t, func() { out = v.Verify(t.Context(), env, text) })
			if got := inBrief(out); got != h.want {
				t.Errorf("got %s, want %s (%.300s)", got, h.want, out.AuthenticationResults)
			}
		})
	}
}

// inBrief says of a verdict what hostile.want says.
func inBrief(v *ticketing.Verdict) string {
	signatures := "-"
	if len(v.DKIM) > 0 {
		signatures = fmt.Sprintf("%s*%d", v.DKIM[0].Result, len(v.DKIM))
	}
	return fmt.Sprintf("%s %s %s %s %s", v.SPF.Result, signatures, v.ARC.Result, v.DMARC.Result, v.Verdict.Action)
}

// sealed puts n ARC sets on a message.
func sealed(t *testing.T, n int, results, text string) string {
	t.Helper()
	state := arc.None
	for range n {
		set, err := arc.Seal(parse(t, text), arc.Result{Result: state}, "mx.example; "+results,
			arc.SealOptions{Domain: "author.example", Selector: "s", Key: testKey()})
		if err != nil {
			t.Fatal(err)
		}
		text, state = string(set)+text, arc.Pass
	}
	return text
}

// weak is n signatures of RSA keys that nobody has.
func weak(t *testing.T, n int) string {
	t.Helper()
	const body = "Hi.\r\n"
	bh, err := parse(t, "\r\n"+body).RelaxedBodyHash()
	if err != nil {
		t.Fatal(err)
	}
	hash, _ := json.Marshal(bh[:]) // base64 in quotes
	field := "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=author.example; s=s; h=from; bh=" + strings.Trim(string(hash), `"`) + "; b="
	return strings.Repeat(field+strings.Repeat("A", 1365)+"E=\r\n", n)
}

// publicKeys publishes n RSA keys of that many bits under one name.
func publicKeys(t *testing.T, bits, exponent, n int) string {
	t.Helper()
	var lines strings.Builder
	for i := range n {
		modulus := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
		modulus.Add(modulus, big.NewInt(int64(2*i+1)))
		record, err := dkim.DNSRecord(publicKey{&rsa.PublicKey{N: modulus, E: exponent}})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&lines, "s._domainkey.author.example: %s\n", record)
	}
	return lines.String()
}

func TestHostileAliases(t *testing.T) {
	const loop = `{"author.example": [["CNAME", "b.example"]], "b.example": [["CNAME", "author.example"]],
		"_dmarc.author.example": [["CNAME", "_dmarc.author.example"]], "s._domainkey.author.example": [["CNAME", "author.example"]]}`
	z, err := dns.ParseZone([]byte(loop))
	if err != nil {
		t.Fatal(err)
	}
	text := raw(sign(t, "author.example", "From: a@author.example\r\n\r\nHi.\r\n"))
	bounded(t, func() {
		out := New(dns.NewCache(z, dns.CacheOptions{}), Options{}).Verify(t.Context(), envelope("a@author.example"), text)
		if got := inBrief(out); got != "temperror temperror*1 none temperror accept" {
			t.Error(got)
		}
	})
}

// silent is a name server that never answers and heeds no deadline but ctx.
type silent struct{}

func (silent) wait(ctx context.Context) error {
	<-ctx.Done()
	return dns.ErrTemporary
}

func (s silent) TXT(ctx context.Context, _ string) ([]string, bool, error) {
	return nil, false, s.wait(ctx)
}

func (s silent) A(ctx context.Context, _ string) ([]netip.Addr, bool, error) {
	return nil, false, s.wait(ctx)
}

func (s silent) AAAA(ctx context.Context, _ string) ([]netip.Addr, bool, error) {
	return nil, false, s.wait(ctx)
}

func (s silent) MX(ctx context.Context, _ string) ([]dns.MX, bool, error) {
	return nil, false, s.wait(ctx)
}

func (s silent) PTR(ctx context.Context, _ netip.Addr) ([]string, bool, error) {
	return nil, false, s.wait(ctx)
}

func TestHostileSilence(t *testing.T) {
	text := sealed(t, 20, "none", sign(t, "author.example", "From: a@author.example\r\n\r\nHi.\r\n"))
	for _, cached := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var r dns.Resolver = silent{}
			if cached {
				r = dns.NewCache(r, dns.CacheOptions{})
			}
			start := time.Now()
			bounded(t, func() {
				now := func() time.Time { return time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC) } // after the signatures
				out := New(r, Options{Now: now}).Verify(t.Context(), envelope("a@author.example"), raw(text))
				if got := inBrief(out); got != "temperror temperror*1 temperror temperror accept" {
					t.Error(got)
				}
			})
			if took := time.Since(start); took > 2*mechanismTimeout {
				t.Errorf("waited %v", took)
			}
		})
	}
}

func TestHostileResults(t *testing.T) {
	for name, value := range map[string]string{
		"100,000 results":        "mx" + strings.Repeat("; spf=pass", 100000),
		"100,000 properties":     "mx; spf=pass" + strings.Repeat(" a.b=c", 100000),
		"100,000 comments":       "mx" + strings.Repeat("(", 100000) + strings.Repeat(")", 100000) + "; spf=pass",
		"100,000 quotes":         "mx; spf=" + strings.Repeat(`"\`, 100000),
		"100,000 empty sections": "mx" + strings.Repeat(";", 100000),
	} {
		t.Run(name, func(t *testing.T) {
			bounded(t, func() {
				if n := len(parseResults(value)); n > maxResults {
					t.Errorf("%d results", n)
				}
			})
		})
	}
}

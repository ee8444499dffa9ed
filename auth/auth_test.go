package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/mxdesk/mxdesk/auth/arc"
	"github.com/mxdesk/mxdesk/auth/dns"
	"github.com/mxdesk/mxdesk/metrics"
	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/store"
)

const plainMail = "From: Ann <ann@example.com>\r\nTo: desk@desk.example\r\nSubject: Hello\r\n\r\nHello.\r\n"

const zoneText = `
example.com: v=spf1 ip4:192.0.2.1 -all
example.net: v=spf1 -all
slow.example: TIMEOUT
s._domainkey.slow.example: TIMEOUT
s._domainkey.relay.example: TIMEOUT
_dmarc.slow.example: v=DMARC1; p=reject
_dmarc.broken.example: TIMEOUT
_dmarc.odd.example: v=DMARC1; p=rejects
_dmarc.reject.example: v=DMARC1; p=reject
_dmarc.set-aside.example: v=DMARC1; p=quarantine
_dmarc.test.example: v=DMARC1; p=reject; t=y
_dmarc.lax.example: v=DMARC1; p=none
`

func keyedZone(t *testing.T) dns.Resolver {
	key := keyRecord(t)
	var text strings.Builder
	text.WriteString(zoneText)
	for _, d := range []string{"example.com", "reject.example", "forward.example", "mx.forward.example", "other.example", "xn--mnchen-3ya.example"} {
		text.WriteString("s._domainkey." + d + ": " + key + "\n")
	}
	return zone(t, text.String())
}

func from(address string) string {
	return strings.Replace(plainMail, "ann@example.com", address, 1)
}

func TestVerdict(t *testing.T) {
	r := keyedZone(t)
	sealed := func(domain, results string) string {
		return seal(t, domain, domain+"; "+results, from("ann@reject.example"))
	}
	unsigned := func(domain string, names ...string) string {
		text := sealNames(t, domain, domain+"; dmarc=pass header.from=reject.example", plainMail, names...)
		return strings.Replace(text, "ann@example.com", "ann@reject.example", 1)
	}
	limited := signLength(t, "reject.example", from("ann@reject.example"))
	tests := []struct {
		name, mailFrom, text string
		want                 string // spf dkim… arc dmarc: action reason [aligned]
	}{
		{"nothing known", "", from("ann@nowhere.example"), "none - none none: accept none"},
		{"spf pass", "ann@example.com", plainMail, "pass - none none: accept none aligned"},
		{"spf fail alone", "ann@example.net", from("ann@example.net"), "fail - none none: accept none"},
		{"dkim pass", "", sign(t, "example.com", plainMail), "none pass none none: accept none aligned"},
		{"dkim pass of another", "", sign(t, "other.example", plainMail), "none pass none none: accept none"},
		{"dmarc pass", "", sign(t, "reject.example", from("ann@reject.example")), "none pass none pass: accept dmarc-pass aligned"},
		{"line feeds", "", strings.ReplaceAll(sign(t, "reject.example", from("ann@reject.example")), "\r\n", "\n"), "none pass none pass: accept dmarc-pass aligned"},
		{"dmarc reject", "ann@example.com", from("ann@reject.example"), "pass - none fail: reject dmarc-reject"},
		{"signed length", "", limited, "none pass none fail: reject dmarc-reject"},
		{"dmarc quarantine", "", from("ann@set-aside.example"), "none - none fail: hold dmarc-quarantine"},
		{"dmarc test mode", "", from("ann@test.example"), "none - none fail: hold dmarc-quarantine"},
		{"dmarc none", "", from("ann@lax.example"), "none - none fail: accept none"},
		{"record broken", "", from("ann@odd.example"), "none - none permerror: accept dmarc-permerror"},
		{"record not to be had", "", from("ann@broken.example"), "none - none temperror: accept auth-temperror"},
		{"spf not to be had", "ann@slow.example", from("ann@slow.example"), "temperror - none temperror: tempfail auth-temperror"},
		{"dkim not to be had", "", sign(t, "slow.example", from("ann@slow.example")), "none temperror none temperror: tempfail auth-temperror"},
		{"spf not to be had, no policy", "ann@slow.example", from("ann@nowhere.example"), "temperror - none none: accept auth-temperror"},
		{"spf not to be had, dkim pass", "ann@slow.example", sign(t, "example.com", plainMail), "temperror pass none none: accept none aligned"},
		{"not to be had, and not theirs", "ann@slow.example", from("ann@reject.example"), "temperror - none fail: reject dmarc-reject"},

		{"trusted sealer", "", sealed("forward.example", "dmarc=pass header.from=reject.example"), "none - pass fail: accept arc-trusted aligned"},
		{"trusted sealer saw it fail", "", sealed("forward.example", "spf=pass (\"x) ; dmarc=pass header.from=reject.example (y\"@evil.example) smtp.mailfrom=evil.example; dmarc=fail header.from=reject.example"), "none - pass fail: reject dmarc-reject"},
		{"trusted sealer saw it fail and dkim pass", "", sealed("forward.example", "dmarc=fail header.from=reject.example; dkim=pass header.d=reject.example"), "none - pass fail: reject dmarc-reject"},
		{"trusted sealer's host", "", sealed("mx.forward.example", "dmarc=pass header.from=reject.example"), "none - pass fail: accept arc-trusted aligned"},
		{"trusted sealer saw dkim", "", sealed("forward.example", "dkim=pass header.d=reject.example"), "none - pass fail: accept arc-trusted aligned"},
		{"trusted sealer saw dkim by i", "", sealed("forward.example", "dkim=pass header.i=@mail.reject.example"), "none - pass fail: accept arc-trusted aligned"},
		{"trusted sealer saw spf", "", sealed("forward.example", "spf=pass smtp.mailfrom=ann@reject.example"), "none - pass fail: accept arc-trusted aligned"},
		{"trusted sealer saw nothing", "", sealed("forward.example", "dmarc=fail header.from=reject.example"), "none - pass fail: reject dmarc-reject"},
		{"trusted sealer saw another", "", sealed("forward.example", "dmarc=pass header.from=example.com; dkim=pass header.d=example.com"), "none - pass fail: reject dmarc-reject"},
		{"claim in a comment", "", sealed("forward.example", "dmarc=fail (dmarc=pass header.from=reject.example) header.from=reject.example"), "none - pass fail: reject dmarc-reject"},
		{"claim in quotes", "", sealed("forward.example", `spf=fail reason="x; dmarc=pass header.from=reject.example"`), "none - pass fail: reject dmarc-reject"},
		{"unknown sealer", "", sealed("other.example", "dmarc=pass header.from=reject.example"), "none - pass fail: reject dmarc-reject"},
		{"chain broken", "", strings.Replace(sealed("forward.example", "dmarc=pass header.from=reject.example"), "Hello.", "Hullo.", 1), "none - fail fail: reject dmarc-reject"},
		{"trusted sealer, From not signed", "", unsigned("forward.example", "To", "Subject"), "none - fail fail: reject dmarc-reject"},
		{"trusted sealer, no field signed", "", unsigned("forward.example", ""), "none - pass fail: reject dmarc-reject"},
		{"trusted key not to be had, no field signed", "", unsigned("relay.example", ""), "none - temperror fail: reject dmarc-reject"},
		{"trusted key not to be had", "", sealed("relay.example", "dmarc=pass header.from=reject.example"), "none - temperror fail: tempfail auth-temperror"},
		{"other key not to be had", "", sealed("slow.example", "dmarc=pass header.from=reject.example"), "none - temperror fail: reject dmarc-reject"},

		{"no From", "", "Subject: x\r\n\r\nx\r\n", "none - none none: accept from-not-one"},
		{"empty", "", "", "none - none none: accept from-not-one"},
		{"From without address", "", from("nobody"), "none - none none: accept from-not-one"},
		{"two domains", "", sign(t, "example.com", from("ann@example.com>, <bob@example.net")), "none pass none fail: accept from-not-one"},
		{"two domains, one sets aside", "", sign(t, "example.com", from("ann@example.com>, <bob@set-aside.example")), "none pass none fail: hold dmarc-quarantine"},
		{"two domains, one refuses", "", sign(t, "example.com", from("ann@example.com>, <bob@reject.example")), "none pass none fail: reject dmarc-reject"},
		{"two domains, of one the record is not to be had", "", from("ann@example.com>, <bob@broken.example"), "none - none temperror: accept auth-temperror"},
		{"two domains, one refuses, of one the record is not to be had", "", from("ann@reject.example>, <bob@broken.example"), "none - none fail: reject dmarc-reject"},
		{"one domain twice", "ann@example.com", from("ann@example.com>, <bob@example.com"), "pass - none none: accept from-not-one"},
		{"one domain twice, policy", "", from("ann@reject.example>, <bob@reject.example"), "none - none fail: reject dmarc-reject"},
		{"two fields of one domain", "", "From: bob@example.com\r\n" + sign(t, "example.com", plainMail), "none fail none fail: accept from-not-one"},
		{"address literal", "", from("ann@[192.0.2.1]"), "none - none none: accept none"},
		{"international domain", "", sign(t, "xn--mnchen-3ya.example", from("ann@München.example")), "none pass none none: accept none aligned"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := New(r, Options{TrustedSealers: []string{"forward.example", "relay.example"}})
			got := v.Verify(t.Context(), envelope(tt.mailFrom), raw(tt.text))
			if s := summary(got); s != tt.want {
				t.Errorf("%s\nwant %s\n%+v", s, tt.want, got)
			}
		})
	}
}

// summary is a verdict in few words.
func summary(v *ticketing.Verdict) string {
	words := []string{v.SPF.Result}
	for _, r := range v.DKIM {
		words = append(words, r.Result)
	}
	if len(v.DKIM) == 0 {
		words = append(words, "-")
	}
	words = append(words, v.ARC.Result, v.DMARC.Result+":", string(v.Verdict.Action), v.Verdict.Reason)
	if v.Aligned() {
		words = append(words, "aligned")
	}
	return strings.Join(words, " ")
}

func TestUpstreamIsNeverRefused(t *testing.T) {
	r := keyedZone(t)
	env := envelope("ann@example.net")
	env.TrustedUpstream = true
	received := "Received: from mail.example.net (unknown [198.51.100.7])\r\n\tby relay (Postfix); Mon, 1 Jan 2024 00:00:00 +0000\r\n"
	got := New(r, Options{}).Verify(t.Context(), env, raw(received+from("ann@reject.example")))
	if s := summary(got); s != "fail - none fail: hold dmarc-reject" {
		t.Error(s)
	}
	if got.DMARC.Disposition != "quarantine" {
		t.Errorf("disposition %s", got.DMARC.Disposition)
	}
	got = New(r, Options{}).Verify(t.Context(), env, raw(plainMail))
	if s := summary(got); s != "none - none none: accept none" {
		t.Error(s)
	}
}

func TestOnTemperror(t *testing.T) {
	r := keyedZone(t)
	unknown := from("ann@broken.example")                        // the record cannot be had
	refuses := sign(t, "slow.example", from("ann@slow.example")) // p=reject, and the key cannot be had
	for on, want := range map[Temperror][2]ticketing.Action{
		"":              {ticketing.ActionAccept, ticketing.ActionTempfail},
		TemperrorAccept: {ticketing.ActionAccept, ticketing.ActionTempfail},
		TemperrorPolicy: {ticketing.ActionAccept, ticketing.ActionTempfail},
		TemperrorDefer:  {ticketing.ActionTempfail, ticketing.ActionTempfail},
	} {
		for i, text := range []string{unknown, refuses} {
			got := New(r, Options{OnTemperror: on}).Verify(t.Context(), envelope(""), raw(text))
			if got.DMARC.Result != "temperror" || got.Verdict != (ticketing.Decision{Action: want[i], Reason: ticketing.ReasonTempError}) {
				t.Errorf("%q, mail %d: %s, want %s", on, i, summary(got), want[i])
			}
		}
	}
}

// TestPartialSeal checks that a sealer who signed only the beginning of the body,
// or no header, vouches for nothing.
func TestPartialSeal(t *testing.T) {
	for _, limited := range []bool{false, true} {
		c := New(keyedZone(t), Options{TrustedSealers: []string{"forward.example"}}).begin(envelope(""))
		c.author = author{domain: "reject.example", single: true}
		c.arc = arc.Result{
			Result: arc.Pass, Sealers: []string{"forward.example"}, Partial: limited,
			AAR: []string{"forward.example; dmarc=pass header.from=reject.example"},
		}
		if c.sealerVouches(t.Context()) == limited {
			t.Errorf("limited %v: vouches %v", limited, !limited)
		}
	}
}

// panicky breaks every lookup of one type.
type panicky struct {
	dns.Resolver
	name string
}

func (p panicky) TXT(ctx context.Context, name string) ([]string, bool, error) {
	if strings.HasSuffix(name, p.name) {
		panic("boom")
	}
	return p.Resolver.TXT(ctx, name)
}

func TestPanicIsOurFault(t *testing.T) {
	tests := []struct{ name, mailFrom, text, want string }{
		{"reject.example", "ann@reject.example", from("ann@other.example"), "temperror - none none: tempfail verifier-deadline"},
		{"_dmarc.reject.example", "", from("ann@reject.example"), "none - none temperror: tempfail verifier-deadline"},
	}
	for _, tt := range tests {
		var log bytes.Buffer
		v := New(panicky{keyedZone(t), tt.name}, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
		got := v.Verify(t.Context(), envelope(tt.mailFrom), raw(tt.text))
		if s := summary(got); s != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, s, tt.want)
		}
		if !strings.Contains(log.String(), "boom") || !strings.Contains(log.String(), "id=t1") {
			t.Errorf("%s: log %s", tt.name, log.String())
		}
	}
}

// busy does not ask for one name, as a Cache does when too much is under way.
type busy struct {
	dns.Resolver
	name string
}

func (b busy) TXT(ctx context.Context, name string) ([]string, bool, error) {
	if name == b.name {
		return nil, false, fmt.Errorf("lookup: %w", dns.ErrBusy)
	}
	return b.Resolver.TXT(ctx, name)
}

// A sender who keeps our lookups busy must not get past a policy for it.
func TestBusyIsOurFault(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"_dmarc.reject.example", from("ann@reject.example"), "none - none temperror: tempfail verifier-deadline"},
		{"_dmarc.reject.example", from("ann@reject.example>, <bob@lax.example"), "none - none temperror: tempfail verifier-deadline"},
		{"s._domainkey.reject.example", sign(t, "reject.example", from("ann@reject.example")), "none temperror none temperror: tempfail verifier-deadline"},
		{"s._domainkey.other.example", sign(t, "other.example", sign(t, "reject.example", from("ann@reject.example"))), "none temperror pass none pass: accept dmarc-pass"},
	} {
		got := New(busy{keyedZone(t), tt.name}, Options{}).Verify(t.Context(), envelope(""), raw(tt.text))
		if s := strings.TrimSuffix(summary(got), " aligned"); s != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, s, tt.want)
		}
	}
}

// TestLostMechanism checks that a mail whose policy is to refuse is not refused
// when one of the mechanisms broke.
func TestLostMechanism(t *testing.T) {
	for name, lose := range map[string]func(*check){
		"spf":  func(c *check) { c.lostSPF() },
		"dkim": func(c *check) { c.lostDKIM() },
		"arc":  func(c *check) { c.arc.Result = "temperror" },
	} {
		c := New(keyedZone(t), Options{}).begin(envelope("ann@reject.example"))
		c.author = author{domain: "reject.example", single: true}
		lose(c)
		c.checkDMARC(t.Context())
		if d := c.decide(); d.Action == ticketing.ActionReject {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// slowEvil answers nothing about evil.example.
type slowEvil struct{ dns.Resolver }

func (s slowEvil) TXT(ctx context.Context, name string) ([]string, bool, error) {
	if strings.HasSuffix(name, "evil.example") {
		<-ctx.Done()
		return nil, false, errors.Join(dns.ErrTemporary, ctx.Err())
	}
	return s.Resolver.TXT(ctx, name)
}

// A sender that hangs signatures of its own slow domain above a forged one does
// not make a temperror of the fail.
func TestSlowSignersDoNotHideAFail(t *testing.T) {
	testKey()
	synctest.Test(t, func(t *testing.T) {
		signed := sign(t, "reject.example", from("ann@reject.example"))
		field := strings.TrimSuffix(signed, from("ann@reject.example"))
		var slow strings.Builder
		for i := range 9 {
			slow.WriteString(strings.Replace(strings.ReplaceAll(field, "d=reject.example", "d=evil.example"), "s=s;", fmt.Sprintf("s=s%d;", i), 1))
		}
		r := slowEvil{zone(t, "_dmarc.reject.example: v=DMARC1; p=reject")}
		v := New(r, Options{}).Verify(t.Context(), envelope(""), raw(slow.String()+signed))
		if len(v.DKIM) != 10 || v.DKIM[0].Result != "temperror" || v.Verdict.Action != ticketing.ActionReject {
			t.Errorf("%v, %+v", v.Verdict, v.DKIM)
		}
	})
}

// A sender chooses the names under which its signatures and its SPF are looked
// up, and may know some below a domain that never answer. That does not get a
// mail past a policy of reject that was read.
func TestSlowNamesOfTheDomainItself(t *testing.T) {
	const zoneOf = `
_dmarc.reject.example: v=DMARC1; p=reject
_dmarc.set-aside.example: v=DMARC1; p=quarantine
_dmarc.test.example: v=DMARC1; p=reject; t=y
`
	lame := func(domain string) string {
		return "lame." + domain + ": TIMEOUT\ns._domainkey.lame." + domain + ": TIMEOUT\n"
	}
	r := zone(t, zoneOf+lame("reject.example")+lame("set-aside.example")+lame("test.example"))
	signed := func(domain, text string) string { return sign(t, "lame."+domain, text) }
	for _, tt := range []struct {
		name, mailFrom, text string
		want                 [3]ticketing.Action // of accept, policy and defer
	}{
		{"signature", "", signed("reject.example", from("ann@reject.example")), [3]ticketing.Action{"tempfail", "tempfail", "tempfail"}},
		{"SPF", "ann@lame.reject.example", from("ann@reject.example"), [3]ticketing.Action{"tempfail", "tempfail", "tempfail"}},
		{"neither", "", from("ann@reject.example"), [3]ticketing.Action{"reject", "reject", "reject"}},
		{"quarantine", "", signed("set-aside.example", from("ann@set-aside.example")), [3]ticketing.Action{"accept", "tempfail", "tempfail"}},
		{"reject as a test", "", signed("test.example", from("ann@test.example")), [3]ticketing.Action{"accept", "tempfail", "tempfail"}},
	} {
		for i, on := range []Temperror{TemperrorAccept, TemperrorPolicy, TemperrorDefer} {
			v := New(r, Options{OnTemperror: on}).Verify(t.Context(), envelope(tt.mailFrom), raw(tt.text))
			if v.Verdict.Action != tt.want[i] || v.Aligned() {
				t.Errorf("%s, %s: %s %v", tt.name, on, summary(v), v.Verdict)
			}
		}
	}
}

// stuck answers nothing before the deadline.
type stuck struct{ dns.Resolver }

func (stuck) TXT(ctx context.Context, _ string) ([]string, bool, error) {
	<-ctx.Done()
	return nil, false, errors.Join(dns.ErrTemporary, ctx.Err())
}

func TestDeadline(t *testing.T) {
	text := sign(t, "reject.example", from("ann@reject.example"))
	signed := time.Now()
	now := func() time.Time { return signed } // the bubble's clock begins long before
	z := keyedZone(t)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		got := New(stuck{z}, Options{Now: now}).Verify(t.Context(), envelope("ann@reject.example"), raw(text))
		if took := time.Since(start); took != 2*mechanismTimeout {
			t.Errorf("took %s", took)
		}
		if s := summary(got); s != "temperror temperror none temperror: accept auth-temperror" {
			t.Error(s)
		}
		start = time.Now()
		New(stuck{z}, Options{Now: now, Timeout: 3 * time.Second}).Verify(t.Context(), envelope("ann@reject.example"), raw(text))
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("took %s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		got = New(stuck{}, Options{Now: now}).Verify(ctx, envelope("ann@reject.example"), raw(text))
		if got.Verdict != (ticketing.Decision{Action: ticketing.ActionTempfail, Reason: ticketing.ReasonVerifierFailed}) {
			t.Errorf("%+v", got.Verdict)
		}
	})
}

// unreadable is a message on a broken disk.
type unreadable struct{ rawMessage }

func (unreadable) ReadAt([]byte, int64) (int, error) { return 0, errors.New("bad sector") }

func TestUnreadable(t *testing.T) {
	v := New(keyedZone(t), Options{})
	got := v.Verify(t.Context(), envelope(""), unreadable{rawMessage{strings.NewReader(plainMail)}})
	if s := summary(got); s != "none - none none: tempfail verifier-deadline" {
		t.Error(s)
	}
	got = v.Verify(t.Context(), envelope(""), raw("X: "+strings.Repeat("x", 300<<10)+"\r\n"+plainMail))
	if s := summary(got); s != "none - none none: hold verifier-deadline" {
		t.Error(s)
	}
}

func TestHashBody(t *testing.T) {
	hash := func(text string) store.Hash {
		h, err := HashBody(raw(text), int64(len(text)))
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	first := hash(plainMail)
	if first == [32]byte{} || hash(strings.ReplaceAll(plainMail, "\r\n", "\n")) != first || hash(plainMail+"\r\n\r\n") != first {
		t.Error("the hash depends on line ends")
	}
	if hash(plainMail+"More.\r\n") == first {
		t.Error("the hash does not depend on the body")
	}
	if huge := "X: " + strings.Repeat("x", 300<<10) + "\r\n"; hash(huge+plainMail) == hash(huge+plainMail+"More.\r\n") {
		t.Error("without a readable header the hash does not depend on all of it")
	}
	if _, err := HashBody(unreadable{rawMessage{strings.NewReader(plainMail)}}, int64(len(plainMail))); err == nil {
		t.Error("a mail that cannot be read has a hash")
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	v := New(keyedZone(t), Options{Metrics: metrics.New(reg).Auth})
	v.Verify(t.Context(), envelope("ann@example.com"), raw(sign(t, "reject.example", from("ann@reject.example"))))
	want := `
# HELP mxdesk_auth_results_total Results of authentication by mechanism, in the words of RFC 8601.
# TYPE mxdesk_auth_results_total counter
mxdesk_auth_results_total{mechanism="arc",result="none"} 1
mxdesk_auth_results_total{mechanism="dkim",result="pass"} 1
mxdesk_auth_results_total{mechanism="dmarc",result="pass"} 1
mxdesk_auth_results_total{mechanism="helo",result="unresolvable"} 1
mxdesk_auth_results_total{mechanism="iprev",result="permerror"} 1
mxdesk_auth_results_total{mechanism="spf",result="pass"} 1
mxdesk_auth_results_total{mechanism="verdict",result="accept"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "mxdesk_auth_results_total"); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(reg, "mxdesk_auth_seconds"); n != 6 || err != nil {
		t.Errorf("%d durations, %v", n, err)
	}
}

func TestTrustedUpstreamResults(t *testing.T) {
	r := keyedZone(t)
	const received = "Received: from mail.example.com (mail.example.com [192.0.2.1]) by mx.front.example\r\n"
	results := func(id, spf string) string { return "Authentication-Results: " + id + "; " + spf + "\r\n" }
	for _, tt := range []struct{ name, mailFrom, header, want string }{
		{"no results: the client of its Received field", "ann@example.com", received, "pass example.com ip4:192.0.2.1"},
		{"its results", "ann@example.com", received + results("MX.front.example", "spf=fail smtp.mailfrom=ann@example.com"), "fail example.com "},
		{"of another server", "ann@example.com", received + results("mx.other.example", "spf=fail smtp.mailfrom=example.com"), "pass example.com ip4:192.0.2.1"},
		{"forged as ours", "ann@example.com", received + results("desk.example", "spf=fail smtp.mailfrom=example.com"), "pass example.com ip4:192.0.2.1"},
		{"about another sender", "ann@example.com", received + results("mx.front.example", "spf=pass smtp.mailfrom=other.example"), "pass example.com ip4:192.0.2.1"},
		{"the topmost counts", "ann@example.com", results("mx.front.example", "spf=softfail smtp.mailfrom=example.com") + results("mx.front.example", "spf=pass smtp.mailfrom=example.com"), "softfail example.com "},
		{"no word of SPF", "ann@example.com", results("mx.front.example", "spf=great smtp.mailfrom=example.com"), "none  "},
		{"null sender", "", results("mx.front.example", "spf=pass smtp.helo=mail.example.com"), "pass mail.example.com "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := envelope(tt.mailFrom)
			env.Client, env.TrustedUpstream = netip.MustParseAddrPort("203.0.113.9:25"), true
			v := New(r, Options{Hostname: "desk.example", UpstreamResults: []string{"mx.front.example", "desk.example"}})
			got := v.Verify(t.Context(), env, raw(tt.header+plainMail)).SPF
			if s := got.Result + " " + got.Domain + " " + got.Mechanism; s != tt.want {
				t.Errorf("%q, want %q", s, tt.want)
			}
			env.TrustedUpstream = false
			if direct := v.Verify(t.Context(), env, raw(tt.header+plainMail)).SPF; direct.Result == "softfail" || direct.Result == "pass" {
				t.Errorf("results of a stranger are believed: %+v", direct)
			}
		})
	}
}

func TestOverrides(t *testing.T) {
	r := keyedZone(t)
	refused := from("ann@reject.example")
	sealed := seal(t, "forward.example", "forward.example; dmarc=pass header.from=reject.example", refused)
	for _, tt := range []struct {
		name, text            string
		upstream              bool
		disposition, override string
	}{
		{"as the policy asks", refused, false, "reject", ""},
		{"trusted sealer", sealed, false, "none", ticketing.OverrideTrustedForwarder},
		{"trusted upstream", refused, true, "quarantine", ticketing.OverrideLocalPolicy},
		{"no policy", plainMail, false, "none", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := envelope("")
			env.TrustedUpstream = tt.upstream
			got := New(r, Options{TrustedSealers: []string{"forward.example"}}).Verify(t.Context(), env, raw(tt.text)).DMARC
			if got.Disposition != tt.disposition || got.Override != tt.override {
				t.Errorf("%q, override %q; want %q, %q", got.Disposition, got.Override, tt.disposition, tt.override)
			}
		})
	}
}

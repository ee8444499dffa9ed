// Package spf tells whether a host may send mail for a domain, by the policy
// that the domain publishes (RFC 7208).
package spf

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/mxdesk/mxdesk/auth/dns"
)

// The results of a check.
//
// https://www.rfc-editor.org/rfc/rfc7208#section-2.6
const (
	None      = "none"      // no domain to check, or no policy
	Neutral   = "neutral"   // the policy says nothing about the host
	Pass      = "pass"      // the host may send
	Fail      = "fail"      // the host may not send
	SoftFail  = "softfail"  // the host probably may not send
	TempError = "temperror" // the DNS could not tell; later may be different
	PermError = "permerror" // the policy cannot be interpreted
)

// The identities that a check can be about.
const (
	ScopeMailFrom = "mfrom"
	ScopeHelo     = "helo"
)

// The limits of one check.
//
// https://www.rfc-editor.org/rfc/rfc7208#section-4.6.4
const (
	defaultTimeout = 10 * time.Second
	defaultLookups = 10
	defaultVoids   = 2
	maxMX          = 10 // exchangers of one mx term whose addresses are asked
	maxPTR         = 10 // names of the client that are looked at
)

// Query is one check: who speaks, and for whom. Its texts come from outside and
// may hold anything.
type Query struct {
	// IP is the client's address; an IPv4-mapped one counts as IPv4.
	IP netip.Addr
	// Helo is the name of the client's HELO or EHLO.
	Helo string
	// MailFrom is the envelope sender without angle brackets; "" is the null sender.
	MailFrom string
	// Receiver is the name of the checking host, for explanations; "" is "unknown".
	Receiver string
}

// Result is the outcome of a check.
type Result struct {
	// Result is one of the seven constants.
	Result string
	// Domain is the domain of the identity as A-labels in lower case; "" when
	// there was none to check.
	Domain string
	// Scope is ScopeMailFrom, or ScopeHelo when the sender was null.
	Scope string
	// Mechanism is the term that matched, as published and without qualifier
	// ("ip4:192.0.2.0/24"), or "default" when none did. It is "" for none,
	// temperror and permerror.
	Mechanism string
	// Explanation is the domain's own text about a fail, printable ASCII of at
	// most 1,000 octets; "" when it has none that can be used.
	Explanation string
	// Reason tells in few words of printable ASCII or quoted text why the result
	// is none, temperror or permerror.
	Reason string
}

// Options are the limits of a Checker. Zero values stand for the defaults.
type Options struct {
	// Now is the clock of the macro t; default time.Now.
	Now func() time.Time
	// Timeout bounds one check; default 10 seconds, as a client waits for its
	// reply meanwhile (the RFC suggests 20 or more). What is not known by then
	// is temperror.
	Timeout time.Duration
	// MaxLookups is the number of terms that may cause lookups; default 10.
	MaxLookups int
	// MaxVoidLookups is the number of terms whose name may turn out to have no
	// records; default 2.
	MaxVoidLookups int
}

// Checker evaluates policies. It is safe for concurrent use.
type Checker struct {
	resolver dns.Resolver
	options  Options
}

// New returns a Checker that asks r.
func New(r dns.Resolver, o Options) *Checker {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.MaxLookups <= 0 {
		o.MaxLookups = defaultLookups
	}
	if o.MaxVoidLookups <= 0 {
		o.MaxVoidLookups = defaultVoids
	}
	return &Checker{resolver: r, options: o}
}

// Check evaluates the MAIL FROM identity, which is postmaster at the HELO name
// when the sender is null. It never fails otherwise than by its result.
//
// https://www.rfc-editor.org/rfc/rfc7208#section-2.4
func (c *Checker) Check(ctx context.Context, q Query) Result {
	res := Result{Scope: ScopeMailFrom}
	sender := q.MailFrom
	if sender == "" {
		res.Scope = ScopeHelo
		sender = "postmaster@" + q.Helo
	}
	at := strings.LastIndexByte(sender, '@')
	local, domain := sender[:max(at, 0)], sender[at+1:]
	if local == "" {
		local = "postmaster"
	}
	name, reason := identity(domain)
	switch {
	case reason != "":
		res.Result, res.Reason = None, reason
		return res
	case !q.IP.IsValid():
		res.Result, res.Reason, res.Domain = None, "no client address", name
		return res
	}
	ctx, cancel := dns.Within(ctx, c.options.Timeout)
	defer cancel()
	e := &evaluation{
		resolver: c.resolver,
		options:  c.options,
		ip:       q.IP.Unmap().WithZone(""),
		local:    local,
		origin:   strings.TrimSuffix(asciiForm(domain), "."),
		helo:     asciiForm(q.Helo),
		receiver: q.Receiver,
	}
	out := e.checkHost(ctx, e.origin)
	res.Result, res.Domain, res.Mechanism, res.Reason = out.result, name, out.mechanism, out.reason
	if out.result == Fail {
		res.Explanation = e.explain(ctx, out)
	}
	return res
}

// identity returns the name to check, or why there is none.
//
// https://www.rfc-editor.org/rfc/rfc7208#section-4.3
func identity(domain string) (name, reason string) {
	name, err := dns.ASCII(domain)
	switch {
	case err != nil:
		return "", "malformed domain"
	case strings.HasPrefix(name, "["):
		return "", "address literal"
	case !strings.Contains(name, "."):
		return "", "not a fully qualified domain"
	}
	return name, ""
}

// asciiForm turns U-labels to A-labels and leaves everything else as it came.
//
// https://www.rfc-editor.org/rfc/rfc8616#section-4
func asciiForm(domain string) string {
	if isPrintable(domain) {
		return domain
	}
	name, err := dns.ASCII(domain)
	if err != nil {
		return domain
	}
	return name
}

// isPrintable tells whether s has nothing but printable ASCII.
func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// Package dmarc tells whether the domain of a From address vouches for a mail,
// and what its owner asks to be done with mail that it does not vouch for
// (RFC 9989).
package dmarc

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/mxdesk/mxdesk/auth/dns"
)

// The results of an evaluation, in the words of RFC 8601.
const (
	None      = "none"      // the domain publishes no policy
	Pass      = "pass"      // an aligned identifier passed
	Fail      = "fail"      // none did
	TempError = "temperror" // asking later may give another result
	PermError = "permerror" // the policy record cannot be used
)

// Identifier is a domain that SPF or DKIM checked, and what came of it, in the
// words of RFC 8601. Only pass and temperror count.
type Identifier struct {
	Result string
	Domain string // A-labels in lower case
}

// Input is what to evaluate. Domains are in the form of dns.ASCII.
type Input struct {
	From string       // the domain of the one From address
	SPF  Identifier   // of the envelope sender, or of HELO when that is null
	DKIM []Identifier // of every signature
}

// Result is the outcome of an evaluation.
type Result struct {
	Result      string // one of the constants of this package
	Domain      string // the From domain
	Policy      string // what the owner asks for; "" without a usable record
	Disposition string // what follows: none, quarantine or reject
	// AlignedSPF and AlignedDKIM tell that a passed identifier is aligned. They
	// are set without a policy record too; then only the same domain is aligned.
	AlignedSPF, AlignedDKIM bool
	Record                  Record // the one applied, zero when there is none
	RecordDomain            string // who published it
	OrgDomain               string // the organizational domain of From
	Reason                  string // why the result is temperror or permerror
}

// Evaluate finds the policy for in.From and checks the identifiers against it.
// It asks the DNS for at most eight names for From and for each identifier of
// the same registrant, each name once.
//
// https://www.rfc-editor.org/rfc/rfc9989#section-5.3
func Evaluate(ctx context.Context, r dns.Resolver, in Input) Result {
	e := evaluation{walker: walker{resolver: r}, in: in}
	e.out = Result{Result: None, Domain: in.From, Disposition: PolicyNone, OrgDomain: in.From}
	if e.discover(ctx) {
		e.apply(ctx)
		return e.out
	}
	e.align(ctx)
	if e.unknown {
		e.temporary("policy record not found out")
	}
	return e.out
}

// discover finds the organizational domain of From and the record to apply. A
// record of From itself applies also when those above it are unknown.
//
// https://www.rfc-editor.org/rfc/rfc9989#section-4.10.1
func (e *evaluation) discover(ctx context.Context) bool {
	records, err := e.walk(ctx, e.in.From)
	if e.unknown = err != nil; e.unknown {
		records = slices.DeleteFunc(records, func(f found) bool { return f.domain != e.in.From })
	}
	e.out.OrgDomain = organization(e.in.From, records)
	applied, ok := applicable(e.in.From, e.out.OrgDomain, records)
	e.out.Record, e.out.RecordDomain = applied.record, applied.domain
	return ok
}

// evaluation is one Evaluate under way.
type evaluation struct {
	walker
	in  Input
	out Result
	// unknown tells that the organizational domain of From is not known for sure.
	unknown bool
	// doubt tells that an identifier that could not be checked would be aligned
	// or that it could not be known whether one is.
	doubt bool
}

// align checks each identifier.
func (e *evaluation) align(ctx context.Context) {
	e.out.AlignedSPF = e.vouches(ctx, e.in.SPF, e.out.Record.StrictSPF)
	for _, id := range e.in.DKIM {
		if e.vouches(ctx, id, e.out.Record.StrictDKIM) {
			e.out.AlignedDKIM = true
		}
	}
}

// vouches tells whether an identifier passed and is aligned.
func (e *evaluation) vouches(ctx context.Context, id Identifier, strict bool) bool {
	if id.Domain == "" || id.Result != Pass && id.Result != TempError {
		return false
	}
	aligned := e.aligned(ctx, id.Domain, strict)
	if aligned && id.Result == TempError {
		e.doubt = true
	}
	return aligned && id.Result == Pass
}

// aligned tells whether domain is the From domain or, where the policy is
// relaxed, has the same organizational domain.
//
// https://www.rfc-editor.org/rfc/rfc9989#section-4.10.2
func (e *evaluation) aligned(ctx context.Context, domain string, strict bool) bool {
	if domain == e.in.From {
		return true
	}
	if strict || separate(e.in.From, domain) {
		return false
	}
	if e.unknown {
		e.doubt = true
		return false
	}
	records, err := e.walk(ctx, domain)
	if err != nil {
		e.doubt = true
		return false
	}
	return organization(domain, records) == e.out.OrgDomain
}

// separate tells whether the public suffix list has the two domains as those of
// different registrants. It is a second look at what the records say: an owner
// of a suffix who forgets to mark it must not make all names below it one
// another's. Only the owner of a suffix that is no registry's may vouch for
// names below it.
func separate(from, domain string) bool {
	suffix, registry := publicsuffix.PublicSuffix(from)
	if domain == suffix && !registry && strings.Contains(suffix, ".") {
		return false
	}
	a, errA := publicsuffix.EffectiveTLDPlusOne(from)
	b, errB := publicsuffix.EffectiveTLDPlusOne(domain)
	return errA != nil || errB != nil || a != b
}

// apply sets the result by the record that was found. What the owner asks for
// is found out first: identifiers may have names that use all the time up.
func (e *evaluation) apply(ctx context.Context) {
	record, ok := e.out.Record.usable()
	if !ok {
		e.align(ctx)
		e.out.Result, e.out.Reason = PermError, "policy record not valid"
		return
	}
	policy, err := e.policy(ctx, record)
	e.out.Policy = policy
	e.align(ctx)
	switch {
	case e.out.AlignedSPF || e.out.AlignedDKIM:
		e.out.Result = Pass
	case e.doubt:
		e.temporary("identifier not found out")
	case err != nil:
		e.temporary("existence of the domain not found out")
	default:
		e.out.Result, e.out.Disposition = Fail, policy
		if record.Testing {
			e.out.Disposition = milder(policy)
		}
	}
}

func (e *evaluation) temporary(reason string) {
	e.out.Result, e.out.Reason = TempError, reason
}

// policy returns what the record asks for mail of the From domain. With an
// error, which only np can cause, it is the policy for domains that exist.
//
// https://www.rfc-editor.org/rfc/rfc9989#section-4.10.1
func (e *evaluation) policy(ctx context.Context, r Record) (string, error) {
	if e.out.RecordDomain == e.in.From {
		return r.Policy, nil
	}
	present := cmp.Or(r.Subdomains, r.Policy)
	if r.Absent == "" || r.Absent == present {
		return present, nil
	}
	// https://www.rfc-editor.org/rfc/rfc8020#section-2
	_, _, err := e.resolver.A(ctx, e.in.From)
	switch {
	case errors.Is(err, dns.ErrNotFound):
		return r.Absent, nil
	case errors.Is(err, dns.ErrTemporary) || ctx.Err() != nil:
		return present, dns.ErrTemporary
	}
	return present, nil
}

package spf

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/mxdesk/mxdesk/auth/dns"
)

// evaluation is the state of one check.
type evaluation struct {
	resolver dns.Resolver
	options  Options
	ip       netip.Addr
	local    string // local part of the sender
	origin   string // domain of the sender
	helo     string
	receiver string

	lookups int // terms that caused lookups
	voids   int // terms whose name had no records
	client  clientNames
}

// outcome is what check_host came to, and the record that it came from.
type outcome struct {
	result    string
	mechanism string
	reason    string
	domain    string
	record    *record
}

// stop ends an evaluation with a result.
type stop struct{ result, reason string }

func (s stop) Error() string { return s.reason }

// The ways in which a term has no name to ask for.
var (
	errNonASCII  = errors.New("non-ASCII local part in a domain name") // the term matches nothing
	errMalformed = errors.New("malformed domain name")                 // there is nothing to find
)

// checkHost is the function of the same name in the RFC.
//
// https://www.rfc-editor.org/rfc/rfc7208#section-4
func (e *evaluation) checkHost(ctx context.Context, domain string) outcome {
	rec, err := e.fetch(ctx, domain)
	if err != nil {
		return failed(err)
	}
	for _, d := range rec.directives {
		matched, err := e.match(ctx, domain, d)
		if err != nil {
			return failed(err)
		}
		if matched {
			return outcome{result: d.result, mechanism: d.text, domain: domain, record: rec}
		}
	}
	if rec.redirect != nil {
		return e.redirect(ctx, domain, rec)
	}
	// https://www.rfc-editor.org/rfc/rfc7208#section-4.7
	return outcome{result: Neutral, mechanism: "default", domain: domain, record: rec}
}

// failed makes an outcome of an error, which is a stop.
func failed(err error) outcome {
	s, ok := errors.AsType[stop](err)
	if !ok {
		s = stop{TempError, err.Error()}
	}
	return outcome{result: s.result, reason: s.reason}
}

// redirect lets the record of another domain decide.
//
// https://www.rfc-editor.org/rfc/rfc7208#section-6.1
func (e *evaluation) redirect(ctx context.Context, domain string, rec *record) outcome {
	if err := e.charge(); err != nil {
		return failed(err)
	}
	target, err := e.target(ctx, domain, rec.redirect)
	switch {
	case errors.Is(err, errNonASCII):
		return outcome{result: Neutral, mechanism: "default", domain: domain, record: rec}
	case errors.Is(err, errMalformed):
		return outcome{result: PermError, reason: "redirect to a malformed domain"}
	case err != nil:
		return failed(err)
	}
	out := e.checkHost(ctx, target)
	if out.result == None {
		return outcome{result: PermError, reason: "redirect to a domain without policy"}
	}
	return out
}

// fetch gets the policy of a domain.
//
// https://www.rfc-editor.org/rfc/rfc7208#section-4.4
func (e *evaluation) fetch(ctx context.Context, domain string) (*record, error) {
	if _, reason := identity(domain); reason != "" {
		return nil, stop{None, reason}
	}
	texts, _, err := e.resolver.TXT(ctx, domain)
	switch {
	case err == nil:
	case isVoid(err):
		return nil, stop{None, "no policy"}
	default:
		return nil, temporary(domain)
	}
	var policy string
	found := 0
	for _, text := range texts {
		if isRecord(text) {
			policy = text
			found++
		}
	}
	switch found {
	case 0:
		return nil, stop{None, "no policy"}
	case 1:
		rec, err := parseRecord(policy)
		if err != nil {
			return nil, stop{PermError, fmt.Sprintf("policy of %q: %v", clip(domain), err)}
		}
		return rec, nil
	}
	return nil, stop{PermError, fmt.Sprintf("more than one policy of %q", clip(domain))}
}

// match tells whether a mechanism matches the client.
//
// https://www.rfc-editor.org/rfc/rfc7208#section-5
func (e *evaluation) match(ctx context.Context, domain string, d directive) (bool, error) {
	switch d.name {
	case "all":
		return true, nil
	case "ip4", "ip6":
		return d.prefix.Contains(e.ip), nil
	}
	if err := e.charge(); err != nil {
		return false, err
	}
	target, err := e.target(ctx, domain, d.domain)
	switch {
	case errors.Is(err, errMalformed) && d.name == "include":
		return false, stop{PermError, "include of a malformed domain"}
	case errors.Is(err, errMalformed), errors.Is(err, errNonASCII):
		return false, nil
	case err != nil:
		return false, err
	}
	switch d.name {
	case "include":
		return e.matchInclude(ctx, target)
	case "a":
		return e.matchA(ctx, target, d)
	case "mx":
		return e.matchMX(ctx, target, d)
	case "ptr":
		return e.matchPTR(ctx, target)
	}
	return e.matchExists(ctx, target)
}

// https://www.rfc-editor.org/rfc/rfc7208#section-5.2
func (e *evaluation) matchInclude(ctx context.Context, target string) (bool, error) {
	switch out := e.checkHost(ctx, target); out.result {
	case Pass:
		return true, nil
	case TempError, PermError:
		return false, stop{out.result, out.reason}
	case None:
		return false, stop{PermError, "include of a domain without policy"}
	}
	return false, nil
}

// https://www.rfc-editor.org/rfc/rfc7208#section-5.3
func (e *evaluation) matchA(ctx context.Context, target string, d directive) (bool, error) {
	addrs, err := e.addresses(ctx, target)
	if err != nil {
		return false, e.judge(target, err)
	}
	return e.within(addrs, d), nil
}

// https://www.rfc-editor.org/rfc/rfc7208#section-5.4
func (e *evaluation) matchMX(ctx context.Context, target string, d directive) (bool, error) {
	hosts, _, err := e.resolver.MX(ctx, target)
	if err != nil {
		return false, e.judge(target, err)
	}
	for i, mx := range hosts {
		if i == maxMX {
			return false, stop{PermError, "more than 10 MX records"}
		}
		if mx.Host == "" {
			continue
		}
		addrs, err := e.addresses(ctx, mx.Host)
		if err != nil && !isVoid(err) {
			return false, temporary(mx.Host)
		}
		if e.within(addrs, d) {
			return true, nil
		}
	}
	return false, nil
}

// matchExists asks for A records whatever the client's family is.
//
// https://www.rfc-editor.org/rfc/rfc7208#section-5.7
func (e *evaluation) matchExists(ctx context.Context, target string) (bool, error) {
	addrs, _, err := e.resolver.A(ctx, target)
	if err != nil {
		return false, e.judge(target, err)
	}
	return len(addrs) > 0, nil
}

// https://www.rfc-editor.org/rfc/rfc7208#section-5.5
func (e *evaluation) matchPTR(ctx context.Context, target string) (bool, error) {
	names, err := e.clientNames(ctx)
	if err != nil {
		if isVoid(err) {
			return false, e.judge(target, err)
		}
		return false, nil
	}
	for _, name := range names {
		if isWithin(name, target) && e.validated(ctx, name) {
			return true, nil
		}
	}
	return false, nil
}

// charge counts a term that causes lookups.
//
// https://www.rfc-editor.org/rfc/rfc7208#section-4.6.4
func (e *evaluation) charge() error {
	e.lookups++
	if e.lookups > e.options.MaxLookups {
		return stop{PermError, "too many terms that need lookups"}
	}
	return nil
}

// judge turns the error of a term's own lookup into what it means: nothing,
// until too many were void, or the end.
//
// https://www.rfc-editor.org/rfc/rfc7208#section-4.6.4
func (e *evaluation) judge(name string, err error) error {
	if !isVoid(err) {
		return temporary(name)
	}
	e.voids++
	if e.voids > e.options.MaxVoidLookups {
		return stop{PermError, "too many lookups without records"}
	}
	return nil
}

func isVoid(err error) bool {
	return errors.Is(err, dns.ErrNotFound) || errors.Is(err, dns.ErrNoData)
}

func temporary(name string) stop {
	return stop{TempError, fmt.Sprintf("lookup of %q did not succeed", clip(name))}
}

// addresses asks for the addresses of the client's family.
func (e *evaluation) addresses(ctx context.Context, name string) (addrs []netip.Addr, err error) {
	if e.ip.Is4() {
		addrs, _, err = e.resolver.A(ctx, name)
	} else {
		addrs, _, err = e.resolver.AAAA(ctx, name)
	}
	return addrs, err
}

// within tells whether the client is in the network of one of the addresses.
func (e *evaluation) within(addrs []netip.Addr, d directive) bool {
	bits := d.bits6
	if e.ip.Is4() {
		bits = d.bits4
	}
	for _, addr := range addrs {
		if p, err := addr.Prefix(bits); err == nil && p.Contains(e.ip) {
			return true
		}
	}
	return false
}

// isWithin tells whether name is domain or below it.
func isWithin(name, domain string) bool {
	name, domain = strings.ToLower(name), strings.ToLower(domain)
	rest, ok := strings.CutSuffix(name, domain)
	return ok && (rest == "" || rest[len(rest)-1] == '.')
}

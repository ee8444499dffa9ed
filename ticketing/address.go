package ticketing

import (
	"context"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// Reserved local parts: with a token that exists they lead to what the token
// names, else they are ordinary.
const (
	bounceLocal      = "b"
	unsubscribeLocal = "u"
	replyLocal       = "r" // stands in for an alias too long to carry a token
)

// reasonRevoked refuses the reply address of somebody who left the ticket.
const reasonRevoked = "token-revoked"

// reasonRelay refuses what is not for a domain that is served.
const reasonRelay = "relay-denied"

// maxLocal is the longest local part.
// https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.1
const maxLocal = 64

// maxAddress is the longest address: a path without its angle brackets.
//
// https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.3
const maxAddress = 254

// splitAddress cuts an address at its last @, both halves in lower case. The
// desk's own addresses are compared without regard to case.
func splitAddress(addr string) (local, domain string, ok bool) {
	i := strings.LastIndexByte(addr, '@')
	if i <= 0 || i == len(addr)-1 {
		return "", "", false
	}
	return strings.ToLower(addr[:i]), strings.TrimSuffix(strings.ToLower(addr[i+1:]), "."), true
}

var (
	localPattern  = regexp.MustCompile(`^[a-z0-9!#$%&'*/=?^_{|}~-]+(\.[a-z0-9!#$%&'*/=?^_{|}~-]+)*$`)
	domainPattern = regexp.MustCompile(`^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	namePattern   = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$`)
)

// parseDomain checks the name of a domain to be served, in A-label form.
func parseDomain(s string) (string, error) {
	d := strings.TrimSuffix(strings.ToLower(strings.TrimSpace(s)), ".")
	if len(d) > 253 || !domainPattern.MatchString(d) {
		return "", errorf(KindInvalid, "bad-domain", "%q is not a domain name (write it in its ASCII form)", s)
	}
	return d, nil
}

// parseAlias checks an address of the desk. It carries no `+`, since what
// follows one is a sub-address.
func parseAlias(s string) (local, domain string, err error) {
	local, domain, ok := splitAddress(strings.TrimSpace(s))
	if !ok || len(local) > maxLocal || !localPattern.MatchString(local) {
		return "", "", errorf(KindInvalid, "bad-address", "%q is not an address of the form name@domain", s)
	}
	domain, err = parseDomain(domain)
	return local, domain, err
}

// validAddress tells whether mail could be sent to an address: the shape only.
// Other people's local parts may be longer than ours.
func validAddress(addr string) bool {
	_, domain, ok := splitAddress(addr)
	return ok && len(addr) <= maxAddress && utf8.ValidString(addr) &&
		!strings.ContainsFunc(addr, func(r rune) bool { return r < ' ' || r == 0x7f }) &&
		!strings.ContainsAny(domain, " <>,;\"'()") && domain != ""
}

// normalAddress is the form in which two spellings of an address are the same
// person: the whole of it in lower case.
func normalAddress(addr string) string { return strings.ToLower(strings.TrimSpace(addr)) }

func domainOf(addr string) string {
	_, d, _ := splitAddress(addr)
	return d
}

// Route says where an envelope recipient leads. The order: a token that
// exists; the exact alias; a project named in the sub-address, by name or in
// GitLab's form; the alias with the sub-address as label; a project's name;
// postmaster, abuse and the catch-all of the domain.
func (d *Desk) Route(ctx context.Context, rcpt string) (Route, error) {
	local, domain, ok := splitAddress(rcpt)
	if !ok {
		return Route{}, errorf(KindInvalid, "bad-address", "not an address")
	}
	return d.lookup(ctx, local, domain)
}

// Owns tells whether an address is one of the desk's own, also one that takes
// mail no more.
func (d *Desk) Owns(ctx context.Context, addr string) (bool, error) {
	local, domain, ok := splitAddress(addr)
	if !ok {
		return false, nil
	}
	_, err := d.lookup(ctx, local, domain)
	return leadsHere(err)
}

func routeIn(r store.Reader, local, domain string) (Route, error) {
	served, err := find[Domain](r, domainKey(domain))
	if err != nil {
		return Route{}, err
	}
	if served == nil {
		return Route{}, errorf(KindDenied, reasonRelay, "mail for %s is not taken here", domain)
	}
	base, tag, tagged := strings.Cut(local, "+")
	if tagged {
		if route, ok, err := routeToken(r, base, tag); ok || err != nil {
			return route, err
		}
	}
	for _, try := range []func() (Route, bool, error){
		func() (Route, bool, error) { return routeAlias(r, local+"@"+domain, "") },
		func() (Route, bool, error) { return routeSub(r, base, tag, domain) },
		func() (Route, bool, error) { return routeProject(r, local, local+"@"+domain) },
		func() (Route, bool, error) { return routeDefault(r, served, base) },
	} {
		if route, ok, err := try(); ok || err != nil {
			return route, err
		}
	}
	return Route{}, errorf(KindNotFound, "unknown-recipient", "no such address here")
}

func routeToken(r store.Reader, base, tag string) (Route, bool, error) {
	if !isToken(tag) {
		return Route{}, false, nil
	}
	t, err := find[Token](r, tokenKey(tag))
	if err != nil || t == nil {
		return Route{}, false, err
	}
	want := RouteReply
	switch base {
	case bounceLocal:
		want = RouteBounce
	case unsubscribeLocal:
		want = RouteUnsubscribe
	}
	if t.Kind != want {
		return Route{}, false, nil
	}
	if t.Revoked {
		return Route{}, true, errorf(KindNotFound, reasonRevoked, "this reply address is no longer in use")
	}
	return Route{Kind: t.Kind, Project: t.Project, Token: strings.ToLower(tag)}, true, nil
}

func routeAlias(r store.Reader, addr, label string) (Route, bool, error) {
	a, err := find[Alias](r, aliasKey(addr))
	if err != nil || a == nil {
		return Route{}, false, err
	}
	return Route{Kind: RouteProject, Project: a.Project, Label: label, Address: addr}, true, nil
}

// gitlabKey is the sub-address of a GitLab project address: path, id, issue.
var gitlabKey = regexp.MustCompile(`^.+-(\d{1,18})-issue-$`)

func routeSub(r store.Reader, base, tag, domain string) (Route, bool, error) {
	if tag == "" {
		return Route{}, false, nil
	}
	inbox, ok, err := routeAlias(r, base+"@"+domain, tag)
	if err != nil || !ok {
		return Route{}, false, err
	}
	if route, ok, err := routeProject(r, tag, ""); ok || err != nil {
		return route, ok, err
	}
	if m := gitlabKey.FindStringSubmatch(tag); m != nil {
		id, _ := strconv.ParseUint(m[1], 10, 64)
		p, err := find[Project](r, projectKey(id))
		if err != nil || p != nil {
			return Route{Kind: RouteProject, Project: id}, p != nil, err
		}
	}
	return inbox, true, nil
}

func routeProject(r store.Reader, name, addr string) (Route, bool, error) {
	n, err := find[projectNameRow](r, projectName(name))
	if err != nil || n == nil {
		return Route{}, false, err
	}
	return Route{Kind: RouteProject, Project: n.Project, Address: addr}, true, nil
}

// routeDefault takes postmaster and abuse for every domain, and everything
// where the domain has a catch-all. A domain without a project of its own leads
// to the first one.
//
// https://www.rfc-editor.org/rfc/rfc5321#section-4.5.1
// https://www.rfc-editor.org/rfc/rfc2142#section-4
func routeDefault(r store.Reader, served *Domain, base string) (Route, bool, error) {
	if base != "postmaster" && base != "abuse" && !served.CatchAll {
		return Route{}, false, nil
	}
	if served.Project != 0 {
		return Route{Kind: RouteProject, Project: served.Project}, true, nil
	}
	first, err := scan[Project](r, store.Prefix("project"), false, 1)
	if err != nil || len(first) == 0 {
		return Route{}, false, err
	}
	return Route{Kind: RouteProject, Project: first[0].ID}, true, nil
}

// storeError turns a failure of the store into one of KindUnavailable; errors
// of the domain pass through.
func storeError(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	reason := "store-unavailable"
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		reason = "deadline"
	case errors.Is(err, store.ErrNoSpace):
		reason = "disk-full"
	case errors.Is(err, store.ErrUnknownOutcome):
		reason = "unknown-outcome"
	case errors.Is(err, store.ErrTooLarge):
		return &Error{Kind: KindTooLarge, Reason: "too-complex", Message: "this is too much to be kept together", Cause: err}
	case errors.Is(err, store.ErrFailed):
		reason = "store-failed"
	}
	return &Error{Kind: KindUnavailable, Reason: reason, Message: "the store cannot be used now, try again later", Cause: err}
}

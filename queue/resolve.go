package queue

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/mxdesk/mxdesk/auth/dns"
)

// Bounds of one attempt in mx mode.
const (
	maxAddresses  = 5 // connections tried
	maxPerHost    = 2 // addresses of one exchanger, where there are several
	maxSessions   = 2 // sessions that got as far as MAIL
	maxExchangers = 20
	reasonLoop    = "its mail exchanger is this server"
)

// target is one next hop.
type target struct {
	host    string // name for display and for the certificate
	network string
	address string
	addr    netip.Addr // set in mx mode
}

// String is the host as an attempt shows it.
func (t target) String() string {
	if t.addr.IsValid() && t.host != t.addr.String() {
		return t.host + " [" + t.addr.String() + "]"
	}
	return t.host
}

// resolve lists the next hops of a recipient domain in the order in which they
// are to be tried, at most maxAddresses.
//
// https://www.rfc-editor.org/rfc/rfc5321#section-5.1
func (q *Queue) resolve(ctx context.Context, to mailbox) ([]target, *failure) {
	if to.literal.IsValid() {
		if q.guard.check(to.literal) != nil {
			return nil, unreachable(to.domain, false, true, false)
		}
		return []target{q.target(to.literal.String(), to.literal)}, nil
	}
	hosts, f := q.exchangers(ctx, to.domain)
	if f != nil {
		return nil, f
	}
	perHost := maxAddresses
	if len(hosts) > 1 {
		perHost = maxPerHost
	}
	var found []target
	var unknown, private, loop bool
	better := 0 // how many of found have a better preference than this host
	for i, mx := range hosts {
		if i > 0 && hosts[i-1].Preference < mx.Preference {
			better = len(found)
		}
		if better >= maxAddresses {
			break
		}
		addrs, err := q.addresses(ctx, mx.Host)
		unknown = unknown || err != nil
		if loop = slices.ContainsFunc(addrs, q.isOwn); loop {
			found = found[:better] // only hosts nearer to the end than we are
			break
		}
		public := slices.DeleteFunc(addrs, func(a netip.Addr) bool { return q.guard.check(a) != nil })
		private = private || len(public) < len(addrs)
		for _, a := range public[:min(perHost, len(public))] {
			found = append(found, q.target(mx.Host, a))
		}
	}
	if len(found) > 0 {
		return found[:min(maxAddresses, len(found))], nil
	}
	return nil, unreachable(to.domain, unknown, private, loop)
}

// unreachable says why a domain has no next hop.
func unreachable(domain string, unknown, private, loop bool) *failure {
	switch {
	case loop:
		return permanent("5.4.6", "mail for "+domain+" would loop: "+reasonLoop).at(scopeDestination)
	case unknown:
		return temporary(scopeDestination, "4.4.3", "the addresses of the mail exchangers of "+domain+" could not be looked up")
	case private:
		return permanent("5.4.4", "the mail exchangers of "+domain+" have no public address").at(scopeDestination)
	}
	return permanent("5.4.4", "the mail exchangers of "+domain+" have no address").at(scopeDestination)
}

func (q *Queue) target(host string, addr netip.Addr) target {
	return target{host: host, network: "tcp", address: netip.AddrPortFrom(addr, q.o.Port).String(), addr: addr}
}

// reached returns the target with the address that a connection found.
func (t target) reached(a net.Addr) target {
	if tcp, ok := a.(*net.TCPAddr); ok {
		t.addr = tcp.AddrPort().Addr().Unmap()
	}
	return t
}

// exchangers returns the mail exchangers of a domain, best first, those of the
// same preference in random order, cut before our own name.
func (q *Queue) exchangers(ctx context.Context, domain string) ([]dns.MX, *failure) {
	hosts, _, err := q.o.Resolver.MX(ctx, domain)
	switch {
	case errors.Is(err, dns.ErrNotFound):
		return nil, permanent("5.1.2", "the domain "+domain+" does not exist").at(scopeDestination)
	case errors.Is(err, dns.ErrNoData):
		// https://www.rfc-editor.org/rfc/rfc5321#section-5.1 (implicit MX)
		return []dns.MX{{Host: domain}}, nil
	case err != nil:
		return nil, temporary(scopeDestination, "4.4.3", "the mail exchangers of "+domain+" could not be looked up")
	}
	// https://www.rfc-editor.org/rfc/rfc7505#section-3
	if len(hosts) == 1 && strings.TrimSuffix(hosts[0].Host, ".") == "" {
		return nil, permanent("5.1.10", "the domain "+domain+" accepts no mail").at(scopeDestination)
	}
	hosts = slices.Clone(hosts)
	for i := range hosts {
		hosts[i].Host, _ = asciiDomain(strings.TrimSuffix(hosts[i].Host, ".")) // "" for an unusable name
		j := int(q.o.Rand() * float64(i+1))
		hosts[i], hosts[j] = hosts[j], hosts[i]
	}
	slices.SortStableFunc(hosts, func(a, b dns.MX) int { return cmp.Compare(a.Preference, b.Preference) })
	return q.cutLoop(hosts, domain)
}

// cutLoop drops our own name and every exchanger that is no better than it:
// mail must only move towards the best one.
//
// https://www.rfc-editor.org/rfc/rfc5321#section-5.1
func (q *Queue) cutLoop(hosts []dns.MX, domain string) ([]dns.MX, *failure) {
	own := slices.IndexFunc(hosts, func(mx dns.MX) bool { return strings.EqualFold(mx.Host, q.o.Hostname) })
	if own >= 0 {
		limit := hosts[own].Preference
		hosts = slices.DeleteFunc(hosts, func(mx dns.MX) bool { return mx.Preference >= limit })
	}
	hosts = slices.DeleteFunc(hosts, func(mx dns.MX) bool { return mx.Host == "" })
	if len(hosts) == 0 {
		return nil, permanent("5.4.6", "mail for "+domain+" would loop: "+reasonLoop).at(scopeDestination)
	}
	return hosts[:min(len(hosts), maxExchangers)], nil
}

// addresses returns the addresses of a host, IPv6 and IPv4 by turns. The error
// tells that a lookup failed for now and no address is known.
func (q *Queue) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	v6, _, err6 := q.o.Resolver.AAAA(ctx, host)
	v4, _, err4 := q.o.Resolver.A(ctx, host)
	var out []netip.Addr
	for i := range max(len(v6), len(v4)) {
		if i < len(v6) {
			out = append(out, v6[i])
		}
		if i < len(v4) {
			out = append(out, v4[i])
		}
	}
	for _, err := range []error{err6, err4} {
		if len(out) == 0 && err != nil && !errors.Is(err, dns.ErrNotFound) && !errors.Is(err, dns.ErrNoData) {
			return nil, err
		}
	}
	return out, nil
}

// isOwn tells whether an address is ours and no network named in the options
// covers it.
func (q *Queue) isOwn(a netip.Addr) bool {
	return q.guard.isOwn(a.Unmap()) && !q.guard.named(a.Unmap())
}

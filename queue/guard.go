package queue

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// Dialer makes the connections of the queue. *net.Dialer is one.
type Dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

var errNotPublic = errors.New("not a public address")

// guard dials addresses that outside data has chosen: never a private or local
// one, never one of this machine, unless allow names it.
type guard struct {
	dialer Dialer
	allow  []netip.Prefix
	own    func() []netip.Addr
}

// DialContext connects to an IP address and port; a name is refused, since it
// could resolve to something else than what was checked.
func (g guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("%w: a name", errNotPublic)
	}
	if err := g.check(ap.Addr()); err != nil {
		return nil, err
	}
	return g.dialer.DialContext(ctx, network, address)
}

// check returns an error for an address that may not be dialled.
func (g guard) check(a netip.Addr) error {
	a = a.Unmap()
	switch {
	case g.named(a):
		return nil
	case a.Zone() != "" || !a.IsGlobalUnicast() || a.IsPrivate() || isSpecial(a) || g.isOwn(a):
		return errNotPublic
	}
	return nil
}

func (g guard) named(a netip.Addr) bool {
	return slices.ContainsFunc(g.allow, func(p netip.Prefix) bool { return p.Contains(a) })
}

func (g guard) isOwn(a netip.Addr) bool { return slices.Contains(g.own(), a) }

// isSpecial tells whether an address belongs to a block that is not reachable
// in the public Internet, or that leads to an embedded IPv4 address.
//
// https://www.rfc-editor.org/rfc/rfc6890#section-2.2
func isSpecial(a netip.Addr) bool {
	for _, block := range [...]string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4",
		"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/32", "2002::/16", "fec0::/10",
	} {
		if netip.MustParsePrefix(block).Contains(a) {
			return true
		}
	}
	return false
}

// interfaceAddrs lists the addresses of this machine.
func interfaceAddrs() []netip.Addr {
	nets, _ := net.InterfaceAddrs()
	var out []netip.Addr
	for _, n := range nets {
		if p, err := netip.ParsePrefix(n.String()); err == nil {
			out = append(out, p.Addr().Unmap())
		}
	}
	return out
}

package auth

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"

	"github.com/mxdesk/mxdesk/auth/dns"
)

// tally counts the lookups that were not made because of us, so that a mail
// which fills our tables is not let through for it.
type tally struct {
	dns.Resolver
	missed atomic.Uint64
}

func (t *tally) note(err error) {
	if errors.Is(err, dns.ErrBusy) {
		t.missed.Add(1)
	}
}

func (t *tally) TXT(ctx context.Context, name string) (records []string, authentic bool, err error) {
	records, authentic, err = t.Resolver.TXT(ctx, name)
	t.note(err)
	return records, authentic, err
}

func (t *tally) A(ctx context.Context, name string) (addrs []netip.Addr, authentic bool, err error) {
	addrs, authentic, err = t.Resolver.A(ctx, name)
	t.note(err)
	return addrs, authentic, err
}

func (t *tally) AAAA(ctx context.Context, name string) (addrs []netip.Addr, authentic bool, err error) {
	addrs, authentic, err = t.Resolver.AAAA(ctx, name)
	t.note(err)
	return addrs, authentic, err
}

func (t *tally) MX(ctx context.Context, name string) (hosts []dns.MX, authentic bool, err error) {
	hosts, authentic, err = t.Resolver.MX(ctx, name)
	t.note(err)
	return hosts, authentic, err
}

func (t *tally) PTR(ctx context.Context, addr netip.Addr) (names []string, authentic bool, err error) {
	names, authentic, err = t.Resolver.PTR(ctx, addr)
	t.note(err)
	return names, authentic, err
}

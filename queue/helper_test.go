package queue

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/mxdesk/mxdesk/auth/dns"
	"github.com/mxdesk/mxdesk/queue/queuetest"
)

// crowd is a resolver that knows far too many mail exchangers.
type crowd struct{ dns.Resolver }

func (crowd) MX(context.Context, string) (hosts []dns.MX, authentic bool, err error) {
	for i := range 1000 {
		hosts = append(hosts, dns.MX{Preference: 10, Host: fmt.Sprintf("mx%d.crowd.test", i)}, dns.MX{Host: "bad name\r\n"})
	}
	return hosts, false, nil
}

func (crowd) A(context.Context, string) (addrs []netip.Addr, authentic bool, err error) {
	for i := range 100 {
		addrs = append(addrs, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
	}
	return addrs, false, nil
}

// toOne is a dialer that reaches the server of one.test at any address.
type toOne struct{ net *queuetest.Net }

func (d toOne) DialContext(ctx context.Context, network, _ string) (net.Conn, error) {
	return d.net.DialContext(ctx, network, "192.0.2.1:25")
}

// anyDomain is a resolver for which every domain has one exchanger.
type anyDomain struct{ dns.Resolver }

func (anyDomain) MX(_ context.Context, name string) ([]dns.MX, bool, error) {
	return []dns.MX{{Preference: 10, Host: "mx." + name}}, false, nil
}

func (anyDomain) A(context.Context, string) ([]netip.Addr, bool, error) {
	return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, false, nil
}

func (anyDomain) AAAA(context.Context, string) ([]netip.Addr, bool, error) {
	return nil, false, dns.ErrNoData
}

// atLoopback is a resolver for which every host is this machine.
type atLoopback struct{ anyDomain }

func (atLoopback) A(context.Context, string) ([]netip.Addr, bool, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, false, nil
}

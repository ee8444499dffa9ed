package queue

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/queue/queuetest"
	"github.com/mxdesk/mxdesk/ticketing"
)

func TestResolve(t *testing.T) {
	for _, tt := range []struct {
		name, to string
		allow    string
		want     string // targets
		enhanced string // of the failure
		state    bool   // permanent
	}{
		{name: "mx", to: "a@one.test", want: "mx.one.test [192.0.2.1]"},
		{name: "preference", to: "a@two.test", want: "a.two.test [192.0.2.2], b.two.test [2001:db8::3], b.two.test [192.0.2.3]"},
		{name: "implicit", to: "a@implicit.test", want: "implicit.test [192.0.2.1]"},
		{name: "several addresses", to: "a@many.test", want: "mx.many.test [2001:db8::11], mx.many.test [192.0.2.11], mx.one.test [192.0.2.1]"},
		{name: "literal", to: "a@[192.0.2.1]", want: "192.0.2.1"},
		{name: "literal 6", to: "a@[IPv6:2001:db8::3]", want: "2001:db8::3"},
		{name: "null", to: "a@null.test", enhanced: "5.1.10", state: true},
		{name: "no such domain", to: "a@nowhere.test", enhanced: "5.1.2", state: true},
		{name: "temporary", to: "a@slow.test", enhanced: "4.4.3"},
		{name: "exchanger temporary", to: "a@dark.test", enhanced: "4.4.3"},
		{name: "exchanger lost", to: "a@lost.test", enhanced: "5.4.4", state: true},
		{name: "no addresses", to: "a@empty.test", enhanced: "5.4.4", state: true},
		{name: "loop by name", to: "a@loop.test", enhanced: "5.4.6", state: true},
		{name: "loop cut", to: "a@loop2.test", want: "mx.one.test [192.0.2.1]"},
		{name: "loop by address", to: "a@own.test", enhanced: "5.4.6", state: true},
		{name: "loop by address, same preference", to: "a@own2.test", enhanced: "5.4.6", state: true},
		{name: "loop by address, better host", to: "a@own3.test", want: "mx.one.test [192.0.2.1]"},
		{name: "own address allowed", to: "a@own.test", allow: "203.0.113.0/24", want: "own.own.test [203.0.113.9]"},
		{name: "private", to: "a@private.test", enhanced: "5.4.4", state: true},
		{name: "private allowed", to: "a@private.test", allow: "10.0.0.0/8", want: "p.private.test [10.0.0.1]"},
		{name: "private literal", to: "a@[127.0.0.1]", enhanced: "5.4.4", state: true},
		{name: "mapped literal", to: "a@[IPv6:::ffff:127.0.0.1]", enhanced: "5.4.4", state: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			if tt.allow != "" {
				w.o.AllowNets = []netip.Prefix{netip.MustParsePrefix(tt.allow)}
			}
			q := New(w.box, nil, Route{Mode: MX}, w.o)
			to, err := parseMailbox(tt.to)
			if err != nil {
				t.Fatal(err)
			}
			got, f := q.resolve(t.Context(), to)
			var names []string
			for _, g := range got {
				names = append(names, g.String())
			}
			if s := strings.Join(names, ", "); s != tt.want {
				t.Errorf("%s, want %s", s, tt.want)
			}
			switch {
			case f == nil && tt.enhanced != "":
				t.Error("no failure")
			case f != nil && (f.enhanced != tt.enhanced || f.permanent() != tt.state || f.scope != scopeDestination):
				t.Errorf("%+v", f)
			}
		})
	}
}

// TestResolveBounds: hostile zones lead to few connections.
func TestResolveBounds(t *testing.T) {
	w := newWorld(t)
	w.o.Resolver = crowd{w.o.Resolver}
	q := New(w.box, nil, Route{Mode: MX}, w.o)
	got, f := q.resolve(t.Context(), mailbox{local: "a", domain: "crowd.test"})
	if f != nil || len(got) != maxAddresses {
		t.Errorf("%d targets, %+v", len(got), f)
	}
}

func TestGuard(t *testing.T) {
	g := guard{
		dialer: &queuetest.Net{},
		allow:  []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")},
		own:    func() []netip.Addr { return []netip.Addr{netip.MustParseAddr("8.8.4.4")} },
	}
	for addr, ok := range map[string]bool{
		"8.8.8.8": true, "2606:4700::1": true, "10.1.2.3": true, "::ffff:8.8.8.8": true, "::ffff:10.1.2.3": true,
		"8.8.4.4": false, "::ffff:8.8.4.4": false,
		"10.2.0.1": false, "172.16.0.1": false, "192.168.1.1": false, "127.0.0.1": false, "127.9.9.9": false,
		"0.0.0.0": false, "0.1.2.3": false, "169.254.169.254": false, "100.64.0.1": false, "198.18.0.1": false,
		"224.0.0.1": false, "239.1.1.1": false, "240.0.0.1": false, "255.255.255.255": false, "192.0.0.170": false,
		"::": false, "::1": false, "::127.0.0.1": false, "::ffff:127.0.0.1": false, "fe80::1": false, "fc00::1": false,
		"fd12::1": false, "ff02::1": false, "64:ff9b::7f00:1": false, "2002:7f00:1::": false, "2001::1": false, "fec0::1": false,
	} {
		if err := g.check(netip.MustParseAddr(addr)); (err == nil) != ok {
			t.Errorf("%s: %v, want allowed %t", addr, err, ok)
		}
		conn, err := g.DialContext(t.Context(), "tcp", netip.AddrPortFrom(netip.MustParseAddr(addr), 25).String())
		if refused := err != nil && strings.Contains(err.Error(), errNotPublic.Error()); conn != nil || refused == ok {
			t.Errorf("dial %s: %v", addr, err)
		}
	}
	if _, err := g.DialContext(t.Context(), "tcp", "localhost:25"); err == nil || !strings.Contains(err.Error(), "a name") {
		t.Errorf("a name: %v", err)
	}
	if addrs := interfaceAddrs(); len(addrs) == 0 {
		t.Error("this machine has no addresses")
	}
}

// TestDialGuarded: in mx mode the dialer itself refuses what may not be
// reached, whoever made the target.
func TestDialGuarded(t *testing.T) {
	w := newWorld(t)
	q := New(w.box, nil, Route{Mode: MX}, w.o)
	if conn, f := q.dial(t.Context(), q.target("x.test", netip.MustParseAddr("127.0.0.1"))); conn != nil || f == nil || len(w.net.Dialled()) > 0 {
		t.Errorf("%v, %+v, dialled %q", conn, f, w.net.Dialled())
	}
}

// TestHosts: the next host is asked when one cannot be talked to, at most two
// sessions are held, and the mildest answer counts.
func TestHosts(t *testing.T) {
	busy := func() *queuetest.Server {
		return &queuetest.Server{Script: queuetest.Replies(map[string]string{"CONNECT": "421 4.3.2 busy"})}
	}
	closed := func() *queuetest.Server {
		return &queuetest.Server{Script: queuetest.Replies(map[string]string{"CONNECT": "554 5.3.2 closed"})}
	}
	leaving := func() *queuetest.Server {
		return &queuetest.Server{Script: queuetest.Replies(map[string]string{"RCPT": "421 4.3.2 leaving"})}
	}
	full := func() *queuetest.Server {
		return &queuetest.Server{Script: queuetest.Replies(map[string]string{"RCPT": "452 4.2.2 full"})}
	}
	good := func() *queuetest.Server { return &queuetest.Server{} }
	for _, tt := range []struct {
		name   string
		hosts  [3]*queuetest.Server // a, b (IPv6), b (IPv4); nil refuses
		state  ticketing.DeliveryState
		host   string
		code   int
		dialed int
	}{
		{"first down", [3]*queuetest.Server{nil, good(), good()}, ticketing.DeliveryDelivered, "b.two.test [2001:db8::3]", 250, 2},
		{"first busy", [3]*queuetest.Server{busy(), nil, good()}, ticketing.DeliveryDelivered, "b.two.test [192.0.2.3]", 250, 3},
		{"first closed", [3]*queuetest.Server{closed(), good(), good()}, ticketing.DeliveryDelivered, "b.two.test [2001:db8::3]", 250, 2},
		{"all closed", [3]*queuetest.Server{closed(), closed(), closed()}, ticketing.DeliveryFailed, "a.two.test [192.0.2.2]", 554, 3},
		{"closed and busy", [3]*queuetest.Server{closed(), busy(), closed()}, ticketing.DeliveryDeferred, "b.two.test [2001:db8::3]", 421, 3},
		{"closed and down", [3]*queuetest.Server{closed(), nil, closed()}, ticketing.DeliveryDeferred, "b.two.test [2001:db8::3]", 0, 3},
		{"two sessions", [3]*queuetest.Server{leaving(), leaving(), good()}, ticketing.DeliveryDeferred, "a.two.test [192.0.2.2]", 421, 2},
		{"an answer is an answer", [3]*queuetest.Server{full(), good(), good()}, ticketing.DeliveryDeferred, "a.two.test [192.0.2.2]", 452, 1},
		{"all down", [3]*queuetest.Server{}, ticketing.DeliveryDeferred, "a.two.test [192.0.2.2]", 0, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				for i, addr := range []string{"192.0.2.2:25", "[2001:db8::3]:25", "192.0.2.3:25"} {
					if tt.hosts[i] != nil {
						w.net.Put(addr, tt.hosts[i])
					}
				}
				w.add("a@two.test")
				w.start("mx", nil)
				time.Sleep(time.Minute)
				w.stop()
				a, state := w.last("1")
				if n := len(w.net.Dialled()); state != tt.state || a.Host != tt.host || a.Code != tt.code || n != tt.dialed {
					t.Errorf("%s %+v after %d connections", state, a, n)
				}
			})
		})
	}
}

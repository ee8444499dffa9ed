package smtpd

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxdesk/mxdesk/metrics"
)

func TestClients(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	admit := func(c *clients, addr string, at time.Time) metrics.SMTPConnection {
		_, result := c.admit(netip.MustParseAddr(addr), at)
		return result
	}
	t.Run("open", func(t *testing.T) {
		for _, nets := range []struct{ own, near, far, other string }{
			{"192.0.2.%d", "192.0.2.%d", "192.0.%d.1", "198.51.100.1"},
			{"2001:db8:1:1::%d", "2001:db8:1:%d::1", "2001:db8:%d::1", "2001:db9::1"},
		} {
			c := newClients(2, -1)
			first := strings.Contains(nets.own, ":")
			address := func(form string, n int) string { return fmt.Sprintf(form, n) }
			// Its own address or /64: two.
			one := address(nets.own, 1)
			for range 2 {
				if admit(c, one, now) != metrics.ConnectionServed {
					t.Fatal("refused below the limit")
				}
			}
			if admit(c, one, now) != metrics.ConnectionClientLimit {
				t.Error("third of a client admitted")
			}
			if first && admit(c, address(nets.own, 2), now) != metrics.ConnectionClientLimit {
				t.Error("another address of the /64 admitted")
			}
			// The network around: six, four more.
			for n := 2; n < 6; n++ {
				if got := admit(c, address(nets.near, n), now); got != metrics.ConnectionServed {
					t.Errorf("%s: %s", address(nets.near, n), got)
				}
			}
			if admit(c, address(nets.near, 7), now) != metrics.ConnectionClientLimit {
				t.Error("seventh of a wider network admitted")
			}
			// The widest: eighteen, so twelve more from elsewhere in it.
			for n := range 12 {
				if got := admit(c, address(nets.far, 3+n%4), now); n < 8 && got != metrics.ConnectionServed {
					t.Errorf("%d: %s", n, got)
				}
			}
			if admit(c, nets.other, now) != metrics.ConnectionServed {
				t.Error("somebody else refused")
			}
		}
	})
	t.Run("release", func(t *testing.T) {
		c := newClients(1, -1)
		release, _ := c.admit(netip.MustParseAddr("192.0.2.1"), now)
		release()
		if admit(c, "192.0.2.1", now) != metrics.ConnectionServed {
			t.Error("place was not given back")
		}
		release, _ = c.admit(netip.MustParseAddr("198.51.100.1"), now)
		release()
		if len(c.open) != 3 {
			t.Errorf("%d networks remembered", len(c.open))
		}
	})
	t.Run("rate", func(t *testing.T) {
		c := newClients(-1, 2)
		for n, want := range []metrics.SMTPConnection{metrics.ConnectionServed, metrics.ConnectionServed, metrics.ConnectionClientRate} {
			if got := admit(c, "192.0.2.1", now.Add(time.Duration(n)*time.Second)); got != want {
				t.Errorf("%d: %s", n, got)
			}
		}
		if got := admit(c, "192.0.2.1", now.Add(61*time.Second)); got != metrics.ConnectionServed {
			t.Errorf("a minute later: %s", got)
		}
	})
	if release, result := newClients(0, 0).admit(netip.Addr{}, now); result != metrics.ConnectionServed || release == nil {
		t.Error("a client without address refused")
	}
}

// TestConnectionLimits: refusals at the door, and places given back.
func TestConnectionLimits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := quick()
		o.PerClient, o.MaxConnections = 2, 4
		w := newWorld(t, o)
		one, two := w.dial(stranger), w.dial(stranger)
		one.want("220 ")
		two.want("220 ")
		three := w.dial(stranger)
		three.want("421 4.7.0 too many connections from your network")
		if three.line() != "closed" {
			t.Error("not closed")
		}
		four, five := w.dial("198.51.100.1:1"), w.dial("unix")
		four.want("220 ")
		five.want("220 ")
		six := w.dial("203.0.113.1:1")
		six.want("421 4.3.2 too many connections, come again")
		one.do("QUIT", "221 ")
		_ = two.conn.Close()
		synctest.Wait()
		for range 2 {
			c := w.dial(stranger)
			c.want("220 ")
		}
		if got := w.desk.reasons(); len(got) != 1 || got[0] != "connect too-many-connections" {
			t.Errorf("refusals %v", got)
		}
	})
}

// TestNotReady: mail is put off at MAIL while the store cannot take it.
func TestNotReady(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, c := open(t, quick())
		w.desk.ready = spoolError(fmt.Errorf("disk: %w", errNoSpace()))
		c.do("MAIL FROM:<>", "452 4.3.1 ")
		w.desk.ready = fmt.Errorf("bug")
		c.do("MAIL FROM:<>", "451 4.3.0 ")
		w.desk.ready = nil
		c.do("MAIL FROM:<>", "250 ")
	})
}

// TestTrusted: whom the limits spare, and who is our upstream.
func TestTrusted(t *testing.T) {
	o := Options{
		Trusted:       []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")},
		TrustedRelays: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
	}
	s := New(new(fakeDesk), o)
	for addr, want := range map[string]bool{
		"192.0.2.7:25": true, "[2001:db8::1]:25": true, "[::ffff:192.0.2.7]:25": true, "203.0.113.1:25": false, "198.51.100.1:25": false,
	} {
		client, trusted := s.identify(pipeEnd{addr: addr}.RemoteAddr())
		if trusted != want || client.Addr().Is4In6() {
			t.Errorf("%s: %v %v", addr, client, trusted)
		}
	}
	if client, trusted := s.identify(&net.UnixAddr{Net: "unix", Name: "@"}); client.IsValid() || !trusted {
		t.Errorf("unix socket: %v %v", client, trusted)
	}
	g := newConn(s, nil)
	g.client = netip.MustParseAddrPort("198.51.100.1:25")
	if !g.envelope().TrustedUpstream {
		t.Error("relay is not trusted")
	}
	g.client = netip.MustParseAddrPort("192.0.2.1:25")
	if g.envelope().TrustedUpstream {
		t.Error("a client spared the limits is not our upstream")
	}
}

// A handshake is no way to stay longer.
func TestCrowdedHandshake(t *testing.T) {
	testTLS()
	bubble(t, func(t *testing.T) {
		o := quick()
		o.MaxConnections, o.TLS = 4, testTLS()
		w := newWorld(t, o)
		for range 3 {
			w.dial(stranger).want("220 ")
		}
		late := w.dial(stranger)
		late.hello()
		late.do("STARTTLS", "220 ")
		late.listen()
		begun := time.Now()
		if got := late.line(); got != "closed" || time.Since(begun) != 10*time.Second {
			t.Errorf("%q after %v", got, time.Since(begun))
		}
	})
}

// TestCrowded: strangers who come when room gets scarce have less time.
func TestCrowded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := quick()
		o.MaxConnections = 4
		w := newWorld(t, o)
		var early []*client
		for range 3 {
			early = append(early, w.dial(stranger))
			early[len(early)-1].want("220 ")
		}
		synctest.Wait() // their waiting has begun
		begun := time.Now()
		late := w.dial(stranger)
		late.want("220 ")
		late.want("421 4.4.2 ")
		if d := time.Since(begun); d != 10*time.Second {
			t.Errorf("a late client had %v", d)
		}
		synctest.Wait() // its place is free again
		w.dial("unix").want("220 ")
		early[0].want("421 4.4.2 ")
		if d := time.Since(begun); d != time.Minute {
			t.Errorf("an early client had %v", d)
		}
	})
}

// mayWrite is a connection that fails the test when a Read ends at a time at which
// nothing could be written.
type mayWrite struct {
	pipeEnd
	t     *testing.T
	until time.Time
}

func (c *mayWrite) SetDeadline(t time.Time) error {
	c.until = t
	return c.pipeEnd.SetDeadline(t)
}

func (c *mayWrite) SetWriteDeadline(t time.Time) error {
	c.until = t
	return c.pipeEnd.SetWriteDeadline(t)
}

func (c *mayWrite) Read(p []byte) (int, error) {
	n, err := c.pipeEnd.Read(p)
	if n > 0 && time.Now().After(c.until) {
		c.t.Errorf("%q has come %v after the last time to write", p[:n], time.Since(c.until))
	}
	return n, err
}

// TLS answers a change of keys from within a read, whenever it comes. A deadline
// that has passed would break the stream there.
func TestReadMayWrite(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, quick())
		ours, theirs := net.Pipe()
		w.l.conns <- &mayWrite{pipeEnd: pipeEnd{theirs, stranger}, t: t}
		c := newClient(t, ours)
		c.hello()
		time.Sleep(50 * time.Second)
		c.data()
		c.send("Subject: x\r\n\r\n")
		time.Sleep(50 * time.Second)
		c.send(".\r\n")
		c.want("250 ")
	})
}

package smtpd

import (
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/mxdesk/mxdesk/metrics"
	"github.com/mxdesk/mxdesk/ticketing"
)

// listener hands out guarded connections.
type listener struct {
	net.Listener
	srv *Server
}

// Accept returns the next connection there is room for. It does not ask for
// the client's address, which behind a PROXY header may have to be waited for.
func (l *listener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		g := newConn(l.srv, raw)
		if l.srv.remember(g) {
			return g, nil
		}
		l.srv.o.Metrics.Connection(l.srv.kind(), metrics.ConnectionBusy)
		g.turnAway()
	}
}

// turnAway closes a connection there is no room for. It must not wait: the
// next client does.
func (g *conn) turnAway() {
	g.cancel()
	_ = g.raw.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	_, _ = io.WriteString(g.raw, replyBusy.line(g.id))
	_ = g.raw.Close()
}

// open judges a client before the greeting: its networks' limits, and whether
// it can wait for our first line. It returns the last words for one that is
// not let in.
func (g *conn) open() *reply {
	g.client, g.trusted = g.srv.identify(g.raw.RemoteAddr())
	result := metrics.ConnectionServed
	var last *reply
	if !g.trusted {
		last, result = g.admit()
		if last == nil {
			last, result = g.greetingDelay()
		}
	}
	g.o.Metrics.Connection(g.srv.kind(), result)
	g.srv.log.Debug("connection", "session", g.id, "client", g.client.String(), "result", string(result))
	if last != nil && last.reason != "" {
		g.srv.refused(ticketing.Refusal{Stage: "connect", Envelope: g.envelope()}, *last)
	}
	return last
}

// admit asks the limits of the client's networks.
func (g *conn) admit() (*reply, metrics.SMTPConnection) {
	release, result := g.srv.clients.admit(g.client.Addr(), time.Now())
	switch result {
	case metrics.ConnectionClientLimit:
		return &replyTooManyConnections, result
	case metrics.ConnectionClientRate:
		return &replyTooOften, result
	}
	g.mu.Lock()
	if g.state == stateOpen {
		g.release = release
		release = nil
	}
	g.mu.Unlock()
	if release != nil { // closed meanwhile
		release()
	}
	return nil, result
}

// greetingDelay holds the greeting back. Software that talks before it does
// not speak SMTP.
func (g *conn) greetingDelay() (*reply, metrics.SMTPConnection) {
	if g.o.GreetingDelay <= 0 {
		return nil, metrics.ConnectionServed
	}
	g.mu.Lock()
	g.waiting = true // so that a shutdown need not wait
	err := g.raw.SetReadDeadline(time.Now().Add(g.o.GreetingDelay))
	g.mu.Unlock()
	if err != nil {
		return &reply{}, metrics.ConnectionGone
	}
	n, err := g.raw.Read(make([]byte, 1))
	g.mu.Lock()
	g.waiting = false
	g.mu.Unlock()
	switch {
	case n > 0:
		return &replyEarlyTalker, metrics.ConnectionEarlyTalker
	case !isTimeout(err):
		return &reply{}, metrics.ConnectionGone
	}
	return nil, metrics.ConnectionServed
}

// envelope is what the guard knows of a transaction.
func (g *conn) envelope() ticketing.Envelope {
	return ticketing.Envelope{
		Session:         g.id,
		Client:          g.client,
		Hostname:        g.o.Hostname,
		ReceivedAt:      g.o.Now(),
		TrustedUpstream: g.o.LMTP || contains(g.o.TrustedRelays, g.client.Addr()),
	}
}

// identify returns a client's address, the zero AddrPort without an IP, and
// whether it is spared the limits.
func (s *Server) identify(a net.Addr) (netip.AddrPort, bool) {
	if a == nil || a.Network() == "unix" {
		return netip.AddrPort{}, true
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}, s.o.LMTP
	}
	ap = netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
	return ap, s.o.LMTP || contains(s.o.Trusted, ap.Addr())
}

func contains(nets []netip.Prefix, a netip.Addr) bool {
	for _, n := range nets {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

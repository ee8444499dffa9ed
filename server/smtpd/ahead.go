package smtpd

import (
	"bytes"
	"net"
	"slices"
)

// Read gives go-smtp or crypto/tls what the client sent. Outside TLS that is a
// line at most, so that go-smtp holds nothing when it has read a command; only a
// chunk after BDAT is passed on as it comes.
func (g *conn) Read(p []byte) (int, error) {
	if n, err := g.fromAhead(p, true); n > 0 || err != nil {
		return n, err
	}
	n, err := g.receive(p)
	return g.firstLine(p[:n]), err
}

// take returns octets of a text, as they come.
func (g *conn) take(p []byte) (int, error) {
	if n, err := g.fromAhead(p, false); n > 0 || err != nil {
		return n, err
	}
	return g.receive(p)
}

// fromAhead returns octets that came earlier, of one line if that is asked for.
func (g *conn) fromAhead(p []byte, line bool) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.ahead) == 0 {
		return 0, nil
	}
	if g.state != stateOpen {
		return 0, net.ErrClosed
	}
	n := copy(p, g.ahead)
	if line {
		n = g.cut(p[:n])
	}
	if g.ahead = g.ahead[n:]; len(g.ahead) == 0 {
		g.ahead = nil // an idle client costs no memory
	}
	return n, nil
}

// firstLine returns how many of the octets that came are to be passed on, and
// keeps the others.
func (g *conn) firstLine(p []byte) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.cut(p)
	g.ahead = append(g.ahead, p[n:]...)
	return n
}

// cut returns how many octets go-smtp gets at a time. The lock is held.
func (g *conn) cut(p []byte) int {
	begins := g.inStep
	g.inStep, g.batch = false, false
	if g.secure || g.clock.phase == phaseChunks {
		return len(p)
	}
	i := bytes.IndexByte(p, '\n')
	if i < 0 {
		return len(p)
	}
	g.inStep, g.batch = true, begins && mayBatch(p)
	return i + 1
}

// holdsNothing tells whether go-smtp has got nothing behind the line it has read
// last.
func (g *conn) holdsNothing() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.inStep
}

// putBack makes p the next octets. It keeps no part of p.
func (g *conn) putBack(p ...[]byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ahead = slices.Concat(append(p, g.ahead)...)
}

package smtpd

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// conn guards one connection. It does STARTTLS itself and go-smtp knows nothing
// of it, so that it sees all that is said. It alone sets deadlines: what go-smtp
// asks for is ignored (trap S5).
type conn struct {
	raw     net.Conn
	srv     *Server
	o       *Options
	id      string
	ctx     context.Context // ends with the connection
	cancel  context.CancelFunc
	release func()                  // gives back the place among the client's connections
	session atomic.Pointer[session] // the latest, nil before there is one

	part []byte // of a line that go-smtp has not written whole

	// Set by open, before the first octet reaches go-smtp.
	opened  bool
	client  netip.AddrPort
	trusted bool

	mu     sync.Mutex
	state  state
	layer  net.Conn // what is spoken through: raw, or TLS above it
	tls    string   // version, "" in plain text
	clock  clock
	counts counts
	// waiting is true while Read waits for the client.
	waiting  bool
	draining bool
	readErr  error // the first read that brought only an error, EOF included
	shaking  bool  // a TLS handshake is under way
	// greeted is set when EHLO, HELO or LHLO is answered 250, and taken back by
	// STARTTLS.
	greeted bool
	// swallow is set while go-smtp's answer to a command of ours is to come.
	swallow bool
	// ahead is what has been read and not yet passed on: the commands that a
	// client sends without waiting, or what followed a text. At most readSize
	// octets and a line.
	ahead []byte
	// begins is set when the next octet begins a command, command when the last
	// Read was a whole one, and batch when its reply may wait for that of the next.
	begins, command, batch bool
	greets, ehlo           bool   // go-smtp answers to EHLO, HELO or LHLO, and not to HELO
	chunk                  int64  // octets of a chunk after BDAT still to come
	last                   *reply // the last words for a client whose commands cannot be followed
	replies                []byte // not sent yet
}

// state is how far the end of a connection has come.
type state int

const (
	stateOpen   state = iota
	stateEnding       // the last words are being written
	stateClosed
)

// stall is the error of a read in DATA that waited for stallAfter. It is
// temporary for go-smtp: the read can be repeated.
type stall struct{}

func (stall) Error() string   { return "client is silent" }
func (stall) Timeout() bool   { return true }
func (stall) Temporary() bool { return true }

// isStall tells whether a read may simply be repeated.
func isStall(err error) bool {
	_, ok := errors.AsType[stall](err)
	return ok
}

// newConn guards raw. The limits per client are asked later, by open.
func newConn(s *Server, raw net.Conn) *conn {
	ctx, cancel := context.WithCancel(s.ctx)
	g := &conn{raw: raw, srv: s, o: &s.o, id: s.o.NewID(), ctx: ctx, cancel: cancel, layer: raw, begins: true, release: func() {}}
	g.clock = newClock(&s.o, time.Now())
	return g
}

// receive sends the replies that have been kept and waits for the client as long
// as the clock allows. When the time or a budget has run out it tells the client
// why and closes the connection.
func (g *conn) receive(p []byte) (int, error) {
	if err := g.send(nil); err != nil {
		return 0, err
	}
	for {
		stalls, err := g.beginRead()
		if err != nil {
			return 0, err
		}
		start := time.Now()
		n, err := g.layer.Read(p)
		timeout := isTimeout(err)
		g.endRead(p[:n], err, time.Since(start))
		switch {
		case n > 0:
			return n, nil
		case timeout && stalls:
			return 0, stall{}
		case timeout:
			continue // beginRead knows whether it was the last
		default:
			return 0, err
		}
	}
}

// beginRead sets the deadline of the next read, or ends the connection. The
// read may end in a stall if stalls is true.
func (g *conn) beginRead() (stalls bool, err error) {
	g.mu.Lock()
	if g.state != stateOpen {
		g.mu.Unlock()
		return false, net.ErrClosed
	}
	wait, last := g.patience()
	if wait > 0 {
		last = g.overBudget()
	}
	if last != nil {
		g.mu.Unlock()
		g.end(*last, g.id)
		return false, net.ErrClosed
	}
	defer g.mu.Unlock()
	if stalls = g.clock.phase == phaseData && wait > stallAfter; stalls {
		wait = stallAfter
	}
	g.waiting = true
	// TLS writes, too, while it reads: the answer to a change of keys.
	return stalls, g.raw.SetDeadline(time.Now().Add(wait))
}

// patience is how long the client may take now; where that is nothing, last has
// the last words. The lock is held.
func (g *conn) patience() (d time.Duration, last *reply) {
	if g.srv.crowded() && !g.trusted {
		g.clock.hurry()
	}
	return g.clock.wait(time.Now())
}

// overBudget returns the last words for a client that has used up something
// other than time; nil if it has not. The lock is held.
func (g *conn) overBudget() *reply {
	switch {
	case g.draining && !g.clock.transferring():
		return &replyShutdown
	case g.trusted:
		return nil
	case over(g.counts.received, g.o.MaxSessionBytes):
		return &replyTooManyBytes
	case g.idles():
		return &replyTooManyErrors
	}
	return nil
}

// idles tells whether the client has said too much that leads to no mail. The lock
// is held.
func (g *conn) idles() bool {
	return !g.trusted && !g.clock.transferring() && over(g.counts.junk, g.o.MaxJunk)
}

// endRead takes note of what a read brought.
func (g *conn) endRead(p []byte, err error, took time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = false
	g.counts.received += int64(len(p))
	g.clock.spent(took, len(p))
	if len(p) == 0 && err != nil && !isTimeout(err) && g.readErr == nil {
		g.readErr = err
	}
}

// end tells the client its last words, where that is possible, with the id to
// look them up by, and closes the connection. The client gets lingerTime to read them. Only the first call of
// end or Close does anything.
func (g *conn) end(r reply, id string) {
	g.mu.Lock()
	if g.state != stateOpen {
		g.mu.Unlock()
		return
	}
	g.state = stateEnding
	layer, words, mute := g.layer, append(g.replies, r.line(id)...), g.shaking
	g.replies = nil
	g.mu.Unlock()
	g.cancel()
	if !mute {
		_ = g.raw.SetWriteDeadline(time.Now().Add(farewellTime))
		_, err := layer.Write(words)
		if secure, ok := layer.(*tls.Conn); ok && err == nil {
			_ = secure.CloseWrite()
		}
	}
	g.mu.Lock()
	g.state = stateClosed
	g.mu.Unlock()
	half, ok := g.raw.(interface{ CloseWrite() error })
	if !ok || mute || half.CloseWrite() != nil {
		g.srv.forget(g)
		_ = g.raw.Close()
		return
	}
	// A close with unread octets would be a reset, which can overtake our words.
	_ = g.raw.SetReadDeadline(time.Now().Add(lingerTime))
	g.srv.lingering.Go(func() {
		_, _ = io.CopyN(io.Discard, g.raw, 1<<20)
		_ = g.raw.Close()
		g.srv.forget(g)
	})
}

// Close closes the connection without a word.
func (g *conn) Close() error {
	g.mu.Lock()
	was, layer := g.state, g.layer
	if was == stateOpen {
		g.state = stateClosed
	}
	g.mu.Unlock()
	if was != stateOpen {
		return nil
	}
	g.cancel()
	g.srv.forget(g)
	return layer.Close()
}

// kill closes the connection at once, whatever it does.
func (g *conn) kill() {
	_ = g.raw.Close() // first, or TLS would say goodbye
	_ = g.Close()
}

// drain asks the connection to end: at once if it waits for a command, else
// before it reads the next one.
func (g *conn) drain() {
	g.mu.Lock()
	g.draining = true
	idle := g.waiting && !g.clock.transferring()
	g.mu.Unlock()
	if idle {
		g.end(replyShutdown, g.id)
	}
}

// enter tells the guard what the session waits for, and since when.
func (g *conn) enter(p phase, since time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	g.clock.enter(p, since)
	g.counts.junk = 0
	if g.waiting && g.state == stateOpen { // go-smtp reads a chunk while Data begins in its own goroutine
		d, _ := g.clock.wait(now)
		_ = g.raw.SetDeadline(now.Add(d))
	}
}

// begin gives a client that has introduced itself fresh patience.
func (g *conn) begin() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.counts.junk = 0
	g.clock.enter(phaseCommand, time.Now())
}

// count changes the counters under the guard's lock.
func (g *conn) count(change func(*counts)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change(&g.counts)
}

// pause waits for d, less if the connection ends.
func (g *conn) pause(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-g.ctx.Done():
	}
}

// LocalAddr returns the local address.
func (g *conn) LocalAddr() net.Addr { return g.raw.LocalAddr() }

// RemoteAddr returns the client's address.
func (g *conn) RemoteAddr() net.Addr { return g.raw.RemoteAddr() }

// SetDeadline does nothing: the guard's own clock rules.
func (g *conn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing: the guard's own clock rules.
func (g *conn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing: the guard's own clock rules.
func (g *conn) SetWriteDeadline(time.Time) error { return nil }

// isTimeout tells whether err is a passed deadline.
func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

package smtpd

import (
	"bytes"
	"crypto/tls"
	"net"
	"strings"
	"time"
)

// offersTLS tells whether STARTTLS may be said. The lock is held.
func (g *conn) offersTLS() bool { return g.o.TLS != nil && g.tls == "" }

// isStartTLS tells whether go-smtp is about to get STARTTLS.
func isStartTLS(line []byte) bool {
	return len(line) <= 16 && strings.EqualFold(string(bytes.TrimRight(line, " \t\r\n")), "STARTTLS")
}

// startTLS answers STARTTLS, does the handshake and has go-smtp forget the
// transaction. What the client sent before the handshake is not to be taken for
// what it says after it, and it has to introduce itself anew. It is not done where
// go-smtp has to refuse the command.
//
// https://www.rfc-editor.org/rfc/rfc3207#section-4.2
func (g *conn) startTLS() (done bool, err error) {
	g.mu.Lock()
	right, again, late := g.command && g.greeted && !g.clock.transferring(), g.tls != "", g.draining
	right = right && (again || g.offersTLS())
	g.mu.Unlock()
	switch {
	case !right:
		return false, nil
	case again:
		return true, g.answer("503 5.5.1 TLS is active already\r\n")
	case late: // behind the go-ahead it could not be said any more
		g.end(replyShutdown, g.id)
		return true, net.ErrClosed
	}
	if err := g.answer("220 2.0.0 Ready to start TLS\r\n"); err != nil {
		return true, err
	}
	return true, g.handshake()
}

// answer says a line to a command that go-smtp does not hear of.
func (g *conn) answer(line string) error {
	g.count(func(c *counts) { c.junk++ })
	return g.send([]byte(line))
}

// handshake begins TLS. Its words to go-smtp are a command of our own.
func (g *conn) handshake() error {
	secure := tls.Server(g.raw, g.o.TLS)
	if err := g.beginHandshake(); err != nil {
		return err
	}
	if err := secure.Handshake(); err != nil {
		g.srv.log.Debug("tls handshake failed", "session", g.id, "client", clientName(g), "error", err)
		_ = g.Close()
		return net.ErrClosed
	}
	version := tls.VersionName(secure.ConnectionState().Version)
	g.o.Metrics.TLS(version)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shaking, g.waiting = false, false
	if g.state != stateOpen {
		return net.ErrClosed
	}
	g.layer, g.tls = secure, version
	g.ahead, g.swallow = []byte("RSET\r\n"), true
	g.counts.junk = 0
	g.clock.enter(phaseCommand, time.Now())
	return nil
}

// beginHandshake sets the deadline of the handshake, which is not later than that
// of a command would be. Until it is over nothing can be said to the client.
func (g *conn) beginHandshake() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state != stateOpen || g.draining {
		return net.ErrClosed
	}
	g.shaking, g.waiting, g.greeted, g.ahead = true, true, false, nil
	wait, _ := g.patience()
	return g.raw.SetDeadline(time.Now().Add(min(wait, limit(g.o.HandshakeTimeout))))
}

// secured returns the version of TLS, "" in plain text.
func (g *conn) secured() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.tls
}

// introduced tells whether the client has said EHLO and we took it, since STARTTLS
// if it did that.
func (g *conn) introduced() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.greeted
}

// hungUp tells whether the client ended the stream. go-smtp takes the end of
// the stream within a BDAT chunk for the end of the chunk (trap S3), so a
// message by BDAT counts only if this is false after its last chunk.
func (g *conn) hungUp() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.readErr != nil
}

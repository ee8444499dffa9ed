package smtpd

import (
	"bytes"
	"net"
	"slices"
	"strconv"
	"strings"
)

// Read gives go-smtp what the client says, line by line, so that it holds nothing
// when it has read a command; only a chunk after BDAT is passed on as it comes.
// STARTTLS is done on the way.
func (g *conn) Read(p []byte) (int, error) {
	for {
		n, err := g.nextLine(p)
		if err != nil || !isStartTLS(p[:n]) {
			return n, err
		}
		if done, err := g.startTLS(); !done {
			return n, err
		}
	}
}

// nextLine returns a line, waiting for its end; a part of one that does not fit,
// or that the client leaves it at.
func (g *conn) nextLine(p []byte) (int, error) {
	for {
		if n, err := g.fromAhead(p, (*conn).cut); n > 0 || err != nil {
			return n, err
		}
		n, err := g.receive(p)
		if n == 0 {
			if n, _ := g.fromAhead(p, (*conn).all); n > 0 {
				return n, nil
			}
			return 0, err
		}
		g.mu.Lock()
		g.ahead = append(g.ahead, p[:n]...)
		g.mu.Unlock()
	}
}

// take returns octets of a text, as they come.
func (g *conn) take(p []byte) (int, error) {
	if n, err := g.fromAhead(p, (*conn).all); n > 0 || err != nil {
		return n, err
	}
	return g.receive(p)
}

// fromAhead returns octets that came earlier, as many as share tells.
func (g *conn) fromAhead(p []byte, share func(g *conn, p []byte, whole bool) int) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.ahead) == 0 {
		return 0, nil
	}
	if g.state != stateOpen {
		return 0, net.ErrClosed
	}
	n := copy(p, g.ahead)
	n = share(g, p[:n], n < len(p))
	if g.ahead = g.ahead[n:]; len(g.ahead) == 0 {
		g.ahead = nil // an idle client costs no memory
	}
	return n, nil
}

// all is the share of who does not ask for lines. The lock is held.
func (g *conn) all(p []byte, _ bool) int {
	g.inStep, g.batch, g.ehlo = false, false, false
	return len(p)
}

// cut is a line of p, and nothing if p, which is all there is, has no whole one.
// The lock is held.
func (g *conn) cut(p []byte, whole bool) int {
	if g.chunk > 0 {
		n := g.all(p[:min(int64(len(p)), g.chunk)], whole)
		g.chunk -= int64(n)
		return n
	}
	begins := g.inStep
	i := bytes.IndexByte(p, '\n')
	switch {
	case i < 0 && !whole:
		return g.all(p, whole)
	case i < 0:
		return 0
	}
	g.inStep, g.batch, g.ehlo = true, false, false
	if begins {
		g.hear(p[:i])
	}
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

// hear takes note of a command. The lock is held.
func (g *conn) hear(line []byte) {
	switch strings.ToUpper(string(line[:min(4, len(line))])) {
	case "EHLO", "LHLO":
		g.ehlo, g.greeted = true, true
	case "HELO":
		g.greeted = true
	case "MAIL", "RCPT", "RSET":
		// https://www.rfc-editor.org/rfc/rfc2920#section-3.1
		g.batch = true
	case "BDAT":
		g.chunk = octetsAfter(line)
	}
}

// octetsAfter is how many octets follow a BDAT command, as go-smtp understands it.
func octetsAfter(line []byte) int64 {
	words := strings.Fields(string(line[:min(len(line), 64)]))
	if len(words) < 2 {
		return 0
	}
	n, err := strconv.ParseUint(words[1], 10, 32)
	if err != nil {
		return 0
	}
	return int64(n)
}

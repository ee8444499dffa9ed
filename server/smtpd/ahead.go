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
		if last := g.broken(); last != nil {
			g.end(*last, g.id)
			return 0, net.ErrClosed
		}
		if err != nil || !isStartTLS(p[:n]) {
			return n, err
		}
		switch done, err := g.startTLS(); {
		case err != nil:
			return 0, err
		case !done:
			return n, nil
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
	n := min(len(p), len(g.ahead))
	n = copy(p, g.ahead[:share(g, g.ahead[:n], n < len(p))])
	if g.ahead = g.ahead[n:]; len(g.ahead) == 0 {
		g.ahead = nil // an idle client costs no memory
	}
	return n, nil
}

// all is the share of who does not ask for lines. The lock is held.
func (g *conn) all(p []byte, _ bool) int {
	g.begins, g.command, g.batch, g.greets, g.ehlo = false, false, false, false, false
	return len(p)
}

// cut is a line of p, and nothing if p, which is all there is, has no whole one.
// The lock is held.
func (g *conn) cut(p []byte, whole bool) int {
	if g.chunk > 0 {
		n := g.all(p[:min(int64(len(p)), g.chunk)], whole)
		g.chunk -= int64(n)
		g.begins = g.chunk == 0
		return n
	}
	begins := g.begins
	i := bytes.IndexByte(p, '\n')
	switch {
	case i < 0 && len(p) >= maxCommand:
		g.last = &replyCommandLine
		return g.all(p, whole)
	case i < 0 && !whole:
		return g.all(p, whole)
	case i < 0:
		return 0
	}
	g.begins, g.command, g.batch, g.greets, g.ehlo = true, begins, false, false, false
	if begins {
		g.hear(p[:i])
		if g.idles() { // all of it may have come in one read
			g.last = &replyTooManyErrors
		}
	}
	return i + 1
}

// holdsNothing tells whether go-smtp has got one command, and nothing before or
// behind it.
func (g *conn) holdsNothing() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.command
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
		g.greets, g.ehlo = true, true
	case "HELO":
		g.greets = true
	case "MAIL", "RCPT", "RSET":
		// https://www.rfc-editor.org/rfc/rfc2920#section-3.1
		g.batch = true
	case "BDAT":
		// go-smtp would refuse what it does not understand and take what follows,
		// which is somebody's mail, for commands.
		n, ok := octetsAfter(line)
		if g.chunk = n; !ok {
			g.last = &replyBadChunk
		}
	}
}

// broken returns the last words for a client whose commands cannot be followed.
func (g *conn) broken() *reply {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last
}

// maxCommand is how long the line of a command may be. RFC 5321 wants 512 octets,
// extensions more. go-smtp's own limit would be one of chunks, too.
//
// https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.4
const maxCommand = 4096

// octetsAfter is how many octets follow a BDAT command. It understands what
// go-smtp does.
//
// https://www.rfc-editor.org/rfc/rfc3030#section-2
func octetsAfter(line []byte) (n int64, ok bool) {
	if len(line) < 6 || line[4] != ' ' {
		return 0, false
	}
	words := strings.Fields(string(line[5:]))
	if len(words) == 0 || len(words) > 2 || len(words) == 2 && !strings.EqualFold(words[1], "LAST") {
		return 0, false
	}
	size, err := strconv.ParseUint(words[0], 10, 32)
	return int64(size), err == nil
}

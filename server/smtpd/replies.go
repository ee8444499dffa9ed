package smtpd

import (
	"bytes"
	"errors"
	"net"
	"strings"
	"time"
)

// maxReplies is how many octets of replies are kept before they are sent.
const maxReplies = 4 << 10

// Write sends a reply, or TLS records. Before the first one the client has to
// pass open. Lines of one reply, and replies to commands that were sent together,
// go out together.
func (g *conn) Write(p []byte) (int, error) {
	if !g.opened {
		g.opened = true
		if last := g.open(); last != nil {
			g.end(*last, g.id)
			return 0, net.ErrClosed
		}
	}
	kept, ok := g.reply(p)
	switch {
	case !ok:
		return 0, errors.Join(net.ErrClosed, g.Close())
	case kept:
		return len(p), nil
	}
	return len(p), g.send(p)
}

// reply takes note of what is about to be sent, and keeps it if it may wait. It
// is not ok to send anything when the connection is closed, nor plain text below
// TLS: go-smtp goes on with that after a failed handshake (trap S21).
func (g *conn) reply(p []byte) (kept, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state == stateClosed || g.secure && !isRecord(p) {
		return false, false
	}
	g.counts.junk++
	if g.secure {
		return false, true
	}
	if isGoAhead(p) {
		// What came before the handshake is not to be taken for part of it.
		//
		// https://www.rfc-editor.org/rfc/rfc3207#section-4.2
		g.secure, g.out, g.ahead = true, nil, nil
		g.clock.enter(phaseHandshake, time.Now())
	}
	if kept = g.mayWait(p) && len(g.replies)+len(p) <= maxReplies; kept {
		g.replies = append(g.replies, p...)
	}
	return kept, true
}

// mayWait tells whether a line to the client may wait for the next: it is not
// the last of its reply, or it accepts one command of several that are here. The
// lock is held.
//
// https://www.rfc-editor.org/rfc/rfc2920#section-3.2
func (g *conn) mayWait(p []byte) bool {
	if len(p) > 3 && p[3] == '-' {
		return true
	}
	return g.batch && bytes.HasPrefix(p, []byte{'2'}) && bytes.IndexByte(g.ahead, '\n') >= 0
}

// mayBatch tells whether the reply to a command may wait for the next.
//
// https://www.rfc-editor.org/rfc/rfc2920#section-3.1
func mayBatch(line []byte) bool {
	verb := line[:min(4, len(line))]
	for _, v := range []string{"MAIL", "RCPT", "RSET"} {
		if strings.EqualFold(v, string(verb)) {
			return true
		}
	}
	return false
}

// send sends the replies that have been kept, and p.
func (g *conn) send(p []byte) error {
	g.mu.Lock()
	if len(g.replies) > 0 {
		p = append(g.replies, p...)
		g.replies = nil
	}
	if len(p) == 0 {
		g.mu.Unlock()
		return nil
	}
	err := g.raw.SetWriteDeadline(time.Now().Add(g.o.WriteTimeout))
	g.mu.Unlock()
	if err != nil {
		return err
	}
	_, err = g.raw.Write(p)
	return err
}

// isGoAhead recognises go-smtp's answer to STARTTLS.
func isGoAhead(p []byte) bool {
	return strings.HasPrefix(string(p), "220 2.0.0 Ready to start TLS")
}

package smtpd

import (
	"bytes"
	"net"
	"time"
)

// maxReplies is how many octets of replies are kept before they are sent.
const maxReplies = 4 << 10

// Write sends a reply of go-smtp, in our words. Before the first one the client has
// to pass open. Lines of one reply, and replies to commands that were sent
// together, go out together.
func (g *conn) Write(p []byte) (int, error) {
	if !g.opened {
		g.opened = true
		if last := g.open(); last != nil {
			g.end(*last, g.id)
			return 0, net.ErrClosed
		}
	}
	if g.part = append(g.part, p...); !bytes.HasSuffix(g.part, []byte{'\n'}) {
		return len(p), nil // go-smtp's own buffer is too small for the line
	}
	line := rephrase(g.srv.phrases, g.part, g.id)
	g.part = nil
	kept, err := g.reply(line)
	if kept || err != nil {
		return len(p), err
	}
	return len(p), g.send(line)
}

// reply takes note of a line to the client, and keeps it if it may wait or is
// for us.
func (g *conn) reply(p []byte) (kept bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state == stateClosed {
		return false, net.ErrClosed
	}
	last := !continues(p)
	if g.swallow {
		g.swallow = !last
		return true, nil
	}
	g.counts.junk++
	if bytes.HasPrefix(p, []byte("250 ")) {
		g.welcome()
	}
	if kept = g.mayWait(p) && len(g.replies)+len(p) <= maxReplies; kept {
		g.replies = append(g.replies, p...)
	}
	return kept, nil
}

// welcome takes note that a command was accepted: a greeting counts from now on,
// and one that asks for what there is hears of STARTTLS. The lock is held.
func (g *conn) welcome() {
	g.greeted = g.greeted || g.greets
	if g.ehlo && g.offersTLS() {
		g.replies = append(g.replies, "250-STARTTLS\r\n"...)
	}
}

// continues tells whether a line is not the last of its reply.
func continues(p []byte) bool { return len(p) > 3 && p[3] == '-' }

// mayWait tells whether a line to the client may wait for the next: it is not
// the last of its reply, or it accepts one command of several that are here. The
// lock is held.
//
// https://www.rfc-editor.org/rfc/rfc2920#section-3.2
func (g *conn) mayWait(p []byte) bool {
	return continues(p) || g.batch && bytes.HasPrefix(p, []byte{'2'}) && bytes.IndexByte(g.ahead, '\n') >= 0
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
	err := g.raw.SetWriteDeadline(time.Now().Add(limit(g.o.WriteTimeout)))
	g.mu.Unlock()
	if err != nil {
		return err
	}
	_, err = g.layer.Write(p)
	return err
}

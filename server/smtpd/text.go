package smtpd

import (
	"io"
	"time"
)

// endOfText is what go-smtp finds where we have read the text ourselves.
var endOfText = []byte(".\r\n")

// text is the message after DATA, read from the guard itself: go-smtp would
// take it octet by octet, and swallows a dot and a CR at the begin of a line
// (trap S2). Read wants room for two octets.
type text struct {
	guard *conn
	begun time.Time
	dots  unstuffer
	cr    bool // a CR is to be given to dots once more
	ended bool
	// lost is set when go-smtp may hold more than the command: nobody knows then
	// where the text begins.
	lost bool
}

// text returns a reader of the message in place of go-smtp's, which remains for
// BDAT, and what to do before go-smtp goes on.
func (t *session) text(theirs io.Reader) (ours io.Reader, skip func()) {
	if _, chunked := theirs.(*io.PipeReader); chunked {
		return theirs, func() {}
	}
	x := &text{guard: t.guard, begun: time.Now(), lost: !t.guard.holdsNothing()}
	return x, x.skip
}

// Read returns octets of the message, and io.EOF behind its end.
func (x *text) Read(p []byte) (int, error) {
	if x.lost {
		return 0, io.ErrUnexpectedEOF
	}
	for !x.ended {
		held := 0
		if x.cr {
			p[0], held = '\r', 1
		}
		n, err := x.guard.take(p[held:])
		if n == 0 {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
		var kept, rest []byte
		kept, rest, x.ended = x.dots.next(p[:held+n])
		x.cr = !x.ended && len(rest) > 0
		if x.ended {
			x.guard.putBack(endOfText, rest)
		}
		if len(kept) > 0 {
			return len(kept), nil
		}
	}
	return 0, io.EOF
}

// skip reads what is left of a text that is not wanted, as go-smtp goes on
// behind it.
func (x *text) skip() {
	if x.ended {
		return
	}
	x.guard.enter(phaseData, x.begun) // what is not wanted takes no longer than what is
	defer func() { x.guard.enter(phaseCommand, time.Now()) }()
	buf := x.guard.srv.buffers.Get().(*[readSize]byte)
	defer x.guard.srv.buffers.Put(buf)
	for {
		if _, err := x.Read(buf[:]); err != nil && !isStall(err) {
			return
		}
	}
}

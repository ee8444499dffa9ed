package smtpd

import (
	"errors"
	"io"
	"runtime"
)

// transfer is a message by BDAT, which go-smtp lets us read in a goroutine of
// its own.
type transfer struct {
	pipe *io.PipeReader
	read chan struct{} // closed when the pipe has been read as far as we want
}

// transfer remembers a message by BDAT; the caller calls done when it has read
// the pipe as far as it wants.
func (t *session) transfer(pipe *io.PipeReader) (done func()) {
	x := &transfer{pipe: pipe, read: make(chan struct{})}
	t.mu.Lock()
	t.chunks = x
	t.mu.Unlock()
	return func() { close(x.read) }
}

// settle waits, at the next MAIL, until go-smtp's goroutine for the last
// message by BDAT has said its result: it writes into a field of the connection
// that the next BDAT changes (trap S10). Its last act is to close the pipe.
//
// What it cannot wait for is a goroutine that has not begun: a client that gives
// up after an empty first chunk may be told 4xx for its next message in the
// other's place, but never 250.
func (t *session) settle() {
	t.mu.Lock()
	x := t.chunks
	t.chunks = nil
	t.mu.Unlock()
	if x == nil {
		return
	}
	<-x.read
	for !closed(x.pipe) {
		runtime.Gosched()
	}
}

// closed tells whether the reading end of a pipe has been closed. The writing
// end must be closed already, or this waits.
func closed(r *io.PipeReader) bool {
	_, err := r.Read(nil)
	return errors.Is(err, io.ErrClosedPipe)
}

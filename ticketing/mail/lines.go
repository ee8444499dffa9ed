package mail

import (
	"bufio"
	"bytes"
	"io"
	"sync"
)

const (
	lineBuffer  = 64 << 10 // a longer line comes in fragments
	sniffLength = 4 << 10  // how far line ends and headers are looked at ahead
)

// line is one line of the raw mail, or a fragment of a very long one.
type line struct {
	text       []byte // without its line end; valid until the next call of next
	start, end int64  // offsets of the first octet and of the line end
	first      bool   // false for the later fragments of a long line
}

// lineReader cuts a mail into lines ended by LF or CRLF, or by CR alone in a
// mail that has nothing else, and knows the offset of each.
type lineReader struct {
	buf     *bufio.Reader
	off     int64 // of the next octet that next reads
	end     byte  // the octet that ends a line
	midLine bool  // the last fragment did not end its line
	held    line  // given back by unread
	hasHeld bool
}

// lineBuffers lends the buffers of lineReaders.
var lineBuffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, lineBuffer) }}

// newLineReader begins a mail. The reader is to be given back with release.
func newLineReader(r io.ReaderAt, size int64) *lineReader {
	buf := lineBuffers.Get().(*bufio.Reader)
	buf.Reset(io.NewSectionReader(r, 0, size))
	head, _ := buf.Peek(int(min(size, sniffLength)))
	end := byte('\n')
	if i := bytes.IndexByte(head, '\r'); !bytes.Contains(head, []byte{'\n'}) && i >= 0 && (i < len(head)-1 || size == int64(len(head))) {
		end = '\r'
	}
	return &lineReader{buf: buf, end: end}
}

func (l *lineReader) release() {
	l.buf.Reset(nil)
	lineBuffers.Put(l.buf)
	l.buf = nil
}

// next returns the next line; ok is false at the end of the mail.
func (l *lineReader) next() (ln line, ok bool) {
	if l.hasHeld {
		l.hasHeld = false
		return l.held, true
	}
	data, err := l.buf.ReadSlice(l.end)
	if len(data) == 0 {
		return line{}, false
	}
	ln = line{start: l.off, first: !l.midLine}
	l.off += int64(len(data))
	l.midLine = err != nil
	if err == nil {
		data = bytes.TrimRight(data[:len(data)-1], "\r")
	}
	ln.text, ln.end = data, ln.start+int64(len(data))
	return ln, true
}

// skipWindow bounds what skipPlain searches, since it may find a mark in every line.
const skipWindow = 2 << 10

// skipPlain passes over lines that are in the buffer and have none of the marks, as
// many as it finds at once. passed is where the last of them ended.
func (l *lineReader) skipPlain(marks ...[]byte) (passed int64, ok bool) {
	if l.hasHeld || l.midLine || l.end != '\n' {
		return 0, false
	}
	data, _ := l.buf.Peek(min(l.buf.Buffered(), skipWindow))
	for _, m := range marks {
		if i := bytes.Index(data, m); i >= 0 {
			data = data[:i]
		}
	}
	last := bytes.LastIndexByte(data, '\n')
	if last < 0 {
		return 0, false
	}
	passed = l.off + int64(len(bytes.TrimRight(data[:last], "\r")))
	_, _ = l.buf.Discard(last + 1)
	l.off += int64(last) + 1
	return passed, true
}

// unread gives the last line back; its text must be the caller's own copy when
// anything was peeked at in between.
func (l *lineReader) unread(ln line) {
	l.held, l.hasHeld = ln, true
}

// pos is the offset of the line that next will return.
func (l *lineReader) pos() int64 {
	if l.hasHeld {
		return l.held.start
	}
	return l.off
}

// ahead returns what follows the last line, up to sniffLength octets.
func (l *lineReader) ahead() []byte {
	data, _ := l.buf.Peek(min(sniffLength, l.buf.Size()))
	return data
}

// skip drops n octets at the very start of the mail.
func (l *lineReader) skip(n int) {
	dropped, _ := l.buf.Discard(n)
	l.off += int64(dropped)
}

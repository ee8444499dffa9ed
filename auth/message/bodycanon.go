package message

const bodyBuffer = 16 << 10

// body canonicalises a body on its way to a digest. Line ends are held back
// until a line with content follows, because those at the end of the body do
// not count.
//
// https://www.rfc-editor.org/rfc/rfc6376#section-3.4.3
// https://www.rfc-editor.org/rfc/rfc6376#section-3.4.4
type body struct {
	relaxed bool
	digest  *digest

	out     []byte
	held    int64 // line ends not yet written
	space   bool  // white space not yet written (relaxed)
	cr      bool  // a CR whose next byte is not known yet
	content bool  // something has been written
}

func (b *body) write(p []byte) {
	for len(p) > 0 {
		if b.cr {
			p = b.afterCR(p)
			continue
		}
		n := b.plain(p)
		if n > 0 {
			b.emit(p[:n])
			p = p[n:]
			continue
		}
		switch p[0] {
		case '\r':
			b.cr = true
		case '\n':
			b.endLine()
		default:
			b.space = true
		}
		p = p[1:]
	}
}

// afterCR decides about a held CR: half of a line end, or content.
func (b *body) afterCR(p []byte) []byte {
	b.cr = false
	if p[0] == '\n' {
		b.endLine()
		return p[1:]
	}
	b.emit([]byte{'\r'})
	return p
}

// plain returns the length of the run of bytes that are copied as they are.
func (b *body) plain(p []byte) int {
	for i, c := range p {
		if c <= ' ' && (c == '\r' || c == '\n' || b.relaxed && isSpace(c)) {
			return i
		}
	}
	return len(p)
}

func (b *body) endLine() {
	b.held++
	b.space = false
}

// emit writes content, after what was held back before it.
func (b *body) emit(p []byte) {
	for ; b.held > 0; b.held-- {
		b.append([]byte("\r\n"))
	}
	if b.space {
		b.append([]byte{' '})
		b.space = false
	}
	b.append(p)
	b.content = true
}

func (b *body) append(p []byte) {
	if len(b.out)+len(p) > bodyBuffer {
		b.flush()
	}
	if len(p) > bodyBuffer {
		b.digest.write(p)
		return
	}
	b.out = append(b.out, p...)
}

func (b *body) flush() {
	b.digest.write(b.out)
	b.out = b.out[:0]
}

// close ends the last line. A body without content is one empty line when
// simple and nothing at all when relaxed.
func (b *body) close() {
	if b.cr {
		b.cr = false
		b.emit([]byte{'\r'})
	}
	if b.content || !b.relaxed {
		b.append([]byte("\r\n"))
	}
	b.flush()
	b.digest.close()
}

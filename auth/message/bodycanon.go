package message

import "bytes"

// bodyBuffer is how many canonical bytes are gathered for the hash.
const bodyBuffer = 16 << 10

// body canonicalises a body on its way to a digest. Line ends are held back
// until a line with content follows, because those at the end of the body do
// not count.
//
// https://www.rfc-editor.org/rfc/rfc6376#section-3.4.3
// https://www.rfc-editor.org/rfc/rfc6376#section-3.4.4
type body struct {
	digest digest

	out     []byte
	held    int64 // line ends not yet written
	space   bool  // white space not yet written (relaxed)
	cr      bool  // a CR whose next byte is not known yet
	content bool  // something has been written
}

func (b *body) reset() {
	b.digest.reset()
	*b = body{digest: b.digest, out: b.out[:0]}
}

func (b *body) write(p []byte) {
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			b.part(p)
			return
		}
		b.part(p[:end])
		b.endLine()
		p = p[end+1:]
	}
}

// part takes a piece of a line. A CR is held back: it may belong to the line's end.
func (b *body) part(p []byte) {
	for len(p) > 0 {
		text, _, cr := bytes.Cut(p, []byte{'\r'})
		p = p[len(text):]
		for n := 0; len(text) > 0; text = text[n:] {
			n = min(len(text), bodyBuffer/2)
			b.text(text[:n])
		}
		if cr {
			b.endCR()
			b.cr, p = true, p[1:]
		}
	}
}

// text writes a piece without line ends, of half a buffer at most.
func (b *body) text(p []byte) {
	b.endCR()
	switch {
	case b.digest.canon == Simple:
		b.begin()
		b.reserve(len(p))
		b.out = append(b.out, p...)
	case isReduced(p) && !(b.space && p[0] == ' '):
		b.reduced(p)
	default:
		b.reduce(p)
	}
}

// isReduced tells that white space within p is single spaces already.
func isReduced(p []byte) bool {
	return bytes.IndexByte(p, '\t') < 0 && !bytes.Contains(p, []byte("  "))
}

// reduced writes text as it is. A space at its end waits for what follows.
func (b *body) reduced(p []byte) {
	text := bytes.TrimSuffix(p, []byte{' '})
	if len(text) > 0 {
		b.begin()
		b.reserve(len(text) + 1)
		if b.space {
			b.out = append(b.out, ' ')
		}
		b.out = append(b.out, text...)
	}
	b.space = len(text) < len(p) || b.space && len(text) == 0
}

// reduce writes text with one space for each run of white space.
func (b *body) reduce(p []byte) {
	// The piece takes no more room than it has bytes, and one for white space
	// before it.
	b.reserve(len(p) + 1)
	out, space := b.out, b.space
	for _, c := range p {
		if isSpace(c) {
			space = true
			continue
		}
		if b.held > 0 {
			b.out = out
			b.begin()
			b.reserve(len(p) + 1)
			out = b.out
		}
		if space {
			out = append(out, ' ')
			space = false
		}
		out = append(out, c)
		b.content = true
	}
	b.out, b.space = out, space
}

func (b *body) endLine() {
	b.held++
	b.space, b.cr = false, false
}

// endCR writes a CR that turned out not to be part of a line end.
func (b *body) endCR() {
	if !b.cr {
		return
	}
	b.cr = false
	b.begin()
	b.reserve(2)
	if b.space {
		b.out = append(b.out, ' ')
		b.space = false
	}
	b.out = append(b.out, '\r')
}

// begin writes the line ends held back, since content follows.
func (b *body) begin() {
	for ; b.held > 0; b.held-- {
		b.reserve(2)
		b.out = append(b.out, '\r', '\n')
	}
	b.content = true
}

// reserve makes room for n bytes, at most bodyBuffer.
func (b *body) reserve(n int) {
	if len(b.out)+n > bodyBuffer {
		b.flush()
	}
}

func (b *body) flush() {
	b.digest.write(b.out)
	b.out = b.out[:0]
}

// close ends the last line. A body without content is one empty line when
// simple and nothing at all when relaxed.
func (b *body) close() {
	b.endCR()
	if b.content || b.digest.canon == Simple {
		b.reserve(2)
		b.out = append(b.out, '\r', '\n')
	}
	b.flush()
	b.digest.close()
}

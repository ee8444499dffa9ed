package smtpd

import "bytes"

// content checks a message as it streams by: line ends, lengths, header. It
// never holds more than a few octets.
type content struct {
	o *Options
	// newline says what a bare CR or LF is worth.
	newline newlineRule

	size     int64
	lastCR   bool // the octets so far end in CR
	lineSize int  // octets of the line so far, its CR included

	inBody  bool
	header  int64
	fields  int
	hops    int
	folded  bool // this line continues a field
	colon   bool // this line has a colon
	prefix  [len(receivedField)]byte
	prefixN int

	// longLines counts lines beyond the 998 octets of RFC 5322, which are taken.
	longLines int
}

// newlineRule is how strict the check of line ends is.
type newlineRule int

const (
	newlineStrict    newlineRule = iota // only CR LF
	newlineNormalize                    // a bare LF becomes CR LF
	newlineAny                          // anything goes, kept as it is (BDAT)
)

const (
	receivedField = "received:"
	softLine      = 998
)

// check looks at the next octets and returns them as they are to be kept, or
// what is wrong with the message. The result may share p's memory.
func (c *content) check(p []byte) ([]byte, *reply) {
	kept := p
	if c.newline == newlineNormalize {
		kept = c.normalize(p)
	}
	rest := kept
	for len(rest) > 0 {
		end := bytes.IndexByte(rest, '\n')
		part, whole := rest, end >= 0
		if whole {
			part = rest[:end]
		}
		if bad := c.part(part, whole); bad != nil {
			return nil, bad
		}
		rest = rest[len(part):]
		if whole {
			rest = rest[1:]
		}
	}
	if over(c.size, c.o.MaxMessageBytes) {
		return nil, &replyTooLarge
	}
	return kept, nil
}

// close checks the end of the message.
func (c *content) close() *reply {
	if c.lastCR && c.newline != newlineAny {
		return &replyBareNewline
	}
	return nil
}

// part takes a piece of a line without its LF; whole says that the LF comes next.
func (c *content) part(p []byte, whole bool) *reply {
	if c.newline != newlineAny && c.bare(p, whole) {
		return &replyBareNewline
	}
	c.lineSize += len(p)
	c.size += int64(len(p))
	if whole {
		c.size++
	}
	if !c.inBody {
		if bad := c.headerPart(p, whole); bad != nil {
			return bad
		}
	}
	text := c.lineSize
	if len(p) > 0 && p[len(p)-1] == '\r' || len(p) == 0 && c.lastCR {
		text--
	}
	if over(text, c.o.MaxLineBytes) {
		return &replyLine
	}
	if len(p) > 0 {
		c.lastCR = p[len(p)-1] == '\r'
	}
	if whole {
		if text > softLine {
			c.longLines++
		}
		c.lineSize, c.lastCR = 0, false
	}
	return nil
}

// bare finds a CR or LF outside a CR LF.
func (c *content) bare(p []byte, whole bool) bool {
	if len(p) == 0 {
		return whole && !c.lastCR
	}
	if c.lastCR {
		return true
	}
	cr := bytes.IndexByte(p, '\r')
	return cr >= 0 && cr < len(p)-1 || whole && cr < 0
}

// headerPart follows the header's fields until the empty line, or the first
// line that cannot be part of a header.
func (c *content) headerPart(p []byte, whole bool) *reply {
	c.header += int64(len(p))
	if whole {
		c.header++
	}
	if len(p) > 0 && c.lineSize == len(p) { // the line begins
		c.folded = p[0] == ' ' || p[0] == '\t'
		c.colon, c.prefixN = false, 0
	}
	c.colon = c.colon || bytes.IndexByte(p, ':') >= 0
	c.prefixN += copy(c.prefix[c.prefixN:], p)
	if over(c.header, c.o.MaxHeaderBytes) {
		return &replyHeader
	}
	if !whole {
		return nil
	}
	empty := c.lineSize == 0 || c.lineSize == 1 && (c.lastCR || len(p) == 1 && p[0] == '\r')
	if empty || !c.folded && !c.colon && c.fields > 0 {
		c.inBody = true
		return nil
	}
	return c.field()
}

// field counts the field that the line just read begins.
func (c *content) field() *reply {
	if c.folded {
		return nil
	}
	c.fields++
	if c.prefixN == len(receivedField) && bytes.EqualFold(c.prefix[:], []byte(receivedField)) {
		c.hops++
	}
	switch {
	case over(c.fields, c.o.MaxHeaderFields):
		return &replyFields
	case over(c.hops, c.o.MaxReceivedHops):
		return &replyLoop
	}
	return nil
}

// normalize puts a CR before each LF that has none.
func (c *content) normalize(p []byte) []byte {
	bare := 0
	cr := c.lastCR
	for _, b := range p {
		if b == '\n' && !cr {
			bare++
		}
		cr = b == '\r'
	}
	if bare == 0 {
		return p
	}
	out := make([]byte, 0, len(p)+bare)
	cr = c.lastCR
	for _, b := range p {
		if b == '\n' && !cr {
			out = append(out, '\r')
		}
		out = append(out, b)
		cr = b == '\r'
	}
	return out
}

package message

// Canon is a canonicalisation algorithm of header or body.
//
// https://www.rfc-editor.org/rfc/rfc6376#section-3.4
type Canon uint8

// The algorithms. The zero value is the default of the c= tag.
const (
	Simple Canon = iota
	Relaxed
)

// ParseCanon reads the name of an algorithm.
func ParseCanon(name string) (c Canon, ok bool) {
	switch name {
	case "simple":
		return Simple, true
	case "relaxed":
		return Relaxed, true
	}
	return Simple, false
}

// String returns the name as a c= tag has it.
func (c Canon) String() string {
	if c == Relaxed {
		return "relaxed"
	}
	return "simple"
}

// AppendField appends the canonical form of a field, CRLF included, to dst.
func (c Canon) AppendField(dst []byte, f Field) []byte {
	if c == Relaxed {
		return appendRelaxed(dst, f.Name, f.RawValue(), "")
	}
	return appendSimple(dst, f.Raw, "")
}

// AppendUnsigned is AppendField for a signature field with these tags, without
// the value of b= and without the CRLF: what a signature covers of its own
// field.
//
// https://www.rfc-editor.org/rfc/rfc6376#section-3.7
func (c Canon) AppendUnsigned(dst []byte, f Field, tags Tags) []byte {
	before, after := tags.around("b")
	if c == Relaxed {
		dst = appendRelaxed(dst, f.Name, before, after)
	} else {
		head := len(f.Raw) - len(f.RawValue())
		dst = appendSimple(dst, f.Raw[:head+len(before)], after)
	}
	return dst[:len(dst)-len("\r\n")]
}

// appendSimple changes nothing but a line end without CR or a missing one. The
// field comes in two pieces.
//
// https://www.rfc-editor.org/rfc/rfc6376#section-3.4.1
func appendSimple(dst []byte, before, after string) []byte {
	last := byte(0)
	for _, piece := range [...]string{before, after} {
		for i := range len(piece) {
			if piece[i] == '\n' && last != '\r' {
				dst = append(dst, '\r')
			}
			last = piece[i]
			dst = append(dst, last)
		}
	}
	switch last {
	case '\n':
		return dst
	case '\r':
		return append(dst, '\n')
	}
	return append(dst, '\r', '\n')
}

// appendRelaxed lower-cases the name, unfolds, and makes each run of white
// space one space or, around colon and line end, nothing. The value comes in
// two pieces, the first of which does not end in a CR.
//
// https://www.rfc-editor.org/rfc/rfc6376#section-3.4.2
func appendRelaxed(dst []byte, name, before, after string) []byte {
	for i := range len(name) {
		dst = append(dst, lower(name[i]))
	}
	dst = append(dst, ':')
	space, started := false, false
	for _, piece := range [...]string{before, after} {
		for i := range len(piece) {
			c := piece[i]
			switch {
			case isSpace(c):
				space = true
			case c == '\n', c == '\r' && i+1 < len(piece) && piece[i+1] == '\n':
			default:
				if space && started {
					dst = append(dst, ' ')
				}
				dst = append(dst, c)
				space, started = false, true
			}
		}
	}
	return append(dst, '\r', '\n')
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

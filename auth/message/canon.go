package message

import "bytes"

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
		return appendRelaxed(dst, f)
	}
	return appendSimple(dst, f.Raw)
}

// appendSimple changes nothing but a line end without CR or a missing one.
//
// https://www.rfc-editor.org/rfc/rfc6376#section-3.4.1
func appendSimple(dst, raw []byte) []byte {
	for line := range bytes.Lines(raw) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		dst = append(dst, bytes.TrimSuffix(line, []byte("\r"))...)
		dst = append(dst, '\r', '\n')
	}
	return dst
}

// appendRelaxed lower-cases the name, unfolds, and makes each run of white
// space one space or, around colon and line end, nothing.
//
// https://www.rfc-editor.org/rfc/rfc6376#section-3.4.2
func appendRelaxed(dst []byte, f Field) []byte {
	for i := range len(f.Name) {
		dst = append(dst, lower(f.Name[i]))
	}
	dst = append(dst, ':')
	value := f.RawValue()
	space, started := false, false
	for i, c := range value {
		switch {
		case isSpace(c):
			space = true
		case c == '\n', c == '\r' && i+1 < len(value) && value[i+1] == '\n':
		default:
			if space && started {
				dst = append(dst, ' ')
			}
			dst = append(dst, c)
			space, started = false, true
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

package message

import (
	"bytes"
	"strings"
)

// Field is one header field with its bytes as they came.
type Field struct {
	// Name is the field name as written; "" marks a malformed line.
	Name string
	// Raw is the whole field with its folding and the line end, if it has one.
	Raw []byte
	// Offset is where the field starts in the message, in bytes.
	Offset int64

	colon int // position of the colon in Raw
}

// NewField makes a field of its raw bytes, which stand at the given offset of a
// message.
func NewField(raw []byte, offset int64) Field {
	f := Field{Raw: raw, Offset: offset}
	if colon := bytes.IndexByte(raw, ':'); colon > 0 {
		name := bytes.TrimRight(raw[:colon], " \t")
		if isFieldName(name) {
			f.Name, f.colon = string(name), colon
		}
	}
	return f
}

// isFieldName checks the characters of a field name.
//
// https://www.rfc-editor.org/rfc/rfc5322#section-2.2
func isFieldName(name []byte) bool {
	for _, c := range name {
		if c < '!' || c > '~' {
			return false
		}
	}
	return len(name) > 0
}

// RawValue returns what follows the colon, with folding and line end.
func (f Field) RawValue() []byte {
	if f.Name == "" {
		return nil
	}
	return f.Raw[f.colon+1:]
}

// Value returns what follows the colon as one line: line ends are taken out,
// white space within folding stays, white space around the value goes.
func (f Field) Value() string {
	raw := f.RawValue()
	if bytes.IndexByte(raw, '\n') < 0 {
		return string(bytes.TrimSpace(raw))
	}
	var b strings.Builder
	b.Grow(len(raw))
	for line := range bytes.Lines(raw) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		b.Write(bytes.TrimSuffix(line, []byte("\r")))
	}
	return strings.TrimSpace(b.String())
}

// WithValue returns the field with another raw value. It serves to hash a
// signature field without its signature.
func (f Field) WithValue(raw []byte) Field {
	f.Raw = append(f.Raw[:f.colon+1:f.colon+1], raw...)
	return f
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

package message

import "strings"

// Field is one header field with its octets as they came.
type Field struct {
	// Name is the field name as written; "" marks a malformed line.
	Name string
	// Raw is the whole field with its folding and the line end, if it has one.
	Raw string
	// Offset is where the field starts in the message, in bytes.
	Offset int64

	colon int // position of the colon in Raw
}

// NewField makes a field of its raw octets, which stand at the given offset of a
// message.
func NewField(raw string, offset int64) Field {
	f := Field{Raw: raw, Offset: offset}
	if colon := strings.IndexByte(raw, ':'); colon > 0 {
		name := strings.TrimRight(raw[:colon], " \t")
		if isFieldName(name) {
			f.Name, f.colon = name, colon
		}
	}
	return f
}

// isFieldName checks the characters of a field name.
//
// https://www.rfc-editor.org/rfc/rfc5322#section-2.2
func isFieldName(name string) bool {
	for i := range len(name) {
		if name[i] < '!' || name[i] > '~' {
			return false
		}
	}
	return name != ""
}

// RawValue returns what follows the colon, with folding and line end.
func (f Field) RawValue() string {
	if f.Name == "" {
		return ""
	}
	return f.Raw[f.colon+1:]
}

// Value returns what follows the colon as one line: line ends are taken out,
// white space within folding stays, white space around the value goes.
func (f Field) Value() string {
	raw := strings.TrimSpace(f.RawValue())
	if strings.IndexByte(raw, '\n') < 0 {
		return raw
	}
	var b strings.Builder
	b.Grow(len(raw))
	for line := range strings.Lines(raw) {
		line = strings.TrimSuffix(line, "\n")
		b.WriteString(strings.TrimSuffix(line, "\r"))
	}
	return strings.TrimSpace(b.String())
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

package mail

import (
	"bytes"
	"iter"
	"strings"
	"unicode/utf8"
)

const (
	maxHeaderBytes  = 1 << 20 // of one header block; the rest is skipped
	maxHeaderFields = 10_000
)

// field is one header field; value still has its line ends.
type field struct {
	name  string
	value string
}

// header holds the fields of one header block in their order.
type header struct {
	fields  []field
	charset string // of 8-bit text that is not UTF-8, as far as the bodies tell
}

// get returns the first field called name, unfolded and as valid UTF-8, with
// encoded-words left alone; "" without one.
func (h header) get(name string) string {
	for _, f := range h.fields {
		if strings.EqualFold(f.name, name) {
			return h.unfold(f.value)
		}
	}
	return ""
}

// all returns every field called name, each as get does.
func (h header) all(name string) []string {
	var values []string
	for _, f := range h.fields {
		if strings.EqualFold(f.name, name) {
			values = append(values, h.unfold(f.value))
		}
	}
	return values
}

// has tells whether there is a field called name.
func (h header) has(name string) bool {
	for _, f := range h.fields {
		if strings.EqualFold(f.name, name) {
			return true
		}
	}
	return false
}

// names yields the name of every field, in order, as written.
func (h header) names() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, f := range h.fields {
			if !yield(f.name) {
				return
			}
		}
	}
}

// decoded returns the first field called name as people read it: encoded-words
// decoded, control characters and line ends turned into spaces.
func (h header) decoded(name string) string {
	return oneLine(decodeWords(h.get(name)))
}

// detectCharset guesses the charset of the fields with 8-bit text, taken together
// as each is short.
func (h header) detectCharset() string {
	var sample []byte
	for _, f := range h.fields {
		if !isASCII(f.value) && len(sample) < maxDetect && !utf8.ValidString(f.value) {
			sample = append(append(sample, f.value...), '\n')
		}
	}
	return detectCharset(sample)
}

// unfold makes one line of a value, with one space where it was folded, drops
// NUL and makes 8-bit text UTF-8.
func (h header) unfold(value string) string {
	if strings.ContainsAny(value, "\r\n\x00") {
		var out strings.Builder
		for line := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == '\r' || r == '\n' }) {
			if line = strings.Trim(line, " \t\x00"); line != "" {
				out.WriteString(" " + line)
			}
		}
		value = strings.ReplaceAll(out.String(), "\x00", "")
	}
	return strings.TrimSpace(headerText(value, h.charset))
}

// headerReader collects the fields of one header block from its lines.
type headerReader struct {
	fields []field
	name   string
	value  bytes.Buffer
	size   int
	cut    bool // over the limits: the rest was dropped
}

// add takes one more line and tells whether it can belong to a header: a
// field, or the continuation of one.
func (r *headerReader) add(ln line) bool {
	continued := !ln.first || len(ln.text) > 0 && (ln.text[0] == ' ' || ln.text[0] == '\t')
	if continued {
		r.extend(ln)
		return true
	}
	name, value, ok := splitField(ln.text)
	if !ok {
		return false
	}
	r.flush()
	r.name = name
	r.write(value)
	return true
}

// extend appends a line to the current field.
func (r *headerReader) extend(ln line) {
	if ln.first {
		r.write([]byte("\r\n"))
	}
	r.write(ln.text)
}

func (r *headerReader) write(data []byte) {
	r.size += len(data)
	if r.size > maxHeaderBytes {
		r.cut = true
		return
	}
	r.value.Write(data)
}

func (r *headerReader) flush() {
	switch {
	case r.name == "":
	case len(r.fields) >= maxHeaderFields:
		r.cut = true
	default:
		r.fields = append(r.fields, field{r.name, r.value.String()})
	}
	r.name = ""
	r.value.Reset()
}

// splitField cuts `Name: value`. White space before the colon is tolerated, in
// the name it is not.
func splitField(text []byte) (name string, value []byte, ok bool) {
	before, value, found := bytes.Cut(text, []byte{':'})
	before = bytes.TrimRight(before, " \t")
	if !found || len(before) == 0 || len(before) > 256 {
		return "", nil, false
	}
	for _, c := range before {
		if c <= ' ' || c >= 0x7f {
			return "", nil, false
		}
	}
	return string(before), value, true
}

// fieldsFollow tells whether the text up to the next blank line has another
// header field: a line that is none is then taken for a badly folded one, not
// for the beginning of the body.
func fieldsFollow(ahead []byte) bool {
	for raw := range bytes.Lines(ahead) {
		text := bytes.TrimRight(raw, "\r\n")
		if len(bytes.TrimSpace(text)) == 0 {
			return false
		}
		if name, value, ok := splitField(text); ok && plausibleField(name, value) {
			return true
		}
	}
	return false
}

// plausibleField is stricter than splitField, for places where text may stand.
func plausibleField(name string, value []byte) bool {
	for i := range len(name) {
		c := name[i] | 0x20
		if (c < 'a' || c > 'z') && (i == 0 || name[i] != '-' && (name[i] < '0' || name[i] > '9')) {
			return false
		}
	}
	return len(value) == 0 || value[0] == ' ' || value[0] == '\t'
}

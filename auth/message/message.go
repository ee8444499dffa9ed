// Package message reads the header fields of a raw message and canonicalises
// header and body the way DKIM and ARC hash them. It works on bytes, keeps
// every byte as it came and never holds a body in memory.
package message

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"sort"
	"strings"
	"sync"
)

// ErrTooLarge tells that a header block exceeds one of the Limits.
var ErrTooLarge = errors.New("message header too large")

// errMalformed is the defect of a header line that belongs to no field.
var errMalformed = errors.New("malformed header line")

const (
	defaultHeaderBytes = 256 << 10
	defaultFields      = 1000
	readBuffer         = 8 << 10
)

// headers lends buffers to read headers into.
var headers = sync.Pool{New: func() any { return new(make([]byte, 0, 2*readBuffer)) }}

// Limits bounds what Read accepts. Zero values mean the defaults.
type Limits struct {
	// HeaderBytes is the size of the header block without the empty line that
	// ends it; default 256 KiB.
	HeaderBytes int
	// Fields is the number of header fields; default 1000.
	Fields int
}

// Message is a parsed header and a body that stays where it is. It is safe for
// concurrent use as long as nobody writes to Fields.
type Message struct {
	// Fields are the header fields from top to bottom. A line that belongs to
	// no field stands among them with an empty Name.
	Fields []Field
	// Defect is the first syntax error of the header block, nil when there is
	// none. A message with a defect can be used all the same.
	Defect error

	source     io.ReaderAt
	bodyOffset int64
	bodySize   int64
	order      []int32 // positions in Fields of those with a name, sorted by it

	mu     sync.Mutex
	hashes []specHash
	few    [2]specHash // the room of hashes that most messages need
}

// Read parses the header of the size bytes in r. The source must stay readable
// and unchanged while the message is in use. Lines may end in CRLF or in LF; a
// header without the empty line that ends it is a message without body. The
// error is ErrTooLarge or what the source returned.
func Read(r io.ReaderAt, size int64, o Limits) (*Message, error) {
	if o.HeaderBytes <= 0 {
		o.HeaderBytes = defaultHeaderBytes
	}
	if o.Fields <= 0 {
		o.Fields = defaultFields
	}
	header, bodyOffset, err := readHeader(r, size, o.HeaderBytes)
	if err != nil {
		return nil, err
	}
	m := &Message{source: r, bodyOffset: bodyOffset, bodySize: max(0, size-bodyOffset)}
	m.hashes = m.few[:0]
	if err := m.split(header, o.Fields); err != nil {
		return nil, err
	}
	m.index()
	return m, nil
}

// readHeader returns the header block and the offset at which the body starts.
func readHeader(r io.ReaderAt, size int64, limit int) (header string, bodyOffset int64, err error) {
	lent := headers.Get().(*[]byte)
	defer headers.Put(lent)
	buf := (*lent)[:0]
	line := 0 // start of the first line whose end has not been seen
	for err == nil {
		buf, err = readPiece(buf, r, size)
		for i := bytes.IndexByte(buf[line:], '\n'); i >= 0; i = bytes.IndexByte(buf[line:], '\n') {
			end := line + i + 1
			if isLineEnd(buf[line:end]) {
				return string(buf[:line]), int64(end), nil
			}
			if line = end; line > limit {
				break
			}
		}
		if len(buf) > limit && string(buf[limit:]) != "\r" {
			return "", 0, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)
		}
	}
	if !errors.Is(err, io.EOF) {
		return "", 0, fmt.Errorf("read header: %w", err)
	}
	return string(buf), int64(len(buf)), nil
}

// readPiece appends what stands behind buf in r, at most readBuffer octets.
func readPiece(buf []byte, r io.ReaderAt, size int64) ([]byte, error) {
	have := len(buf)
	want := int(min(readBuffer, size-int64(have)))
	if want <= 0 {
		return buf, io.EOF
	}
	buf = slices.Grow(buf, want)
	n, err := r.ReadAt(buf[have:have+want], int64(have))
	if n == want {
		err = nil
	}
	return buf[:have+n], err
}

func isLineEnd(line []byte) bool {
	return string(line) == "\r\n" || string(line) == "\n"
}

// split cuts the header block into fields: a line that starts with white space
// continues the field above it.
func (m *Message) split(header string, limit int) error {
	m.Fields = make([]Field, 0, min(strings.Count(header, "\n")+1, limit))
	for start := 0; start < len(header); {
		end := nextLine(header, start)
		for end < len(header) && isSpace(header[end]) {
			end = nextLine(header, end)
		}
		if len(m.Fields) == limit {
			return fmt.Errorf("%w: more than %d fields", ErrTooLarge, limit)
		}
		f := NewField(header[start:end], int64(start))
		if f.Name == "" && m.Defect == nil {
			m.Defect = fmt.Errorf("%w at offset %d", errMalformed, start)
		}
		m.Fields = append(m.Fields, f)
		start = end
	}
	return nil
}

func nextLine(s string, from int) int {
	if i := strings.IndexByte(s[from:], '\n'); i >= 0 {
		return from + i + 1
	}
	return len(s)
}

// index sorts the positions of the fields by their names.
func (m *Message) index() {
	m.order = make([]int32, 0, len(m.Fields))
	for i, f := range m.Fields {
		if f.Name != "" {
			m.order = append(m.order, int32(i))
		}
	}
	slices.SortFunc(m.order, func(a, b int32) int {
		return cmp.Or(compareFold(m.Fields[a].Name, m.Fields[b].Name), cmp.Compare(a, b))
	})
}

// compareFold orders names without regard to the case of ASCII letters.
func compareFold(a, b string) int {
	for i := range min(len(a), len(b)) {
		if c := cmp.Compare(lower(a[i]), lower(b[i])); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

// Named returns the positions in Fields of the fields of that name, in any case,
// from top to bottom. The slice is not to be written to.
func (m *Message) Named(name string) []int32 {
	from := sort.Search(len(m.order), func(i int) bool { return compareFold(m.Fields[m.order[i]].Name, name) >= 0 })
	rest := m.order[from:]
	return rest[:sort.Search(len(rest), func(i int) bool { return compareFold(m.Fields[rest[i]].Name, name) > 0 })]
}

// Get returns the fields of that name, in any case, from top to bottom.
func (m *Message) Get(name string) []Field {
	at := m.Named(name)
	fields := make([]Field, len(at))
	for i, n := range at {
		fields[i] = m.Fields[n]
	}
	return fields
}

// Count returns how many fields have that name, in any case.
func (m *Message) Count(name string) int { return len(m.Named(name)) }

// Select yields the fields that a colon-separated list of signed names stands
// for: each mention of a name takes the lowest field of that name not taken
// yet, and a mention for which no field is left stands for nothing. The field
// at offset except, the signature being checked, is never taken; -1 excepts
// none.
//
// https://www.rfc-editor.org/rfc/rfc6376#section-5.4.2
func (m *Message) Select(names string, except int64) iter.Seq[Field] {
	return func(yield func(Field) bool) {
		var few [64]uint16
		taken := few[:] // by the position of the lowest field of a name
		if len(m.Fields) > len(few) {
			taken = make([]uint16, len(m.Fields))
		}
		for name := range strings.SplitSeq(names, ":") {
			at := m.Named(name)
			if len(at) == 0 {
				continue
			}
			lowest := at[len(at)-1]
			at = at[:len(at)-int(taken[lowest])]
			if n := len(at); n > 0 && m.Fields[at[n-1]].Offset == except {
				taken[lowest]++
				at = at[:n-1]
			}
			if len(at) == 0 {
				continue
			}
			taken[lowest]++
			if !yield(m.Fields[at[len(at)-1]]) {
				return
			}
		}
	}
}

// Body returns a new reader of the raw body, at its start.
func (m *Message) Body() *io.SectionReader {
	return io.NewSectionReader(m.source, m.bodyOffset, m.bodySize)
}

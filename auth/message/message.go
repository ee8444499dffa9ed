// Package message reads the header fields of a raw message and canonicalises
// header and body the way DKIM and ARC hash them. It works on bytes, keeps
// every byte as it came and never holds a body in memory.
package message

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
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
	byName     map[string][]int // lower-case name to positions in Fields

	mu     sync.Mutex
	hashes map[BodySpec]BodyHash
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
	header, bodyOffset, err := readHeader(io.NewSectionReader(r, 0, size), o.HeaderBytes)
	if err != nil {
		return nil, err
	}
	m := &Message{
		source:     r,
		bodyOffset: bodyOffset,
		bodySize:   max(0, size-bodyOffset),
		byName:     map[string][]int{},
		hashes:     map[BodySpec]BodyHash{},
	}
	if err := m.split(header, o.Fields); err != nil {
		return nil, err
	}
	return m, nil
}

// readHeader returns the header block and the offset at which the body starts.
func readHeader(r io.Reader, limit int) (header []byte, bodyOffset int64, err error) {
	br := bufio.NewReaderSize(r, readBuffer)
	atLineStart := true
	for {
		piece, err := br.ReadSlice('\n')
		if atLineStart && isLineEnd(piece) {
			return header, int64(len(header) + len(piece)), nil
		}
		if len(header)+len(piece) > limit {
			return nil, 0, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)
		}
		header = append(header, piece...)
		atLineStart = err == nil
		switch {
		case err == nil || errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return header, int64(len(header)), nil
		default:
			return nil, 0, fmt.Errorf("read header: %w", err)
		}
	}
}

func isLineEnd(line []byte) bool {
	return string(line) == "\r\n" || string(line) == "\n"
}

// split cuts the header block into fields: a line that starts with white space
// continues the field above it.
func (m *Message) split(header []byte, limit int) error {
	for start := 0; start < len(header); {
		end := nextLine(header, start)
		for end < len(header) && isSpace(header[end]) {
			end = nextLine(header, end)
		}
		if len(m.Fields) == limit {
			return fmt.Errorf("%w: more than %d fields", ErrTooLarge, limit)
		}
		m.add(NewField(header[start:end:end], int64(start)))
		start = end
	}
	return nil
}

func nextLine(b []byte, from int) int {
	if i := bytes.IndexByte(b[from:], '\n'); i >= 0 {
		return from + i + 1
	}
	return len(b)
}

func (m *Message) add(f Field) {
	if f.Name == "" {
		if m.Defect == nil {
			m.Defect = fmt.Errorf("%w at offset %d", errMalformed, f.Offset)
		}
	} else {
		key := strings.ToLower(f.Name)
		m.byName[key] = append(m.byName[key], len(m.Fields))
	}
	m.Fields = append(m.Fields, f)
}

// Get returns the fields of that name, in any case, from top to bottom.
func (m *Message) Get(name string) []Field {
	at := m.byName[strings.ToLower(name)]
	fields := make([]Field, len(at))
	for i, n := range at {
		fields[i] = m.Fields[n]
	}
	return fields
}

// Count returns how many fields have that name, in any case.
func (m *Message) Count(name string) int {
	return len(m.byName[strings.ToLower(name)])
}

// Select returns the fields that a list of signed names stands for: each
// mention of a name takes the lowest field of that name not taken yet, and a
// mention for which no field is left stands for nothing. The field at offset
// except, the signature being checked, is never taken; -1 excepts none.
//
// https://www.rfc-editor.org/rfc/rfc6376#section-5.4.2
func (m *Message) Select(names []string, except int64) []Field {
	var fields []Field
	left := map[string]int{}
	for _, name := range names {
		key := strings.ToLower(name)
		at := m.byName[key]
		n, seen := left[key]
		if !seen {
			n = len(at)
		}
		if n > 0 && m.Fields[at[n-1]].Offset == except {
			n--
		}
		if n > 0 {
			n--
			fields = append(fields, m.Fields[at[n]])
		}
		if len(at) > 0 {
			left[key] = n
		}
	}
	return fields
}

// Body returns a new reader of the raw body, at its start.
func (m *Message) Body() *io.SectionReader {
	return io.NewSectionReader(m.source, m.bodyOffset, m.bodySize)
}

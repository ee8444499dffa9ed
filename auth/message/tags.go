package message

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

var (
	errNoTag     = errors.New("tag list without tag")
	errTagName   = errors.New("malformed tag name")
	errTagNoSign = errors.New("tag without equals sign")
)

// maxTagName bounds names because they are quoted in errors.
const maxTagName = 64

// Tags is a parsed tag=value list of a signature field or key record. Names
// and values are case-sensitive.
//
// https://www.rfc-editor.org/rfc/rfc6376#section-3.2
type Tags struct {
	source []byte
	first  string
	tags   map[string]tag
}

type tag struct {
	value      string
	start, end int // of the value with its white space in the source
}

// ParseTags reads a tag list. It refuses a list with a duplicate name, with an
// empty entry other than one after the last semicolon, or with characters that
// a value may not have. UTF-8 is allowed in values.
//
// https://www.rfc-editor.org/rfc/rfc8616#section-4
func ParseTags(source []byte) (Tags, error) {
	t := Tags{source: source, tags: map[string]tag{}}
	for start := 0; ; {
		end := len(source)
		if i := bytes.IndexByte(source[start:], ';'); i >= 0 {
			end = start + i
		}
		last := end == len(source)
		if last && start > 0 && isBlank(source[start:]) {
			return t, nil
		}
		if err := t.add(start, end); err != nil {
			return Tags{}, err
		}
		if last {
			return t, nil
		}
		start = end + 1
	}
}

func (t *Tags) add(start, end int) error {
	spec := t.source[start:end]
	if isBlank(spec) {
		return errNoTag
	}
	equals := bytes.IndexByte(spec, '=')
	if equals < 0 {
		return errTagNoSign
	}
	name := string(trimSpace(spec[:equals]))
	if !isTagName(name) {
		return errTagName
	}
	if _, ok := t.tags[name]; ok {
		return fmt.Errorf("duplicate tag %s", name)
	}
	value := trimSpace(spec[equals+1:])
	if !isTagValue(value) {
		return fmt.Errorf("malformed value of tag %s", name)
	}
	if len(t.tags) == 0 {
		t.first = name
	}
	t.tags[name] = tag{value: string(value), start: start + equals + 1, end: end}
	return nil
}

// Get returns the value of a tag without the white space around it, and
// whether the tag is there.
func (t Tags) Get(name string) (value string, ok bool) {
	g, ok := t.tags[name]
	return g.value, ok
}

// First returns the name of the first tag.
func (t Tags) First() string { return t.first }

// Without returns the source with the value of one tag taken out, the white
// space around it included.
//
// https://www.rfc-editor.org/rfc/rfc6376#section-3.5
func (t Tags) Without(name string) []byte {
	g, ok := t.tags[name]
	if !ok {
		return t.source
	}
	return append(t.source[:g.start:g.start], t.source[g.end:]...)
}

// RemoveSpace takes all white space and line ends out of a tag value: those of
// base64 data do not count.
func RemoveSpace(s string) string {
	if !strings.ContainsAny(s, " \t\r\n") {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && isBlankByte(byte(r)) {
			return -1
		}
		return r
	}, s)
}

func trimSpace(b []byte) []byte { return bytes.Trim(b, " \t\r\n") }

func isBlank(b []byte) bool { return len(trimSpace(b)) == 0 }

func isBlankByte(c byte) bool { return isSpace(c) || c == '\r' || c == '\n' }

func isTagName(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := 'a' <= lower(c) && lower(c) <= 'z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return name != "" && len(name) <= maxTagName
}

func isTagValue(value []byte) bool {
	for _, c := range value {
		if c == 0x7f || c < ' ' && !isBlankByte(c) {
			return false
		}
	}
	return utf8.Valid(value)
}

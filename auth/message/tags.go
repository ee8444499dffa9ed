package message

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

var (
	errNoTag     = errors.New("tag list without tag")
	errTagName   = errors.New("malformed tag name")
	errTagNoSign = errors.New("tag without equals sign")
	errManyTags  = errors.New("too many tags")
)

const (
	maxTagName = 64  // names are quoted in errors
	maxTags    = 100 // of one list
)

// Tags is a parsed tag=value list of a signature field or key record. Names
// and values are case-sensitive.
//
// https://www.rfc-editor.org/rfc/rfc6376#section-3.2
type Tags struct {
	source string
	tags   []tag
}

type tag struct {
	name, value string
	start, end  int // of the value with its white space in the source
}

// ParseTags reads a tag list. It refuses a list with a duplicate name, with more
// than 100 tags, with an empty entry other than one after the last semicolon, or
// with characters that a value may not have. UTF-8 is allowed in values.
//
// https://www.rfc-editor.org/rfc/rfc8616#section-4
func ParseTags(source string) (Tags, error) {
	t := Tags{source: source, tags: make([]tag, 0, min(strings.Count(source, ";")+1, maxTags))}
	for start := 0; ; {
		end := len(source)
		if i := strings.IndexByte(source[start:], ';'); i >= 0 {
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
	name, value, found := strings.Cut(spec, "=")
	if !found {
		return errTagNoSign
	}
	g := tag{name: trimSpace(name), value: trimSpace(value), start: end - len(value), end: end}
	if !isTagName(g.name) {
		return errTagName
	}
	if _, ok := t.Get(g.name); ok {
		return fmt.Errorf("duplicate tag %s", g.name)
	}
	if !isTagValue(g.value) {
		return fmt.Errorf("malformed value of tag %s", g.name)
	}
	if len(t.tags) == maxTags {
		return errManyTags
	}
	t.tags = append(t.tags, g)
	return nil
}

// find returns the tag of that name, nil when it is not there.
func (t Tags) find(name string) *tag {
	for i := range t.tags {
		if t.tags[i].name == name {
			return &t.tags[i]
		}
	}
	return nil
}

// Get returns the value of a tag without the white space around it, and
// whether the tag is there.
func (t Tags) Get(name string) (value string, ok bool) {
	if g := t.find(name); g != nil {
		return g.value, true
	}
	return "", false
}

// First returns the name of the first tag.
func (t Tags) First() string { return t.tags[0].name }

// around returns what stands in the source before and behind the value of a
// tag and the white space around it.
//
// https://www.rfc-editor.org/rfc/rfc6376#section-3.5
func (t Tags) around(name string) (before, after string) {
	if g := t.find(name); g != nil {
		return t.source[:g.start], t.source[g.end:]
	}
	return t.source, ""
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

func trimSpace(s string) string { return strings.Trim(s, " \t\r\n") }

func isBlank(s string) bool { return trimSpace(s) == "" }

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

func isTagValue(value string) bool {
	for i := range len(value) {
		if c := value[i]; c == 0x7f || c < ' ' && !isBlankByte(c) {
			return false
		}
	}
	return utf8.ValidString(value)
}

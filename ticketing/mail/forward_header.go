package mail

import (
	"strings"
	"unicode"
)

const (
	maxBlockLines = 40 // of a quoted header block
	maxLabel      = 40 // octets of a label
)

// headerBlock is the header of a quoted or forwarded mail as its text shows it.
type headerBlock struct {
	values map[labelKind]string
	first  labelKind
	length int // lines
}

// convincing tells whether the block can be nothing but a mail's header: who,
// and two of when, to whom and what, with a subject or an address among them.
func (b headerBlock) convincing() bool {
	from, ok := b.values[labelFrom]
	if !ok || len(b.values) < 3 {
		return false
	}
	_, date := b.values[labelDate]
	_, to := b.values[labelTo]
	_, subject := b.values[labelSubject]
	return (date || to) && (subject || strings.Contains(from, "@"))
}

var labels = labelTable()

func labelTable() map[string]labelKind {
	table := map[string]labelKind{}
	for kind := labelFrom; kind <= labelReplyTo; kind++ {
		for _, w := range words(labelWords[kind]) {
			if table[w] == labelNone {
				table[w] = kind
			}
		}
	}
	return table
}

// readLabel splits a line like `*Von:* Ann` into the kind of its label and the
// value.
func readLabel(line string) (labelKind, string) {
	head := cutText(line, maxLabel+4+len("："))
	at := strings.IndexByte(head, ':')
	if wide := strings.Index(head, "："); wide >= 0 && (at < 0 || wide < at) {
		at = wide
	}
	if at < 1 || at > maxLabel+4 {
		return labelNone, ""
	}
	label := strings.ToLower(strings.TrimSpace(strings.Trim(line[:at], "*_ |")))
	kind := labels[label]
	if kind == labelNone {
		return labelNone, ""
	}
	value := strings.TrimPrefix(strings.TrimPrefix(line[at:], ":"), "：")
	return kind, strings.TrimSpace(strings.TrimLeft(value, "* \t"))
}

// readBlock reads a header block at the top of lines, which are plain lines
// without quote marks. Single blank lines between its fields and values that go
// on in the next line belong to it.
func readBlock(lines []string) (headerBlock, bool) {
	b := headerBlock{values: map[labelKind]string{}}
	last := labelNone
	for i := 0; i < len(lines) && i < maxBlockLines; i++ {
		kind, value := readLabel(lines[i])
		_, seen := b.values[kind]
		switch {
		case kind != labelNone && !seen:
			if last == labelNone {
				b.first = kind
			}
			b.values[kind], last, b.length = value, kind, i+1
		case kind == labelReplyTo || kind != labelNone && kind == last:
			return b, len(b.values) > 1
		case last == labelNone:
			return b, false
		case lines[i] == "":
			if !b.moreBelow(lines[i+1:], 1) {
				return b, len(b.values) > 1
			}
		case isField(lines[i]) || b.moreBelow(lines[i+1:], 3) || strings.HasSuffix(b.values[last], ",") || strings.HasSuffix(b.values[last], ";") || b.values[last] == "":
			if b.values[last] == "" || !isField(lines[i]) {
				b.values[last] = strings.TrimSpace(b.values[last] + " " + lines[i])
			}
			b.length = i + 1
		default:
			return b, len(b.values) > 1
		}
	}
	return b, len(b.values) > 1
}

// moreBelow tells whether one of the next lines is a field of the block that
// has not been seen yet, with no blank line before it.
func (b headerBlock) moreBelow(lines []string, within int) bool {
	for i := 0; i < within && i < len(lines); i++ {
		if lines[i] == "" {
			return false
		}
		if kind, _ := readLabel(lines[i]); kind != labelNone {
			_, seen := b.values[kind]
			return !seen
		}
	}
	return false
}

// isField tells whether a line has the form of some other header field, like
// `Importance: high` or `Organisation: …`.
func isField(line string) bool {
	name, value, ok := strings.Cut(line, ": ")
	if !ok || len(name) > 30 || value == "" {
		return false
	}
	words := 0
	for _, r := range name {
		if r == ' ' {
			words++
		} else if !unicode.IsLetter(r) && r != '-' && r != '*' {
			return false
		}
	}
	return words <= 2 && unicode.IsUpper([]rune(strings.Trim(name, "* ") + "x")[0])
}

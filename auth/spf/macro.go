package spf

import (
	"errors"
	"slices"
	"strings"
)

// template is a parsed macro-string: text and macros in their order.
type template []part

// part is literal text, or a macro when letter is not 0.
type part struct {
	text       string
	letter     byte // lower case
	escape     bool // the letter was upper case: URL-escape the value
	keep       int  // right-hand parts to keep; 0 keeps all
	reverse    bool
	delimiters string // "" stands for "."
}

// The errors of a macro-string.
var (
	errPercent   = errors.New("stray % in macro-string")
	errMacro     = errors.New("malformed macro")
	errLiteral   = errors.New("character not allowed in macro-string")
	errOnlyExp   = errors.New("macro allowed in explanation text only")
	errDomainEnd = errors.New("domain does not end in a top label or macro")
)

const (
	maxKeep     = 255     // the highest number of a macro: no name has more parts
	maxExpanded = 8 << 10 // octets that a template may grow to
)

// parseTemplate reads a macro-string. An explanation's text may hold spaces and
// the macros c, r and t besides.
//
// https://www.rfc-editor.org/rfc/rfc7208#section-7.1
func parseTemplate(s string, explanation bool) (template, error) {
	var t template
	for s != "" {
		end := strings.IndexByte(s, '%')
		if end == 0 {
			p, rest, err := parseMacro(s, explanation)
			if err != nil {
				return nil, err
			}
			t, s = append(t, p), rest
			continue
		}
		if end < 0 {
			end = len(s)
		}
		if strings.ContainsFunc(s[:end], func(r rune) bool { return r < ' ' || r > '~' || r == ' ' && !explanation }) {
			return nil, errLiteral
		}
		t, s = append(t, part{text: s[:end]}), s[end:]
	}
	return t, nil
}

// parseMacro reads the macro-expand at the start of s, which is a percent sign.
func parseMacro(s string, explanation bool) (p part, rest string, err error) {
	if len(s) < 2 {
		return part{}, "", errPercent
	}
	switch s[1] {
	case '%':
		return part{letter: '%', text: "%"}, s[2:], nil
	case '_':
		return part{letter: '%', text: " "}, s[2:], nil
	case '-':
		return part{letter: '%', text: "%20"}, s[2:], nil
	case '{':
		body, rest, ok := strings.Cut(s[2:], "}")
		if !ok {
			return part{}, "", errMacro
		}
		p, err = parseBraces(body, explanation)
		return p, rest, err
	}
	return part{}, "", errPercent
}

// parseBraces reads letter, transformers and delimiters of a macro.
func parseBraces(body string, explanation bool) (part, error) {
	if body == "" {
		return part{}, errMacro
	}
	p := part{letter: lower(body[0])}
	p.escape = p.letter != body[0]
	switch {
	case strings.IndexByte("crt", p.letter) >= 0 && !explanation:
		return part{}, errOnlyExp
	case strings.IndexByte("slodiphcrtv", p.letter) < 0:
		return part{}, errMacro
	}
	body = body[1:]
	digits := 0
	for digits < len(body) && isDigit(body[digits]) {
		p.keep = min(p.keep*10+int(body[digits]-'0'), maxKeep)
		digits++
	}
	// https://www.rfc-editor.org/rfc/rfc7208#section-7.3
	if digits > 0 && p.keep == 0 {
		return part{}, errMacro
	}
	body = body[digits:]
	if body != "" && lower(body[0]) == 'r' {
		p.reverse = true
		body = body[1:]
	}
	if strings.Trim(body, ".-+,/_=") != "" {
		return part{}, errMacro
	}
	p.delimiters = body
	return p, nil
}

// checkDomainEnd tells whether a template is a domain-spec.
//
// https://www.rfc-editor.org/rfc/rfc7208#section-7.1
func (t template) checkDomainEnd() error {
	if len(t) == 0 {
		return errDomainEnd
	}
	last := t[len(t)-1]
	if last.letter != 0 {
		return nil
	}
	text := strings.TrimSuffix(last.text, ".")
	dot := strings.LastIndexByte(text, '.')
	if dot < 0 || !isTopLabel(text[dot+1:]) {
		return errDomainEnd
	}
	return nil
}

// isTopLabel tells whether s has letters, digits and inner hyphens only, and not digits only.
func isTopLabel(s string) bool {
	if s == "" || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	digits := true
	for i := range len(s) {
		if !isDigit(s[i]) {
			digits = false
		}
		if !isDigit(s[i]) && !isAlpha(s[i]) && s[i] != '-' {
			return false
		}
	}
	return !digits
}

// expand puts values in for the macros. value returns what a letter stands for.
// errMalformed tells that the text grew too long.
func (t template) expand(value func(letter byte) (string, error)) (string, error) {
	var s strings.Builder
	for _, p := range t {
		if p.letter == 0 || p.letter == '%' {
			s.WriteString(p.text)
			continue
		}
		v, err := value(p.letter)
		if err != nil {
			return "", err
		}
		s.WriteString(p.transform(v))
		if s.Len() > maxExpanded {
			return "", errMalformed
		}
	}
	return s.String(), nil
}

// transform applies split, reversal, truncation and escaping in that order.
//
// https://www.rfc-editor.org/rfc/rfc7208#section-7.3
func (p part) transform(value string) string {
	delimiters := p.delimiters
	if delimiters == "" {
		delimiters = "."
	}
	fields := split(value, delimiters)
	if p.reverse {
		slices.Reverse(fields)
	}
	if p.keep > 0 && p.keep < len(fields) {
		fields = fields[len(fields)-p.keep:]
	}
	value = strings.Join(fields, ".")
	if p.escape {
		value = escapeURL(value)
	}
	return value
}

// split cuts s at every one of the delimiters, keeping empty parts.
func split(s, delimiters string) []string {
	var parts []string
	for {
		i := strings.IndexAny(s, delimiters)
		if i < 0 {
			return append(parts, s)
		}
		parts = append(parts, s[:i])
		s = s[i+1:]
	}
}

// escapeURL escapes what is not unreserved.
//
// https://www.rfc-editor.org/rfc/rfc3986#section-2.3
func escapeURL(s string) string {
	const digits = "0123456789ABCDEF"
	var out strings.Builder
	for i := range len(s) {
		if c := s[i]; isAlpha(c) || isDigit(c) || strings.IndexByte("-._~", c) >= 0 {
			out.WriteByte(c)
		} else {
			out.WriteString(string([]byte{'%', digits[c>>4], digits[c&15]}))
		}
	}
	return out.String()
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isAlpha(c byte) bool { return 'a' <= lower(c) && lower(c) <= 'z' }

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}

package mail

import (
	"regexp"
	"strings"
	"unicode"

	"github.com/mxdesk/mxdesk/ticketing"
)

const (
	maxAddress   = 320 // octets: 64 for the local part, 255 for the domain
	maxNameRunes = 256
	maxItem      = 8 << 10 // octets of one entry of a list that are looked at
	usualPhrase  = 32      // octets of text that room is made for at once
)

// parseAddresses reads an address list as people and programs write it. An
// entry without a usable address is kept by its name, an empty one not.
//
// https://www.rfc-editor.org/rfc/rfc5322#section-3.4
func parseAddresses(s string) []ticketing.Person {
	var list []ticketing.Person
	pending := "" // entry without an address: the first half of `Doe, John <a@b>`
	keep := func() {
		if p := (ticketing.Person{Name: displayName(pending)}); p.Name != "" {
			list = append(list, p)
		}
		pending = ""
	}
	for _, e := range splitAddresses(s) {
		p, bare := e.person()
		switch {
		case p.Address == "" && bare && !e.quoted && pending == "":
			pending = p.Name
			continue
		case pending != "" && e.hasAngle && p.Address != "" && !e.quoted && p.Name != "":
			p.Name, pending = displayName(pending+", "+p.Name), ""
		case pending != "":
			keep()
		}
		if p != (ticketing.Person{}) {
			list = append(list, p)
		}
		if len(list) >= maxAddresses {
			return list[:maxAddresses]
		}
	}
	if pending != "" {
		keep()
	}
	return list
}

// entry is one item of an address list, cut in its pieces.
type entry struct {
	phrase   strings.Builder // what stands outside of <>, () and unquoted
	angle    strings.Builder // what stands in <>
	comment  strings.Builder
	hasAngle bool
	quoted   bool // the phrase has a quoted string
}

func (e *entry) empty() bool {
	return !e.hasAngle && strings.TrimSpace(e.phrase.String()) == "" && e.comment.Len() == 0
}

// splitAddresses cuts a list at commas and semicolons, drops the names of
// groups, and sorts the text of each entry into its pieces.
func splitAddresses(s string) []*entry {
	var list []*entry
	var e *entry
	end := func() {
		if e != nil && !e.empty() {
			list = append(list, e)
		}
		e = nil
	}
	plainUntil := 0 // where an open quote or comment was looked for in vain
	take := func(i int, piece func(string) int) int {
		if i < plainUntil {
			e.phrase.WriteByte(s[i])
			return 1
		}
		size := piece(s[i:])
		if size == 1 {
			plainUntil = i + maxItem
		}
		return size
	}
	lastEnd := strings.LastIndexByte(s, ';') // no group can begin behind it
	for i := 0; i < len(s) && len(list) <= maxAddresses; {
		if e == nil {
			e = &entry{}
			e.phrase.Grow(min(len(s)-i, usualPhrase))
		}
		switch c := s[i]; c {
		case '"':
			i += take(i, e.quotedString)
			continue
		case '(':
			i += take(i, e.skipComment)
			continue
		case '<':
			i += e.angleAddr(s[i:])
			continue
		case ',', ';':
			end()
		case ':':
			if i < lastEnd && e.isGroup() {
				e = &entry{}
			} else {
				e.phrase.WriteByte(c)
			}
		default:
			e.phrase.WriteByte(c)
		}
		i++
	}
	end()
	return list
}

// isGroup tells whether the text so far can be the name of a group.
func (e *entry) isGroup() bool {
	phrase := strings.ToLower(strings.TrimSpace(e.phrase.String()))
	return !e.hasAngle && phrase != "mailto" && phrase != "smtp" && !strings.Contains(phrase, "@")
}

// quotedString takes a quoted string; without a closing quote just the quote.
func (e *entry) quotedString(s string) int {
	window := s[:min(len(s), maxItem)]
	for i := 1; i < len(window); i++ {
		switch window[i] {
		case '\\':
			i++
		case '"':
			e.quoted = true
			if i+1 < len(s) && s[i+1] == '@' { // a quoted local part
				e.phrase.WriteString(window[:i+1])
			} else {
				e.phrase.WriteString(unescape(window[1:i]))
			}
			return i + 1
		}
	}
	return 1
}

// skipComment takes a comment, nested ones included; without its end just the
// parenthesis.
func (e *entry) skipComment(s string) int {
	window := s[:min(len(s), maxItem)]
	depth := 0
	for i := 0; i < len(window); i++ {
		switch window[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				e.comment.WriteString(unescape(window[1:i]) + " ")
				e.phrase.WriteByte(' ')
				return i + 1
			}
		}
	}
	return 1
}

// angleAddr takes <address>. The end may be missing, the address may hold
// another one, and its quotes may hold commas.
func (e *entry) angleAddr(s string) int {
	window := s[1:min(len(s), maxItem)]
	end := strings.IndexByte(window, '>')
	size := end + 2
	if end < 0 {
		if end = strings.IndexAny(window, ",;"); end < 0 {
			end = len(window)
		}
		size = end + 1
	}
	inner := window[:end]
	if i := strings.LastIndexByte(inner, '<'); i >= 0 {
		inner = inner[i+1:]
	}
	if e.angle.Len() == 0 {
		e.angle.WriteString(inner)
	}
	e.hasAngle = true
	for size < len(s) && s[size] == '>' {
		size++
	}
	return size
}

func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

// person makes a Person of an entry. bare is true for text that has no
// address at all.
func (e *entry) person() (p ticketing.Person, bare bool) {
	phrase := strings.TrimSpace(e.phrase.String())
	comment := displayName(e.comment.String())
	if e.hasAngle {
		p = ticketing.Person{Name: displayName(phrase), Address: cleanAddress(e.angle.String())}
		if p.Address == "" {
			p = addressInText(phrase, p)
		}
		if p.Name == "" {
			p.Name = comment
		}
		return p, false
	}
	phrase = inBrackets.ReplaceAllString(phrase, " $1 ")
	p = addressInText(phrase, ticketing.Person{})
	if decoded := decodeWords(phrase); p.Address == "" && decoded != phrase {
		for _, inner := range splitAddresses(decoded) {
			if p, _ := inner.person(); p.Address != "" {
				return p, false
			}
		}
	}
	if p.Address == "" {
		return ticketing.Person{Name: displayName(phrase)}, true
	}
	if p.Name == "" {
		p.Name = comment
	}
	return p, false
}

// inBrackets is an address as Outlook writes it in text.
var inBrackets = regexp.MustCompile(`\[(?:mailto:)?([^\[\]\s@]{1,64}@[^\[\]\s@]{1,255})\]`)

var addressPattern = regexp.MustCompile(`[^\s<>()\[\],;:"']+@[^\s<>(),;:"']+|"[^"]{1,64}"@[^\s<>(),;:"']+`)

// addressInText looks for an address in a phrase, as in `Name addr`; the name
// is what stands around it.
func addressInText(phrase string, p ticketing.Person) ticketing.Person {
	if whole := cleanAddress(phrase); whole != "" && !strings.ContainsAny(phrase, "<>") && !strings.Contains(whole, " ") {
		p.Address = whole
		return p
	}
	at := addressPattern.FindStringIndex(phrase)
	if at == nil {
		return p
	}
	p.Address = cleanAddress(phrase[at[0]:at[1]])
	if name := displayName(phrase[:at[0]] + " " + phrase[at[1]:]); name != "" && p.Name == "" {
		p.Name = name
	}
	return p
}

// cleanAddress mends local@domain as far as it can be told what is meant, and
// returns "" for what is no address.
func cleanAddress(s string) string {
	s = strings.Trim(dropComments(s), "<>'\"`,;: \t")
	if strings.Contains(s, "=?") {
		s = strings.Trim(decodeWords(s), "<>'\"`,;: \t")
	}
	if len(s) > 7 && strings.EqualFold(s[:7], "mailto:") {
		s, _, _ = strings.Cut(s[7:], "?")
	}
	if strings.HasPrefix(s, "@") { // source route, @relay,@relay:local@domain
		_, s, _ = strings.Cut(s, ":")
	}
	i := strings.LastIndexByte(s, '@')
	if i <= 0 {
		return ""
	}
	local := strings.TrimSpace(unescape(strings.Trim(strings.TrimSpace(s[:i]), `"`)))
	domain := s[i+1:]
	if strings.ContainsFunc(domain, unicode.IsSpace) {
		domain = strings.Join(strings.Fields(domain), "")
	}
	domain = strings.ToLower(strings.Trim(domain, ".,;:'\"<>"))
	if !validLocal(local) || !validDomain(domain) || len(local)+len(domain) >= maxAddress {
		return ""
	}
	return local + "@" + domain
}

func validLocal(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == '<' || r == '>' || r == '@' })
}

func validDomain(s string) bool {
	if s == "" || strings.Contains(s, "..") {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || unicode.IsSpace(r) || strings.ContainsRune(`<>()@,;"\`, r)
	})
}

// displayName cleans the name of a person: words decoded, outer quotes and
// doubled white space removed.
func displayName(s string) string {
	s = oneLine(decodeWords(s))
	s = strings.Join(strings.Fields(s), " ")
	for len(s) > 1 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		s = strings.TrimSpace(s[1 : len(s)-1])
	}
	return cutRunes(s, maxNameRunes)
}

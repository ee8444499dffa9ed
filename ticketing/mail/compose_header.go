package mail

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/mxdesk/mxdesk/ticketing"
)

const (
	foldAt       = 76  // octets of a header line, where words allow it
	maxLine      = 998 // octets of any line
	maxPlainWord = 60  // a longer word of a text is written as encoded-words
)

// headerWriter formats header fields. The first error stays.
type headerWriter struct {
	fields [][]byte
	err    error
}

func (h *headerWriter) fail(format string, args ...any) {
	if h.err == nil {
		h.err = fmt.Errorf(format, args...)
	}
}

// words writes a field of words with a space between each, folding the line
// where it gets too long.
//
// https://www.rfc-editor.org/rfc/rfc5322#section-2.2.3
func (h *headerWriter) words(name string, words []string) {
	out := []byte(name + ":")
	used := len(out)
	for i, word := range words {
		if len(word)+1 > maxLine || strings.ContainsAny(word, "\r\n\x00") {
			h.fail("header field %s cannot hold %.40q", name, word)
			return
		}
		if i > 0 && used+1+len(word) > foldAt {
			out = append(out, "\r\n"...)
			used = 0
		}
		out = append(append(out, ' '), word...)
		used += 1 + len(word)
	}
	h.fields = append(h.fields, append(out, "\r\n"...))
}

// text writes a field of free text.
func (h *headerWriter) text(name, text string) {
	if err := checkValue(text); err != nil {
		h.fail("header field %s: %w", name, err)
		return
	}
	h.words(name, textWords(text))
}

// checkValue refuses what must not be in a header field.
func checkValue(s string) error {
	if strings.ContainsAny(s, "\r\n\x00") {
		return errors.New("value has a line end or NUL")
	}
	if !utf8.ValidString(s) {
		return errors.New("value is not UTF-8")
	}
	return nil
}

// textWords cuts free text into words, encoded ones if anything in it needs
// that.
func textWords(text string) []string {
	words := strings.Split(text, " ")
	plain := !strings.Contains(text, "=?") && (text == "" || !slices.Contains(words, "")) && isPrintable(text)
	for _, word := range words {
		plain = plain && len(word) <= maxPlainWord
	}
	if plain {
		return words
	}
	return encodedWords(text)
}

// isPrintable tells whether s is printable ASCII.
func isPrintable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// encodedWords writes text as encoded-words of at most 75 octets, none of which
// cuts a character in half.
//
// https://www.rfc-editor.org/rfc/rfc2047#section-2
func encodedWords(text string) []string {
	const room = 45 // octets that base64 makes 60 of
	var words []string
	for text != "" {
		end := 0
		for end < len(text) {
			_, size := utf8.DecodeRuneInString(text[end:])
			if end+size > room {
				break
			}
			end += size
		}
		words = append(words, "=?utf-8?B?"+base64.StdEncoding.EncodeToString([]byte(text[:end]))+"?=")
		text = text[end:]
	}
	return words
}

// person writes a field with one mailbox.
func (h *headerWriter) person(name string, p ticketing.Person) {
	address, err := formatAddress(p.Address)
	if err == nil {
		err = checkValue(p.Name)
	}
	if err != nil {
		h.fail("header field %s: %w", name, err)
		return
	}
	if p.Name == "" {
		h.words(name, []string{address})
		return
	}
	h.words(name, append(nameWords(p.Name), "<"+address+">"))
}

// nameWords writes a display name as atoms, as a quoted string or encoded.
//
// https://www.rfc-editor.org/rfc/rfc5322#section-3.2.4
func nameWords(name string) []string {
	words := textWords(name)
	if words[0] != name && strings.HasPrefix(words[0], "=?") {
		return words
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r != ' ' && !isAtext(r) }) {
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
		return strings.Split(quoted, " ")
	}
	return words
}

// isAtext tells whether r may stand in an atom (RFC 5322 section 3.2.3).
func isAtext(r rune) bool {
	return r >= utf8.RuneSelf || r > ' ' && r < 0x7f && !strings.ContainsRune(`()<>[]:;@\,."`, r)
}

// formatAddress writes local@domain with the domain as A-labels and the local
// part quoted where it must be. A local part that is not ASCII stays UTF-8.
//
// https://www.rfc-editor.org/rfc/rfc5321#section-4.1.2
func formatAddress(address string) (string, error) {
	i := strings.LastIndexByte(address, '@')
	if i <= 0 || len(address) > maxAddress || !utf8.ValidString(address) || strings.ContainsFunc(address, unicode.IsControl) {
		return "", fmt.Errorf("unusable address %.80q", address)
	}
	local, domain := address[:i], address[i+1:]
	if strings.Contains(local, "@") {
		return "", fmt.Errorf("unusable address %.80q", address)
	}
	if !strings.HasPrefix(domain, "[") {
		ascii, err := idna.Lookup.ToASCII(domain)
		if err != nil || ascii == "" {
			return "", fmt.Errorf("unusable domain in address %.80q", address)
		}
		domain = ascii
	}
	if strings.ContainsAny(domain, "<>()\" \\,;:@") && !strings.HasPrefix(domain, "[") {
		return "", fmt.Errorf("unusable domain in address %.80q", address)
	}
	for atom := range strings.SplitSeq(local, ".") {
		if atom == "" || strings.ContainsFunc(atom, func(r rune) bool { return !isAtext(r) }) {
			return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(local) + `"@` + domain, nil
		}
	}
	return local + "@" + domain, nil
}

// validID tells whether an id can be written between angle brackets.
func validID(id string) bool {
	return id != "" && len(id) <= maxID-4 && isPrintable(id) && !strings.ContainsAny(id, "<> ")
}

// ids writes message ids; nothing when none is usable.
func (h *headerWriter) ids(name string, ids ...string) {
	var words []string
	for _, id := range ids {
		if validID(id) {
			words = append(words, "<"+id+">")
		}
	}
	if len(words) > 0 {
		h.words(name, words)
	}
}

// typed writes a field that has a value and parameters.
func (h *headerWriter) typed(name, value string, params map[string]string) {
	words := []string{value}
	for _, key := range slices.Sorted(maps.Keys(params)) {
		words[len(words)-1] += ";"
		words = append(words, param(key, params[key])...)
	}
	h.words(name, words)
}

// param writes one parameter: as a token, a quoted string, or in pieces of
// percent-encoded UTF-8.
//
// https://www.rfc-editor.org/rfc/rfc2231#section-3
func param(key, value string) []string {
	if isToken(value) && len(value) < maxPlainWord {
		return []string{key + "=" + value}
	}
	if isPrintable(value) && len(value) < maxPlainWord && !strings.ContainsAny(value, `"\`) {
		return []string{key + `="` + value + `"`}
	}
	encoded := percentEncode("utf-8''", value)
	if len(encoded) < maxPlainWord {
		return []string{key + "*=" + encoded}
	}
	var words []string
	for i := 0; encoded != ""; i++ {
		end := min(len(encoded), maxPlainWord-10)
		for end < len(encoded) && (encoded[end-1] == '%' || encoded[end-2] == '%') {
			end--
		}
		words = append(words, fmt.Sprintf("%s*%d*=%s;", key, i, encoded[:end]))
		encoded = encoded[end:]
	}
	words[len(words)-1] = strings.TrimSuffix(words[len(words)-1], ";")
	return words
}

func percentEncode(prefix, s string) string {
	var out strings.Builder
	out.WriteString(prefix)
	for i := range len(s) {
		c := s[i]
		if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '.' || c == '-' || c == '_' {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, "%%%02X", c)
		}
	}
	return out.String()
}

// ownFields are written by Compose alone, or never.
var ownFields = []string{
	"From", "To", "Cc", "Bcc", "Reply-To", "Sender", "Subject", "Message-ID", "In-Reply-To", "References", "Date",
	"Auto-Submitted", "X-Auto-Response-Suppress", "List-Unsubscribe", "List-Unsubscribe-Post", "MIME-Version",
	"Return-Path", "Received", "DKIM-Signature",
}

// extra writes a field of the caller.
func (h *headerWriter) extra(f Field) {
	own := slices.ContainsFunc(ownFields, func(name string) bool { return strings.EqualFold(name, f.Name) })
	if own || strings.HasPrefix(strings.ToLower(f.Name), "content-") || !isToken(f.Name) {
		h.fail("header field %.40q is not for the caller to write", f.Name)
		return
	}
	h.text(f.Name, f.Value)
}

package smtpd

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of an address in octets.
//
// https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1
const (
	maxLocalPart = 64
	maxDomain    = 255
	maxAddress   = 254 // a path has two more, its angle brackets
)

// addressFault is what is wrong with an address.
type addressFault int

const (
	addressFine addressFault = iota
	addressBad
	addressNeedsUTF8
)

// cleanAddress checks an address as go-smtp hands it over, its local part
// stripped of quotes, and writes it so that it can be read back: quoted where
// it has to be. Non-ASCII octets need SMTPUTF8.
func cleanAddress(s string, smtputf8 bool) (string, addressFault) {
	at := strings.LastIndexByte(s, '@')
	if at <= 0 || len(s) > maxAddress || !utf8.ValidString(s) {
		return "", addressBad
	}
	local, domain := s[:at], s[at+1:]
	switch {
	case len(local) > maxLocalPart || len(domain) > maxDomain || !isDomain(domain):
		return "", addressBad
	// go-smtp takes a@b@c for an address in b@c, and we could not tell it from "a@b"@c.
	case strings.ContainsFunc(local, unicode.IsControl) || strings.Contains(local, "@"):
		return "", addressBad
	case !smtputf8 && strings.ContainsFunc(s, func(c rune) bool { return c > unicode.MaxASCII }):
		return "", addressNeedsUTF8
	case isDotString(local):
		return s, addressFine
	}
	quoted := quote(local) + "@" + domain
	if len(quoted) > maxAddress {
		return "", addressBad
	}
	return quoted, addressFine
}

// isDotString tells whether a local part needs no quotes.
//
// https://www.rfc-editor.org/rfc/rfc5321#section-4.1.2
func isDotString(s string) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" || strings.ContainsAny(atom, " \t()<>[]:;@\\,\"") {
			return false
		}
	}
	return true
}

// quote writes a quoted-string.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// isDomain tells whether s may stand after the @ or in EHLO: a name or an
// address literal. It does not ask for more than what cannot do harm.
func isDomain(s string) bool {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		return ok && inner != "" && !strings.ContainsFunc(inner, func(c rune) bool {
			return c <= ' ' || c > '~' || strings.ContainsRune(`[]\<>@"`, c)
		})
	}
	return s != "" && len(s) <= maxDomain && utf8.ValidString(s) && !strings.ContainsFunc(s, func(c rune) bool {
		return unicode.IsControl(c) || unicode.IsSpace(c) || strings.ContainsRune(`()<>[]:;@\,"`, c)
	})
}

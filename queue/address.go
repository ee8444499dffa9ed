package queue

import (
	"errors"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Limits of an envelope address.
//
// https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1
const (
	maxLocal  = 64
	maxDomain = 255
	maxPath   = 254 // without the angle brackets
)

var errAddress = errors.New("address is malformed")

// mailbox is an envelope address that is safe to write into a command. The zero
// mailbox is the null sender.
type mailbox struct {
	local   string     // unquoted
	domain  string     // A-labels, lower case; "[…]" for an address literal
	literal netip.Addr // valid when domain is an address literal
}

// parseMailbox reads local@domain as the domain of the desk keeps it: the local
// part unquoted, the domain in U-labels or A-labels. "" is the null sender.
func parseMailbox(s string) (mailbox, error) {
	if s == "" {
		return mailbox{}, nil
	}
	at := strings.LastIndexByte(s, '@')
	if at < 1 || at > maxLocal || !utf8.ValidString(s) {
		return mailbox{}, errAddress
	}
	m := mailbox{local: s[:at]}
	if strings.ContainsFunc(m.local, isControl) {
		return mailbox{}, errAddress
	}
	var err error
	if strings.HasPrefix(s[at+1:], "[") {
		m.domain = s[at+1:]
		m.literal, err = parseLiteral(m.domain)
	} else {
		m.domain, err = asciiDomain(s[at+1:])
	}
	if err != nil || len(m.path())-2 > maxPath {
		return mailbox{}, errAddress
	}
	return m, nil
}

// utf8 tells whether the address can only be written with SMTPUTF8.
func (m mailbox) utf8() bool { return !isASCII(m.local) }

// path writes the address as MAIL and RCPT take it, quoting the local part
// where it is no dot-atom.
//
// https://www.rfc-editor.org/rfc/rfc5321#section-4.1.2
func (m mailbox) path() string {
	if m == (mailbox{}) {
		return "<>"
	}
	return "<" + quoteLocal(m.local) + "@" + m.domain + ">"
}

// quoteLocal returns a local part as it stands on the wire.
func quoteLocal(s string) string {
	if isDotAtom(s) {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// isDotAtom tells whether s needs no quotes. Characters beyond ASCII count as
// atom characters.
//
// https://www.rfc-editor.org/rfc/rfc6531#section-3.3
func isDotAtom(s string) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" {
			return false
		}
		for _, c := range atom {
			if c <= ' ' || c == 0x7f || strings.ContainsRune(`()<>[]:;@\,"`, c) {
				return false
			}
		}
	}
	return true
}

// parseLiteral reads "[192.0.2.1]" or "[IPv6:2001:db8::1]".
//
// https://www.rfc-editor.org/rfc/rfc5321#section-4.1.3
func parseLiteral(s string) (netip.Addr, error) {
	in, ok := strings.CutSuffix(strings.TrimPrefix(s, "["), "]")
	if !ok {
		return netip.Addr{}, errAddress
	}
	if len(in) > 5 && strings.EqualFold(in[:5], "IPv6:") {
		in = in[5:]
	}
	addr, err := netip.ParseAddr(in)
	if err != nil || addr.Zone() != "" {
		return netip.Addr{}, errAddress
	}
	return addr, nil
}

// asciiDomain returns a domain in lower-case A-labels.
func asciiDomain(s string) (string, error) {
	if !isASCII(s) {
		a, err := idna.Lookup.ToASCII(s)
		if err != nil {
			return "", errAddress
		}
		s = a
	}
	s = strings.ToLower(s)
	if s == "" || len(s) > maxDomain {
		return "", errAddress
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "", errAddress
		}
	}
	return s, nil
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) }

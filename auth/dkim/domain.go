package dkim

import (
	"strings"

	"golang.org/x/net/idna"
)

const (
	maxDomain = 253
	maxLabel  = 63
)

// toASCII returns a domain or selector in lower case and A-label form.
//
// https://www.rfc-editor.org/rfc/rfc8616#section-5
func toASCII(name string) (ascii string, ok bool) {
	if !isASCII(name) {
		if len(name) > maxDomain {
			return "", false
		}
		profile := idna.New(idna.MapForLookup(), idna.StrictDomainName(false))
		converted, err := profile.ToASCII(name)
		if err != nil {
			return "", false
		}
		name = converted
	}
	return strings.ToLower(name), isDomain(name)
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0
}

// isDomain checks the form of a domain name. Underscores are allowed because
// selectors in use have them.
func isDomain(name string) bool {
	if len(name) > maxDomain {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if !isLabel(label) {
			return false
		}
	}
	return true
}

func isLabel(label string) bool {
	for i := range len(label) {
		c := label[i] | 0x20
		letter := 'a' <= c && c <= 'z'
		digit := '0' <= label[i] && label[i] <= '9'
		if !letter && !digit && label[i] != '-' && label[i] != '_' {
			return false
		}
	}
	return label != "" && len(label) <= maxLabel &&
		label[0] != '-' && label[len(label)-1] != '-'
}

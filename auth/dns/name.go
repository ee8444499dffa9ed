package dns

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// The bounds of a domain name, in octets.
//
// https://www.rfc-editor.org/rfc/rfc1035#section-2.3.4
const (
	maxName  = 255 // on the wire: one octet in front of each label, one behind the last
	maxLabel = 63
)

// lookupProfile maps U-labels the way names are looked up. Underscores stay
// allowed: names of keys and policies have them.
var lookupProfile = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(false))

// ASCII returns the form of domain that is asked in the DNS: A-labels, lower
// case, without trailing dot. It refuses an empty name, empty labels, labels of
// more than 63 octets, names of more than 255 octets on the wire, white space
// and control characters, and U-labels that IDNA does not allow.
//
// https://www.rfc-editor.org/rfc/rfc5891#section-5
func ASCII(domain string) (string, error) {
	name := domain
	if !isASCII(name) {
		mapped, err := lookupProfile.ToASCII(name)
		if err != nil || !utf8.ValidString(name) || !isASCII(mapped) {
			return "", fmt.Errorf("domain %q: not a valid international name", clip(domain))
		}
		name = mapped
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return "", fmt.Errorf("domain %q: space or control character", clip(domain))
	}
	name = canonical(name)
	if err := checkLengths(name); err != nil {
		return "", fmt.Errorf("domain %q: %w", clip(domain), err)
	}
	return name, nil
}

// canonical folds ASCII letters to lower case and takes one trailing dot off.
func canonical(name string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, strings.TrimSuffix(name, "."))
}

// checkLengths tells why a canonical name cannot be put in a DNS message.
func checkLengths(name string) error {
	if name == "" {
		return errors.New("empty name")
	}
	if len(name)+2 > maxName {
		return errors.New("name too long")
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" {
			return errors.New("empty label")
		}
		if len(label) > maxLabel {
			return errors.New("label too long")
		}
	}
	return nil
}

// Hostname returns ASCII of a name that can belong to a host: letters, digits,
// hyphens inside labels, and underscores, which some hosts have in spite of the
// rules.
//
// https://www.rfc-editor.org/rfc/rfc1123#section-2.1
func Hostname(name string) (string, error) {
	host, err := ASCII(name)
	if err != nil {
		return "", err
	}
	for label := range strings.SplitSeq(host, ".") {
		if strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" || strings.Trim(label, "-") != label {
			return "", fmt.Errorf("domain %q: not a host name", clip(name))
		}
	}
	return host, nil
}

// Reversed returns the labels of an address in reverse order, without a zone
// behind them: the octets of IPv4, the nibbles of IPv6 and of a mapped address.
//
// https://www.rfc-editor.org/rfc/rfc1035#section-3.5
// https://www.rfc-editor.org/rfc/rfc3596#section-2.5
func Reversed(addr netip.Addr) string {
	if addr.Is4() {
		b := addr.As4()
		return fmt.Sprintf("%d.%d.%d.%d", b[3], b[2], b[1], b[0])
	}
	const digits = "0123456789abcdef"
	b := addr.As16()
	labels := make([]string, 0, 2*len(b))
	for _, octet := range slices.Backward(b[:]) {
		labels = append(labels, digits[octet&15:][:1], digits[octet>>4:][:1])
	}
	return strings.Join(labels, ".")
}

// reverseName returns the name under which an address has its PTR records,
// without trailing dot. A mapped address is asked as the IPv4 address it holds.
func reverseName(addr netip.Addr) string {
	addr = addr.Unmap()
	if addr.Is4() {
		return Reversed(addr) + ".in-addr.arpa"
	}
	return Reversed(addr) + ".ip6.arpa"
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// clip keeps a hostile name from filling an error text.
func clip(s string) string {
	if len(s) > maxName {
		return s[:maxName] + "..."
	}
	return s
}

// addrOf is the inverse of reverseName; the result is invalid for any other name.
func addrOf(name string) netip.Addr {
	if digits, ok := strings.CutSuffix(name, ".in-addr.arpa"); ok {
		labels := strings.Split(digits, ".")
		slices.Reverse(labels)
		addr, _ := netip.ParseAddr(strings.Join(labels, "."))
		return addr
	}
	digits, ok := strings.CutSuffix(name, ".ip6.arpa")
	labels := strings.Split(digits, ".")
	if !ok || len(labels) != 32 {
		return netip.Addr{}
	}
	slices.Reverse(labels)
	var groups []string
	for group := range slices.Chunk(labels, 4) {
		groups = append(groups, strings.Join(group, ""))
	}
	addr, _ := netip.ParseAddr(strings.Join(groups, ":"))
	return addr
}

package auth

import (
	"io"
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"github.com/mxdesk/mxdesk/auth/dns"
	"github.com/mxdesk/mxdesk/auth/message"
	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/mail"
)

// author is whom a message says it is from, as far as DMARC needs it.
//
// https://www.rfc-editor.org/rfc/rfc9989#section-5.3.1
type author struct {
	domain string // of all From addresses, as A-labels; "" when there is not exactly one
	single bool   // there is one From address in one From field
	// several tells of From fields or domains: whoever vouches for one of them
	// does not vouch for what people see.
	several bool
	domains []string // all of them, at most maxFromDomains, in their order
	// impossible tells of an author who is shown with what no domain can be. It
	// may show a domain with a policy, but nobody can publish one for it.
	impossible bool
}

// maxFromDomains bounds how many From domains are asked for their policies.
const maxFromDomains = 10

// readAuthor reads the From addresses the way the desk does that shows them:
// another reading could have one domain checked and another one shown. The From
// fields alone will do unless the header is odd: only the whole mail tells where
// the header of a mail begins that starts with empty lines, or which characters
// the octets beyond ASCII are.
func readAuthor(m *message.Message, raw io.ReaderAt, size int64) author {
	var room [1]string
	values := room[:0]
	for _, at := range m.Named("From") {
		f := m.Fields[at]
		values = append(values, f.RawValue())
	}
	fields := len(values) > 1
	if people := mail.FromValues(values); mail.IsNamed(people) && isOrdinary(m) {
		return authorOf(people, fields)
	}
	people, shown := mail.From(raw, size, mail.Options{})
	// A Sender is shown where From names nobody, and is vouched for by nobody.
	sender := mail.IsNamed(people) && !mail.IsNamed(mail.FromValues(shown))
	// Whoever is shown in another From field than the one that signatures cover
	// would be verified by a signature for somebody else of the same domain.
	other := len(values) > 0 && !slices.EqualFunc(shown, values, sameWords)
	return authorOf(people, fields || sender || other)
}

// sameWords tells whether two values differ in white space and line ends alone.
func sameWords(a, b string) bool { return slices.Equal(strings.Fields(a), strings.Fields(b)) }

// authorOf puts together what DMARC needs of the From addresses. several tells
// that they are not those of one From field.
func authorOf(people []ticketing.Person, several bool) author {
	a := author{several: several}
	count := 0
	for _, p := range people {
		if p.Address == "" {
			a.impossible = a.impossible || strings.Contains(p.Name, "@") // shown for want of an address
			continue
		}
		domain := addressDomain(p.Address)
		a.impossible = a.impossible || domain == "" && !isLiteral(p.Address)
		if count > 0 && domain != a.domain {
			a.several = true
		}
		count++
		a.domain = domain
		if domain != "" && len(a.domains) < maxFromDomains && !slices.Contains(a.domains, domain) {
			a.domains = append(a.domains, domain)
		}
	}
	if a.several {
		a.domain = ""
	}
	a.single = count == 1 && !a.several
	return a
}

// maxName is the length of the field names that all readers take for one.
const maxName = 76

// isOrdinary tells whether all readers of a header see the same fields in it,
// and whether its From fields are all ASCII.
func isOrdinary(m *message.Message) bool {
	if m.Defect != nil || m.Count("From") == 0 {
		return false
	}
	for _, at := range m.Named("From") {
		f := m.Fields[at]
		if strings.ContainsFunc(f.Raw, func(r rune) bool { return r > unicode.MaxASCII }) {
			return false
		}
	}
	return !slices.ContainsFunc(m.Fields, isOdd)
}

// isOdd tells whether a field has a CR that ends no line, a blank line in it,
// white space before its colon, or a name that no field has.
func isOdd(f message.Field) bool {
	for line := range strings.Lines(f.Raw) {
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if strings.IndexByte(line, '\r') >= 0 || strings.TrimSpace(line) == "" {
			return true
		}
	}
	return len(f.Name) > maxName || len(f.Name)+len(":")+len(f.RawValue()) != len(f.Raw)
}

// hostCharacters are those of domains that have hosts or mail, underscores of
// careless owners included.
//
// https://www.rfc-editor.org/rfc/rfc5321#section-4.1.2
const hostCharacters = "abcdefghijklmnopqrstuvwxyz0123456789-_."

// addressDomain returns the domain of an address as A-labels, "" when it has
// none that could publish a policy.
func addressDomain(address string) string {
	domain, err := dns.ASCII(afterAt(address))
	if err != nil || strings.Trim(domain, hostCharacters) != "" {
		return ""
	}
	return domain
}

// isLiteral tells whether an address has that of a host in place of a domain, as
// those of devices have. No policy is dodged by it.
//
// https://www.rfc-editor.org/rfc/rfc5321#section-4.1.3
func isLiteral(address string) bool {
	host, opened := strings.CutPrefix(afterAt(address), "[")
	host, closed := strings.CutSuffix(host, "]")
	addr, err := netip.ParseAddr(strings.TrimPrefix(strings.ToLower(host), "ipv6:"))
	return opened && closed && err == nil && addr.Zone() == ""
}

func afterAt(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

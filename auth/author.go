package auth

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/mxdesk/mxdesk/auth/dns"
	"github.com/mxdesk/mxdesk/auth/message"
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
}

// maxFromDomains bounds how many From domains are asked for their policies.
const maxFromDomains = 10

// readAuthor reads the From addresses the way the desk does that shows them:
// another reading could have one domain checked and another one shown. The
// header alone will do unless it is odd: only the whole mail tells where the
// header of a mail begins that starts with empty lines, or which characters
// the octets beyond ASCII are.
func readAuthor(m *message.Message, raw io.ReaderAt, size int64) author {
	if isOrdinary(m) {
		var header bytes.Buffer
		for _, f := range m.Fields {
			header.WriteString(f.Raw)
		}
		raw, size = bytes.NewReader(header.Bytes()), int64(header.Len())
	}
	msg := mail.Parse(raw, size, mail.Options{})
	var a author
	count := 0
	for _, p := range msg.From {
		if p.Address == "" {
			continue
		}
		domain := addressDomain(p.Address)
		if count > 0 && domain != a.domain {
			a.several = true
		}
		count++
		a.domain = domain
		if domain != "" && len(a.domains) < maxFromDomains && !slices.Contains(a.domains, domain) {
			a.domains = append(a.domains, domain)
		}
	}
	a.several = a.several || m.Count("From") > 1
	if a.several {
		a.domain = ""
	}
	a.single = count == 1 && !a.several
	return a
}

// isOrdinary tells whether a header has no line that belongs to no field, and
// From fields that are all ASCII.
func isOrdinary(m *message.Message) bool {
	from := m.Get("From")
	return m.Defect == nil && len(from) > 0 && !slices.ContainsFunc(from, func(f message.Field) bool {
		return strings.ContainsFunc(f.Raw, func(r rune) bool { return r > unicode.MaxASCII })
	})
}

// addressDomain returns the domain of an address as A-labels, "" when it has
// none that could publish a policy.
func addressDomain(address string) string {
	domain, err := dns.ASCII(address[strings.LastIndexByte(address, '@')+1:])
	if err != nil || strings.ContainsAny(domain, "[]:@") {
		return ""
	}
	return domain
}

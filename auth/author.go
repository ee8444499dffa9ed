package auth

import (
	"bytes"
	"strings"

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
}

// readAuthor reads the From addresses the way the desk does that shows them:
// another reading could have one domain checked and another one shown.
func readAuthor(m *message.Message) author {
	var header bytes.Buffer
	for _, f := range m.Fields {
		header.Write(f.Raw)
	}
	msg := mail.Parse(bytes.NewReader(header.Bytes()), int64(header.Len()), mail.Options{})
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
	}
	a.several = a.several || m.Count("From") > 1
	if a.several {
		a.domain = ""
	}
	a.single = count == 1 && !a.several
	return a
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

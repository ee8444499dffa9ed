package auth

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/mxdesk/mxdesk/auth/spf"
	"github.com/mxdesk/mxdesk/ticketing/mail"
)

const (
	maxReceived      = 10      // fields of a trusted upstream that are looked at
	maxReceivedValue = 1 << 10 // octets of each
)

// maxUpstreamResults bounds the Authentication-Results fields that are looked at.
const maxUpstreamResults = 10

// readUpstreamSPF takes the SPF result over that a trusted upstream found, and
// tells whether there is one: the topmost field under one of the names that
// are believed, about the sender of this very transaction.
//
// https://www.rfc-editor.org/rfc/rfc8601#section-4
func (c *check) readUpstreamSPF() bool {
	if c.message == nil || len(c.options.UpstreamResults) == 0 {
		return false
	}
	scope, property, want := spf.ScopeMailFrom, "smtp.mailfrom", addressDomain(c.env.MailFrom)
	if c.env.MailFrom == "" {
		scope, property = spf.ScopeHelo, "smtp.helo"
	}
	for i, f := range c.message.Get("Authentication-Results") {
		if i == maxUpstreamResults {
			break
		}
		value := f.Value()
		if mail.Forged(f.Name, value, c.hostname()) || !c.believes(mail.AuthservID(value)) {
			continue
		}
		for _, m := range parseResults(value) {
			domain := addressDomain(m.properties[property])
			if m.method == "spf" && slices.Contains(spfResults, m.result) && domain != "" && (scope == spf.ScopeHelo || domain == want) {
				c.spf = spf.Result{Result: m.result, Domain: domain, Scope: scope}
				return true
			}
		}
	}
	return false
}

var spfResults = []string{spf.None, spf.Neutral, spf.Pass, spf.Fail, spf.SoftFail, spf.TempError, spf.PermError}

func (c *check) believes(id string) bool {
	return slices.ContainsFunc(c.options.UpstreamResults, func(name string) bool { return strings.EqualFold(name, id) })
}

// client returns the host that brings the mail and the name it gave: the
// client itself, or the one that a trusted upstream has it from.
func (c *check) client() (addr netip.Addr, helo string) {
	if c.env.TrustedUpstream {
		return c.received()
	}
	return c.env.Client.Addr(), c.env.Helo
}

// received returns the host that gave the mail to a trusted upstream, by the
// topmost Received field: that is the upstream's. Fields in which it took the
// mail from itself are passed over. All below is anybody's, so a field that
// cannot be read ends the search.
func (c *check) received() (addr netip.Addr, helo string) {
	if c.message == nil {
		return netip.Addr{}, ""
	}
	own := c.env.Client.Addr().Unmap()
	for i, f := range c.message.Get("Received") {
		if i == maxReceived {
			break
		}
		addr, helo := receivedFrom(f.Value())
		if !addr.IsValid() || !addr.IsLoopback() && addr != own {
			return addr, helo
		}
	}
	return netip.Addr{}, ""
}

var (
	// from HELO (NAME [ADDRESS]) and from NAME (ADDRESS)
	receivedPattern = regexp.MustCompile(`(?is)^from\s+(\S+)\s+\(([^()]*)\)`)
	addressLiteral  = regexp.MustCompile(`\[(?:IPv6:)?([0-9A-Fa-f.:]+)\]`)
	heloPattern     = regexp.MustCompile(`(?i)\bhelo=(\S+)`)
)

// receivedFrom reads the from clause as Postfix, Sendmail, Exim and Exchange
// write it. The word after "from" is what the client said, except with Exim,
// which gives that as helo=; so no address is read out of what the client said.
//
// https://www.rfc-editor.org/rfc/rfc5321#section-4.4
func receivedFrom(value string) (addr netip.Addr, helo string) {
	m := receivedPattern.FindStringSubmatch(value[:min(len(value), maxReceivedValue)])
	if m == nil {
		return netip.Addr{}, ""
	}
	helo, comment := m[1], m[2]
	literal := comment
	if at := heloPattern.FindStringSubmatchIndex(comment); at != nil {
		helo, comment = comment[at[2]:at[3]], comment[:at[0]]
		if literal = comment; !strings.Contains(comment, "[") {
			literal = m[1]
		}
	}
	if l := addressLiteral.FindStringSubmatch(literal); l != nil {
		literal = l[1]
	}
	addr, err := netip.ParseAddr(strings.TrimSpace(literal))
	if err != nil || addr.Zone() != "" {
		return netip.Addr{}, ""
	}
	return addr.Unmap(), helo
}

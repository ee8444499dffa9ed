package auth

import (
	"net/netip"
	"regexp"
	"strings"
)

const (
	maxReceived      = 10      // fields of a trusted upstream that are looked at
	maxReceivedValue = 1 << 10 // octets of each
)

// client returns the host that gave the mail to a trusted upstream, by the
// topmost Received field: that is the upstream's. Fields in which it took the
// mail from itself are passed over. All below is anybody's, so a field that
// cannot be read ends the search.
func (c *check) client() (addr netip.Addr, helo string) {
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

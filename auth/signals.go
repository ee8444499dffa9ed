package auth

import (
	"context"
	"net/netip"

	"github.com/mxdesk/mxdesk/auth/dnsbl"
	"github.com/mxdesk/mxdesk/auth/iprev"
	"github.com/mxdesk/mxdesk/ticketing"
)

// Lists are block and allow lists, such as those of package dnsbl.
type Lists interface {
	Check(ctx context.Context, q dnsbl.Query) dnsbl.Result
}

// checkClient looks at the client's names. A client on this machine has none
// that would tell anything.
func (c *check) checkClient(ctx context.Context) {
	addr, helo := c.client()
	if !addr.IsValid() || addr.IsLoopback() {
		return
	}
	r := iprev.Check(ctx, c.resolver, addr)
	c.iprev = ticketing.IPRevResult{Result: r.Result, Name: r.Name}
	if helo != "" {
		c.helo = ticketing.HeloResult{Result: string(iprev.CheckHelo(ctx, c.resolver, helo, addr, c.hostname()))}
	}
}

func (c *check) lostClient() {
	c.iprev, c.helo = ticketing.IPRevResult{Result: iprev.TempError}, ticketing.HeloResult{Result: string(iprev.HeloTempError)}
}

// checkLists asks the lists about the client and the domains that the mail is
// said to come from.
func (c *check) checkLists(ctx context.Context) {
	q := dnsbl.Query{Domains: append([]string{addressDomain(c.env.MailFrom)}, c.author.domains...)}
	addr, helo := c.client()
	q.Domains = append(q.Domains, helo)
	if isPublic(addr) {
		q.Client = addr
	}
	r := c.options.Lists.Check(ctx, q)
	c.lists = ticketing.ListsResult{Score: r.Score, Failed: r.Failed}
	for _, h := range r.Hits {
		c.lists.Hits = append(c.lists.Hits, ticketing.ListHit{
			Zone: h.Zone, Listed: h.Query, Answer: h.Answer.String(), Weight: h.Weight, Refuse: h.Refuse, Text: h.Text,
		})
	}
}

// isPublic tells whether lists can know an address.
func isPublic(a netip.Addr) bool {
	return a.IsValid() && a.IsGlobalUnicast() && !a.IsPrivate()
}

// listed tells whether the lists are enough to refuse the mail.
func (c *check) listed() bool {
	if c.options.ListScore > 0 && c.lists.Score >= c.options.ListScore {
		return true
	}
	for _, h := range c.lists.Hits {
		if h.Refuse && c.lists.Score > 0 {
			return true
		}
	}
	return false
}

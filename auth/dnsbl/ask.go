package dnsbl

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/mxdesk/mxdesk/auth/dns"
)

// subject is what a list is asked about.
type subject struct {
	name   string
	labels string // what stands in front of the zone
}

// client makes a subject of an address.
//
// https://www.rfc-editor.org/rfc/rfc5782#section-2.1
// https://www.rfc-editor.org/rfc/rfc5782#section-2.4
func client(addr netip.Addr) []subject {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() {
		return nil
	}
	return []subject{{addr.String(), dns.Reversed(addr)}}
}

// domains makes subjects of names. Addresses are none: lists of domains answer
// them with an error.
//
// https://www.rfc-editor.org/rfc/rfc5782#section-3
func domains(names []string) []subject {
	var out []subject
	for _, name := range names {
		host, err := dns.Hostname(name)
		dot := strings.LastIndexByte(host, '.')
		if err != nil || dot < 0 || strings.Trim(host[dot+1:], "0123456789") == "" {
			continue
		}
		if s := (subject{host, host}); !slices.Contains(out, s) {
			out = append(out, s)
		}
		if len(out) == maxDomains {
			break
		}
	}
	return out
}

// The ways a list can say nothing.
var (
	errUnhealthy = errors.New("unhealthy")
	errSilent    = errors.New("does not answer")
)

// misanswer is an answer that is no listing.
type misanswer struct{ addr netip.Addr }

func (m misanswer) Error() string {
	if refused.Contains(m.addr) || m.addr == localhost {
		return "answers " + m.addr.String() + ", as lists do that refuse to be asked"
	}
	return "answers " + m.addr.String() + ", which is no listing"
}

// reply is what a zone said about a subject.
type reply struct {
	subject subject
	answers []netip.Addr
	text    string
	err     error
}

func (p reply) isMisanswer() bool {
	_, ok := errors.AsType[misanswer](p.err)
	return ok
}

// ask looks a subject up in a zone and, if a list refuses for that, the reason.
func (c *Checker) ask(ctx context.Context, z *zone, s subject) reply {
	p := reply{subject: s}
	p.answers, p.err = c.listed(ctx, z, s.labels)
	hit, refuse := z.counts(p.answers)
	switch {
	case hit:
		c.options.Metrics.Lookup(z.label, "hit")
	case p.err != nil:
		c.options.Metrics.Lookup(z.label, "failed")
	default:
		c.options.Metrics.Lookup(z.label, "clean")
	}
	if p.err != nil && z.suspect() && p.isMisanswer() {
		c.options.Log.WarnContext(ctx, "list suspected", "list", z.label, "why", p.err)
	}
	if refuse {
		if texts, _, err := c.resolver.TXT(ctx, s.labels+"."+z.name); err == nil && len(texts) > 0 {
			p.text = clean(texts[0])
		}
	}
	return p
}

// counts tells whether an answer is a hit of any list of the zone, and of one
// that refuses.
func (z *zone) counts(answers []netip.Addr) (hit, refuse bool) {
	for _, l := range z.lists {
		if slices.ContainsFunc(answers, l.counts) {
			hit, refuse = true, refuse || l.Refuse
		}
	}
	return hit, refuse
}

// listed returns the answers of a zone, none if it does not list the name. One
// answer that is no listing spoils all.
func (c *Checker) listed(ctx context.Context, z *zone, labels string) ([]netip.Addr, error) {
	answers, _, err := c.resolver.A(ctx, labels+"."+z.name)
	switch {
	case errors.Is(err, dns.ErrNotFound), errors.Is(err, dns.ErrNoData):
		return nil, nil
	case err != nil:
		return nil, errSilent
	}
	if i := slices.IndexFunc(answers, z.misses); i >= 0 {
		return nil, misanswer{answers[i]}
	}
	return answers, nil
}

// misses tells whether an answer is no listing. 127.0.0.1 is one only where a
// list names it: others say with it that they do not answer.
//
// https://www.rfc-editor.org/rfc/rfc5782#section-2.1
func (z *zone) misses(answer netip.Addr) bool {
	if answer == localhost {
		named, _ := z.counts([]netip.Addr{answer})
		return !named
	}
	return !loopback.Contains(answer) || refused.Contains(answer)
}

// clean makes a text of a list fit for a reply: printable ASCII, one space
// where white space and control characters were.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r <= ' ' || r == 0x7f:
			return ' '
		case r > '~':
			return '?'
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	return strings.TrimSpace(text[:min(len(text), maxText)])
}

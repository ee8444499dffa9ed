// Package dnsbl asks DNS block and allow lists about clients and domains (RFC
// 5782), and watches whether the lists themselves can be believed: lists die,
// turn clients away and have their domains parked, and then answer everything.
package dnsbl

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/mxdesk/mxdesk/auth/dns"
)

// The limits of a Checker and of one check.
const (
	maxLists       = 50
	maxDomains     = 10
	maxText        = 200 // octets
	defaultTimeout = 5 * time.Second
)

// Metrics counts what a Checker does. Lists are named as in a Hit.
type Metrics interface {
	// Lookup counts one question to a list; the result is hit, clean or failed.
	Lookup(list, result string)
	// Healthy notes whether a list is in use.
	Healthy(list string, ok bool)
}

// Options are the surroundings of a Checker. Zero values stand for the defaults.
type Options struct {
	// Now is the clock of the health checks; default time.Now.
	Now func() time.Time
	// Log gets a line when a list becomes unhealthy or healthy, and when it is
	// suspected; default discards.
	Log *slog.Logger
	// Timeout bounds one check, and one round of health checks; default 5
	// seconds. What is not known by then is no hit.
	Timeout time.Duration
	// Metrics counts; default nobody.
	Metrics Metrics
}

// Checker asks lists. It is safe for concurrent use.
type Checker struct {
	resolver dns.Resolver
	options  Options
	zones    []*zone
}

// zone is what is asked once for all lists of one zone and kind.
type zone struct {
	name  string
	label string
	kind  Kind
	lists []List

	mu     sync.Mutex
	health health
}

// New returns a Checker of at most 50 lists. Lists of the same zone and kind,
// such as ones that give different answers different weights, share their
// lookups and are named as the first of them. All lists count as healthy until
// a health check says otherwise; Run makes those.
func New(r dns.Resolver, lists []List, o Options) (*Checker, error) {
	if len(lists) > maxLists {
		return nil, fmt.Errorf("%d lists: at most %d can be asked", len(lists), maxLists)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.Metrics == nil {
		o.Metrics = uncounted{}
	}
	c := &Checker{resolver: r, options: o}
	for _, l := range lists {
		if err := c.add(l); err != nil {
			return nil, fmt.Errorf("list %q: %w", clip(l.String()), err)
		}
	}
	for _, z := range c.zones {
		o.Metrics.Healthy(z.label, true)
	}
	return c, nil
}

// uncounted is Metrics without anybody who wants them.
type uncounted struct{}

func (uncounted) Lookup(string, string) {}
func (uncounted) Healthy(string, bool)  {}

func (c *Checker) add(l List) error {
	if err := l.check(); err != nil {
		return err
	}
	l.Answers = slices.Clone(l.Answers)
	if i := slices.IndexFunc(c.zones, func(z *zone) bool { return z.name == l.Zone && z.kind == l.Kind }); i >= 0 {
		c.zones[i].lists = append(c.zones[i].lists, l)
		return nil
	}
	if slices.ContainsFunc(c.zones, func(z *zone) bool { return z.label == l.label() }) {
		return fmt.Errorf("another list is called %s too: give one of them a name= of its own", l.label())
	}
	c.zones = append(c.zones, &zone{name: l.Zone, label: l.label(), kind: l.Kind, lists: []List{l}, health: health{ok: true}})
	return nil
}

// Query is what the lists are asked about.
type Query struct {
	// Client is asked of the lists of addresses, a mapped address as IPv4; the
	// zero Addr is not asked. Clients of one's own networks are the caller's to
	// leave out.
	Client netip.Addr
	// Domains are asked of the lists of domains: the first 10 that are host
	// names of two labels or more, as A-labels in lower case, each once. They
	// may hold anything.
	Domains []string
}

// Result is what the lists said.
type Result struct {
	// Score is the sum of the weights of the lists with a hit; a list counts
	// once, however many domains it lists.
	Score int
	// Hits are in the order of the lists.
	Hits []Hit
	// Failed are the lists that said nothing, by time-out, failure of a name
	// server, an answer that is no listing, or because they are unhealthy. They
	// may have more to say about the same query later.
	Failed []string
}

// Hit is one listing.
type Hit struct {
	Zone   string     // the list: its name or, without one, its zone
	Query  string     // what is listed: the address or the domain
	Answer netip.Addr // the first answer that counts
	Weight int
	Refuse bool
	// Text is the list's own text about a hit that refuses, printable ASCII of
	// at most 200 octets; "" when it has none or was too slow.
	Text string
}

// Check asks all healthy lists side by side, with one lookup for each zone and
// subject, 500 at most, and one more for the text of a hit that refuses. It never
// fails otherwise than by Result.Failed: only an answer that counts is a hit.
func (c *Checker) Check(ctx context.Context, q Query) Result {
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	subjects := map[Kind][]subject{Addresses: client(q.Client), Domains: domains(q.Domains)}
	replies := make([][]reply, len(c.zones))
	var wg sync.WaitGroup
	for i, z := range c.zones {
		replies[i] = make([]reply, len(subjects[z.kind]))
		usable := z.usable()
		for j, s := range subjects[z.kind] {
			if !usable {
				replies[i][j] = reply{subject: s, err: errUnhealthy}
				continue
			}
			wg.Go(func() { replies[i][j] = c.ask(ctx, z, s) })
		}
	}
	wg.Wait()
	var res Result
	for i, z := range c.zones {
		res.add(z, replies[i])
	}
	return res
}

// add takes over what a zone said about all subjects. A zone that gave one
// answer that is no listing is not believed in its others.
func (r *Result) add(z *zone, replies []reply) {
	if slices.ContainsFunc(replies, func(p reply) bool { return p.err != nil }) {
		r.Failed = append(r.Failed, z.label)
	}
	if slices.ContainsFunc(replies, reply.isMisanswer) {
		return
	}
	for _, l := range z.lists {
		before := len(r.Hits)
		for _, p := range replies {
			i := slices.IndexFunc(p.answers, l.counts)
			if i < 0 {
				continue
			}
			hit := Hit{Zone: z.label, Query: p.subject.name, Answer: p.answers[i], Weight: l.Weight, Refuse: l.Refuse}
			if l.Refuse {
				hit.Text = p.text
			}
			r.Hits = append(r.Hits, hit)
		}
		if len(r.Hits) > before {
			r.Score += l.Weight
		}
	}
}

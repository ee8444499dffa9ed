package dnsbl

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/mxdesk/mxdesk/auth/dns"
)

// How often the lists are checked.
const (
	tick         = time.Minute // between looks at what is due; a suspected list waits no longer
	againHealthy = time.Hour
	againOther   = 5 * time.Minute // unhealthy, or gave no answer
)

// maxSilent is how many checks in a row a list may leave unanswered: mail would
// wait for it, for nothing.
const maxSilent = 3

// Health is what a health check found out about a list.
type Health struct {
	// Zone is the list: its name or, without one, its zone.
	Zone string
	// OK tells whether the list is asked. A list that gave no answer stays what
	// it was, until it has given none for the third time in a row.
	OK bool
	// Why tells in few words what is wrong, also with a list that stays OK; ""
	// when nothing is.
	Why string
}

// health is the state of a zone.
type health struct {
	ok     bool
	silent int       // checks in a row without an answer
	due    time.Time // of the next check
}

// condition is what a pair of test entries says. Of two pairs, the higher
// counts.
type condition int

const (
	missing condition = iota // the test entry is not listed
	unknown                  // no answer
	sound
	broken
)

// finding is a condition and, unless it is sound, the reason.
type finding struct {
	condition condition
	why       string
}

// pair is the entry that every list has and the one that no list has.
type pair struct{ present, absent subject }

// testEntries are what tells whether a list works. A list of addresses need not
// have both families.
//
// https://www.rfc-editor.org/rfc/rfc5782#section-5
func testEntries(k Kind) []pair {
	if k == Domains {
		return []pair{{subject{"test", "test"}, subject{"invalid", "invalid"}}}
	}
	entry := func(addr string) subject { return subject{addr, dns.Reversed(netip.MustParseAddr(addr))} }
	return []pair{
		{entry("127.0.0.2"), entry("127.0.0.1")},
		{entry("::ffff:127.0.0.2"), entry("::ffff:127.0.0.1")},
	}
}

// Health asks all lists side by side for their test entries, with four lookups
// for each at most, and takes what it finds as their state from now on. The
// lists are in their order, those of the same zone and kind as one.
func (c *Checker) Health(ctx context.Context) []Health { return c.probe(ctx, c.zones) }

// Run checks the health of the lists at the start, then every hour, after 5
// minutes those that are unhealthy or gave no answer, and within a minute those
// that gave mail no answer, or one that is no listing. It returns when ctx is done.
func (c *Checker) Run(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		c.probe(ctx, c.due())
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (c *Checker) due() []*zone {
	now := c.options.Now()
	var due []*zone
	for _, z := range c.zones {
		z.mu.Lock()
		if !now.Before(z.health.due) {
			due = append(due, z)
		}
		z.mu.Unlock()
	}
	return due
}

func (c *Checker) probe(ctx context.Context, zones []*zone) []Health {
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	out := make([]Health, len(zones))
	var wg sync.WaitGroup
	for i, z := range zones {
		wg.Go(func() { out[i] = c.examine(ctx, z) })
	}
	wg.Wait()
	return out
}

// examine finds out about a list, and keeps and tells what is new.
func (c *Checker) examine(ctx context.Context, z *zone) Health {
	now := c.options.Now()
	var findings []finding
	for _, p := range testEntries(z.kind) {
		findings = append(findings, c.test(ctx, z, p))
	}
	found := slices.MaxFunc(findings, func(a, b finding) int { return cmp.Compare(a.condition, b.condition) })
	was, is := z.settle(found.condition, now)
	c.options.Metrics.Healthy(z.label, is)
	switch {
	case was && !is:
		c.options.Log.WarnContext(ctx, "list unhealthy, not asked any more", "list", z.label, "why", found.why)
	case !was && is:
		c.options.Log.InfoContext(ctx, "list healthy again", "list", z.label)
	case found.condition == unknown:
		c.options.Log.DebugContext(ctx, "list gave no answer to its health check", "list", z.label, "healthy", is)
	}
	return Health{Zone: z.label, OK: is, Why: found.why}
}

// test asks for one pair of test entries.
func (c *Checker) test(ctx context.Context, z *zone, p pair) finding {
	wanted, err1 := c.listed(ctx, z, p.present.labels)
	unwanted, err2 := c.listed(ctx, z, p.absent.labels)
	for _, r := range []reply{{err: err1}, {err: err2}} {
		if r.isMisanswer() {
			return finding{broken, r.err.Error()}
		}
	}
	switch {
	case len(unwanted) > 0:
		return finding{broken, "lists " + p.absent.name + ", which no list does"}
	case err1 != nil || err2 != nil:
		return finding{unknown, errSilent.Error()}
	case len(wanted) == 0:
		return finding{missing, "does not list " + p.present.name + ", which every list does"}
	}
	return finding{sound, ""}
}

// settle takes the outcome of a check over.
func (z *zone) settle(found condition, now time.Time) (was, is bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	was = z.health.ok
	if z.health.silent++; found != unknown {
		z.health.silent, z.health.ok = 0, found == sound
	}
	if z.health.silent >= maxSilent {
		z.health.ok = false
	}
	z.health.due = now.Add(againOther)
	if found == sound {
		z.health.due = now.Add(againHealthy)
	}
	return was, z.health.ok
}

// suspect makes a check due, and tells whether it was not so already.
func (z *zone) suspect() bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	waiting := !z.health.due.IsZero()
	z.health.due = time.Time{}
	return waiting
}

// usable tells whether the zone is to be asked.
func (z *zone) usable() bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.health.ok
}

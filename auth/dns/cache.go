package dns

import (
	"cmp"
	"container/list"
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// The defaults of a Cache, and its bounds that are not settings.
const (
	defaultMaxEntries  = 10_000
	defaultMaxBytes    = 32 << 20
	defaultMinTTL      = 5 * time.Second
	defaultMaxTTL      = time.Hour
	defaultNegativeTTL = 5 * time.Minute

	temporaryTTL  = 2 * time.Second  // how long a failure is remembered
	maxUnderWay   = 1000             // different lookups at the same time
	lookupTimeout = 10 * time.Second // of a lookup, for resolvers without deadline
	entryOverhead = 256              // octets an entry takes beside its texts
)

// CacheOptions are the settings of a Cache. Zero values stand for the defaults.
type CacheOptions struct {
	// MaxEntries is the number of questions remembered; default 10,000.
	MaxEntries int
	// MaxBytes bounds the approximate memory of all entries; default 32 MiB.
	MaxBytes int
	// MinTTL is the least time an answer is kept, and the time for answers of
	// resolvers that tell none; default 5 seconds.
	MinTTL time.Duration
	// MaxTTL is the longest time an answer is kept; default 1 hour.
	MaxTTL time.Duration
	// NegativeTTL is the longest time for which the absence of a name or of
	// records is kept; default 5 minutes.
	NegativeTTL time.Duration
	// Now is the clock; default time.Now.
	Now func() time.Time
	// Logger gets an error when the resolver behind panics; default discards.
	Logger *slog.Logger
}

// CacheStats counts what a Cache did since it was made, and tells what it holds.
type CacheStats struct {
	Hits      uint64 // answered from memory
	Misses    uint64 // asked of the resolver behind
	Coalesced uint64 // waited for a lookup of another caller
	Refused   uint64 // not looked up: too many lookups were under way
	Evicted   uint64 // forgotten before their time for want of room
	Entries   int
	Bytes     int
}

// Cache is a Resolver that remembers the answers of another one. Callers that
// ask the same at the same time share one lookup; it goes on when the caller
// who began it gives up. Failures are remembered for two seconds.
type Cache struct {
	methods
	source  func(ctx context.Context, q question) (reply, error)
	options CacheOptions
	log     *slog.Logger

	mu      sync.Mutex
	entries map[question]*list.Element // of *entry
	recent  *list.List                 // most recently used first
	flights map[question]*flight
	stats   CacheStats
}

// entry is a remembered outcome.
type entry struct {
	question question
	outcome
	expires time.Time
	size    int
}

// outcome is what a lookup came to.
type outcome struct {
	reply reply
	err   error
}

// flight is a lookup under way; out may be read once done is closed.
type flight struct {
	done chan struct{}
	out  outcome
}

// NewCache returns a Cache in front of r.
func NewCache(r Resolver, o CacheOptions) *Cache {
	o.MaxEntries = cmp.Or(max(o.MaxEntries, 0), defaultMaxEntries)
	o.MaxBytes = cmp.Or(max(o.MaxBytes, 0), defaultMaxBytes)
	o.MinTTL = cmp.Or(max(o.MinTTL, 0), defaultMinTTL)
	o.MaxTTL = max(cmp.Or(max(o.MaxTTL, 0), defaultMaxTTL), o.MinTTL)
	o.NegativeTTL = cmp.Or(max(o.NegativeTTL, 0), defaultNegativeTTL)
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Cache{
		source:  source(r),
		options: o,
		log:     cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
		entries: make(map[question]*list.Element),
		recent:  list.New(),
		flights: make(map[question]*flight),
	}
	c.methods = methods{c.get}
	return c
}

// Stats returns the counters as they are now.
func (c *Cache) Stats() CacheStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Entries = len(c.entries)
	return s
}

// get answers from memory, from a lookup under way, or by a new one.
func (c *Cache) get(ctx context.Context, q question) (reply, error) {
	c.mu.Lock()
	if out, ok := c.remembered(q); ok {
		c.stats.Hits++
		c.mu.Unlock()
		return out.reply, out.err
	}
	f := c.flights[q]
	switch {
	case f != nil:
		c.stats.Coalesced++
	case len(c.flights) >= maxUnderWay:
		c.stats.Refused++
		c.mu.Unlock()
		return reply{ttl: ttlUnknown}, q.fail(ErrBusy, "too many lookups under way")
	default:
		f = &flight{done: make(chan struct{})}
		c.flights[q] = f
		c.stats.Misses++
		go c.fly(context.WithoutCancel(ctx), q, f)
	}
	c.mu.Unlock()
	select {
	case <-f.done:
		return f.out.reply, f.out.err
	case <-ctx.Done():
		return reply{ttl: ttlUnknown}, q.fail(temporary(ctx.Err()), ctx.Err().Error())
	}
}

// fly makes the lookup of a flight and remembers what came.
func (c *Cache) fly(ctx context.Context, q question, f *flight) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	f.out = c.look(ctx, q)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.flights, q)
	c.remember(q, f.out)
	close(f.done)
}

// look asks the resolver behind. A panic there is an answer that did not come:
// nobody else would catch it.
func (c *Cache) look(ctx context.Context, q question) (out outcome) {
	defer func() {
		if p := recover(); p != nil {
			c.log.ErrorContext(ctx, "panic in a lookup", "question", q.String(), "panic", p, "stack", string(debug.Stack()))
			out = outcome{reply{ttl: ttlUnknown}, q.fail(ErrBusy, "panic")}
		}
	}()
	out.reply, out.err = c.source(ctx, q)
	return out
}

// remembered returns the outcome that is still good.
func (c *Cache) remembered(q question) (outcome, bool) {
	element := c.entries[q]
	if element == nil {
		return outcome{}, false
	}
	e := element.Value.(*entry)
	if !c.options.Now().Before(e.expires) {
		c.forget(element)
		return outcome{}, false
	}
	c.recent.MoveToFront(element)
	return e.outcome, true
}

// remember keeps an outcome and makes room for it.
func (c *Cache) remember(q question, out outcome) {
	if old := c.entries[q]; old != nil {
		c.forget(old)
	}
	e := &entry{question: q, outcome: out, size: size(q, out.reply)}
	e.expires = c.options.Now().Add(c.lifetime(out))
	c.entries[q] = c.recent.PushFront(e)
	c.stats.Bytes += e.size
	for len(c.entries) > c.options.MaxEntries || c.stats.Bytes > c.options.MaxBytes {
		c.forget(c.recent.Back())
		c.stats.Evicted++
	}
}

func (c *Cache) forget(element *list.Element) {
	e := c.recent.Remove(element).(*entry)
	delete(c.entries, e.question)
	c.stats.Bytes -= e.size
}

// lifetime is how long an outcome is kept.
func (c *Cache) lifetime(out outcome) time.Duration {
	ttl := max(out.reply.ttl, c.options.MinTTL)
	switch {
	case out.err == nil:
		return min(ttl, c.options.MaxTTL)
	case isNegative(out.err):
		return min(ttl, c.options.NegativeTTL)
	}
	return min(temporaryTTL, c.options.MaxTTL)
}

// size estimates the octets an entry takes.
func size(q question, r reply) int {
	n := entryOverhead + len(q.name) + 32*len(r.addrs)
	for _, s := range r.texts {
		n += 16 + len(s)
	}
	for _, s := range r.names {
		n += 16 + len(s)
	}
	for _, mx := range r.mx {
		n += 32 + len(mx.Host)
	}
	return n
}

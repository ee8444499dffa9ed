package smtpd

import (
	"net/netip"
	"sync"
	"time"

	"github.com/mxdesk/mxdesk/metrics"
)

// maxNets bounds the networks remembered at a time. Those that come when the
// memory is full are let in uncounted.
const maxNets = 1 << 18

// clients counts connections by the client's address and the two networks
// around it.
type clients struct {
	perClient, perMinute int

	mu     sync.Mutex
	open   map[netip.Prefix]int
	recent map[netip.Prefix]int // those let in since the minute began
	minute time.Time
}

func newClients(perClient, perMinute int) *clients {
	return &clients{
		perClient: perClient, perMinute: perMinute,
		open: make(map[netip.Prefix]int), recent: make(map[netip.Prefix]int),
	}
}

// admit counts a connection of a, unless one of its networks is at a limit.
// The caller calls release when an admitted connection has ended.
func (c *clients) admit(a netip.Addr, now time.Time) (release func(), result metrics.SMTPConnection) {
	nets := netsOf(a)
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.minute) >= time.Minute {
		c.minute = now
		clear(c.recent)
	}
	share := 1
	for _, n := range nets {
		if over(c.open[n]+1, c.perClient*share) {
			return nil, metrics.ConnectionClientLimit
		}
		if over(c.recent[n]+1, c.perMinute*share) {
			return nil, metrics.ConnectionClientRate
		}
		share *= 3
	}
	if len(c.open) > maxNets || len(c.recent) > maxNets {
		return func() {}, metrics.ConnectionServed
	}
	for _, n := range nets {
		c.open[n]++
		c.recent[n]++
	}
	return func() { c.release(nets) }, metrics.ConnectionServed
}

func (c *clients) release(nets []netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range nets {
		if c.open[n]--; c.open[n] <= 0 {
			delete(c.open, n)
		}
	}
}

// netsOf returns an address's own network and the two around it; none for the
// zero Addr.
func netsOf(a netip.Addr) []netip.Prefix {
	var bits [3]int
	switch {
	case !a.IsValid():
		return nil
	case a.Is4():
		bits = [3]int{32, 26, 21}
	default:
		bits = [3]int{64, 48, 32}
	}
	nets := make([]netip.Prefix, 0, len(bits))
	for _, b := range bits {
		if n, err := a.Prefix(b); err == nil {
			nets = append(nets, n)
		}
	}
	return nets
}

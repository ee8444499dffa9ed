package intake

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/mxdesk/mxdesk/metrics"
	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/store"
)

// stored is a blob as a raw message.
type stored struct {
	store.BlobReader
	hash store.Hash
}

// SHA256 returns the blob's hash.
func (s stored) SHA256() [32]byte { return s.hash }

// Bounds of the journal of refusals.
const (
	perClient     = 60          // entries of one client
	clientWindow  = time.Minute // in this time; the rest are one entry with a count
	maxPending    = 10_000      // entries waiting to be written
	maxClients    = 10_000      // clients counted at a time
	writeInterval = time.Second
	writeChunk    = 100
)

// refusals gathers journal entries of refusals and writes them in batches, so
// that a flood costs little and no reply waits for the disk.
type refusals struct {
	now     func() time.Time
	mu      sync.Mutex
	pending []ticketing.JournalEntry
	clients map[string]*clientCount
	serial  int
}

// clientCount counts the entries of one client in the current window.
type clientCount struct {
	since time.Time
	n     int
	more  *ticketing.JournalEntry // what the entries past the limit are folded into
}

func newRefusals(now func() time.Time) *refusals {
	return &refusals{now: now, clients: make(map[string]*clientCount)}
}

// add takes an entry; false when there are too many to keep.
func (r *refusals) add(e ticketing.JournalEntry) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.clients[e.Client]
	if c == nil {
		if len(r.clients) >= maxClients {
			return false
		}
		c = &clientCount{since: r.now()}
		r.clients[e.Client] = c
	}
	if c.n++; c.n > perClient {
		if c.more == nil {
			c.more = &e
			c.more.ID = r.unique(e.ID)
		}
		c.more.Count++
		return true
	}
	if len(r.pending) >= maxPending {
		return false
	}
	e.ID = r.unique(e.ID)
	r.pending = append(r.pending, e)
	return true
}

// unique gives each refusal of a transaction an id of its own.
func (r *refusals) unique(id string) string {
	r.serial++
	return fmt.Sprintf("%s.%d", id, r.serial)
}

// take returns what is to be written now; all ends every client's window.
func (r *refusals) take(all bool) []ticketing.JournalEntry {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.pending
	r.pending = nil
	for name, c := range r.clients {
		if !all && r.now().Sub(c.since) < clientWindow {
			continue
		}
		if c.more != nil {
			out = append(out, *c.more)
		}
		delete(r.clients, name)
	}
	return out
}

func (r *refusals) run(ctx context.Context, desk *ticketing.Desk, log *slog.Logger, m *metrics.Intake) {
	tick := time.NewTicker(writeInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.write(context.WithoutCancel(ctx), r.take(false), desk, log, m)
		case <-ctx.Done():
			r.write(context.WithoutCancel(ctx), r.take(true), desk, log, m)
			return
		}
	}
}

func (r *refusals) write(ctx context.Context, entries []ticketing.JournalEntry, desk *ticketing.Desk, log *slog.Logger, m *metrics.Intake) {
	for len(entries) > 0 {
		chunk := entries[:min(len(entries), writeChunk)]
		entries = entries[len(chunk):]
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := desk.NoteRefusals(ctx, chunk)
		cancel()
		if err != nil {
			log.Error("journal of refusals", "entries", len(chunk), "error", err)
			for range chunk {
				m.RefusalDropped()
			}
		}
	}
}

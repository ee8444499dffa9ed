package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"time"

	"github.com/mxdesk/mxdesk/cmd/bench/internal/load"
	"github.com/mxdesk/mxdesk/cmd/bench/internal/peer"
	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/store"
)

// How often each thing is done at a size.
const (
	aloneMails    = 200
	togetherMails = 2000
	lists         = 200
	lookups       = 1000
)

// stage fills the store to a size and measures it: first what reads, then what
// writes.
func (d *bigDesk) stage(ctx context.Context, size int, p *progress) (*stage, error) {
	taken, made, err := d.fill(ctx, size, p)
	if err != nil {
		return nil, err
	}
	s := &stage{Tickets: size, Seconds: taken.Seconds(), Fill: float64(made) / taken.Seconds()}
	p.phase(fmt.Sprintf("measuring %d tickets", size))
	if err := rest(ctx); err != nil {
		return nil, err
	}
	s.memory()
	if s.Syncs, err = syncRate(d.dir, time.Second); err != nil {
		return nil, err
	}
	if err := d.reads(ctx, s, size); err != nil {
		return nil, err
	}
	if s.Alone, err = timed(ctx, aloneMails, func() error { return d.receive(ctx) }); err != nil {
		return nil, err
	}
	cpu, start := load.CPU(), time.Now()
	if err := d.many(ctx, togetherMails, together, func(int) {}); err != nil {
		return nil, err
	}
	s.Rate = togetherMails / time.Since(start).Seconds()
	s.CPU = float64((load.CPU() - cpu).Microseconds()) / togetherMails
	if s.KV, err = peer.DiskUsage(filepath.Join(d.dir, "store", "kv")); err != nil {
		return nil, err
	}
	s.Blobs, err = peer.DiskUsage(filepath.Join(d.dir, "store", "blobs"))
	return s, err
}

// reads measures lists and lookups of tickets at random.
func (d *bigDesk) reads(ctx context.Context, s *stage, size int) (err error) {
	anyMail := func() string { return messageID(1 + rand.Int64N(int64(size))) }
	for _, probe := range []struct {
		to    *timing
		times int
		read  func() error
	}{
		{&s.List, lists, func() error { return d.list(ctx, min(50, size)) }},
		{&s.ByID, lookups, func() error { return d.ticketOf(ctx, anyMail()) }},
		{&s.Ticket, lookups, func() error {
			_, err := d.desk.Thread(ctx, ticketing.Ref{Project: bigProject, IID: 1 + rand.Uint64N(uint64(size))})
			return err
		}},
		{&s.Trace, lookups, func() error { return d.trace(ctx, anyMail()) }},
	} {
		if *probe.to, err = timed(ctx, probe.times, probe.read); err != nil {
			return err
		}
	}
	return nil
}

func (d *bigDesk) list(ctx context.Context, want int) error {
	tickets, err := d.desk.Tickets(ctx, ticketing.TicketFilter{Project: bigProject, Limit: 50})
	if err == nil && len(tickets) != want {
		err = fmt.Errorf("the list has %d tickets, want %d", len(tickets), want)
	}
	return err
}

// ticketOf looks a Message-ID up as threading does; docs/store.md has the key.
func (d *bigDesk) ticketOf(ctx context.Context, id string) error {
	return d.db.View(ctx, func(r store.Reader) error {
		_, err := r.Get(store.K("msgid", d.route.Project, id))
		return err
	})
}

func (d *bigDesk) trace(ctx context.Context, id string) error {
	entries, err := d.desk.Trace(ctx, id)
	if err == nil && len(entries) != 1 {
		err = fmt.Errorf("the trace of %s has %d entries, want 1", id, len(entries))
	}
	return err
}

// timed does something n times and returns how long it took, in microseconds.
func timed(ctx context.Context, n int, do func() error) (timing, error) {
	var all []float64
	for range n {
		if err := ctx.Err(); err != nil {
			return timing{}, err
		}
		start := time.Now()
		if err := do(); err != nil {
			return timing{}, err
		}
		all = append(all, float64(time.Since(start).Nanoseconds())/1000)
	}
	slices.Sort(all)
	return timing{P50: quantile(all, 0.5), P99: quantile(all, 0.99)}, nil
}

// rest waits until the engine has caught up with what was written, a minute at
// most.
func rest(ctx context.Context) error {
	const look = 300 * time.Millisecond
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		before := load.CPU()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(look):
		}
		if load.CPU()-before < look/20 {
			break
		}
	}
	return nil
}

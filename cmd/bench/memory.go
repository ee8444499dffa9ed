package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/mxdesk/mxdesk/cmd/bench/internal/load"
	"github.com/mxdesk/mxdesk/cmd/bench/internal/peer"
)

// usage is the memory of one server, in octets; zero was not measured.
type usage struct {
	Server     string `json:"server"`
	RestRSS    int64  `json:"rest_rss"`
	RestPSS    int64  `json:"rest_pss"`
	Sessions   int    `json:"sessions"`
	PerSession int64  `json:"per_session"` // PSS
	LoadRSS    int64  `json:"load_rss"`    // highest while it took mails
	LoadPSS    int64  `json:"load_pss"`
	LoadAnon   int64  `json:"load_anon"`
	LoadHeap   int64  `json:"load_heap"` // mxdesk: in use by Go's heap
}

// order is that of the memory table.
var order = []string{plain.ours, plain.theirs, checks.theirs, lmtp.theirs}

// resting measures the servers before they have taken a mail.
func (in *intake) resting(ctx context.Context, r *report) error {
	for _, name := range order {
		l := in.lanes[name]
		if l == nil {
			continue
		}
		if err := settle(ctx, l.server); err != nil {
			return err
		}
		m := peer.MemoryOf(l.server.Roots())
		u := usage{Server: name, RestRSS: m.RSS, RestPSS: m.PSS, Sessions: l.idle}
		if l.idle > 0 {
			release, err := load.Idle(ctx, l.target, l.idle)
			if err != nil {
				return fmt.Errorf("idle sessions of %s: %w", name, err)
			}
			u.PerSession = (peer.MemoryOf(l.server.Roots()).PSS - m.PSS) / int64(l.idle)
			release()
		}
		r.Memory = append(r.Memory, u)
	}
	return nil
}

// loaded measures the servers while 50 sessions send what each can check.
func (in *intake) loaded(ctx context.Context, r *report, rows []row) error {
	for i := range r.Memory {
		u := &r.Memory[i]
		l := in.lanes[u.Server]
		kind := load.Kind{Size: kib10, Signed: l.auth != nil}
		n := 1000
		if l.server == peer.Server(in.mxdesk) {
			n = int(4000 * in.length.Seconds() * 2)
		}
		mails, err := in.maker.Make(ctx, kind, n)
		if err != nil {
			return err
		}
		if err := in.watch(ctx, l, u, mails); err != nil {
			return fmt.Errorf("%s under load: %w", u.Server, err)
		}
		if err := l.server.Clear(); err != nil {
			return err
		}
	}
	return nil
}

// watch looks at a server's memory while it takes mails.
func (in *intake) watch(ctx context.Context, l *lane, u *usage, mails []load.Mail) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			m := peer.MemoryOf(l.server.Roots())
			u.LoadRSS, u.LoadPSS, u.LoadAnon = max(u.LoadRSS, m.RSS), max(u.LoadPSS, m.PSS), max(u.LoadAnon, m.Anon)
			if l.server == peer.Server(in.mxdesk) {
				u.LoadRSS = m.Peak
				if heap, err := in.mxdesk.Metric(ctx, "go_memstats_heap_inuse_bytes"); err == nil {
					u.LoadHeap = max(u.LoadHeap, int64(heap))
				}
			}
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
	_, err := load.Send(ctx, l.target, mails, keep50, longest*in.length)
	cancel()
	wg.Wait()
	return err
}

package main

import (
	"context"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/mxdesk/mxdesk/ticketing"
)

// ready is nil when mail can be taken.
func (a *App) ready(ctx context.Context) error {
	if a.draining.Load() {
		return &ticketing.Error{Kind: ticketing.KindUnavailable, Reason: "draining", Message: "the server is about to stop"}
	}
	return a.intake.Ready(ctx)
}

// scraped is the registry with the health of the moment in it.
func (a *App) scraped() prometheus.Gatherer {
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		a.observe()
		return a.Registry.Gather()
	})
}

func (a *App) observe() {
	a.measuring.Lock()
	defer a.measuring.Unlock()
	a.observeQueue()
	h := a.metrics.Health
	h.Ready(a.ready(context.Background()) == nil, a.db.Err() != nil)
	h.Certificate(a.cert.current().Leaf.NotAfter)
	switch room, err := a.intake.Room(); {
	case err != nil:
		h.Disk(math.NaN(), float64(room.Reserve))
	case !room.Known:
		h.Disk(math.Inf(1), float64(room.Reserve))
	default:
		h.Disk(float64(room.Free), float64(room.Reserve))
	}
}

const (
	// scrapeTime bounds how long a scrape waits for the store.
	scrapeTime = 5 * time.Second
	// scrapeRest is how many times as long as it took to look at the queue scrapes
	// are content with what was seen.
	scrapeRest = 10
)

// observeQueue sets the gauges of what waits to be sent. One that cannot be had
// keeps its value.
func (a *App) observeQueue() {
	begin := time.Now()
	if begin.Before(a.rested) {
		return
	}
	defer func() { a.rested = time.Now().Add(scrapeRest * time.Since(begin)) }()
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
	defer cancel()
	q := a.metrics.Queue
	if depth, err := a.Desk.Depth(ctx); err == nil {
		for state, n := range depth {
			q.Depth(string(state), n)
		}
	}
	due, err := a.Desk.NextDue(ctx)
	if err != nil {
		return
	}
	if oldest, err := a.Desk.Oldest(ctx); err == nil {
		q.Waiting(due, oldest)
	}
}

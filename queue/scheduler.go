package queue

import (
	"context"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
)

// Pace of the scheduler.
const (
	claimBatch   = 100         // copies taken by one claim
	pollInterval = time.Minute // longest sleep: other nodes do not wake us
	minPause     = time.Second // sleep after a claim that found nothing
	wakeDelay    = 10 * time.Millisecond
	storeRetry   = 5 * time.Second  // sleep after an error of the store
	storeTimeout = 30 * time.Second // of one call
)

// claimed is a copy that is leased to us.
type claimed struct {
	ticketing.Outgoing
	to    mailbox
	bad   error     // why the recipient's address cannot be used
	until time.Time // end of the lease
}

// schedule claims what is due and gives it to couriers, until ctx ends.
func (q *Queue) schedule(ctx context.Context) {
	for ctx.Err() == nil {
		wake := q.box.Wake() // taken before the look at what is due, so that no signal is missed
		room := q.room()
		if room == 0 {
			q.sleep(ctx, pollInterval, nil)
			continue
		}
		if pause := q.pause(ctx); pause > 0 {
			q.sleep(ctx, pause, wake)
			continue
		}
		n, err := q.claim(ctx, min(room, claimBatch))
		switch {
		case err != nil:
			q.sleep(ctx, storeRetry, nil)
		case n == 0: // another node was faster
			q.sleep(ctx, minPause, nil)
		}
	}
}

// claim takes up to limit copies and returns how many it got.
func (q *Queue) claim(ctx context.Context, limit int) (int, error) {
	call, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	now := q.o.Now()
	copies, err := q.box.Claim(call, now, q.o.Owner, limit, q.o.Lease)
	if err != nil {
		if ctx.Err() == nil {
			q.o.Log.Error("queue: claim", "error", err)
		}
		return 0, err
	}
	q.o.Metrics.Claimed(len(copies))
	for _, o := range copies {
		q.take(claimed{Outgoing: o, until: now.Add(q.o.Lease)})
	}
	return len(copies), nil
}

// take gives one claimed copy to the couriers of its destination.
func (q *Queue) take(c claimed) {
	if c.to, c.bad = parseMailbox(c.Recipient.Address); c.Recipient.Address == "" {
		c.bad = errAddress
	}
	if !q.dispatch(q.destinationOf(c.to), c) {
		// A destination with this much waiting would keep the others out. The
		// copy comes back when its lease ends.
		q.o.Log.Debug("queue: destination is full", "copy", c.ID, "domain", c.to.domain)
	}
}

// destinationOf names what shares connections.
func (q *Queue) destinationOf(to mailbox) string {
	if q.route.Mode == MX {
		return to.domain
	}
	return q.route.String()
}

// pause tells how long nothing can be due.
func (q *Queue) pause(ctx context.Context) time.Duration {
	call, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	due, err := q.box.NextDue(call)
	switch {
	case err != nil:
		if ctx.Err() == nil {
			q.o.Log.Error("queue: next due", "error", err)
		}
		return storeRetry
	case due.IsZero():
		return pollInterval
	}
	return min(due.Sub(q.o.Now()), pollInterval)
}

// sleep waits for d, for a signal on wake, for room, or for the end.
func (q *Queue) sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-q.freed:
	case <-wake:
		// What is added in a burst is claimed together.
		timer.Reset(wakeDelay)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
	}
}

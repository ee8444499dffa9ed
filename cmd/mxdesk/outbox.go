package main

import (
	"context"
	"errors"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/store"
)

// outbox is the desk as the queue sees it: it wakes when outgoing copies were
// written.
type outbox struct {
	*ticketing.Desk
	db   *store.DB
	wake chan struct{}
}

func newOutbox(desk *ticketing.Desk, db *store.DB) *outbox {
	return &outbox{Desk: desk, db: db, wake: make(chan struct{}, 1)}
}

// Wake is signalled when copies were added or changed.
func (o *outbox) Wake() <-chan struct{} { return o.wake }

const (
	pollFeed  = 30 * time.Second      // how often the feed is read without a hint
	feedPause = 20 * time.Millisecond // between readings, while every commit is a hint
)

// run follows the change feed until ctx ends.
func (o *outbox) run(ctx context.Context) {
	after := o.newest(ctx)
	poll := time.NewTicker(pollFeed)
	defer poll.Stop()
	for {
		changed := o.db.Changed()
		changes, err := o.db.Changes(ctx, after, 1000)
		if errors.Is(err, store.ErrTrimmed) {
			after = o.newest(ctx)
			o.signal()
		}
		if err != nil || len(changes) == 0 {
			select {
			case <-changed:
			case <-poll.C:
				o.signal()
			case <-ctx.Done():
				return
			}
			continue
		}
		after = changes[len(changes)-1].Seq
		for _, c := range changes {
			if c.Kind == "outgoing" {
				o.signal()
				break
			}
		}
		select {
		case <-time.After(feedPause):
		case <-ctx.Done():
			return
		}
	}
}

// newest is the number of the newest change, 0 if it cannot be read.
func (o *outbox) newest(ctx context.Context) (seq uint64) {
	o.db.View(ctx, func(r store.Reader) (err error) {
		seq, err = store.LastChange(r)
		return err
	})
	return seq
}

func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

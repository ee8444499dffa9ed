package queuetest

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/store"
)

// Box is a store of outgoing copies in memory: an Outbox of the queue.
type Box struct {
	// Fail, when set, is asked before each call, named by its method; what it
	// returns is returned, and nothing is done.
	Fail func(method, id string) error

	mu     sync.Mutex
	copies map[string]*entry
	wake   chan struct{}
}

type entry struct {
	ticketing.Outgoing
	raw   []byte
	until time.Time // end of the lease
}

// NewBox returns an empty store.
func NewBox() *Box {
	return &Box{copies: map[string]*entry{}, wake: make(chan struct{}, 1)}
}

// Add puts copies in, pending and due now unless they say otherwise.
func (b *Box) Add(now time.Time, copies ...ticketing.Outgoing) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, o := range copies {
		o.State = cmp.Or(o.State, ticketing.DeliveryPending)
		if o.CreatedAt.IsZero() {
			o.CreatedAt = now
		}
		if o.Due.IsZero() {
			o.Due = now
		}
		b.copies[o.ID] = &entry{Outgoing: o}
	}
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// Get returns a copy as it stands.
func (b *Box) Get(id string) ticketing.Outgoing {
	b.mu.Lock()
	defer b.mu.Unlock()
	o := b.copies[id].Outgoing
	o.Attempts = slices.Clone(o.Attempts)
	return o
}

// Claim implements the store of the queue.
func (b *Box) Claim(ctx context.Context, now time.Time, owner string, limit int, lease time.Duration) ([]ticketing.Outgoing, error) {
	if err := b.fail(ctx, "Claim", ""); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var due []*entry
	for _, e := range b.copies {
		if !e.State.Final() && !e.at().After(now) {
			due = append(due, e)
		}
	}
	slices.SortFunc(due, func(x, y *entry) int { return cmp.Or(x.Due.Compare(y.Due), cmp.Compare(x.ID, y.ID)) })
	var out []ticketing.Outgoing
	for _, e := range due[:min(limit, len(due))] {
		e.Outgoing.Claim, e.until = owner, now.Add(lease)
		out = append(out, e.Outgoing)
	}
	return out, nil
}

// at is the time at which the copy can be claimed.
func (e *entry) at() time.Time {
	if e.Outgoing.Claim != "" && e.until.After(e.Due) {
		return e.until
	}
	return e.Due
}

// Rendered implements the store of the queue.
func (b *Box) Rendered(ctx context.Context, id, owner string, raw []byte) error {
	e, err := b.held(ctx, "Rendered", id, owner)
	if err != nil {
		return err
	}
	defer b.mu.Unlock()
	if e.Raw == nil {
		e.raw, e.Raw = slices.Clone(raw), &store.Hash{1}
	}
	return nil
}

// RawOutgoing implements the store of the queue.
func (b *Box) RawOutgoing(ctx context.Context, id string) ([]byte, error) {
	if err := b.fail(ctx, "RawOutgoing", id); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.copies[id]; e != nil && e.Raw != nil {
		return slices.Clone(e.raw), nil
	}
	return nil, &ticketing.Error{Kind: ticketing.KindNotFound, Reason: "not-found", Message: "no such mail"}
}

// Record implements the store of the queue.
func (b *Box) Record(ctx context.Context, id, owner string, a ticketing.Attempt, state ticketing.DeliveryState, due time.Time) error {
	e, err := b.held(ctx, "Record", id, owner)
	if err != nil {
		return err
	}
	defer b.mu.Unlock()
	e.Attempts = append(slices.Clone(e.Attempts), a)
	e.Tries++
	e.State, e.Due = state, due
	e.Outgoing.Claim, e.until = "", time.Time{}
	return nil
}

// held returns a copy that owner holds, with the lock taken.
func (b *Box) held(ctx context.Context, method, id, owner string) (*entry, error) {
	if err := b.fail(ctx, method, id); err != nil {
		return nil, err
	}
	b.mu.Lock()
	e := b.copies[id]
	if e == nil || e.Outgoing.Claim != owner {
		b.mu.Unlock()
		return nil, &ticketing.Error{Kind: ticketing.KindConflict, Reason: "lease-lost", Message: "the lease is lost"}
	}
	return e, nil
}

// NextDue implements the store of the queue.
func (b *Box) NextDue(ctx context.Context) (time.Time, error) {
	if err := b.fail(ctx, "NextDue", ""); err != nil {
		return time.Time{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var first time.Time
	for _, e := range b.copies {
		if at := e.at(); !e.State.Final() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first, nil
}

// Wake implements the store of the queue.
func (b *Box) Wake() <-chan struct{} { return b.wake }

// Depth counts the copies by state.
func (b *Box) Depth(ctx context.Context) (map[ticketing.DeliveryState]int, error) {
	if err := b.fail(ctx, "Depth", ""); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	depth := map[ticketing.DeliveryState]int{}
	for _, e := range b.copies {
		depth[e.State]++
	}
	return depth, nil
}

func (b *Box) fail(ctx context.Context, method, id string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if b.Fail != nil {
		return b.Fail(method, id)
	}
	return nil
}

package ticketing

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// dueRow is an index row of an outgoing copy that is not final.
type dueRow struct {
	State DeliveryState `json:"state"`
}

// saveOutgoing writes a copy and moves its due row. before is the copy as it
// was read, nil for a new one.
func saveOutgoing(tx store.Tx, before, o *Outgoing) error {
	if before != nil && !before.State.Final() {
		if err := tx.Delete(outgoingDueKey(before.Due, before.ID)); err != nil {
			return err
		}
	}
	if !o.State.Final() {
		if err := save(tx, outgoingDueKey(o.Due, o.ID), dueRow{State: o.State}); err != nil {
			return err
		}
	}
	k := outgoingKey(o.ID)
	if err := tx.Emit(store.Change{Kind: "outgoing", Key: k}); err != nil {
		return err
	}
	return save(tx, k, o)
}

func (o *Outgoing) addAttempt(a Attempt) {
	o.Tries++
	o.note(a)
}

// note adds to the history what was no attempt of ours.
func (o *Outgoing) note(a Attempt) {
	a.Host, a.TLS, a.Text = oneLine(clip(a.Host, 300), 300), clip(a.TLS, 50), oneLine(clip(a.Text, 500), 500)
	o.Attempts = append(o.Attempts, a)
	if n := len(o.Attempts); n > MaxAttempts {
		o.Attempts = slices.Clone(o.Attempts[n-MaxAttempts:])
	}
}

// claimBytes is about how much one transaction of claims writes: half of what
// it may.
const claimBytes = store.MaxTxBytes / 2

// weight is about how many octets a copy's rows have, rather more than less.
func (o *Outgoing) weight() int {
	n := 2<<10 + len(o.Text) + 2*len(o.Subject)
	for _, a := range o.Attempts {
		n += 200 + len(a.Host) + len(a.Text)
	}
	return n
}

// Claim takes up to limit copies that are due at now and leases them to owner
// until now+lease. It may take fewer than are due.
func (d *Desk) Claim(ctx context.Context, now time.Time, owner string, limit int, lease time.Duration) ([]Outgoing, error) {
	var out []Outgoing
	var texts map[string]*Comment // of the copies that have none of their own
	err := d.update(ctx, func(tx store.Tx) error {
		out, texts = nil, make(map[string]*Comment)
		ids, err := dueIDs(tx, now, limit)
		if err != nil {
			return err
		}
		for room := claimBytes; len(ids) > 0 && room > 0; ids = ids[1:] {
			o, err := load[Outgoing](tx, outgoingKey(ids[0]))
			if err != nil {
				return err
			}
			before := *o
			o.Claim, o.Due = owner, now.Add(lease)
			if err := saveOutgoing(tx, &before, o); err != nil {
				return err
			}
			room -= o.weight()
			if o.Text == "" {
				if texts[o.ID], err = load[Comment](tx, commentKey(o.Project, o.Ticket, o.Comment)); err != nil {
					return err
				}
			}
			out = append(out, *o)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	whole := out[:0]
	for _, o := range out {
		if c := texts[o.ID]; c == nil || d.takeText(ctx, &o, c, owner, now) {
			whole = append(whole, o)
		}
	}
	return whole, nil
}

// unreadableRetry is when a copy whose text cannot be read is tried again.
const unreadableRetry = time.Hour

// takeText gives a claimed copy the text of its comment. When that cannot be
// read, this counts as an attempt, and false is returned.
func (d *Desk) takeText(ctx context.Context, o *Outgoing, c *Comment, owner string, now time.Time) bool {
	if err := d.fillText(ctx, c); err != nil {
		state := DeliveryDeferred
		if now.After(o.Deadline) {
			state = DeliveryFailed
		}
		a := Attempt{At: now, Enhanced: "4.3.0", Text: "the text cannot be read from the raw mail: " + AsError(err).Message}
		_ = d.Record(ctx, o.ID, owner, a, state, now.Add(unreadableRetry)) // else the lease ends
		return false
	}
	o.Text = c.Body
	if c.Truncated {
		o.Text += "\n\n…"
	}
	return true
}

// dueIDs lists the copies that are due at now, the longest due first; limit 0 =
// all.
func dueIDs(r store.Reader, now time.Time, limit int) ([]string, error) {
	return dueRange(r, store.Range{Start: store.Prefix("out.due").Start, End: outgoingDueKey(now.Add(time.Microsecond), "")}, limit)
}

// waitingIDs lists the copies that are not final, whenever they are due.
func waitingIDs(r store.Reader, limit int) ([]string, error) {
	return dueRange(r, store.Prefix("out.due"), limit)
}

func dueRange(r store.Reader, rg store.Range, limit int) ([]string, error) {
	var ids []string
	for it, err := range r.Scan(rg, false) {
		if err != nil {
			return nil, err
		}
		id, err := lastString(it.Key)
		if err != nil {
			return nil, err
		}
		if ids = append(ids, id); len(ids) == limit {
			break
		}
	}
	return ids, nil
}

// ReleaseClaims makes every claimed copy due now. To be called at the start of
// a node that has the store to itself: whoever held the claims is gone.
func (d *Desk) ReleaseClaims(ctx context.Context) error {
	now := d.now()
	ids, err := view(ctx, d, func(r store.Reader) ([]string, error) {
		return waitingIDs(r, 0)
	})
	if err != nil {
		return err
	}
	for len(ids) > 0 {
		n := 0
		err := d.update(ctx, func(tx store.Tx) (err error) {
			n, err = releaseClaims(tx, ids, now)
			return err
		})
		if err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

// releaseClaims makes the first copies of a list due, and returns how many it
// looked at.
func releaseClaims(tx store.Tx, ids []string, now time.Time) (n int, err error) {
	for room := claimBytes; n < len(ids) && room > 0; n++ {
		o, err := find[Outgoing](tx, outgoingKey(ids[n]))
		if err != nil {
			return n, err
		}
		room -= 256
		if o == nil || o.Claim == "" || o.State.Final() {
			continue
		}
		before := *o
		o.Claim, o.Due = "", now
		if err := saveOutgoing(tx, &before, o); err != nil {
			return n, err
		}
		room -= o.weight()
	}
	return n, nil
}

// claimed loads a copy that owner must still hold.
func claimed(r store.Reader, id, owner string) (*Outgoing, error) {
	o, err := mustFind[Outgoing](r, outgoingKey(id), "outgoing message", id)
	if err != nil {
		return nil, err
	}
	if o.Claim != owner || o.State.Final() {
		return nil, errorf(KindConflict, "claim-lost", "outgoing message %s is claimed by somebody else", id)
	}
	return o, nil
}

// Rendered stores the bytes of a copy, once: they never change afterwards.
func (d *Desk) Rendered(ctx context.Context, id, owner string, raw []byte) error {
	staged, err := d.stage(ctx, raw)
	if err != nil {
		return storeError(err)
	}
	return d.update(ctx, func(tx store.Tx) error {
		o, err := claimed(tx, id, owner)
		if err != nil || o.Raw != nil {
			return err
		}
		if err := tx.AddBlob(staged); err != nil {
			return err
		}
		before := *o
		o.Raw = &staged.Hash
		return saveOutgoing(tx, &before, o)
	})
}

// RawOutgoing returns the rendered bytes of a copy.
func (d *Desk) RawOutgoing(ctx context.Context, id string) ([]byte, error) {
	o, err := d.OutgoingByID(ctx, id)
	if err != nil {
		return nil, err
	}
	if o.Raw == nil {
		return nil, errorf(KindNotFound, "not-rendered", "outgoing message %s has not been rendered yet", id)
	}
	return d.blob(ctx, *o.Raw)
}

// OutgoingByID returns one copy.
func (d *Desk) OutgoingByID(ctx context.Context, id string) (*Outgoing, error) {
	return view(ctx, d, func(r store.Reader) (*Outgoing, error) {
		return mustFind[Outgoing](r, outgoingKey(id), "outgoing message", id)
	})
}

// Record appends an attempt and sets the state that follows from it; due is
// the time of the next attempt when the copy is deferred. A claim that was
// lost meanwhile is a KindConflict and changes nothing. A failure becomes a
// system comment on the ticket.
func (d *Desk) Record(ctx context.Context, id, owner string, a Attempt, state DeliveryState, due time.Time) error {
	now := d.now()
	return d.update(ctx, func(tx store.Tx) error {
		o, err := claimed(tx, id, owner)
		if err != nil {
			return err
		}
		before := *o
		o.State, o.Claim = state, ""
		if !state.Final() {
			o.Due = due
		}
		o.addAttempt(a)
		if err := saveOutgoing(tx, &before, o); err != nil || state != DeliveryFailed {
			return err
		}
		return noteOnTicket(tx, o, now, "The mail to %s could not be delivered: %s", o.Recipient.Address, a.Text)
	})
}

// NextDue is the time at which the earliest copy is due, zero if none is.
func (d *Desk) NextDue(ctx context.Context) (time.Time, error) {
	return view(ctx, d, func(r store.Reader) (time.Time, error) {
		for it, err := range r.Scan(store.Prefix("out.due"), false) {
			if err != nil {
				return time.Time{}, err
			}
			parts, err := it.Key.Split()
			if err != nil {
				return time.Time{}, err
			}
			if at, ok := parts[1].(time.Time); ok {
				return at, nil
			}
			return time.Time{}, errors.New("due row without a time")
		}
		return time.Time{}, nil
	})
}

// Oldest is when the oldest copy that is not final was made, zero if there is
// none. Of more than maxDepth the first due are looked at.
func (d *Desk) Oldest(ctx context.Context) (time.Time, error) {
	return view(ctx, d, func(r store.Reader) (time.Time, error) {
		ids, err := waitingIDs(r, maxDepth)
		if err != nil || len(ids) == 0 {
			return time.Time{}, err
		}
		o, err := load[Outgoing](r, outgoingKey(slices.Min(ids))) // ids sort by time
		if err != nil {
			return time.Time{}, err
		}
		return o.CreatedAt, nil
	})
}

// Changed returns a channel that is closed when something was committed: a
// hint to look again, not a promise.
func (d *Desk) Changed() <-chan struct{} { return d.db.Changed() }

// maxDepth bounds how many waiting copies are counted.
const maxDepth = 100_000

// Depth counts the copies that are not final, by state.
func (d *Desk) Depth(ctx context.Context) (map[DeliveryState]int, error) {
	return view(ctx, d, func(r store.Reader) (map[DeliveryState]int, error) {
		depth := map[DeliveryState]int{DeliveryPending: 0, DeliveryDeferred: 0}
		rows, err := scan[dueRow](r, store.Prefix("out.due"), false, maxDepth)
		for _, row := range rows {
			depth[row.State]++
		}
		return depth, err
	})
}

// Outgoing lists copies, newest first, of one state or of all; limit 0 = all.
func (d *Desk) Outgoing(ctx context.Context, state DeliveryState, limit int) ([]*Outgoing, error) {
	return view(ctx, d, func(r store.Reader) ([]*Outgoing, error) {
		var out []*Outgoing
		for it, err := range r.Scan(store.Prefix("out"), true) {
			if err != nil {
				return nil, err
			}
			o, err := decode[Outgoing](it.Value)
			if err != nil {
				return nil, err
			}
			if state != "" && o.State != state {
				continue
			}
			if out = append(out, o); len(out) == limit {
				break
			}
		}
		return out, nil
	})
}

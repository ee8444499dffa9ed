package ticketing

import (
	"context"
	"strings"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// Selection names outgoing copies in exactly one of three ways.
type Selection struct {
	IDs    []string
	Domain string // of the recipients; those that wait
	All    bool   // that wait
}

// CopyDone is what an operator's word made of one copy.
type CopyDone struct {
	ID   string
	Copy *Outgoing // as it stands now, nil if there is none
	Err  error     // why nothing was done
}

// Retry makes copies due now, and lets the pauses between attempts begin anew. Of a domain or of all those are taken that wait
// for a later attempt; one that was named and is being sent already is left to
// it. One that waits for nothing is a KindConflict of its own.
func (d *Desk) Retry(ctx context.Context, s Selection) ([]CopyDone, error) {
	now := d.now().UTC()
	later := func(o *Outgoing) bool { return o.Claim == "" && o.Due.After(now) }
	return d.operate(ctx, s, later, retryable, func(tx store.Tx, o *Outgoing) error {
		if !later(o) {
			return nil
		}
		before := *o
		o.Due, o.Retried = now, o.Tries
		return saveOutgoing(tx, &before, o)
	})
}

// Cancel ends copies: no attempt is begun any more, and the ticket says so. One
// that is being sent is a KindConflict of its own and goes on.
func (d *Desk) Cancel(ctx context.Context, s Selection) ([]CopyDone, error) {
	now := d.now().UTC()
	waits := func(*Outgoing) bool { return true }
	return d.operate(ctx, s, waits, cancellable, func(tx store.Tx, o *Outgoing) error {
		before := *o
		o.State = DeliveryCancelled
		o.note(Attempt{At: now, Text: "cancelled by the operator"})
		if err := saveOutgoing(tx, &before, o); err != nil {
			return err
		}
		return noteOnTicket(tx, o, now, "The mail to %s was cancelled by the operator", o.Recipient.Address)
	})
}

func retryable(o *Outgoing) error {
	if o.State.Final() {
		return errorf(KindConflict, "final", "copy %s waits for nothing: it is %s", o.ID, o.State)
	}
	return nil
}

func cancellable(o *Outgoing) error {
	if o.Claim != "" {
		return errorf(KindConflict, "being-sent", "copy %s is being sent now, which cannot be stopped: look again after this attempt", o.ID)
	}
	return retryable(o)
}

// operate changes the selected copies that may be changed, in transactions of a
// bounded size each.
func (d *Desk) operate(ctx context.Context, s Selection, wanted func(*Outgoing) bool, may func(*Outgoing) error, change func(store.Tx, *Outgoing) error) ([]CopyDone, error) {
	ids, err := view(ctx, d, func(r store.Reader) ([]string, error) { return s.ids(r, wanted) })
	if err != nil {
		return nil, err
	}
	var all []CopyDone
	for len(ids) > 0 {
		var part []CopyDone
		err := d.update(ctx, func(tx store.Tx) (err error) {
			part, err = operateOn(tx, ids, may, change)
			return err
		})
		if err != nil {
			return all, err
		}
		all, ids = append(all, part...), ids[len(part):]
	}
	return all, nil
}

// operateOn changes as many of the first copies as one transaction may.
func operateOn(tx store.Tx, ids []string, may func(*Outgoing) error, change func(store.Tx, *Outgoing) error) (done []CopyDone, err error) {
	w := &weighing{Tx: tx}
	for len(done) < len(ids) && len(done) < operateChunk && w.wrote < claimBytes {
		c := CopyDone{ID: ids[len(done)]}
		c.Copy, c.Err = mustFind[Outgoing](tx, outgoingKey(c.ID), "outgoing message", c.ID)
		switch {
		case c.Err == nil:
			c.Err = may(c.Copy)
		case KindOf(c.Err) != KindNotFound:
			return nil, c.Err
		}
		if c.Err == nil {
			if err := change(w, c.Copy); err != nil {
				return nil, err
			}
		}
		done = append(done, c)
	}
	return done, nil
}

// operateChunk bounds what one transaction looks at.
const operateChunk = 500

// weighing counts what a transaction writes.
type weighing struct {
	store.Tx
	wrote int
}

// Unwrap returns the transaction itself.
func (w *weighing) Unwrap() store.Tx { return w.Tx }

// Put implements [store.Tx].
func (w *weighing) Put(k store.Key, v []byte) error {
	w.wrote += len(k) + len(v) + store.WriteOverhead
	return w.Tx.Put(k, v)
}

// Delete implements [store.Tx].
func (w *weighing) Delete(k store.Key) error {
	w.wrote += len(k) + store.WriteOverhead
	return w.Tx.Delete(k)
}

// ids lists what is selected, those that wait in the order in which they are
// due.
func (s Selection) ids(r store.Reader, wanted func(*Outgoing) bool) ([]string, error) {
	domain := strings.TrimSuffix(normalAddress(s.Domain), ".")
	switch {
	case (len(s.IDs) > 0) != (s.Domain == "" && !s.All), s.Domain != "" && s.All:
		return nil, errorf(KindInvalid, "bad-selection", "name copies by their id, or a domain, or all")
	case domain != "" && !validAddress("x@"+domain):
		return nil, errorf(KindInvalid, "bad-domain", "%q is not a domain name: write what is behind the @", s.Domain)
	case len(s.IDs) > 0:
		return distinct(s.IDs), nil
	}
	waiting, err := waitingIDs(r, 0)
	if err != nil {
		return nil, err
	}
	ids := waiting[:0]
	for _, id := range waiting {
		o, err := load[Outgoing](r, outgoingKey(id))
		if err != nil {
			return nil, err
		}
		if wanted(o) && (s.All || domainOf(normalAddress(o.Recipient.Address)) == domain) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// distinct is a list of ids without those that were there before.
func distinct(list []string) []string {
	seen := make(map[string]bool, len(list))
	var ids []string
	for _, id := range list {
		if id = normalAddress(id); !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids
}

// noteOnTicket adds a system comment to the ticket of a copy.
func noteOnTicket(tx store.Tx, o *Outgoing, now time.Time, format string, args ...any) error {
	t, err := load[Ticket](tx, ticketKey(o.Project, o.Ticket))
	if err != nil {
		return err
	}
	before := *t
	if err := system(tx, t, now, format, args...); err != nil {
		return err
	}
	t.UpdatedAt = now
	return saveTicket(tx, &before, t)
}

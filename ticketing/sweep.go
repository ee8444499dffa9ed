package ticketing

import (
	"context"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// Sweep deletes what has outlived its time: entries of refusals, identities of
// messages, budgets, and the read part of the change feed. It works in small
// transactions and returns how many rows it removed.
func (d *Desk) Sweep(ctx context.Context) (int, error) {
	now := d.now()
	excess, err := d.excessRefusals(ctx)
	if err != nil {
		return 0, err
	}
	total := 0
	for _, part := range []func(store.Tx) (swept, error){
		func(tx store.Tx) (swept, error) { return sweepRefusals(tx, now, excess) },
		func(tx store.Tx) (swept, error) { return sweepSeen(tx, now) },
		func(tx store.Tx) (swept, error) { return sweepBudgets(tx, now) },
	} {
		for more := true; more; {
			var s swept
			err := d.update(ctx, func(tx store.Tx) (err error) {
				s, err = part(tx)
				return err
			})
			if err != nil {
				return total, err
			}
			total, excess, more = total+s.rows, max(excess-s.rows, 0), s.more
		}
	}
	trimmed, err := d.trimFeed(ctx)
	return total + trimmed, storeError(err)
}

// swept is what one transaction of Sweep did.
type swept struct {
	rows int
	more bool // there is more of the kind
}

// feedKept is how many changes are kept for readers yet to come.
const feedKept = 100_000

func (d *Desk) trimFeed(ctx context.Context) (int, error) {
	last, err := view(ctx, d, store.LastChange)
	if err != nil || last <= feedKept {
		return 0, err
	}
	return d.db.TrimFeed(ctx, last-feedKept)
}

// sweepChunk bounds the rows that one transaction of Sweep deletes: none has
// more than 400 octets, and MaxTxBytes are a megabyte.
const sweepChunk = 1000

// excessRefusals is how many entries of refusals there are too many.
func (d *Desk) excessRefusals(ctx context.Context) (int, error) {
	return view(ctx, d, func(r store.Reader) (int, error) {
		n := -MaxRefusals
		for _, err := range r.Scan(store.Prefix("journal.refused"), false) {
			if err != nil {
				return 0, err
			}
			n++
		}
		return max(n, 0), nil
	})
}

func sweepRefusals(tx store.Tx, now time.Time, excess int) (s swept, err error) {
	old := journalRefusedKey(idBefore(now.Add(-RefusalsKept)))
	deleted := 0
	for it, err := range tx.Scan(store.Prefix("journal.refused"), false) {
		if err != nil {
			return s, err
		}
		if it.Key >= old && s.rows >= excess {
			return s, nil
		}
		if deleted >= sweepChunk {
			return swept{s.rows, true}, nil
		}
		id, err := lastString(it.Key)
		if err != nil {
			return s, err
		}
		n, err := deleteEntry(tx, id)
		if err != nil {
			return s, err
		}
		if err := tx.Delete(journalRefusedKey(id)); err != nil {
			return s, err
		}
		deleted += n + 1
		s.rows++
	}
	return s, nil
}

// deleteEntry deletes an entry with its rows, and returns how many.
func deleteEntry(tx store.Tx, id string) (int, error) {
	e, err := find[JournalEntry](tx, journalKey(id))
	if err != nil || e == nil {
		return 0, err
	}
	terms := e.terms()
	for _, t := range terms {
		if err := tx.Delete(journalByKey(t, id)); err != nil {
			return 0, err
		}
	}
	return len(terms) + 1, tx.Delete(journalKey(id))
}

// sweepSeen deletes identities that have outlived their time. One that was
// taken anew meanwhile stays, and only its old row in the list goes.
func sweepSeen(tx store.Tx, now time.Time) (swept, error) {
	end := now.Add(-identityKept)
	return sweepRange(tx, store.Range{Start: store.Prefix("seen.at").Start, End: store.K("seen.at", end)}, func(parts []any) error {
		project, ok1 := parts[2].(uint64)
		identity, ok2 := parts[3].([]byte)
		if !ok1 || !ok2 {
			return nil
		}
		k := seenKey(project, identity)
		row, err := find[seenRow](tx, k)
		if err != nil || row == nil || !row.At.Before(end) {
			return err
		}
		return tx.Delete(k)
	})
}

func sweepBudgets(tx store.Tx, now time.Time) (swept, error) {
	rg := store.Range{Start: store.Prefix("budget").Start, End: store.K("budget", now.Add(-2*time.Hour))}
	return sweepRange(tx, rg, func([]any) error { return nil })
}

// sweepRange deletes a chunk of a range; also is told the parts of each key.
func sweepRange(tx store.Tx, rg store.Range, also func(parts []any) error) (s swept, err error) {
	for it, err := range tx.Scan(rg, false) {
		if err != nil {
			return s, err
		}
		if s.rows == sweepChunk {
			return swept{s.rows, true}, nil
		}
		parts, err := it.Key.Split()
		if err != nil {
			return s, err
		}
		if err := also(parts); err != nil {
			return s, err
		}
		if err := tx.Delete(it.Key); err != nil {
			return s, err
		}
		s.rows++
	}
	return s, nil
}

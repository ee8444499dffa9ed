package ticketing

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// journalOf begins the entry of a transaction.
func journalOf(env *Envelope) JournalEntry {
	e := JournalEntry{
		ID: env.ID, At: env.ReceivedAt, Session: env.Session, Protocol: env.Protocol,
		Helo: env.Helo, MailFrom: env.MailFrom,
	}
	if env.Client.IsValid() {
		e.Client = env.Client.Addr().Unmap().String()
	}
	for _, r := range env.Recipients {
		e.RcptTo = append(e.RcptTo, r.Address)
	}
	return e
}

// maxTerms bounds the rows by which an entry is found.
const maxTerms = 120

// saveJournal writes an entry and the rows that find it: Message-ID, addresses
// and the client.
func saveJournal(tx store.Tx, e JournalEntry) error {
	terms := slices.Concat([]string{e.MessageID, e.MailFrom, e.From, e.Client, e.Ticket}, e.RcptTo)
	terms = terms[:min(len(terms), maxTerms)]
	for _, t := range terms {
		if t == "" {
			continue
		}
		if err := tx.Put(journalByKey(t, e.ID), ref); err != nil {
			return err
		}
	}
	k := journalKey(e.ID)
	if err := tx.Emit(store.Change{Kind: "journal", Key: k}); err != nil {
		return err
	}
	return save(tx, k, e)
}

// Entry makes the journal entry of a refusal.
func (r Refusal) Entry() JournalEntry {
	env := r.Envelope
	e := journalOf(&env)
	if r.Recipient != "" && !slices.Contains(e.RcptTo, r.Recipient) {
		e.RcptTo = append(e.RcptTo, r.Recipient)
	}
	e.MessageID, e.From, e.Subject, e.Size, e.Verdict = r.MessageID, r.From, r.Subject, r.Size, r.Verdict
	e.Decision, e.Reason, e.Stage, e.Code, e.Enhanced = JournalRejected, r.Reason, r.Stage, r.Code, r.Enhanced
	if r.Code < 500 {
		e.Decision = JournalDeferred
	}
	return e
}

// Bounds of what is kept of refusals.
const (
	RefusalsKept = 14 * 24 * time.Hour
	MaxRefusals  = 200_000
)

// NoteRefusals writes entries of refusals. They carry ids of their own when a
// transaction has more than one.
func (d *Desk) NoteRefusals(ctx context.Context, entries []JournalEntry) error {
	return d.update(ctx, func(tx store.Tx) error {
		for _, e := range entries {
			if err := saveJournal(tx, e); err != nil {
				return err
			}
			if err := tx.Put(journalRefusedKey(e.ID), ref); err != nil {
				return err
			}
		}
		return nil
	})
}

// maxTrace bounds what one trace returns.
const maxTrace = 1000

// Trace tells what happened to a mail: the journal entries that a Message-ID,
// an address, a client, a ticket or a transaction id leads to, oldest first.
func (d *Desk) Trace(ctx context.Context, key string) ([]*JournalEntry, error) {
	key = strings.Trim(strings.TrimSpace(key), "<>")
	return view(ctx, d, func(r store.Reader) ([]*JournalEntry, error) {
		entries, err := scan[JournalEntry](r, store.Range{Start: journalKey(strings.ToLower(key)), End: journalKey(strings.ToLower(key) + ".\xff")}, false, maxTrace)
		if err != nil {
			return nil, err
		}
		ids, err := lastStrings(r, store.Prefix("journal.by", term(key)), maxTrace)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			e, err := find[JournalEntry](r, journalKey(id))
			if err != nil {
				return nil, err
			}
			if e != nil {
				entries = append(entries, e)
			}
		}
		slices.SortStableFunc(entries, func(a, b *JournalEntry) int { return cmp.Or(a.At.Compare(b.At), strings.Compare(a.ID, b.ID)) })
		return slices.CompactFunc(entries, func(a, b *JournalEntry) bool { return a.ID == b.ID }), nil
	})
}

// TraceOutgoing returns the outgoing copies that an id, a Message-ID or a
// recipient leads to, oldest first.
func (d *Desk) TraceOutgoing(ctx context.Context, key string) ([]*Outgoing, error) {
	key = strings.Trim(strings.TrimSpace(key), "<>")
	return view(ctx, d, func(r store.Reader) ([]*Outgoing, error) {
		ids, err := lastStrings(r, store.Prefix("out.by", term(key)), maxTrace)
		if err != nil {
			return nil, err
		}
		var out []*Outgoing
		for _, id := range append([]string{strings.ToLower(key)}, ids...) {
			o, err := find[Outgoing](r, outgoingKey(id))
			if err != nil {
				return nil, err
			}
			if o != nil {
				out = append(out, o)
			}
		}
		return out, nil
	})
}

// lastStrings returns the last elements of the newest keys of a range, in
// order.
func lastStrings(r store.Reader, rg store.Range, limit int) ([]string, error) {
	var out []string
	for it, err := range r.Scan(rg, true) {
		if err != nil {
			return nil, err
		}
		s, err := lastString(it.Key)
		if err != nil {
			return nil, err
		}
		if out = append(out, s); len(out) == limit {
			break
		}
	}
	slices.Reverse(out)
	return out, nil
}

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
	for _, part := range []func(store.Tx) (int, error){
		func(tx store.Tx) (int, error) { return sweepRefusals(tx, now, excess) },
		func(tx store.Tx) (int, error) { return sweepSeen(tx, now) },
		func(tx store.Tx) (int, error) { return sweepBudgets(tx, now) },
	} {
		for {
			n := 0
			err := d.update(ctx, func(tx store.Tx) (err error) {
				n, err = part(tx)
				return err
			})
			total += n
			if err != nil {
				return total, err
			}
			excess = max(excess-n, 0)
			if n < sweepChunk {
				break
			}
		}
	}
	trimmed, err := d.trimFeed(ctx)
	return total + trimmed, storeError(err)
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

// sweepChunk bounds the rows that one transaction of Sweep looks at.
const sweepChunk = 500

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

func sweepRefusals(tx store.Tx, now time.Time, excess int) (int, error) {
	old := journalRefusedKey(idBefore(now.Add(-RefusalsKept)))
	n := 0
	for it, err := range tx.Scan(store.Prefix("journal.refused"), false) {
		if err != nil {
			return n, err
		}
		if it.Key >= old && n >= excess {
			break
		}
		id, err := lastString(it.Key)
		if err != nil {
			return n, err
		}
		if err := deleteEntry(tx, id); err != nil {
			return n, err
		}
		if err := tx.Delete(journalRefusedKey(id)); err != nil {
			return n, err
		}
		if n++; n == sweepChunk {
			break
		}
	}
	return n, nil
}

func deleteEntry(tx store.Tx, id string) error {
	e, err := find[JournalEntry](tx, journalKey(id))
	if err != nil || e == nil {
		return err
	}
	for _, t := range slices.Concat([]string{e.MessageID, e.MailFrom, e.From, e.Client, e.Ticket}, e.RcptTo) {
		if err := tx.Delete(journalByKey(t, id)); err != nil {
			return err
		}
	}
	return tx.Delete(journalKey(id))
}

func sweepSeen(tx store.Tx, now time.Time) (int, error) {
	return sweepRange(tx, store.Range{Start: store.Prefix("seen.at").Start, End: store.K("seen.at", now.Add(-identityKept))}, func(parts []any) (store.Key, bool) {
		project, ok1 := parts[2].(uint64)
		identity, ok2 := parts[3].([]byte)
		return seenKey(project, identity), ok1 && ok2
	})
}

func sweepBudgets(tx store.Tx, now time.Time) (int, error) {
	return sweepRange(tx, store.Range{Start: store.Prefix("budget").Start, End: store.K("budget", now.Add(-2*time.Hour))}, nil)
}

// sweepRange deletes a chunk of a range and, for each key, the one that also
// names.
func sweepRange(tx store.Tx, rg store.Range, also func(parts []any) (store.Key, bool)) (int, error) {
	n := 0
	for it, err := range tx.Scan(rg, false) {
		if err != nil {
			return n, err
		}
		if also != nil {
			parts, err := it.Key.Split()
			if err != nil {
				return n, err
			}
			if k, ok := also(parts); ok {
				if err := tx.Delete(k); err != nil {
					return n, err
				}
			}
		}
		if err := tx.Delete(it.Key); err != nil {
			return n, err
		}
		if n++; n == sweepChunk {
			break
		}
	}
	return n, nil
}

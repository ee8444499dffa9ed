package ticketing

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// maxTrace bounds what one trace returns.
const maxTrace = 1000

// Trace tells what happened to a mail: the journal entries that a Message-ID,
// an address, a client, a ticket or a transaction id leads to, oldest first.
func (d *Desk) Trace(ctx context.Context, key string) ([]*JournalEntry, error) {
	key = strings.Trim(strings.TrimSpace(key), "<>")
	if id := strings.TrimRight(key, "0123456789"); len(id) == idLen+1 && id[idLen] == '.' {
		key = id[:idLen] // a held mail, or one of several refusals: the whole transaction
	}
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

// TraceOutgoing returns the outgoing copies that an id, a Message-ID, a
// recipient or a ticket leads to, oldest first.
func (d *Desk) TraceOutgoing(ctx context.Context, key string) ([]*Outgoing, error) {
	key = strings.Trim(strings.TrimSpace(key), "<>")
	return view(ctx, d, func(r store.Reader) ([]*Outgoing, error) {
		copies, err := copiesBy(r, key)
		if err != nil {
			return nil, err
		}
		ids, err := lastStrings(r, copies, maxTrace)
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

// copiesBy is the index rows of the copies that a key leads to.
func copiesBy(r store.Reader, key string) (store.Range, error) {
	by := store.Prefix("out.by", term(key))
	ref, err := ParseRef(key)
	if err != nil {
		return by, nil
	}
	p, err := projectByName(r, ref.Project)
	switch {
	case KindOf(err) == KindNotFound:
		return by, nil
	case err != nil:
		return by, err
	}
	return store.Prefix("out.ticket", p.ID, ref.IID), nil
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

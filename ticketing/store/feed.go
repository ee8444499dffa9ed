package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
)

// ErrTrimmed is returned by Changes when records after the reader's position
// have been trimmed: it must start over from a full reading of the data.
var ErrTrimmed = errors.New("change feed has been trimmed past this position")

// reserved is the first element of every key that the port keeps for itself.
const reserved = "store"

func seqKey() Key                  { return K(reserved, "seq") }
func feedKey(seq uint64) Key       { return K(reserved, "feed", seq) }
func cursorKey(name string) Key    { return K(reserved, "cursor", name) }
func blobKey(h Hash) Key           { return K(reserved, "blob", h) }
func blobDataKey(h Hash) Key       { return K(reserved, "blobdata", h) }
func encodeNumber(n uint64) []byte { return strconv.AppendUint(nil, n, 10) }

// getNumber reads a number kept as decimal text; an absent one is 0.
func getNumber(r Reader, k Key) (uint64, error) {
	v, err := r.Get(k)
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(string(v), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("key %v: %w", k, err)
	}
	return n, nil
}

// maxFeedRow bounds the changes of one row of the feed.
const maxFeedRow = 100

// feedRow is the stored form of changes that follow each other, under the
// number of the first.
type feedRow struct {
	Version int      `json:"v"`
	Changes []Change `json:"changes"`
	Change           // the only one of a row of version 1
}

func decodeFeedRow(item Item) (first uint64, changes []Change, err error) {
	parts, err := item.Key.Split()
	if err != nil {
		return 0, nil, err
	}
	first, ok := parts[len(parts)-1].(uint64)
	if !ok {
		return 0, nil, fmt.Errorf("key %v is not of the feed", item.Key)
	}
	var row feedRow
	if err := json.Unmarshal(item.Value, &row); err != nil {
		return 0, nil, fmt.Errorf("change %d: %w", first, err)
	}
	if row.Version == 1 {
		row.Changes = []Change{row.Change}
	}
	for i := range row.Changes {
		row.Changes[i].Seq = first + uint64(i)
	}
	return first, row.Changes, nil
}

func encodeFeedRow(changes []Change) ([]byte, error) {
	return json.Marshal(struct {
		Version int      `json:"v"`
		Changes []Change `json:"changes"`
	}{2, changes})
}

func (t *tx) Emit(c Change) error {
	if err := t.charge(len(c.Kind) + 2*len(c.Key) + 64); err != nil {
		return err
	}
	t.changes = append(t.changes, c)
	return nil
}

// numberChanges gives the batch's feed records their sequence numbers.
func (b *batch) numberChanges(eb Batch) error {
	if len(b.changes) == 0 {
		return nil
	}
	seq, err := getNumber(eb, seqKey())
	if err != nil {
		return err
	}
	for row := range slices.Chunk(b.changes, maxFeedRow) {
		v, err := encodeFeedRow(row)
		if err != nil {
			return err
		}
		b.over = b.over.Put(string(feedKey(seq+1)), v)
		seq += uint64(len(row))
	}
	b.over = b.over.Put(string(seqKey()), encodeNumber(seq))
	b.seq = seq
	return nil
}

// LastChange returns the sequence number of the newest change that r knows of,
// 0 if there was none yet. A reader of the feed that first reads all data takes
// it from the same snapshot.
func LastChange(r Reader) (uint64, error) {
	return getNumber(r, seqKey())
}

// Changes returns up to limit changes with numbers above after, in order and
// without a gap. It returns ErrTrimmed when the next one is gone.
func (db *DB) Changes(ctx context.Context, after uint64, limit int) ([]Change, error) {
	var list []Change
	err := db.View(ctx, func(r Reader) error {
		last, err := LastChange(r)
		if err != nil || last <= after {
			return err
		}
		list, err = readChanges(r, after, limit)
		return err
	})
	return list, err
}

func readChanges(r Reader, after uint64, limit int) ([]Change, error) {
	start, err := feedStart(r, after+1)
	if err != nil {
		return nil, err
	}
	var list []Change
	for item, err := range r.Scan(Range{start, Prefix(reserved, "feed").End}, false) {
		if err != nil {
			return nil, err
		}
		first, changes, err := decodeFeedRow(item)
		if err != nil {
			return nil, err
		}
		next := after + uint64(len(list)) + 1
		if first > next || next-first >= uint64(len(changes)) {
			break
		}
		changes = changes[next-first:]
		if list = append(list, changes[:min(len(changes), limit-len(list))]...); len(list) >= limit {
			break
		}
	}
	if len(list) == 0 {
		return nil, ErrTrimmed
	}
	return list, nil
}

// feedStart is the key of the last row that begins at or before a change.
func feedStart(r Reader, seq uint64) (Key, error) {
	for item, err := range r.Scan(Range{Prefix(reserved, "feed").Start, feedKey(seq + 1)}, true) {
		return item.Key, err
	}
	return feedKey(seq), nil
}

// Changed returns a channel that is closed when this DB next commits changes.
// It is a hint only: take it before reading, and poll as well, since other
// nodes' commits do not show here.
func (db *DB) Changed() <-chan struct{} {
	return db.changed.wait()
}

// TrimFeed deletes the changes with numbers below before that every cursor has
// passed, and returns how many. It works in chunks.
func (db *DB) TrimFeed(ctx context.Context, before uint64) (int, error) {
	total := 0
	for {
		var n int
		var more bool
		if err := db.Update(ctx, func(x Tx) (err error) {
			n, more, err = trimChunk(x.(*tx), before) // what Update gives
			return err
		}); err != nil {
			return total, err
		}
		if total += n; !more {
			return total, nil
		}
	}
}

// trimRows is how many rows of the feed one transaction trims.
const trimRows = 1000

// trimChunk deletes the first rows of the feed, and of the last one of them
// what lies below before.
func trimChunk(t *tx, before uint64) (n int, more bool, err error) {
	for item, err := range t.Scan(Prefix(reserved, "cursor"), false) {
		if err != nil {
			return 0, false, err
		}
		position, err := strconv.ParseUint(string(item.Value), 10, 64)
		if err != nil {
			return 0, false, fmt.Errorf("key %v: %w", item.Key, err)
		}
		before = min(before, position+1)
	}
	rows := 0
	for item, err := range t.Scan(Range{feedKey(0), feedKey(before)}, false) {
		if err != nil {
			return n, false, err
		}
		if rows++; rows > trimRows {
			return n, true, nil
		}
		k, err := t.trimRow(item, before)
		if err != nil {
			return n, false, err
		}
		n += k
	}
	return n, false, nil
}

// trimRow deletes the changes of a row that lie below before, and returns how
// many.
func (t *tx) trimRow(item Item, before uint64) (int, error) {
	first, changes, err := decodeFeedRow(item)
	if err != nil {
		return 0, err
	}
	n := int(min(before-first, uint64(len(changes))))
	if err := t.write(item.Key, nil); err != nil || n == len(changes) {
		return n, err
	}
	rest, err := encodeFeedRow(changes[n:])
	if err != nil {
		return 0, err
	}
	return n, t.write(feedKey(before), rest)
}

// Cursor is a reader's persisted position in the change feed. The feed is not
// trimmed past it until the reader advances or removes it.
type Cursor struct {
	key Key
}

// Cursor returns the cursor of a name. It exists from its first Advance on.
func (db *DB) Cursor(name string) *Cursor {
	return &Cursor{cursorKey(name)}
}

// Position returns the number of the last change the reader is done with.
func (c *Cursor) Position(r Reader) (uint64, error) {
	return getNumber(r, c.key)
}

// Advance moves the cursor within a transaction, so that it is committed
// together with the effect of the changes up to seq. It refuses to go back:
// then another reader of the same name has been there already.
func (c *Cursor) Advance(x Tx, seq uint64) error {
	t, ok := ours(x)
	if !ok {
		return fmt.Errorf("a cursor cannot move in a %T", x)
	}
	position, err := c.Position(t)
	if err != nil {
		return t.doom(err)
	}
	if seq < position {
		return t.doom(fmt.Errorf("%v cannot go back from %d to %d", c.key, position, seq))
	}
	return t.write(c.key, encodeNumber(seq))
}

// Remove deletes the cursor. It begins at 0 when it is used again.
func (c *Cursor) Remove(x Tx) error {
	t, ok := ours(x)
	if !ok {
		return fmt.Errorf("a cursor cannot be removed in a %T", x)
	}
	return t.write(c.key, nil)
}

// ours returns the transaction itself, of one that others have wrapped: those
// have a method Unwrap.
func ours(x Tx) (*tx, bool) {
	for {
		if t, ok := x.(*tx); ok {
			return t, true
		}
		w, ok := x.(interface{ Unwrap() Tx })
		if !ok {
			return nil, false
		}
		x = w.Unwrap()
	}
}

// broadcast wakes everybody who waits.
type broadcast struct {
	mu sync.Mutex
	ch chan struct{}
}

func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *broadcast) send() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}

package ticketing

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// Rule says what must hold of all rows of a kind, which is the first element of
// their keys.
type Rule struct {
	Kind string
	// Row checks one row and tells c what belongs to it. Its error means that
	// the store could not be read.
	Row func(c *Checking, row Row) error
	// Source is set for indexes instead of Row: it tells which row a row of the
	// index belongs to.
	Source func(parts []any) (store.Key, bool)
}

// Row is a row under check.
type Row struct {
	Key   store.Key
	Parts []any
	Value []byte
}

// CheckOptions say what Check looks at. Zero fields are fine.
type CheckOptions struct {
	Rules []Rule              // of rows that other packages keep in the same store
	Found func(store.Finding) // hears of everything that is wrong
	Step  func(bytes int64)   // hears how many bytes were looked at
}

// Check looks through everything one snapshot of a store holds: every key and
// value can be read, every row has the rows that find it and every such row has
// what it finds, sequences are not behind what they counted, blobs have as many
// references as there are, and their bytes. It returns how many things are
// wrong; an error means that it could not look.
func Check(ctx context.Context, db *store.DB, r store.Reader, o CheckOptions) (wrong int, err error) {
	c := &Checking{
		ctx: ctx, r: r, step: o.Step, rules: map[string]Rule{},
		owned: map[string]int64{}, there: map[string]int64{}, counters: map[store.Key]uint64{},
	}
	c.found = func(f store.Finding) {
		wrong++
		if o.Found != nil {
			o.Found(f)
		}
	}
	for _, rule := range slices.Concat(rules(), o.Rules) {
		c.rules[rule.Kind] = rule
	}
	if c.step == nil {
		c.step = func(int64) {}
	}
	for _, part := range []func() error{c.rows, c.orphans, c.references} {
		if err := part(); err != nil {
			return wrong, err
		}
	}
	return wrong, db.CheckOwn(ctx, r, c.found, c.step)
}

// Checking is a check under way, as rules see it.
type Checking struct {
	ctx   context.Context
	r     store.Reader
	found func(store.Finding)
	step  func(int64)
	rules map[string]Rule

	owned    map[string]int64 // rows of indexes that are there and belong there, by kind
	there    map[string]int64 // all rows of indexes, by kind
	counters map[store.Key]uint64
	refs     refSums

	// A second look at some rows, which finds nothing, only notes:
	probing bool
	rowsOf  []store.Key          // what the row owns
	count   map[store.Hash]int64 // its references, where the sums are wrong
}

// Bad notes that something is wrong with a row.
func (c *Checking) Bad(k store.Key, format string, args ...any) {
	if !c.probing {
		c.found(store.Finding{Key: k, What: fmt.Sprintf(format, args...)})
	}
}

// Owns tells that the row at k must be found by these rows of indexes.
func (c *Checking) Owns(k store.Key, rows ...store.Item) error {
	slices.SortFunc(rows, func(a, b store.Item) int { return strings.Compare(string(a.Key), string(b.Key)) })
	rows = slices.CompactFunc(rows, func(a, b store.Item) bool { return a.Key == b.Key })
	keys := make([]store.Key, len(rows))
	for i, row := range rows {
		keys[i] = row.Key
	}
	if c.probing {
		c.rowsOf = append(c.rowsOf, keys...)
		return nil
	}
	values, err := c.r.GetMulti(keys)
	if err != nil {
		return err
	}
	for i, v := range values {
		if v == nil {
			c.Bad(k, "is not found by %v", keys[i])
			continue
		}
		if !bytes.Equal(v, rows[i].Value) {
			c.Bad(keys[i], "has another value than it should")
		}
		c.owned[kindOf(keys[i])]++
	}
	return nil
}

// Refers tells of a reference to a blob.
func (c *Checking) Refers(h store.Hash) {
	if !c.probing {
		c.refs.add(h, 1)
	} else if c.count != nil && c.refs.wrong(h) {
		c.count[h]++
	}
}

// Needs tells that the row at k is wrong unless there is another one.
func (c *Checking) Needs(k, other store.Key) error {
	if c.probing {
		return nil
	}
	_, err := c.r.Get(other)
	if errors.Is(err, store.ErrNotFound) {
		c.Bad(k, "belongs to %v, which is missing", other)
		return nil
	}
	return err
}

// OfAgent tells that the row at k is wrong unless there is the agent.
func (c *Checking) OfAgent(k store.Key, email string) error {
	a, err := lookup[Agent](c, k, agentKey(email))
	if err == nil && a != nil && !a.answers() {
		c.Bad(k, "belongs to %s, who is no agent", email)
	}
	return err
}

// refs are the rows of an index that say nothing beyond their keys.
func refRows(keys ...store.Key) []store.Item {
	rows := make([]store.Item, len(keys))
	for i, k := range keys {
		rows[i] = store.Item{Key: k, Value: ref}
	}
	return rows
}

// kindOf is the first element of a key, "" if it is not text.
func kindOf(k store.Key) string {
	parts, _ := k.Split()
	if len(parts) == 0 {
		return ""
	}
	kind, _ := parts[0].(string)
	return kind
}

// rows looks at every row but those of blobs.
func (c *Checking) rows() error {
	if err := c.Needs(schemaKey(), schemaKey()); err != nil {
		return err
	}
	for i, err := range store.Contents(c.r) {
		if err == nil && c.ctx.Err() != nil {
			err = context.Cause(c.ctx)
		}
		if err != nil {
			return err
		}
		if err := c.row(i); err != nil {
			return err
		}
		c.step(int64(len(i.Key) + len(i.Value)))
	}
	return nil
}

// portKind is the kind of the port's own rows.
const portKind = "store"

func (c *Checking) row(i store.Item) error {
	parts, err := i.Key.Split()
	if err != nil {
		c.Bad(i.Key, "is no key: %v", err)
		return nil
	}
	kind, _ := parts[0].(string)
	rule, ok := c.rules[kind]
	switch {
	case kind == portKind:
		return nil
	case !ok:
		c.Bad(i.Key, "is of no known kind")
		return nil
	case rule.Source == nil:
		return rule.Row(c, Row{i.Key, parts, i.Value})
	}
	c.there[kind]++
	return nil
}

// orphans names the rows of indexes that belong to nothing. It looks only where
// there are more rows than belong there.
func (c *Checking) orphans() error {
	for _, kind := range slices.Sorted(maps.Keys(c.there)) {
		if c.there[kind] == c.owned[kind] {
			continue
		}
		for i, err := range c.r.Scan(store.Prefix(kind), false) {
			if err != nil {
				return err
			}
			ok, err := c.belongs(i.Key)
			if err != nil {
				return err
			}
			if !ok {
				c.Bad(i.Key, "finds nothing, or what it should not")
			}
		}
	}
	return nil
}

func (c *Checking) belongs(k store.Key) (bool, error) {
	parts, err := k.Split()
	if err != nil {
		return true, nil // told already
	}
	source, ok := c.rules[parts[0].(string)].Source(parts)
	if !ok {
		return false, nil
	}
	v, err := c.r.Get(source)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	c.rowsOf = c.rowsOf[:0]
	err = c.probe(store.Item{Key: source, Value: v})
	return slices.Contains(c.rowsOf, k), err
}

// probe runs the rule of a row for what it notes.
func (c *Checking) probe(i store.Item) error {
	c.probing = true
	defer func() { c.probing = false }()
	return c.row(i)
}

// references compares how often blobs are referred to with how many references
// they have.
func (c *Checking) references() error {
	for b, err := range store.BlobsOf(c.r) {
		if err != nil {
			break // CheckOwn tells of it
		}
		c.refs.add(b.Hash, -b.Refs)
	}
	if c.refs == (refSums{}) {
		return nil
	}
	c.count = map[store.Hash]int64{}
	for i, err := range store.Contents(c.r) {
		if err != nil {
			return err
		}
		if rule := c.rules[kindOf(i.Key)]; rule.Row != nil {
			if err := c.probe(i); err != nil {
				return err
			}
		}
	}
	for b, err := range store.BlobsOf(c.r) {
		if err != nil {
			break
		}
		if n := c.count[b.Hash]; c.refs.wrong(b.Hash) && n != b.Refs {
			c.Bad(store.BlobKey(b.Hash), "has %d references, there are %d", b.Refs, n)
		}
		delete(c.count, b.Hash)
	}
	for h, n := range c.count {
		c.Bad(store.BlobKey(h), "is missing, there are %d references to it", n)
	}
	return nil
}

// refSums adds references up so that little memory tells whether they are
// right: by the first bits of the hash, each weighed with other bits of it.
type refSums [4096]uint64

func (s *refSums) add(h store.Hash, n int64) {
	s[bucketOf(h)] += uint64(n) * binary.BigEndian.Uint64(h[8:])
}

// wrong tells whether the sum is that a hash belongs to.
func (s *refSums) wrong(h store.Hash) bool { return s[bucketOf(h)] != 0 }

func bucketOf(h store.Hash) uint16 { return binary.BigEndian.Uint16(h[:]) >> 4 }

package store

import (
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/mxdesk/mxdesk/ticketing/store/internal/treap"
)

// tx is the Tx of one run of one closure: the engine's snapshot below, and
// above it the state left by the closures before, changed by this one.
type tx struct {
	state
	db    *DB
	below Reader
	wrote int   // by this closure, in the measure of MaxTxBytes
	err   error // first error that dooms the transaction
	ended bool
}

var errEnded = errors.New("transaction has ended")

// doom notes an error that the closure may not get past by ignoring it.
func (t *tx) doom(err error) error {
	if t.err == nil {
		t.err = err
	}
	return err
}

func (t *tx) Get(k Key) ([]byte, error) {
	if t.ended {
		return nil, errEnded
	}
	if v, ok := t.over.Get(string(k)); ok {
		if v == nil {
			return nil, ErrNotFound
		}
		return v, nil
	}
	v, err := t.below.Get(k)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, t.doom(err)
	}
	return v, err
}

func (t *tx) GetMulti(ks []Key) ([][]byte, error) {
	if t.ended {
		return nil, errEnded
	}
	values := make([][]byte, len(ks))
	var ask []Key
	var at []int
	for i, k := range ks {
		v, ok := t.over.Get(string(k))
		if !ok {
			ask, at = append(ask, k), append(at, i)
			continue
		}
		values[i] = v
	}
	if len(ask) == 0 {
		return values, nil
	}
	found, err := t.below.GetMulti(ask)
	if err != nil {
		return nil, t.doom(err)
	}
	for i, v := range found {
		values[at[i]] = v
	}
	return values, nil
}

func (t *tx) Scan(r Range, reverse bool) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		if t.ended {
			yield(Item{}, errEnded)
			return
		}
		t.over = t.over.Own() // what the consumer writes must not disturb the scan
		over := t.over.Scan(string(r.Start), string(r.End), reverse)
		for item, err := range merge(t.below.Scan(r, reverse), over, reverse) {
			if err != nil {
				t.doom(err)
			}
			if !yield(item, err) {
				return
			}
		}
	}
}

// merge lays the overlay's entries over those of the snapshot; both run in the
// same direction.
func merge(below iter.Seq2[Item, error], over *treap.Cursor, reverse bool) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for item, err := range below {
			if err != nil {
				yield(Item{}, err)
				return
			}
			if !yieldBefore(over, string(item.Key), reverse, yield) {
				return
			}
			if k, _, ok := over.Peek(); ok && k == string(item.Key) {
				continue // it comes from the overlay, with what lies before the next item
			}
			if !yield(item, nil) {
				return
			}
		}
		for yieldNext(over, yield) {
		}
	}
}

// yieldBefore yields the overlay's entries that come before a key; false when
// the consumer broke off.
func yieldBefore(over *treap.Cursor, key string, reverse bool, yield func(Item, error) bool) bool {
	for {
		k, _, ok := over.Peek()
		if !ok || k == key || (k < key) == reverse {
			return true
		}
		if !yieldNext(over, yield) {
			return false
		}
	}
}

// yieldNext yields one entry, unless it is a deleted key, and moves on. It
// returns false at the end, and when the consumer broke off.
func yieldNext(over *treap.Cursor, yield func(Item, error) bool) bool {
	k, v, ok := over.Peek()
	if !ok {
		return false
	}
	over.Next()
	return v == nil || yield(Item{Key(k), v}, nil)
}

func (t *tx) Put(k Key, v []byte) error {
	if err := t.checkUserKey(k); err != nil {
		return err
	}
	if v == nil {
		v = []byte{}
	}
	return t.write(k, v)
}

func (t *tx) Delete(k Key) error {
	if err := t.checkUserKey(k); err != nil {
		return err
	}
	return t.write(k, nil)
}

// checkUserKey refuses keys that are empty, too long or the port's own.
func (t *tx) checkUserKey(k Key) error {
	switch {
	case k == "":
		return t.doom(errors.New("empty key"))
	case len(k) > MaxKeyBytes:
		return t.doom(fmt.Errorf("%w: key of %d bytes", ErrTooLarge, len(k)))
	case strings.HasPrefix(string(k), string(K(reserved))):
		return t.doom(fmt.Errorf("key %v is reserved", k))
	}
	return nil
}

// write puts a key into the overlay; nil deletes.
func (t *tx) write(k Key, v []byte) error {
	if err := t.charge(len(k) + len(v)); err != nil {
		return err
	}
	t.over = t.over.Put(string(k), v)
	return nil
}

// charge counts one write against the limit of the transaction.
func (t *tx) charge(n int) error {
	if t.ended {
		return errEnded
	}
	t.cost += n + WriteOverhead
	t.wrote += n + WriteOverhead
	if t.wrote > MaxTxBytes {
		return t.doom(fmt.Errorf("%w: more than %d bytes", ErrTooLarge, MaxTxBytes))
	}
	return nil
}

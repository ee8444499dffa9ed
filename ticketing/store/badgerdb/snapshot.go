package badgerdb

import (
	"errors"
	"iter"

	"github.com/dgraph-io/badger/v4"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// snapshot is a read-only transaction. What it returns is copied, so it is good
// for as long as anybody wants.
type snapshot struct {
	txn   *badger.Txn
	close func()
}

// Close ends the snapshot. It may be called more than once.
func (s *snapshot) Close() { s.close() }

func (s *snapshot) Get(k store.Key) ([]byte, error) {
	if k == "" || k == onlyDeletes {
		return nil, store.ErrNotFound
	}
	item, err := s.txn.Get([]byte(k))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, store.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return value(item)
}

// value copies an item's value; an empty one is not nil.
func value(item *badger.Item) ([]byte, error) {
	return item.ValueCopy(make([]byte, 0, item.ValueSize()))
}

func (s *snapshot) GetMulti(ks []store.Key) ([][]byte, error) {
	values := make([][]byte, len(ks))
	for i, k := range ks {
		v, err := s.Get(k)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		values[i] = v
	}
	return values, nil
}

func (s *snapshot) Scan(r store.Range, reverse bool) iter.Seq2[store.Item, error] {
	return func(yield func(store.Item, error) bool) {
		if r.End != "" && r.Start >= r.End {
			return
		}
		it := s.txn.NewIterator(badger.IteratorOptions{
			Reverse: reverse,
			Prefix:  []byte(commonPrefix(r)), // lets Badger skip whole tables
		})
		defer it.Close()
		for seek(it, r, reverse); it.Valid(); it.Next() {
			key := store.Key(it.Item().Key())
			if key < r.Start || r.End != "" && key >= r.End {
				return
			}
			if key == onlyDeletes {
				continue
			}
			v, err := value(it.Item())
			if err != nil {
				yield(store.Item{}, err)
				return
			}
			if !yield(store.Item{Key: key, Value: v}, nil) {
				return
			}
		}
	}
}

// seek moves to the first item of the range.
func seek(it *badger.Iterator, r store.Range, reverse bool) {
	switch {
	case !reverse:
		it.Seek([]byte(r.Start))
	case r.End == "":
		it.Rewind()
	default:
		it.Seek([]byte(r.End))
		if it.Valid() && store.Key(it.Item().Key()) == r.End {
			it.Next()
		}
	}
}

// commonPrefix is what all keys of a range begin with.
func commonPrefix(r store.Range) store.Key {
	n := 0
	for n < min(len(r.Start), len(r.End)) && r.Start[n] == r.End[n] {
		n++
	}
	return r.Start[:n]
}

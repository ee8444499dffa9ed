package badgerdb

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// TestTransactionFields pins what a transaction of Badger is made of. Get and
// NewIterator of one that is read-only write to none of these but numIterators,
// which is atomic; where that has changed, they are to be read again before
// Badger is upgraded.
func TestTransactionFields(t *testing.T) {
	reviewed := []string{
		"readTs uint64", "commitTs uint64", "size int64", "count int64", "db *badger.DB", "reads []uint64",
		"conflictKeys map[uint64]struct {}", "readsLock sync.Mutex", "pendingWrites map[string]*badger.Entry",
		"duplicateWrites []*badger.Entry", "numIterators atomic.Int32", "discarded bool", "doneRead bool", "update bool",
	}
	var fields []string
	for f := range reflect.TypeFor[badger.Txn]().Fields() {
		fields = append(fields, f.Name+" "+f.Type.String())
	}
	if !slices.Equal(fields, reviewed) {
		t.Errorf("badger.Txn is\n%s\nand was\n%s", strings.Join(fields, "\n"), strings.Join(reviewed, "\n"))
	}
}

// TestSharedReading reads one transaction in many goroutines, from memory and
// from tables, while commits go on. Each snapshot has to see one commit whole.
// The race detector sees what Badger does to the transaction.
func TestSharedReading(t *testing.T) {
	db := open(t, t.TempDir(), Options{})
	defer closed(t, db)
	commit(t, db, store.Item{Key: store.K("old", 0), Value: []byte("old")})
	for i := range 20 { // more than a memtable
		commit(t, db, store.Item{Key: store.K("old", i+1), Value: make([]byte, 900<<10)})
	}
	const readers, rounds, commits, keys = 8, 25, 10, 20
	write := func(n int) {
		var items []store.Item
		for i := range keys {
			items = append(items, store.Item{Key: store.K("k", i), Value: fmt.Append(nil, n)})
		}
		commit(t, db, items...)
	}
	write(0)
	held, err := db.snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	var work sync.WaitGroup
	for n := range readers {
		work.Go(func() {
			for round := range rounds {
				if readsWhole(t, held, keys, n%2 == 0) != "0" {
					t.Error("the snapshot that is held has changed")
				}
				s, err := db.snapshot()
				if err != nil {
					t.Error(err)
					return
				}
				readsWhole(t, s, keys, round%2 == 0)
				s.Close()
			}
		})
	}
	work.Go(func() {
		for n := range commits {
			write(n + 1)
		}
	})
	work.Wait()
	if readsWhole(t, held, keys, false) != "0" {
		t.Error("the snapshot that is held has changed")
	}
}

// readsWhole reads all that TestSharedReading wrote in the ways a snapshot has,
// and returns the value that all keys have.
func readsWhole(t *testing.T, s *snapshot, keys int, reverse bool) (value string) {
	first, err := s.Get(store.K("k", 0))
	if err != nil {
		t.Error(err)
	}
	n := 0
	for item, err := range s.Scan(store.Range{Start: store.K("k", 0), End: store.K("l")}, reverse) {
		n++
		if err != nil || !bytes.Equal(item.Value, first) {
			t.Errorf("%v: %q, %v beside %q", item.Key, item.Value, err, first)
		}
	}
	if n != keys {
		t.Errorf("%d keys", n)
	}
	for item, err := range s.Scan(store.Range{Start: store.K("old")}, false) { // left early
		if err != nil || string(item.Value) != "old" {
			t.Errorf("%v: %d octets, %v", item.Key, len(item.Value), err)
		}
		break
	}
	if _, err := s.Get(store.K("none")); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
	return string(first)
}

package badgerdb

import (
	"errors"

	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
)

// checkHomeless looks at tables that are newer than what the manifest tells.
// When the process ended while it made them, everything in them is in other
// tables or in a log as well. Otherwise the end of the manifest is missing, and
// Badger would delete the only place where it is.
func checkHomeless(homeless, listed, logs []string) error {
	missing := map[string]uint64{} // key -> number of its newest batch
	for _, file := range homeless {
		err := readTable(file, func(t *table.Table) error {
			eachKey(t, func(key string, number uint64) { missing[key] = max(missing[key], number) })
			return nil
		})
		if err != nil && !errors.Is(err, ErrDamaged) { // a table is not whole while it is made
			return err
		}
	}
	found := func(key []byte) {
		if k := string(y.ParseKey(key)); missing[k] <= y.ParseTs(key) {
			delete(missing, k)
		}
	}
	for _, file := range logs {
		if _, err := inspectLog(file, found); err != nil {
			return err
		}
	}
	for _, file := range listed {
		err := readTable(file, func(t *table.Table) error {
			findKeys(t, missing, found)
			return nil
		})
		if err != nil {
			return err
		}
	}
	if len(missing) > 0 {
		return damaged(homeless[0], errors.New("MANIFEST, beside it, does not name it, and nothing else has what is in it: the end of MANIFEST is missing"))
	}
	return nil
}

// bitDelete marks an entry of a deleted key.
const bitDelete = 1 << 0

// eachKey tells the entries of a table, but those of deleted keys.
func eachKey(t *table.Table, tell func(key string, number uint64)) {
	it := t.NewIterator(table.NOCACHE)
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if it.Value().Meta&bitDelete == 0 {
			tell(string(y.ParseKey(it.Key())), y.ParseTs(it.Key()))
		}
	}
}

// findKeys looks keys up in a table.
func findKeys(t *table.Table, keys map[string]uint64, found func(key []byte)) {
	it := t.NewIterator(table.NOCACHE)
	defer it.Close()
	for k := range keys {
		it.Seek(y.KeyWithTs([]byte(k), ^uint64(0)))
		if it.Valid() && string(y.ParseKey(it.Key())) == k {
			found(it.Key())
		}
	}
}

package badgerdb

import "github.com/dgraph-io/badger/v4"

// reading is the state after a commit, for all snapshots that are opened until
// the next one. A transaction of Badger's own for each would have to wait for
// the commit under way, and its sync. Badger promises a transaction to one
// goroutine at a time only, but reading from a read-only one writes nothing to it
// but an atomic counter. TestTransactionFields and TestSharedReading, under the
// race detector, notice a Badger in which that is no longer so. drop discards it
// when nobody reads any more.
type reading struct {
	txn   *badger.Txn
	unpin func()
	users int // snapshots, and DB.reading; guarded by DB.mu
}

// read returns the latest reading, to be given back by drop.
func (db *DB) read() *reading {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.reading.users++
	return db.reading
}

// drop gives a reading back.
func (db *DB) drop(r *reading) {
	db.mu.Lock()
	r.users--
	last := r.users == 0
	db.mu.Unlock()
	if last {
		r.txn.Discard()
		r.unpin()
	}
}

// renew makes snapshots see everything that has been committed.
func (db *DB) renew() {
	r := &reading{unpin: db.blobs.Pin(), users: 1}
	r.txn = db.kv.NewTransaction(false)
	db.mu.Lock()
	old := db.reading
	if old == nil || old.txn.ReadTs() <= r.txn.ReadTs() {
		db.reading = r
	} else { // somebody else was faster
		old = r
	}
	db.mu.Unlock()
	if old != nil {
		db.drop(old)
	}
}

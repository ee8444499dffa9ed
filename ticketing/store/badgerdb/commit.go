package badgerdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// batch is the snapshot that the committer runs its closures on.
type batch struct {
	*snapshot
	db    *DB
	spent bool
}

func (b *batch) Prefetch([]store.Key) error { return nil }

func (b *batch) Close() {
	b.spent = true
	b.snapshot.Close()
}

// Commit writes the batch in one Badger transaction, whose log is synced before
// it returns. An error before Badger has seen the batch leaves nothing behind.
// Any error of Badger itself wraps store.ErrUnknownOutcome and store.ErrFailed:
// the entries may be in its memory and in its log, from where they may appear
// later, so the engine takes no more batches.
func (b *batch) Commit(ctx context.Context, writes []store.Item) error {
	if b.spent {
		return errors.New("batch is spent")
	}
	b.spent = true
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if err := b.db.failed.Load(); err != nil {
		return *err
	}
	txn := b.db.kv.NewTransaction(true)
	defer txn.Discard()
	if !slices.ContainsFunc(writes, func(w store.Item) bool { return w.Value != nil }) {
		writes = append(slices.Clip(writes), store.Item{Key: onlyDeletes, Value: []byte{}})
	}
	var bytes int64
	for _, w := range writes {
		bytes += int64(len(w.Key) + len(w.Value))
		if err := put(txn, w); err != nil {
			return err
		}
	}
	if err := b.db.room(bytes); err != nil {
		return err
	}
	if err := txn.Commit(); err != nil {
		return b.db.fail(err)
	}
	if err := b.db.wal.syncRotated(); err != nil {
		return b.db.fail(err)
	}
	b.db.done.committed(txn.ReadTs() + 1) // nobody else writes
	b.db.renew()
	return nil
}

// put adds one write to a transaction that Badger has not yet begun to write.
func put(txn *badger.Txn, w store.Item) error {
	var err error
	if w.Value == nil {
		err = txn.Delete([]byte(w.Key))
	} else {
		err = txn.Set([]byte(w.Key), w.Value)
	}
	if errors.Is(err, badger.ErrTxnTooBig) {
		return fmt.Errorf("%w: more than Badger takes at once", store.ErrTooLarge)
	}
	if err != nil {
		return fmt.Errorf("key %v: %w", w.Key, err)
	}
	return nil
}

// fail stops the engine after a commit whose outcome is not known.
func (db *DB) fail(cause error) error {
	db.opt.Log.Error("commit failed, nothing more is written", "error", cause)
	stopped := fmt.Errorf("%w: %w", store.ErrFailed, cause)
	db.failed.CompareAndSwap(nil, &stopped)
	return fmt.Errorf("%w: %w", store.ErrUnknownOutcome, stopped)
}

// walWatch notices when Badger has begun a new write-ahead log. Badger syncs
// the log's bytes but never the directory that holds its name.
type walWatch struct {
	dir  string
	next int // number of the log after the newest known one
	sync func(dir string) error
}

func watchWAL(dir string) (walWatch, error) {
	w := walWatch{dir: dir, next: 1, sync: syncDir}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return w, err
	}
	for _, e := range entries {
		var n int
		if strings.HasSuffix(e.Name(), ".mem") {
			if _, err := fmt.Sscanf(e.Name(), "%d.mem", &n); err == nil {
				w.next = max(w.next, n+1)
			}
		}
	}
	return w, w.sync(dir)
}

// syncRotated syncs the directory if there is a log that was not there before.
// The committer calls it, one commit at a time.
func (w *walWatch) syncRotated() error {
	known := w.next
	for {
		_, err := os.Lstat(filepath.Join(w.dir, fmt.Sprintf("%05d.mem", w.next)))
		if errors.Is(err, os.ErrNotExist) {
			break
		}
		if err != nil {
			return err
		}
		w.next++
	}
	if w.next == known {
		return nil
	}
	return w.sync(w.dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

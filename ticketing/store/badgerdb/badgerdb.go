package badgerdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"golang.org/x/sys/unix"

	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/segments"
)

// DB is an open data directory. It implements store.Engine.
type DB struct {
	opt   Options
	dir   string
	lock  *os.File
	kv    *badger.DB
	wal   walWatch
	done  *batches
	blobs *segments.Folder
	uses  uses

	mu      sync.Mutex
	reading *reading // what snapshots opened now see

	failed atomic.Pointer[error] // set by a commit of unknown outcome, for good
}

// Open opens or creates the data directory. It returns ErrInUse when another
// process has it open, ErrNotWritable when it may not be written to, and
// ErrDamaged, with the file's name and nothing changed, when its files are not
// what was written.
func Open(dir string, o Options) (*DB, error) {
	o = o.withDefaults()
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	db := &DB{opt: o, dir: dir, lock: lock}
	if err := db.open(); err != nil {
		lock.Close()
		return nil, err
	}
	return db, nil
}

func (db *DB) open() (err error) {
	kvDir := filepath.Join(db.dir, "kv")
	newest, err := inspect(kvDir)
	if err != nil {
		return err
	}
	if db.done, err = openBatches(db.dir, newest, db.opt.Log); err != nil {
		return err
	}
	if err = removeEmpty(kvDir); err != nil {
		return errors.Join(err, db.done.close())
	}
	if db.kv, err = badger.Open(badgerOptions(kvDir, db.opt)); err != nil {
		return errors.Join(fmt.Errorf("open %s: %w", kvDir, err), db.done.close())
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, db.kv.Close(), db.done.close())
		}
	}()
	if db.wal, err = watchWAL(kvDir); err != nil {
		return err
	}
	db.opt.Segments.Room = db.room // Badger lives on the reserve, segments must leave it alone
	if db.blobs, err = segments.Open(filepath.Join(db.dir, "blobs"), db.opt.Segments); err != nil {
		return err
	}
	if err = syncDir(db.dir); err != nil {
		return errors.Join(err, db.blobs.Close())
	}
	db.renew()
	return nil
}

// memTableBytes makes Badger take transactions of up to 15 % of it, which is
// more than the committer's 2 MiB.
const memTableBytes = 16 << 20

// badgerOptions are chosen for durable commits of one writer in little memory.
func badgerOptions(dir string, o Options) badger.Options {
	b := badger.DefaultOptions(dir)
	b.Logger = logger{o.Log}
	b.MetricsEnabled = false
	b.SyncWrites = true // Badger's own Sync misses a log that was just rotated
	b.DetectConflicts = false
	b.ValueThreshold = 1 << 20 // its maximum: a failed sync of the value log is only logged
	b.ValueLogFileSize = 16 << 20
	b.MemTableSize = memTableBytes
	b.NumMemtables = 2
	b.NumCompactors = 2
	b.Compression = options.None
	b.ChecksumVerificationMode = options.OnBlockRead
	b.BlockCacheSize = 0 // uncompressed blocks are read where they are mapped
	b.IndexCacheSize = o.IndexCacheBytes
	return b
}

// View opens a snapshot. Blobs that it refers to stay readable until it is
// closed, whatever is compacted meanwhile.
func (db *DB) View(ctx context.Context) (store.Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	return db.snapshot()
}

func (db *DB) snapshot() (*snapshot, error) {
	if err := db.uses.enter(); err != nil {
		return nil, err
	}
	r := db.read()
	return &snapshot{txn: r.txn, close: sync.OnceFunc(func() {
		db.drop(r)
		db.uses.leave()
	})}, nil
}

// Begin opens the writing batch.
func (db *DB) Begin(context.Context) (store.Batch, error) {
	if err := db.failed.Load(); err != nil {
		return nil, *err
	}
	s, err := db.snapshot()
	if err != nil {
		return nil, err
	}
	return &batch{snapshot: s, db: db}, nil
}

// Blobs returns the segment files.
func (db *DB) Blobs() store.BlobEngine { return blobs{db} }

// FreeBytes tells what an ordinary user may still write on the file system of
// the data directory.
func (db *DB) FreeBytes() (free, total uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(db.dir, &st); err != nil {
		return 0, 0, fmt.Errorf("free space of %s: %w", db.dir, err)
	}
	size := uint64(st.Bsize)
	return st.Bavail * size, st.Blocks * size, nil
}

// room returns store.ErrNoSpace unless n bytes can be written without touching
// the reserve.
func (db *DB) room(n int64) error {
	free, _, err := db.FreeBytes()
	if err != nil {
		return err
	}
	if free < db.opt.ReserveBytes+uint64(n) {
		return fmt.Errorf("%w: %d bytes are free, %d are kept in reserve",
			store.ErrNoSpace, free, db.opt.ReserveBytes)
	}
	return nil
}

// GC compacts the segments with the help of the store that runs on this engine.
// The application calls it about once an hour.
func (db *DB) GC(ctx context.Context, catalog segments.Catalog) (segments.Compaction, error) {
	if err := db.uses.enter(); err != nil {
		return segments.Compaction{}, err
	}
	defer db.uses.leave()
	done, err := db.blobs.Compact(ctx, catalog)
	db.renew() // the segments that are to go may be kept for the sake of new snapshots
	return done, err
}

// Compact is GC, and makes Badger merge its tables into one level, which drops
// what was overwritten or deleted. It is a pass over all keys in which Badger's
// own compactions stand still, so writers may have to wait: it is for a store
// that nobody writes to.
func (db *DB) Compact(ctx context.Context, catalog segments.Catalog) (segments.Compaction, error) {
	done, err := db.GC(ctx, catalog)
	if err != nil {
		return done, err
	}
	if err := db.uses.enter(); err != nil {
		return done, err
	}
	defer db.uses.leave()
	if err := db.room(db.Stats().TableBytes); err != nil { // old and new tables are there at once
		return done, err
	}
	return done, db.kv.Flatten(1)
}

// Stats tells what the data directory holds.
type Stats struct {
	TableBytes int64 // Badger's tables
	Blobs      segments.Stats
}

// Stats returns figures for the metrics.
func (db *DB) Stats() Stats {
	s := Stats{Blobs: db.blobs.Stats()}
	for _, level := range db.kv.Levels() {
		s.TableBytes += level.Size
	}
	return s
}

// Close waits for open snapshots up to Options.CloseTimeout and closes the
// engine. After ErrOpenSnapshots it stays open, and locked, until the process
// ends: taking Badger's maps from under a reader would crash it.
func (db *DB) Close() error {
	if err := db.uses.shut(db.opt.CloseTimeout); err != nil {
		return err
	}
	db.drop(db.reading)
	return errors.Join(db.blobs.Close(), db.kv.Close(), db.done.close(), db.lock.Close())
}

// uses counts the snapshots and other work that must end before the close.
type uses struct {
	mu     sync.Mutex
	n      int
	closed bool
	idle   chan struct{} // made by shut, closed by the last leave
}

func (u *uses) enter() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return store.ErrClosed
	}
	u.n++
	return nil
}

func (u *uses) leave() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.n--
	if u.closed && u.n == 0 {
		close(u.idle)
	}
}

// shut refuses further uses and waits for those under way.
func (u *uses) shut(timeout time.Duration) error {
	u.mu.Lock()
	if u.closed {
		u.mu.Unlock()
		return store.ErrClosed
	}
	u.closed, u.idle = true, make(chan struct{})
	if u.n == 0 {
		close(u.idle)
	}
	u.mu.Unlock()
	select {
	case <-u.idle:
		return nil
	case <-time.After(timeout):
		return ErrOpenSnapshots
	}
}

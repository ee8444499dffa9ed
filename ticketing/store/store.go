// Package store is the port between the domain and whatever keeps its data: an
// ordered key-value store with durable, serialisable transactions, a blob store
// for messages, a change feed and persisted cursors.
//
// The package owns everything that must behave alike on every engine: the
// committer that lets concurrent transactions share one engine transaction and
// one sync, the overlay they read through, the feed's sequence, reference
// counts of blobs. An engine (memdb, badgerdb, pgdb) supplies snapshots and one
// atomic, synced write batch; storetest holds every engine to the same suite.
package store

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// Errors of the port. Everything else that a method returns is a failure of
// the engine below.
var (
	// ErrNotFound is returned by Get for a key that has no value and by
	// OpenBlob for a hash that is not stored.
	ErrNotFound = errors.New("not found")
	// ErrTooLarge refuses a transaction that writes more than MaxTxBytes, or a
	// key longer than MaxKeyBytes. Nothing of the transaction is kept.
	ErrTooLarge = errors.New("transaction too large")
	// ErrUnknownOutcome tells that the transaction may or may not have been
	// committed: the connection or the caller's deadline ended between the
	// commit and its result. A caller must not claim either.
	ErrUnknownOutcome = errors.New("outcome of the commit is unknown")
	// ErrRetry is returned by an engine that wrote nothing and wants the same
	// batch run again: a serialisation conflict, a lost connection.
	ErrRetry = errors.New("batch must run again")
	// ErrNoSpace tells that the disk is full. Nothing was written, and the
	// store goes on: later writes succeed when there is room again.
	ErrNoSpace = errors.New("no space left for the store")
	// ErrFailed is wrapped by every error after a failed sync: the store takes
	// no more writes until it is opened again.
	ErrFailed = errors.New("store takes no more writes until restart")
	// ErrCorrupt is wrapped where a stored blob is not what it was: its record has
	// a wrong header, hash, length or checksum, or its file is too short.
	ErrCorrupt = errors.New("blob record is damaged")
	// ErrClosed is returned by every method after Close.
	ErrClosed = errors.New("store is closed")
)

// Limits of one transaction.
const (
	MaxTxBytes  = 1 << 20 // written by one closure: keys, values and WriteOverhead for each write
	MaxKeyBytes = 1024    // PostgreSQL's index rows are the narrowest
	// WriteOverhead is charged for each write beside its key and value, so that
	// many small ones fit the limits of an engine too.
	WriteOverhead = 100
)

// Item is one key with its value. Neither may be changed or kept past the
// transaction it came from, unless copied.
type Item struct {
	Key   Key
	Value []byte
}

// Range selects the keys k with Start <= k < End. An empty End is the end of
// the key space. Use [Prefix] for "every key below this tuple".
type Range struct {
	Start, End Key
}

// Reader reads one consistent state.
type Reader interface {
	// Get returns the value of a key, or ErrNotFound.
	Get(k Key) ([]byte, error)
	// GetMulti returns the values in the order of the keys, nil where a key has
	// none. One call is one round trip where the engine is remote.
	GetMulti(ks []Key) ([][]byte, error)
	// Scan yields the items of a range in key order, or in reverse. It ends
	// after the first error it yields. Breaking off early is allowed, and so are
	// reads and writes meanwhile; a scan does not see writes made after it began.
	Scan(r Range, reverse bool) iter.Seq2[Item, error]
}

// Tx is what a closure given to [DB.Update] works on. It sees its own writes
// and those of the closures committed before it. It is used by one goroutine,
// and ends with the closure. Once a method has returned an error other than
// ErrNotFound the transaction cannot succeed any more.
type Tx interface {
	Reader
	// Put sets the value of a key; v must not be changed afterwards.
	Put(k Key, v []byte) error
	Delete(k Key) error
	// Emit appends a record to the change feed. Its sequence number is given
	// inside the commit.
	Emit(c Change) error
	// AddBlob takes a reference to a staged blob; the blob lives as long as it
	// has references. The bytes become durable with the transaction.
	AddBlob(b *Staged) error
	// RefBlob takes one more reference to a stored blob (ErrNotFound if there
	// is none), ReleaseBlob gives one back; the last one deletes the blob.
	RefBlob(h Hash) error
	ReleaseBlob(h Hash) error
}

// Hash is the SHA-256 of a blob's bytes.
type Hash [32]byte

// BlobGrace is how long an engine keeps bytes that nothing refers to: they may
// belong to a transaction on its way. Blobs staged longer ago than half of it
// are not accepted any more.
const BlobGrace = time.Hour

// BlobReader reads a stored blob at any offset.
type BlobReader interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// Change is one record of the feed. Kind names what happened ("ticket",
// "comment", "outgoing", …), Key is the key of what changed.
type Change struct {
	Seq  uint64 `json:"-"`
	Kind string `json:"kind"`
	Key  Key    `json:"key"`
}

// Engine keeps the bytes. It is used by one [DB] only.
type Engine interface {
	// Begin opens the one writing batch. The committer calls it from a single
	// goroutine and ends each batch before it begins the next; only after it
	// returned are the closures of the batch gathered, so an engine that
	// shares its data with other nodes takes its commit lock here.
	Begin(ctx context.Context) (Batch, error)
	// View opens a snapshot for reading.
	View(ctx context.Context) (Snapshot, error)
	// Blobs returns the place for blob bytes.
	Blobs() BlobEngine
	// FreeBytes tells how much room is left and how much there is in all;
	// total 0 = unknown, no limit.
	FreeBytes() (free, total uint64, err error)
	Close() error
}

// Snapshot is a consistent state of an engine. Absent keys are nil values in
// GetMulti; Get returns ErrNotFound.
type Snapshot interface {
	Reader
	Close()
}

// Batch is a Snapshot that can end in one atomic write.
type Batch interface {
	Snapshot
	// Prefetch loads keys that closures will probably read. It is a hint.
	Prefetch(ks []Key) error
	// Commit writes everything or nothing and returns nil only after the
	// writes are on stable storage. Writes are sorted by key, each key once; a
	// nil Value deletes. An error that wraps ErrRetry or ErrNoSpace promises
	// that nothing was written and nothing will appear later, and the store
	// goes on; after any other error it takes no more writes (ErrFailed).
	// The Batch is spent either way; Close is called after Commit too.
	Commit(ctx context.Context, writes []Item) error
}

// Place tells where an engine put a blob's bytes. It is kept as JSON with the
// blob's reference count. The zero Place is "inline": the bytes are in the
// key-value store itself, under the port's own key.
type Place struct {
	Segment uint64 `json:"segment,omitempty"` // number of the segment file, from 1
	Offset  int64  `json:"offset,omitempty"`  // of the record in it
	Rows    bool   `json:"rows,omitempty"`    // chunked rows (pgdb)
}

// Speculator is implemented by an engine whose reads are round trips. Update
// then runs each closure once beforehand, in the caller's goroutine over this
// reader and without effect, and the keys it read are prefetched for the real
// run. The reader's answers may be stale and need not fit each other.
type Speculator interface {
	Speculate(ctx context.Context) (Snapshot, error)
}

// BlobEngine keeps blob bytes outside the key-value batch.
type BlobEngine interface {
	// Inline tells whether the small blobs of one batch, n of them with total
	// bytes, should be written as values in the batch itself.
	Inline(n int, total int64) bool
	// Write stores blobs and returns their places after their bytes are on
	// stable storage. Bytes that no commit refers to are garbage that the engine
	// may collect, but not before they are BlobGrace old. Errors mean what they
	// mean in Batch.Commit. It is called from two goroutines at once at most.
	Write(ctx context.Context, blobs []BlobSource) ([]Place, error)
	// Open reads a blob back. The caller checks nothing: an engine verifies
	// what it can (record header, length) and returns one that wraps ErrCorrupt
	// where that is not right.
	Open(ctx context.Context, p Place, h Hash, size int64) (BlobReader, error)
}

// BlobSource is a blob on its way in.
type BlobSource struct {
	Hash Hash
	Size int64
	Data io.ReaderAt // Size bytes from offset 0
}

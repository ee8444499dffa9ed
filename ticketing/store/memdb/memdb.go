// Package memdb is the store's engine in memory, for tests: fast, with cheap
// snapshots, and with hooks to make it fail or dawdle. It starts no goroutine
// and reads no clock.
package memdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"sync"

	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/internal/treap"
)

// Options configure a [DB]. The zero value is an engine without faults.
type Options struct {
	// BeforeCommit runs at the start of each commit. Its error is returned
	// with nothing written. It may block, to make a slow disk.
	BeforeCommit func(writes []store.Item) error
	// AfterCommit runs after each commit was written. Its error is returned
	// although the batch is there.
	AfterCommit func() error
	// BeforeBegin runs at the start of each Begin; its error is returned.
	BeforeBegin func() error
	// BeforeBlobs runs before blobs are written; its error is returned with
	// nothing written.
	BeforeBlobs func(blobs []store.BlobSource) error
	// InlineBytes is how many bytes of small blobs a batch may hold as values:
	// 32 KiB by default, none when negative.
	InlineBytes int64
	// FreeBytes is what the method of this name returns; unknown by default.
	FreeBytes func() (free, total uint64, err error)
}

// DB is an engine in memory.
type DB struct {
	opts Options

	mu     sync.Mutex
	data   treap.Map
	blobs  []blob // the place of a blob is its index and 1
	closed bool
}

type blob struct {
	hash store.Hash
	data []byte
}

// New returns an empty engine.
func New(o Options) *DB {
	if o.InlineBytes == 0 {
		o.InlineBytes = 32 << 10
	}
	return &DB{opts: o}
}

// Reopen returns a new engine with the data of a closed one, as after a
// restart.
func (db *DB) Reopen(o Options) *DB {
	db.mu.Lock()
	defer db.mu.Unlock()
	again := New(o)
	again.data, again.blobs = db.data, slices.Clone(db.blobs)
	return again
}

// snapshot is a reader of an immutable map.
type snapshot struct {
	data treap.Map
}

func (db *DB) snapshot() (snapshot, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return snapshot{}, store.ErrClosed
	}
	return snapshot{db.data}, nil
}

// View implements [store.Engine].
func (db *DB) View(ctx context.Context) (store.Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return db.snapshot()
}

// Begin implements [store.Engine].
func (db *DB) Begin(context.Context) (store.Batch, error) {
	if db.opts.BeforeBegin != nil {
		if err := db.opts.BeforeBegin(); err != nil {
			return nil, err
		}
	}
	s, err := db.snapshot()
	if err != nil {
		return nil, err
	}
	return &batch{snapshot: s, db: db}, nil
}

// Blobs implements [store.Engine].
func (db *DB) Blobs() store.BlobEngine { return blobs{db} }

// FreeBytes implements [store.Engine].
func (db *DB) FreeBytes() (free, total uint64, err error) {
	if db.opts.FreeBytes != nil {
		return db.opts.FreeBytes()
	}
	return 0, 0, nil
}

// Close implements [store.Engine].
func (db *DB) Close() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return store.ErrClosed
	}
	db.closed = true
	return nil
}

func (s snapshot) Close() {}

func (s snapshot) Get(k store.Key) ([]byte, error) {
	v, ok := s.data.Get(string(k))
	if !ok {
		return nil, store.ErrNotFound
	}
	return v, nil
}

func (s snapshot) GetMulti(ks []store.Key) ([][]byte, error) {
	values := make([][]byte, len(ks))
	for i, k := range ks {
		values[i], _ = s.data.Get(string(k))
	}
	return values, nil
}

func (s snapshot) Scan(r store.Range, reverse bool) iter.Seq2[store.Item, error] {
	return func(yield func(store.Item, error) bool) {
		for k, v := range s.data.Scan(string(r.Start), string(r.End), reverse).All() {
			if !yield(store.Item{Key: store.Key(k), Value: v}, nil) {
				return
			}
		}
	}
}

// batch is the one writer.
type batch struct {
	snapshot
	db    *DB
	spent bool
}

func (b *batch) Prefetch([]store.Key) error { return nil }

func (b *batch) Close() { b.spent = true }

func (b *batch) Commit(_ context.Context, writes []store.Item) error {
	if b.spent {
		return errors.New("batch is spent")
	}
	b.spent = true
	if b.db.opts.BeforeCommit != nil {
		if err := b.db.opts.BeforeCommit(writes); err != nil {
			return err
		}
	}
	data := b.data
	for _, w := range writes {
		if w.Value == nil {
			data = data.Delete(string(w.Key))
		} else {
			data = data.Put(string(w.Key), append([]byte{}, w.Value...))
		}
	}
	b.db.mu.Lock()
	b.db.data = data
	b.db.mu.Unlock()
	if b.db.opts.AfterCommit != nil {
		return b.db.opts.AfterCommit()
	}
	return nil
}

// blobs keeps blobs in a list that only grows.
type blobs struct {
	db *DB
}

func (b blobs) Inline(_ int, total int64) bool {
	return total <= b.db.opts.InlineBytes
}

func (b blobs) Write(_ context.Context, sources []store.BlobSource) ([]store.Place, error) {
	if b.db.opts.BeforeBlobs != nil {
		if err := b.db.opts.BeforeBlobs(sources); err != nil {
			return nil, err
		}
	}
	read := make([]blob, len(sources))
	for i, s := range sources {
		data := make([]byte, s.Size)
		if _, err := io.ReadFull(io.NewSectionReader(s.Data, 0, s.Size), data); err != nil {
			return nil, fmt.Errorf("blob %x: %w", s.Hash, err)
		}
		read[i] = blob{s.Hash, data}
	}
	b.db.mu.Lock()
	defer b.db.mu.Unlock()
	places := make([]store.Place, len(sources))
	for i := range read {
		b.db.blobs = append(b.db.blobs, read[i])
		places[i] = store.Place{Segment: 1, Offset: int64(len(b.db.blobs))}
	}
	return places, nil
}

func (b blobs) Open(_ context.Context, p store.Place, h store.Hash, size int64) (store.BlobReader, error) {
	b.db.mu.Lock()
	defer b.db.mu.Unlock()
	if p.Segment != 1 || p.Offset < 1 || p.Offset > int64(len(b.db.blobs)) {
		return nil, fmt.Errorf("no blob at %+v", p)
	}
	found := b.db.blobs[p.Offset-1]
	if found.hash != h || int64(len(found.data)) != size {
		return nil, fmt.Errorf("another blob at %+v", p)
	}
	return reader{bytes.NewReader(found.data)}, nil
}

// reader reads one blob.
type reader struct {
	*bytes.Reader
}

func (reader) Close() error { return nil }

package store_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/memdb"
)

func TestRunTwice(t *testing.T) {
	inBubble(t, memdb.New(memdb.Options{}), store.Options{RunTwice: true}, func(t *testing.T, db *store.DB) {
		runs, shared := 0, 0
		err := db.Update(t.Context(), func(tx store.Tx) error {
			runs++
			shared++ // what an impure closure would do
			return tx.Put(store.K("runs", shared), nil)
		})
		if err != nil || runs != 2 {
			t.Errorf("%d runs, %v", runs, err)
		}
		err = db.View(t.Context(), func(r store.Reader) error {
			_, err := r.Get(store.K("runs", 1))
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("the first run left something: %v", err)
			}
			_, err = r.Get(store.K("runs", 2))
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// TestQueueBound fills the queue behind a batch that does not begin.
func TestQueueBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		e := memdb.New(memdb.Options{BeforeBegin: func() error { <-hold; return nil }})
		db := store.Open(e, store.Options{})
		var wg sync.WaitGroup
		for i := range 1 + 1024 {
			wg.Go(func() {
				if err := put(db, fmt.Sprintf("k%04d", i)); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if n := db.Waiting(); n != 1024 {
			t.Errorf("%d wait, want 1024", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := db.Update(ctx, func(store.Tx) error { t.Error("ran"); return nil })
		checkError(t, err, []error{context.DeadlineExceeded}, []error{store.ErrUnknownOutcome})
		close(hold)
		wg.Wait()
		if changes, err := db.Changes(t.Context(), 0, 2000); len(changes) != 1025 || err != nil {
			t.Errorf("%d changes, %v, want 1025", len(changes), err)
		}
		if err := db.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestGivenUpBeforeBegin leaves while the engine waits for its commit lock: the
// transaction must not run.
func TestGivenUpBeforeBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		e := memdb.New(memdb.Options{BeforeBegin: func() error { <-hold; return nil }})
		db := store.Open(e, store.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := db.Update(ctx, func(store.Tx) error { t.Error("ran"); return nil })
		checkError(t, err, []error{context.DeadlineExceeded}, []error{store.ErrUnknownOutcome})
		close(hold)
		if err := db.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestReadOnly reads with a disk that takes no writes.
func TestReadOnly(t *testing.T) {
	broken := func([]store.Item) error { return errDisk }
	inBubble(t, memdb.New(memdb.Options{BeforeCommit: broken}), store.Options{}, func(t *testing.T, db *store.DB) {
		err := db.Update(t.Context(), func(tx store.Tx) error {
			_, err := tx.GetMulti([]store.Key{store.K("a")})
			return err
		})
		if err != nil {
			t.Errorf("commit of nothing: %v", err)
		}
	})
}

// TestDeadContext never lets a transaction of a dead context in, however idle
// the committer is.
func TestDeadContext(t *testing.T) {
	inBubble(t, memdb.New(memdb.Options{}), store.Options{}, func(t *testing.T, db *store.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 100 {
			err := db.Update(ctx, func(store.Tx) error { t.Error("ran"); return nil })
			checkError(t, err, []error{context.Canceled}, []error{store.ErrUnknownOutcome})
		}
	})
}

// TestSlowCommit gives up during the commit, whose batch is kept all the same.
func TestSlowCommit(t *testing.T) {
	slow := func([]store.Item) error { time.Sleep(time.Minute); return nil }
	var took time.Duration
	o := store.Options{Observe: func(s store.BatchStats) { took = s.Duration }}
	inBubble(t, memdb.New(memdb.Options{BeforeCommit: slow}), o, func(t *testing.T, db *store.DB) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := db.Update(ctx, func(tx store.Tx) error { return tx.Put(store.K("a"), nil) })
		checkError(t, err, []error{store.ErrUnknownOutcome, context.DeadlineExceeded}, []error{store.ErrFailed})
		if err := put(db, "b"); err != nil {
			t.Error(err)
		}
		wantKeys(t, db, "a b")
		if took != time.Minute {
			t.Errorf("batch took %v", took)
		}
	})
}

// TestCloseDrains closes with work under way: first without patience, then to
// the end.
func TestCloseDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func([]store.Item) error { time.Sleep(time.Minute); return nil }
		db := store.Open(memdb.New(memdb.Options{BeforeCommit: slow}), store.Options{MaxBatch: 1})
		results := make(chan error, 3)
		for i := range 3 {
			go func() { results <- put(db, fmt.Sprint("k", i)) }()
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := db.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("close without patience: %v", err)
		}
		if err := put(db, "late"); !errors.Is(err, store.ErrClosed) {
			t.Errorf("write while closing: %v", err)
		}
		if err := db.Close(t.Context()); err != nil {
			t.Errorf("close: %v", err)
		}
		for range 3 {
			if err := <-results; err != nil {
				t.Errorf("write before close: %v", err)
			}
		}
	})
}

func TestStagedExpires(t *testing.T) {
	inBubble(t, memdb.New(memdb.Options{}), store.Options{}, func(t *testing.T, db *store.DB) {
		for _, size := range []int{100, 100 << 10} {
			s, err := db.Stage(t.Context(), int64(size), store.Hash{2}, bytes.NewReader(make([]byte, size)))
			if err != nil {
				t.Fatal(err)
			}
			add := func(tx store.Tx) error { return errors.Join(tx.AddBlob(s), tx.ReleaseBlob(s.Hash)) }
			time.Sleep(store.BlobGrace / 2)
			if err := db.Update(t.Context(), add); err != nil {
				t.Errorf("after half the grace: %v", err)
			}
			time.Sleep(time.Second)
			if err := db.Update(t.Context(), add); err == nil {
				t.Error("an expired blob is accepted")
			}
		}
	})
}

// TestStageGroups lets blobs wait behind a slow write: they are then written
// together, and a bad one among them hurts nobody else.
func TestStageGroups(t *testing.T) {
	var groups []int
	slow := func(blobs []store.BlobSource) error {
		groups = append(groups, len(blobs))
		time.Sleep(time.Second)
		return nil
	}
	inBubble(t, memdb.New(memdb.Options{BeforeBlobs: slow}), store.Options{}, func(t *testing.T, db *store.DB) {
		const size = 100 << 10
		var wg sync.WaitGroup
		stage := func(ctx context.Context, i, have int, want error) {
			wg.Go(func() {
				_, err := db.Stage(ctx, size, store.Hash{byte(i)}, bytes.NewReader(make([]byte, have)))
				if (err == nil) != (want == nil) || want != nil && want != errDisk && !errors.Is(err, want) {
					t.Errorf("blob %d: %v, want %v", i, err, want)
				}
			})
			synctest.Wait()
		}
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		stage(t.Context(), 0, size, nil)
		stage(t.Context(), 1, size, nil)
		stage(t.Context(), 2, size-1, errDisk)
		stage(t.Context(), 3, size, nil)
		stage(short, 4, size, context.DeadlineExceeded)
		wg.Wait()
		if got := fmt.Sprint(groups); got != "[1 3 2]" {
			t.Errorf("groups of %s, want one, then three of which one is bad, then the two", got)
		}
		if err := db.Err(); err != nil {
			t.Errorf("store: %v", err)
		}
	})
}

// TestStageGroupBytes bounds a group by its bytes, given and not read here.
func TestStageGroupBytes(t *testing.T) {
	var groups []int
	slow := func(blobs []store.BlobSource) error {
		groups = append(groups, len(blobs))
		time.Sleep(time.Second)
		return nil
	}
	inBubble(t, memdb.New(memdb.Options{BeforeBlobs: slow}), store.Options{}, func(t *testing.T, db *store.DB) {
		data := bytes.NewReader(make([]byte, 30<<20))
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				if _, err := db.Stage(t.Context(), data.Size(), store.Hash{byte(i)}, data); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		if got := fmt.Sprint(groups); got != "[1 3 2]" {
			t.Errorf("groups of %s", got)
		}
	})
}

func TestFreeBytes(t *testing.T) {
	e := memdb.New(memdb.Options{FreeBytes: func() (uint64, uint64, error) { return 1, 2, errDisk }})
	inBubble(t, e, store.Options{}, func(t *testing.T, db *store.DB) {
		if free, total, err := db.FreeBytes(); free != 1 || total != 2 || err != errDisk {
			t.Errorf("%d, %d, %v", free, total, err)
		}
	})
}

// TestMoveBlob moves a blob for real: to where a copy of it was written.
func TestMoveBlob(t *testing.T) {
	e := memdb.New(memdb.Options{})
	inBubble(t, e, store.Options{}, func(t *testing.T, db *store.DB) {
		data := bytes.Repeat([]byte("x"), 100<<10)
		if err := addBlob(db, data, "a"); err != nil {
			t.Fatal(err)
		}
		places, err := e.Blobs().Write(t.Context(), []store.BlobSource{{Hash: store.Hash{1}, Size: int64(len(data)), Data: bytes.NewReader(data)}})
		if err != nil {
			t.Fatal(err)
		}
		move := store.BlobMove{Hash: store.Hash{1}, From: store.Place{Segment: 1, Offset: 1}, To: places[0]}
		if err := db.MoveBlobs(t.Context(), []store.BlobMove{move}); err != nil {
			t.Fatal(err)
		}
		for b, err := range db.Blobs(t.Context()) {
			if err != nil || b.Place != places[0] {
				t.Errorf("blob at %+v, %v, want %+v", b.Place, err, places[0])
			}
		}
		b, err := db.OpenBlob(t.Context(), store.Hash{1})
		if err != nil || b.Size() != int64(len(data)) {
			t.Errorf("open: %v", err)
		}
	})
}

// TestInlineBound adds more small blobs than fit a batch, on an engine that
// would take them all as values.
func TestInlineBound(t *testing.T) {
	var bytesWritten int64
	o := store.Options{Observe: func(s store.BatchStats) { bytesWritten = max(bytesWritten, s.Bytes) }}
	inBubble(t, memdb.New(memdb.Options{InlineBytes: 1 << 30}), o, func(t *testing.T, db *store.DB) {
		var staged []*store.Staged
		for i := range 60 {
			s, err := db.Stage(t.Context(), 60<<10, store.Hash{byte(i)}, bytes.NewReader(make([]byte, 60<<10)))
			if err != nil {
				t.Fatal(err)
			}
			staged = append(staged, s)
		}
		for _, n := range []int{1, 60} {
			err := db.Update(t.Context(), func(tx store.Tx) error {
				var errs []error
				for _, s := range staged[:n] {
					errs = append(errs, tx.AddBlob(s))
				}
				return errors.Join(errs...)
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
	if bytesWritten < 60<<10 || bytesWritten > 2<<20 {
		t.Errorf("largest batch has %d bytes", bytesWritten)
	}
}

// Whoever remembers what it read under a count never shows something older than
// what an Update that has returned wrote.
func TestWatch(t *testing.T) {
	db := store.Open(memdb.New(memdb.Options{}), store.Options{RunTwice: true})
	defer db.Close(t.Context())
	k, other := store.K("watched"), store.K("other")
	count := db.Watch(k)
	if db.Watch(k) != count || db.Watch(other) == count {
		t.Error("a key has not one count of its own")
	}
	for i := range uint64(20000) { // the count is there when the result is
		write := func(tx store.Tx) error { return tx.Put(k, nil) }
		if i%2 == 1 {
			write = func(tx store.Tx) error { return tx.Delete(k) }
		}
		if err := db.Update(t.Context(), write); err != nil || count.Load() != i+1 {
			t.Fatalf("write %d: count %d, %v", i, count.Load(), err)
		}
	}
	if err := db.Update(t.Context(), func(tx store.Tx) error { return tx.Put(other, nil) }); err != nil || count.Load() != 20000 {
		t.Errorf("another key: count %d, %v", count.Load(), err)
	}

	var told atomic.Int64 // what writers were told is there
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			known, under := int64(0), uint64(0)
			for told.Load() < 200 {
				least, now := told.Load(), count.Load()
				if now != under {
					under = now
					if err := db.View(t.Context(), func(r store.Reader) error {
						v, err := r.Get(k)
						if err == nil {
							known = int64(binary.BigEndian.Uint64(v))
						}
						return nil
					}); err != nil {
						t.Error(err)
					}
				}
				if known < least {
					t.Errorf("remembered %d, written %d", known, least)
					return
				}
			}
		})
	}
	for i := int64(1); i <= 200; i++ {
		if err := db.Update(t.Context(), func(tx store.Tx) error { return tx.Put(k, binary.BigEndian.AppendUint64(nil, uint64(i))) }); err != nil {
			t.Error(err)
		}
		told.Store(i)
	}
	all.Wait()
}

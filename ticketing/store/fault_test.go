package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/memdb"
)

var errDisk = errors.New("disk")

// inBubble runs a test in a bubble, which also fails it when a goroutine is
// left after Close.
func inBubble(t *testing.T, e store.Engine, o store.Options, fn func(t *testing.T, db *store.DB)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		db := store.Open(e, o)
		fn(t, db)
		if err := db.Close(t.Context()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

func put(db *store.DB, key string) error {
	return db.Update(context.Background(), func(tx store.Tx) error {
		return errors.Join(tx.Put(store.K(key), nil), tx.Emit(store.Change{Kind: key}))
	})
}

// keys lists the one-word keys.
func keys(t *testing.T, db *store.DB) string {
	t.Helper()
	var all []string
	err := db.View(t.Context(), func(r store.Reader) error {
		for item, err := range r.Scan(store.Range{}, false) {
			if err != nil {
				return err
			}
			if parts, _ := item.Key.Split(); len(parts) == 1 {
				all = append(all, fmt.Sprint(parts[0]))
			}
		}
		return nil
	})
	if err != nil {
		t.Errorf("view: %v", err)
	}
	return strings.Join(all, " ")
}

func wantKeys(t *testing.T, db *store.DB, want string) {
	t.Helper()
	if got := keys(t, db); got != want {
		t.Errorf("keys %q, want %q", got, want)
	}
}

// times returns a hook that fails the first n calls with err.
func times(n int, err error) func() error {
	return func() error {
		if n--; n >= 0 {
			return err
		}
		return nil
	}
}

func onCommit(hook func() error) func([]store.Item) error {
	return func([]store.Item) error { return hook() }
}

func onBlobs(hook func() error) func([]store.BlobSource) error {
	return func([]store.BlobSource) error { return hook() }
}

func TestFaults(t *testing.T) {
	retry := fmt.Errorf("conflict: %w", store.ErrRetry)
	full := fmt.Errorf("write: %w", store.ErrNoSpace)
	for _, test := range []struct {
		name string
		o    memdb.Options
		want []error // of the first write; none means success
		not  []error
		dead bool   // writes are refused afterwards
		keys string // at the end
	}{
		{name: "conflict", o: memdb.Options{BeforeCommit: onCommit(times(3, retry))}, keys: "a b"},
		{name: "endless conflict", o: memdb.Options{BeforeCommit: onCommit(times(8, retry))},
			want: []error{store.ErrRetry}, not: []error{store.ErrUnknownOutcome, store.ErrFailed}, keys: "b"},
		{name: "full disk", o: memdb.Options{BeforeCommit: onCommit(times(1, full))},
			want: []error{store.ErrNoSpace}, not: []error{store.ErrUnknownOutcome, store.ErrFailed}, keys: "b"},
		{name: "failed write", o: memdb.Options{BeforeCommit: onCommit(times(1, errDisk))},
			want: []error{errDisk, store.ErrFailed, store.ErrUnknownOutcome}, dead: true},
		{name: "failed sync", o: memdb.Options{AfterCommit: times(1, errDisk)},
			want: []error{errDisk, store.ErrFailed, store.ErrUnknownOutcome}, dead: true, keys: "a"},
		{name: "begin", o: memdb.Options{BeforeBegin: times(1, errDisk)},
			want: []error{errDisk}, not: []error{store.ErrUnknownOutcome, store.ErrFailed}, keys: "b"},
		{name: "begin conflict", o: memdb.Options{BeforeBegin: times(1, retry)}, keys: "a b"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, memdb.New(test.o), store.Options{}, func(t *testing.T, db *store.DB) {
				err := put(db, "a")
				if (err == nil) != (test.want == nil) {
					t.Errorf("error %v, want %v", err, test.want)
				}
				checkError(t, err, test.want, test.not)
				err = put(db, "b")
				if test.dead != errors.Is(err, store.ErrFailed) || !test.dead && err != nil {
					t.Errorf("next write: %v", err)
				}
				if test.dead != errors.Is(db.Err(), store.ErrFailed) || test.dead && !errors.Is(db.Err(), errDisk) {
					t.Errorf("Err: %v", db.Err())
				}
				wantKeys(t, db, test.keys)
				wantFeed(t, db, test.keys)
			})
		})
	}
}

// wantFeed checks that there is one change for each key.
func wantFeed(t *testing.T, db *store.DB, want string) {
	t.Helper()
	changes, err := db.Changes(t.Context(), 0, 100)
	var kinds []string
	for _, c := range changes {
		kinds = append(kinds, c.Kind)
	}
	if got := strings.Join(kinds, " "); got != want || err != nil {
		t.Errorf("feed %q, %v, want %q", got, err, want)
	}
}

func checkError(t *testing.T, err error, want, not []error) {
	t.Helper()
	for _, w := range want {
		if !errors.Is(err, w) {
			t.Errorf("error %v is not %v", err, w)
		}
	}
	for _, n := range not {
		if errors.Is(err, n) {
			t.Errorf("error %v is %v", err, n)
		}
	}
}

// TestBlobFaults makes the blob engine fail, for a blob that goes with its
// transaction and for one that is staged.
func TestBlobFaults(t *testing.T) {
	retry := fmt.Errorf("conflict: %w", store.ErrRetry)
	full := fmt.Errorf("write: %w", store.ErrNoSpace)
	for _, size := range []int{100, 100 << 10} {
		for _, test := range []struct {
			name string
			hook func() error
			want []error
			dead bool
		}{
			{name: "conflict", hook: times(3, retry)},
			{name: "endless conflict", hook: times(1000, retry), want: []error{store.ErrRetry}},
			{name: "full disk", hook: times(1, full), want: []error{store.ErrNoSpace}},
			{name: "failed sync", hook: times(1, errDisk), want: []error{errDisk, store.ErrFailed}, dead: true},
		} {
			t.Run(fmt.Sprintf("%d %s", size, test.name), func(t *testing.T) {
				e := memdb.New(memdb.Options{BeforeBlobs: onBlobs(test.hook), InlineBytes: -1})
				inBubble(t, e, store.Options{}, func(t *testing.T, db *store.DB) {
					err := addBlob(db, make([]byte, size), "a")
					if (err == nil) != (test.want == nil) {
						t.Errorf("error %v, want %v", err, test.want)
					}
					checkError(t, err, test.want, []error{store.ErrUnknownOutcome})
					if dead := db.Err() != nil; dead != test.dead {
						t.Errorf("Err: %v", db.Err())
					}
					want := ""
					if err == nil {
						want = "a"
					}
					wantKeys(t, db, want)
				})
			})
		}
	}
}

// addBlob stages data under a hash of no meaning, and adds it with a key.
func addBlob(db *store.DB, data []byte, key string) error {
	s, err := db.Stage(context.Background(), int64(len(data)), store.Hash{1}, bytes.NewReader(data))
	if err != nil {
		return err
	}
	return db.Update(context.Background(), func(tx store.Tx) error {
		return errors.Join(tx.AddBlob(s), tx.Put(store.K(key), nil))
	})
}

// TestErrorOfLostBatch holds back a closure's own error when it may come from
// what another closure wrote and lost.
func TestErrorOfLostBatch(t *testing.T) {
	mine := errors.New("exists")
	hold := make(chan struct{})
	e := memdb.New(memdb.Options{
		BeforeBegin:  func() error { <-hold; return nil },
		BeforeCommit: onCommit(times(1, store.ErrNoSpace)),
	})
	synctest.Test(t, func(t *testing.T) {
		hold = make(chan struct{})
		db := store.Open(e, store.Options{})
		result := make(chan error, 2)
		once := func() error {
			return db.Update(context.Background(), func(tx store.Tx) error {
				if _, err := tx.Get(store.K("a")); err == nil {
					return mine
				}
				return tx.Put(store.K("a"), nil)
			})
		}
		go func() { result <- once() }()
		go func() { result <- once() }()
		synctest.Wait()
		close(hold)
		for range 2 {
			if err := <-result; !errors.Is(err, store.ErrNoSpace) {
				t.Errorf("error %v, want that of the batch", err)
			}
		}
		if err := db.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestPanicIsLogged(t *testing.T) {
	var log bytes.Buffer
	o := store.Options{Log: slog.New(slog.NewTextHandler(&log, nil))}
	inBubble(t, memdb.New(memdb.Options{}), o, func(t *testing.T, db *store.DB) {
		err := db.Update(t.Context(), func(store.Tx) error { panic("a bug") })
		if err == nil || !strings.Contains(err.Error(), "a bug") {
			t.Errorf("error %v", err)
		}
	})
	if !strings.Contains(log.String(), "a bug") || !strings.Contains(log.String(), "TestPanicIsLogged") {
		t.Errorf("log without panic or stack: %s", log.String())
	}
}

// readFaults is an engine whose batches fail to read.
type readFaults struct {
	store.Engine
	hook func() error
}

type faultyBatch struct {
	store.Batch
	hook func() error
}

func (e readFaults) Begin(ctx context.Context) (store.Batch, error) {
	b, err := e.Engine.Begin(ctx)
	return faultyBatch{b, e.hook}, err
}

func (b faultyBatch) Get(k store.Key) ([]byte, error) {
	if err := b.hook(); err != nil {
		return nil, err
	}
	return b.Batch.Get(k)
}

func (b faultyBatch) GetMulti(ks []store.Key) ([][]byte, error) {
	if err := b.hook(); err != nil {
		return nil, err
	}
	return b.Batch.GetMulti(ks)
}

func (b faultyBatch) Scan(r store.Range, reverse bool) iter.Seq2[store.Item, error] {
	if err := b.hook(); err != nil {
		return func(yield func(store.Item, error) bool) { yield(store.Item{}, err) }
	}
	return b.Batch.Scan(r, reverse)
}

// TestReadFaults lets a closure ignore that a read failed: it must not commit.
func TestReadFaults(t *testing.T) {
	reads := map[string]func(store.Tx){
		"get":   func(tx store.Tx) { _, _ = tx.Get(store.K("x")) },
		"multi": func(tx store.Tx) { _, _ = tx.GetMulti([]store.Key{store.K("x")}) },
		"scan": func(tx store.Tx) {
			for range tx.Scan(store.Range{}, false) {
				break
			}
		},
		"blob": func(tx store.Tx) { _ = tx.RefBlob(store.Hash{}) },
	}
	for name, read := range reads {
		for _, fault := range []error{errDisk, store.ErrRetry} {
			t.Run(name+" "+fault.Error(), func(t *testing.T) {
				e := readFaults{memdb.New(memdb.Options{}), times(1, fault)}
				inBubble(t, e, store.Options{}, func(t *testing.T, db *store.DB) {
					err := db.Update(t.Context(), func(tx store.Tx) error {
						read(tx)
						return tx.Put(store.K("a"), nil)
					})
					if fault == errDisk {
						checkError(t, err, []error{errDisk}, []error{store.ErrFailed})
						wantKeys(t, db, "")
						return
					}
					if err != nil {
						t.Errorf("batch did not run again: %v", err)
					}
					wantKeys(t, db, "a")
				})
			})
		}
	}
}

// speculative is an engine that wants to know keys beforehand.
type speculative struct {
	store.Engine
	prefetched *[]store.Key
	stale      error
}

type prefetchBatch struct {
	store.Batch
	e speculative
}

func (e speculative) Speculate(ctx context.Context) (store.Snapshot, error) {
	if e.stale != nil {
		return nil, e.stale
	}
	return e.View(ctx)
}

func (e speculative) Begin(ctx context.Context) (store.Batch, error) {
	b, err := e.Engine.Begin(ctx)
	return prefetchBatch{b, e}, err
}

func (b prefetchBatch) Prefetch(ks []store.Key) error {
	*b.e.prefetched = append(*b.e.prefetched, ks...)
	return nil
}

func TestSpeculation(t *testing.T) {
	for _, stale := range []error{nil, errDisk} {
		var got []store.Key
		e := speculative{memdb.New(memdb.Options{}), &got, stale}
		var runs atomic.Int32
		inBubble(t, e, store.Options{}, func(t *testing.T, db *store.DB) {
			err := db.Update(t.Context(), func(tx store.Tx) error {
				runs.Add(1)
				_, err := tx.GetMulti([]store.Key{store.K("a"), store.K("b")})
				_ = tx.RefBlob(store.Hash{})
				return errors.Join(err, tx.Put(store.K("c"), nil))
			})
			if err != nil {
				t.Errorf("update: %v", err)
			}
			wantKeys(t, db, "c")
		})
		want := `[a b store/blob/x'` + strings.Repeat("00", 32) + `' store/seq] 2 runs`
		if stale != nil {
			want = "[] 1 runs"
		}
		if s := fmt.Sprintf("%v %d runs", got, runs.Load()); s != want {
			t.Errorf("prefetched %s, want %s", s, want)
		}
	}
}

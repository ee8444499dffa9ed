package storetest

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// commitTests are about limits, deadlines, and what is left after an end.
var commitTests = []test{
	{"large transaction is refused", testTooLarge},
	{"batches are capped", testBatchCap},
	{"bytes of a batch are capped", testBatchBytes},
	{"many small writes", testSmallWrites},
	{"reading writes nothing", testReadOnly},
	{"given up while waiting", testCancelQueued},
	{"given up while running", testCancelPicked},
	{"caller reuses its buffer", testBufferReuse},
	{"after the end", testEnded},
	{"reopen", testReopen},
}

func testTooLarge(t *testing.T, f Factory) {
	db := openDB(t, f)
	big := make([]byte, 100<<10)
	errs := oneBatch(t, db, writes("a", "1"), func(tx store.Tx) error {
		for i := range 11 {
			if err := tx.Put(store.K("big", i), big); err != nil {
				return err
			}
		}
		return nil
	}, writes("b", "2"))
	wantErr(t, "small", errors.Join(errs[0], errs[2]), nil)
	wantErr(t, "large", errs[1], store.ErrTooLarge)
	wantList(t, "contents", contents(t, db), "a=1", "b=2")
}

// observed opens a store that notes its batches; stats may be read after close.
func observed(t *testing.T, f Factory, o store.Options) (db *store.DB, stats *[]store.BatchStats) {
	t.Helper()
	stats = new([]store.BatchStats)
	o.RunTwice = true
	o.Observe = func(s store.BatchStats) { *stats = append(*stats, s) }
	return openOver(t, f.Open(t), o), stats
}

func testBatchCap(t *testing.T, f Factory) {
	db, stats := observed(t, f, store.Options{MaxBatch: 3})
	var fns []func(store.Tx) error
	for i := range 8 {
		fns = append(fns, func(tx store.Tx) error { return tx.Put(store.K("n", i), nil) })
	}
	wantErr(t, "closures", errors.Join(oneBatch(t, db, fns...)...), nil)
	closeDB(t, db)
	var sizes []int
	for _, s := range *stats {
		sizes = append(sizes, s.Closures)
	}
	if len(sizes) != 3 || sizes[0] != 3 || sizes[1] != 3 || sizes[2] != 2 {
		t.Errorf("batches of %v closures, want 3, 3 and 2", sizes)
	}
}

func testBatchBytes(t *testing.T, f Factory) {
	const limit = 2 << 20
	db, stats := observed(t, f, store.Options{MaxBatchBytes: limit})
	value := make([]byte, 900<<10)
	var fns []func(store.Tx) error
	for i := range 7 {
		fns = append(fns, func(tx store.Tx) error { return tx.Put(store.K("n", i), value) })
	}
	wantErr(t, "closures", errors.Join(oneBatch(t, db, fns...)...), nil)
	closeDB(t, db)
	if len(*stats) != 4 {
		t.Errorf("%d batches, want 4", len(*stats))
	}
	for _, s := range *stats {
		if s.Bytes > limit {
			t.Errorf("batch of %d bytes", s.Bytes)
		}
	}
}

// testSmallWrites fills batches with as many writes as the port lets through:
// the engine must take them.
func testSmallWrites(t *testing.T, f Factory) {
	db, stats := observed(t, f, store.Options{})
	const each = store.MaxTxBytes / (store.WriteOverhead + 10)
	var fns []func(store.Tx) error
	for i := range 3 {
		fns = append(fns, func(tx store.Tx) error {
			for n := range each {
				if err := tx.Put(store.K("s", i, n), nil); err != nil {
					return err
				}
			}
			return nil
		})
	}
	wantErr(t, "closures", errors.Join(oneBatch(t, db, fns...)...), nil)
	closeDB(t, db)
	most := 0
	for _, s := range *stats {
		most = max(most, s.Writes)
	}
	if most != 2*each {
		t.Errorf("largest batch has %d writes, want %d", most, 2*each)
	}
}

func testReadOnly(t *testing.T, f Factory) {
	db, stats := observed(t, f, store.Options{})
	put(t, db, "a", "1")
	got := ""
	update(t, db, func(tx store.Tx) error {
		v, err := tx.Get(store.K("a"))
		got = string(v)
		return err
	})
	closeDB(t, db)
	if last := (*stats)[len(*stats)-1]; got != "1" || last.Writes != 0 || last.Closures != 1 {
		t.Errorf("read %q in batch %+v", got, last)
	}
}

// hold runs a closure that blocks until the returned function is called, which
// then returns its error.
func hold(ctx context.Context, db *store.DB, fn func(store.Tx) error) (release func() error) {
	started, released, result := make(chan struct{}, 100), make(chan struct{}), make(chan error, 1)
	go func() {
		result <- db.Update(ctx, func(tx store.Tx) error {
			started <- struct{}{}
			<-released
			return fn(tx)
		})
	}()
	<-started
	return func() error { close(released); return <-result }
}

func testCancelQueued(t *testing.T, f Factory) {
	db := openDB(t, f)
	release := hold(t.Context(), db, writes("a", "1"))
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	go func() {
		result <- db.Update(ctx, func(store.Tx) error {
			t.Error("closure ran after its caller had left")
			return nil
		})
	}()
	for db.Waiting() == 0 {
		runtime.Gosched()
	}
	cancel()
	err := <-result
	wantErr(t, "given up", err, context.Canceled)
	if errors.Is(err, store.ErrUnknownOutcome) {
		t.Errorf("outcome is called unknown: %v", err)
	}
	wantErr(t, "first", release(), nil)
	put(t, db, "b", "2")
	wantList(t, "contents", contents(t, db), "a=1", "b=2")
}

func testCancelPicked(t *testing.T, f Factory) {
	db := openDB(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	started, released, result := make(chan struct{}, 100), make(chan struct{}), make(chan error)
	go func() {
		result <- db.Update(ctx, func(tx store.Tx) error {
			started <- struct{}{}
			<-released
			return tx.Put(store.K("a"), nil)
		})
	}()
	<-started
	cancel()
	err := <-result
	wantErr(t, "given up", err, store.ErrUnknownOutcome)
	wantErr(t, "given up", err, context.Canceled)
	close(released)
	put(t, db, "b", "2")
	wantList(t, "contents", contents(t, db), "a=", "b=2")
}

func testBufferReuse(t *testing.T, f Factory) {
	db := openDB(t, f)
	buf := []byte("good")
	update(t, db, func(tx store.Tx) error { return tx.Put(store.K("a"), buf) })
	copy(buf, "evil")
	wantList(t, "contents", contents(t, db), "a=good")
}

func testEnded(t *testing.T, f Factory) {
	db := openDB(t, f)
	var kept store.Tx
	update(t, db, func(tx store.Tx) error { kept = tx; return nil })
	if err := kept.Put(store.K("a"), nil); err == nil {
		t.Error("write after the end of the transaction succeeds")
	}
	if _, err := kept.Get(store.K("a")); err == nil || errors.Is(err, store.ErrNotFound) {
		t.Errorf("read after the end of the transaction: %v", err)
	}
	put(t, db, "b", "2")
	closeDB(t, db)
	wantErr(t, "update", db.Update(t.Context(), writes("c", "3")), store.ErrClosed)
	wantErr(t, "view", db.View(t.Context(), func(store.Reader) error { return nil }), store.ErrClosed)
	_, err := db.OpenBlob(t.Context(), store.Hash{})
	wantErr(t, "open blob", err, store.ErrClosed)
	_, err = db.Stage(t.Context(), 0, store.Hash{}, nil)
	wantErr(t, "stage", err, store.ErrClosed)
}

func testReopen(t *testing.T, f Factory) {
	e := f.Open(t)
	db := store.Open(e, store.Options{})
	put(t, db, "a", "1", "b", "2")
	small, smallData := newBlob(1000, 1)
	large, largeData := newBlob(300<<10, 2)
	s, l := stage(t, db, small, smallData), stage(t, db, large, largeData)
	update(t, db, func(tx store.Tx) error {
		return errors.Join(tx.Delete(store.K("a")), tx.AddBlob(s), tx.AddBlob(l),
			tx.Emit(store.Change{Kind: "test", Key: store.K("b")}), db.Cursor("c").Advance(tx, 1))
	})
	closeDB(t, db)

	db = openOver(t, f.Reopen(t, e), store.Options{})
	wantList(t, "contents", contents(t, db), "b=2")
	wantBlob(t, db, small, smallData)
	wantBlob(t, db, large, largeData)
	wantFeed(t, db, 0, "test b")
	wantPosition(t, db, "c", 1)
	update(t, db, func(tx store.Tx) error { return tx.Emit(store.Change{Kind: "again"}) })
	wantFeed(t, db, 1, "again ")
}

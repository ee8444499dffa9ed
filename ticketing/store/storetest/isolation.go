package storetest

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// isolationTests are about transactions that meet.
var isolationTests = []test{
	{"one batch", testOneBatch},
	{"failing closure", testFailing},
	{"panicking closure", testPanicking},
	{"ignored error", testIgnoredError},
	{"counter", testCounter},
	{"write skew", testWriteSkew},
	{"scan then insert", testPhantom},
	{"crossed absence", testCrossedAbsence},
}

// oneBatch runs closures in this order in one batch, and returns their errors.
// The first is held in its run until all others wait.
func oneBatch(t *testing.T, db *store.DB, fns ...func(store.Tx) error) []error {
	t.Helper()
	started, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	first := fns[0]
	fns[0] = func(tx store.Tx) error {
		once.Do(func() { close(started) })
		<-release
		return first(tx)
	}
	errs := make([]error, len(fns))
	var wg sync.WaitGroup
	for i, fn := range fns {
		wg.Go(func() { errs[i] = db.Update(t.Context(), fn) })
		<-started
		for db.Waiting() < i {
			runtime.Gosched()
		}
	}
	close(release)
	wg.Wait()
	return errs
}

func writes(key, value string) func(store.Tx) error {
	return func(tx store.Tx) error { return tx.Put(store.K(key), []byte(value)) }
}

// sees writes what a scan shows, under a key of its own.
func sees(key string) func(store.Tx) error {
	return func(tx store.Tx) error {
		all, err := list(tx.Scan(store.Prefix(), false))
		if err != nil {
			return err
		}
		return tx.Put(store.K(key), fmt.Append(nil, all))
	}
}

func testOneBatch(t *testing.T, f Factory) {
	var stats []store.BatchStats
	e := f.Open(t)
	db := openOver(t, e, store.Options{RunTwice: true, Observe: func(s store.BatchStats) { stats = append(stats, s) }})
	errs := oneBatch(t, db, writes("a", "1"), sees("b"), func(tx store.Tx) error {
		return errors.Join(tx.Delete(store.K("a")), tx.Put(store.K("c"), nil))
	}, sees("d"))
	for _, err := range errs {
		wantErr(t, "closure", err, nil)
	}
	wantList(t, "contents", contents(t, db), "b=[a=1]", "c=", "d=[b=[a=1] c=]")
	if len(stats) != 1 || stats[0].Closures != 4 || stats[0].Writes != 4 || stats[0].Err != nil {
		t.Errorf("batches %+v, want one of 4 closures and 4 writes", stats)
	}
}

func testFailing(t *testing.T, f Factory) {
	db := openDB(t, f)
	put(t, db, "kept", "old")
	mine := errors.New("mine")
	errs := oneBatch(t, db, writes("a", "1"), func(tx store.Tx) error {
		if err := errors.Join(tx.Put(store.K("b"), nil), tx.Delete(store.K("kept")), tx.Put(store.K("a"), []byte("2"))); err != nil {
			return err
		}
		return fmt.Errorf("wrapped: %w", mine)
	}, sees("c"))
	wantErr(t, "first", errs[0], nil)
	wantErr(t, "second", errs[1], mine)
	wantErr(t, "third", errs[2], nil)
	wantList(t, "contents", contents(t, db), "a=1", "c=[a=1 kept=old]", "kept=old")
}

func testPanicking(t *testing.T, f Factory) {
	db := openDB(t, f)
	errs := oneBatch(t, db, writes("a", "1"), func(tx store.Tx) error {
		if err := tx.Put(store.K("b"), nil); err != nil {
			return err
		}
		panic("a bug")
	}, sees("c"))
	if errs[0] != nil || errs[1] == nil || errs[2] != nil {
		t.Errorf("errors %v, want one for the second", errs)
	}
	if errors.Is(errs[1], store.ErrUnknownOutcome) || errors.Is(errs[1], store.ErrFailed) {
		t.Errorf("panic is taken for a failure of the store: %v", errs[1])
	}
	wantList(t, "contents", contents(t, db), "a=1", "c=[a=1]")
}

func testIgnoredError(t *testing.T, f Factory) {
	db := openDB(t, f)
	err := db.Update(t.Context(), func(tx store.Tx) error {
		_ = tx.Put(store.K("a"), nil)
		_ = tx.Put(store.K("store", "seq"), []byte("1000"))
		return nil
	})
	if err == nil {
		t.Error("write to a reserved key succeeds")
	}
	wantList(t, "contents", contents(t, db))
}

func number(r store.Reader, k store.Key) (int, error) {
	v, err := r.Get(k)
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(v))
}

func putNumber(tx store.Tx, k store.Key, n int) error {
	return tx.Put(k, []byte(strconv.Itoa(n)))
}

// senders calls fn from n goroutines, and stops the test at an error.
func senders(t testing.TB, n int, fn func(sender int) error) {
	t.Helper()
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() { errs[i] = fn(i) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func testCounter(t *testing.T, f Factory) {
	db := openDB(t, f)
	const goroutines, rounds = 64, 20
	senders(t, goroutines, func(int) error {
		for range rounds {
			err := db.Update(t.Context(), func(tx store.Tx) error {
				n, err := number(tx, store.K("n"))
				if err != nil {
					return err
				}
				return putNumber(tx, store.K("n"), n+1)
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	view(t, db, func(r store.Reader) error {
		n, err := number(r, store.K("n"))
		if n != goroutines*rounds {
			t.Errorf("counter is %d, want %d", n, goroutines*rounds)
		}
		return err
	})
}

// trials lets two closures meet many times; done counts how many of the two
// did what only one of them may.
func trials(t *testing.T, f Factory, closure func(trial, me int, done *bool) func(store.Tx) error) {
	db := openDB(t, f)
	for trial := range 60 {
		var done [2]bool
		senders(t, 2, func(me int) error {
			return db.Update(t.Context(), closure(trial, me, &done[me]))
		})
		if done[0] == done[1] {
			t.Fatalf("trial %d: %v, want exactly one", trial, done)
		}
	}
}

func testWriteSkew(t *testing.T, f Factory) {
	trials(t, f, func(trial, me int, done *bool) func(store.Tx) error {
		return func(tx store.Tx) error {
			absent := 0 // of the two on call, only one may leave
			for who := range 2 {
				n, err := number(tx, store.K("absent", trial, who))
				if err != nil {
					return err
				}
				absent += n
			}
			if *done = absent == 0; !*done {
				return nil
			}
			return putNumber(tx, store.K("absent", trial, me), 1)
		}
	})
}

func testPhantom(t *testing.T, f Factory) {
	trials(t, f, func(trial, me int, done *bool) func(store.Tx) error {
		return func(tx store.Tx) error {
			all, err := list(tx.Scan(store.Prefix("row", trial), false))
			if err != nil {
				return err
			}
			if *done = len(all) == 0; !*done {
				return nil
			}
			return tx.Put(store.K("row", trial, me), nil)
		}
	})
}

func testCrossedAbsence(t *testing.T, f Factory) {
	trials(t, f, func(trial, me int, done *bool) func(store.Tx) error {
		return func(tx store.Tx) error {
			_, err := tx.Get(store.K("key", trial, 1-me))
			if *done = errors.Is(err, store.ErrNotFound); !*done {
				return err
			}
			return tx.Put(store.K("key", trial, me), nil)
		}
	})
}

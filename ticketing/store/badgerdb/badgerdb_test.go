package badgerdb

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/segments"
	"github.com/mxdesk/mxdesk/ticketing/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, storetest.Factory{
		Open:   func(t testing.TB) store.Engine { return open(t, t.TempDir(), Options{}) },
		Reopen: func(t testing.TB, closed store.Engine) store.Engine { return open(t, closed.(*DB).dir, Options{}) },
	})
}

func BenchmarkEngine(b *testing.B) {
	storetest.Benchmark(b, func(t testing.TB) store.Engine { return open(t, t.TempDir(), Options{}) })
}

// open opens an engine; the caller, or the store over it, closes it.
func open(t testing.TB, dir string, o Options) *DB {
	t.Helper()
	db, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func closed(t testing.TB, db *DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func commit(t testing.TB, db *DB, writes ...store.Item) {
	t.Helper()
	if err := tryCommit(t.Context(), db, writes...); err != nil {
		t.Fatal(err)
	}
}

func tryCommit(ctx context.Context, db *DB, writes ...store.Item) error {
	b, err := db.Begin(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	return b.Commit(ctx, writes)
}

func get(t testing.TB, db *DB, k store.Key) ([]byte, error) {
	t.Helper()
	s, err := db.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	return s.Get(k)
}

// TestOptions pins what promise 1 rests on.
func TestOptions(t *testing.T) {
	db := open(t, t.TempDir(), Options{})
	defer closed(t, db)
	o := db.kv.Opts()
	switch {
	case !o.SyncWrites:
		t.Error("commits are not synced")
	case o.ValueThreshold <= store.MaxTxBytes-1:
		t.Error("large values would go to the value log, whose failed sync is only logged")
	case o.MemTableSize*15/100 < 2<<20+2<<16:
		t.Error("a full batch does not fit a transaction")
	case o.IndexCacheSize == 0:
		t.Error("memory is not bounded")
	}
}

// TestValueLogStaysEmpty writes the largest values that the port allows.
func TestValueLogStaysEmpty(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir, Options{})
	for i, n := range []int{0, 1 << 10, 64 << 10, store.MaxTxBytes - 200} {
		commit(t, db, store.Item{Key: store.K(i), Value: bytes.Repeat([]byte{1}, n)})
	}
	logs, err := filepath.Glob(filepath.Join(dir, "kv", "*.vlog"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("no value log to look at: %v", err)
	}
	for _, name := range logs {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if rest := bytes.Trim(raw[20:], "\x00"); len(rest) > 0 { // behind its header
			t.Errorf("%s holds %d bytes", name, len(rest))
		}
	}
	closed(t, db)
}

// TestLargestBatch commits as much as the committer may send at once, in few
// large and in many small writes.
func TestLargestBatch(t *testing.T) {
	db := open(t, t.TempDir(), Options{})
	defer closed(t, db)
	const budget = 2<<20 + 64<<10
	for _, size := range []int{0, 1, 1000, 900 << 10} {
		var writes []store.Item
		for cost := 0; ; {
			w := store.Item{Key: store.K("k", size, len(writes)), Value: make([]byte, size)}
			if cost += len(w.Key) + size + store.WriteOverhead; cost > budget {
				break
			}
			writes = append(writes, w)
		}
		if err := tryCommit(t.Context(), db, writes...); err != nil {
			t.Errorf("%d writes of %d bytes: %v", len(writes), size, err)
		}
	}
	var tooMany []store.Item
	for i := range 4 {
		tooMany = append(tooMany, store.Item{Key: store.K("too", i), Value: make([]byte, 900<<10)})
	}
	if err := tryCommit(t.Context(), db, tooMany...); !errors.Is(err, store.ErrTooLarge) || errors.Is(err, store.ErrUnknownOutcome) {
		t.Errorf("too large a batch: %v", err)
	}
	if _, err := get(t, db, store.K("too", 0)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("part of it is there: %v", err)
	}
	commit(t, db, store.Item{Key: "after", Value: []byte("1")})
}

func TestInUse(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir, Options{})
	_, second := Open(dir, Options{})
	for _, err := range []error{second, InUse(dir)} {
		if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), fmt.Sprintf("pid %d", os.Getpid())) {
			t.Errorf("in use: %v", err)
		}
	}
	closed(t, db)
	for _, free := range []string{dir, filepath.Join(dir, "none")} {
		if err := InUse(free); err != nil {
			t.Errorf("%s: %v", free, err)
		}
	}
	closed(t, open(t, dir, Options{}))
}

func TestNotWritable(t *testing.T) {
	dir := readOnlyDir(t)
	for _, d := range []string{dir, filepath.Join(dir, "new")} {
		if _, err := Open(d, Options{}); !errors.Is(err, ErrNotWritable) {
			t.Errorf("%s: %v", d, err)
		}
	}
}

func TestOpenDamaged(t *testing.T) {
	dir := t.TempDir()
	closed(t, open(t, dir, Options{}))
	manifest := filepath.Join(dir, "kv", "MANIFEST")
	if err := os.WriteFile(manifest, []byte("no manifest"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); err == nil || errors.Is(err, ErrInUse) {
		t.Fatalf("got %v", err)
	}
	if err := os.Remove(manifest); err != nil {
		t.Fatal(err)
	}
	closed(t, open(t, dir, Options{})) // the lock was given back
}

func TestCloseWaitsForSnapshots(t *testing.T) {
	db := open(t, t.TempDir(), Options{CloseTimeout: time.Minute})
	s, err := db.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- db.Close() }()
	for {
		more, err := db.View(t.Context())
		if errors.Is(err, store.ErrClosed) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		more.Close()
		select {
		case err := <-done:
			t.Fatalf("closed under an open snapshot: %v", err)
		default:
		}
	}
	if _, err := s.Get("x"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("snapshot during close: %v", err)
	}
	s.Close()
	s.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := db.Close(); !errors.Is(err, store.ErrClosed) {
		t.Errorf("second close: %v", err)
	}
	if _, err := db.Begin(t.Context()); !errors.Is(err, store.ErrClosed) {
		t.Errorf("begin: %v", err)
	}
}

func TestUsesTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var u uses
		if err := u.enter(); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := u.shut(10 * time.Second); !errors.Is(err, ErrOpenSnapshots) || time.Since(start) != 10*time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		u.leave()
	})
}

// TestRotatedLogIsSynced fills several write-ahead logs and looks whether each
// new name was noticed, and its directory synced, in the commit that began it.
func TestRotatedLogIsSynced(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir, Options{})
	defer closed(t, db)
	first := db.wal.next
	for i := range 60 {
		commit(t, db, store.Item{Key: store.K(i), Value: make([]byte, 900<<10)})
		logs, err := filepath.Glob(filepath.Join(dir, "kv", "*.mem"))
		if err != nil || len(logs) == 0 {
			t.Fatalf("no logs: %v", err)
		}
		newest := fmt.Sprintf("%05d.mem", db.wal.next-1)
		if got := filepath.Base(logs[len(logs)-1]); got != newest {
			t.Fatalf("commit %d: newest log is %s, known is %s", i, got, newest)
		}
	}
	if db.wal.next < first+3 {
		t.Errorf("only %d logs begun: the test proves nothing", db.wal.next-first)
	}
}

// TestFailedCommit takes Badger away from under the engine.
func TestFailedCommit(t *testing.T) {
	db := open(t, t.TempDir(), Options{})
	b, err := db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	db.wal.dir = filepath.Join(db.dir, "gone")
	db.wal.next = 1
	if err := os.MkdirAll(db.wal.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	// A log that appears and a directory that cannot be synced any more.
	if err := os.WriteFile(filepath.Join(db.wal.dir, "00001.mem"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	db.wal.sync = func(string) error { return errors.New("input/output error") }
	err = b.Commit(t.Context(), []store.Item{{Key: "a", Value: []byte("1")}})
	if !errors.Is(err, store.ErrUnknownOutcome) || !errors.Is(err, store.ErrFailed) {
		t.Errorf("commit: %v", err)
	}
	if _, err := db.Begin(t.Context()); !errors.Is(err, store.ErrFailed) {
		t.Errorf("next begin: %v", err)
	}
	b.Close()
	closed(t, db)
}

func TestCancelledCommitWritesNothing(t *testing.T) {
	db := open(t, t.TempDir(), Options{})
	defer closed(t, db)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tryCommit(ctx, db, store.Item{Key: "a", Value: []byte("1")}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := get(t, db, "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("it is there: %v", err)
	}
}

func TestReserve(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir, Options{ReserveBytes: 1 << 62})
	defer closed(t, db)
	if err := tryCommit(t.Context(), db, store.Item{Key: "a", Value: []byte("1")}); !errors.Is(err, store.ErrNoSpace) || errors.Is(err, store.ErrFailed) {
		t.Errorf("commit: %v", err)
	}
	if _, err := db.Blobs().Write(t.Context(), []store.BlobSource{{Size: 1, Data: strings.NewReader("x")}}); !errors.Is(err, store.ErrNoSpace) {
		t.Errorf("blob: %v", err)
	}
	db.opt.ReserveBytes = 1
	commit(t, db, store.Item{Key: "a", Value: []byte("1")})
	free, total, err := db.FreeBytes()
	if err != nil || free == 0 || total < free {
		t.Errorf("free %d of %d, %v", free, total, err)
	}
}

// TestGC fills segments through a store, drops most blobs and compacts.
func TestGC(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	clock := func() time.Time { return now }
	e := open(t, dir, Options{Now: clock, Segments: segments.Options{SegmentBytes: 1 << 20}})
	db := store.Open(e, store.Options{Now: clock})
	var kept, all []store.Hash
	bodies := map[store.Hash][]byte{}
	for i := range 40 {
		body := bytes.Repeat([]byte{byte(i)}, 100<<10)
		h := store.Hash(sha256.Sum256(body))
		s, err := db.Stage(t.Context(), int64(len(body)), h, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Update(t.Context(), func(tx store.Tx) error { return tx.AddBlob(s) }); err != nil {
			t.Fatal(err)
		}
		all, bodies[h] = append(all, h), body
	}
	old, err := db.OpenBlob(t.Context(), all[1])
	if err != nil {
		t.Fatal(err)
	}
	for i, h := range all {
		if i%5 == 0 {
			kept = append(kept, h)
			continue
		}
		if err := db.Update(t.Context(), func(tx store.Tx) error { return tx.ReleaseBlob(h) }); err != nil {
			t.Fatal(err)
		}
	}
	before := e.Stats().Blobs
	now = now.Add(store.BlobGrace + time.Second)
	snapshot, err := e.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	done, err := e.GC(t.Context(), db)
	if err != nil || done.Segments < 3 {
		t.Fatalf("got %+v, %v", done, err)
	}
	if n := e.Stats().Blobs.Removing; n != done.Segments {
		t.Errorf("an open snapshot keeps %d of %d segments", n, done.Segments)
	}
	snapshot.Close()
	if after := e.Stats().Blobs; after.Bytes > before.Bytes/2 || after.Removing != 0 {
		t.Errorf("stats %+v, before %+v", after, before)
	}
	for _, h := range kept {
		if got := readBlob(t, db, h); !bytes.Equal(got, bodies[h]) {
			t.Errorf("blob %x has changed", h[:4])
		}
	}
	if _, err := old.ReadAt(make([]byte, 100<<10), 0); err != nil {
		t.Errorf("reader from before: %v", err)
	}
	old.Close()
	if err := db.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	db = store.Open(open(t, dir, Options{}), store.Options{})
	defer db.Close(context.Background())
	for _, h := range kept {
		if got := readBlob(t, db, h); !bytes.Equal(got, bodies[h]) {
			t.Errorf("after reopening blob %x has changed", h[:4])
		}
	}
}

func readBlob(t testing.TB, db *store.DB, h store.Hash) []byte {
	t.Helper()
	r, err := db.OpenBlob(t.Context(), h)
	if err != nil {
		t.Fatalf("blob %x: %v", h[:4], err)
	}
	defer r.Close()
	b, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	if err != nil {
		t.Fatalf("blob %x: %v", h[:4], err)
	}
	return b
}

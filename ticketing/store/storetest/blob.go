package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// blobTests are about blobs and their references.
var blobTests = []test{
	{"sizes and offsets", testBlobSizes},
	{"many in one batch", testBlobBatch},
	{"references", testBlobRefs},
	{"same blob twice", testBlobDedupe},
	{"failing closure leaves none", testBlobFailing},
	{"released and added in one batch", testBlobAgain},
	{"reader outlives the blob", testBlobReader},
	{"unreadable source", testBlobUnreadable},
	{"concurrent", testBlobConcurrent},
	{"list and move", testBlobList},
}

func addBlob(s *store.Staged) func(store.Tx) error {
	return func(tx store.Tx) error { return tx.AddBlob(s) }
}

func release(h store.Hash) func(store.Tx) error {
	return func(tx store.Tx) error { return tx.ReleaseBlob(h) }
}

// wantBlob reads a blob whole, in odd pieces and past its end.
func wantBlob(t testing.TB, db *store.DB, h store.Hash, data []byte) {
	t.Helper()
	b, err := db.OpenBlob(t.Context(), h)
	if err != nil {
		t.Errorf("open: %v", err)
		return
	}
	defer b.Close()
	if b.Size() != int64(len(data)) {
		t.Errorf("size %d, want %d", b.Size(), len(data))
	}
	got, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()+10))
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v, want the same %d", len(got), err, len(data))
	}
	rng := rand.New(rand.NewPCG(uint64(len(data)), 1))
	for range min(10, len(data)) {
		off := rng.IntN(len(data))
		buf := make([]byte, 1+rng.IntN(len(data)-off))
		if n, err := b.ReadAt(buf, int64(off)); n != len(buf) || err != nil && err != io.EOF || !bytes.Equal(buf, data[off:off+n]) {
			t.Errorf("read of %d bytes at %d: %d, %v", len(buf), off, n, err)
		}
	}
	buf := make([]byte, 10)
	if n, err := b.ReadAt(buf, int64(len(data))); n != 0 || err != io.EOF {
		t.Errorf("read at the end: %d, %v", n, err)
	}
	if len(data) > 3 {
		if n, err := b.ReadAt(buf, int64(len(data)-3)); n != 3 || err != io.EOF {
			t.Errorf("read over the end: %d, %v", n, err)
		}
	}
}

func wantNoBlob(t testing.TB, db *store.DB, h store.Hash) {
	t.Helper()
	_, err := db.OpenBlob(t.Context(), h)
	wantErr(t, "open a blob that is gone", err, store.ErrNotFound)
	err = db.Update(t.Context(), func(tx store.Tx) error { return tx.RefBlob(h) })
	wantErr(t, "refer to a blob that is gone", err, store.ErrNotFound)
}

func testBlobSizes(t *testing.T, f Factory) {
	db := openDB(t, f)
	for i, size := range []int{0, 1, 1000, 10 << 10, 33 << 10, 64 << 10, 64<<10 + 1, 200 << 10, 3 << 20} {
		h, data := newBlob(size, i)
		update(t, db, addBlob(stage(t, db, h, data)))
		wantBlob(t, db, h, data)
	}
}

func testBlobBatch(t *testing.T, f Factory) {
	db := openDB(t, f)
	var fns []func(store.Tx) error
	for i := range 30 {
		h, data := newBlob(5<<10, i)
		fns = append(fns, addBlob(stage(t, db, h, data)))
	}
	wantErr(t, "closures", errors.Join(oneBatch(t, db, fns...)...), nil)
	for i := range 30 {
		h, data := newBlob(5<<10, i)
		wantBlob(t, db, h, data)
	}
	testBlobMany(t, db)
}

// testBlobMany adds more in one transaction than a batch may hold as values.
func testBlobMany(t *testing.T, db *store.DB) {
	var staged []*store.Staged
	for i := range 60 {
		h, data := newBlob(60<<10, 100+i)
		staged = append(staged, stage(t, db, h, data))
	}
	update(t, db, func(tx store.Tx) error {
		for _, s := range staged {
			if err := tx.AddBlob(s); err != nil {
				return err
			}
		}
		return nil
	})
	for i := range 60 {
		h, data := newBlob(60<<10, 100+i)
		wantBlob(t, db, h, data)
	}
}

func testBlobRefs(t *testing.T, f Factory) {
	db := openDB(t, f)
	for i, size := range []int{100, 100 << 10} {
		h, data := newBlob(size, i)
		update(t, db, addBlob(stage(t, db, h, data)))
		update(t, db, func(tx store.Tx) error { return errors.Join(tx.RefBlob(h), tx.RefBlob(h)) })
		update(t, db, release(h))
		wantBlob(t, db, h, data)
		update(t, db, release(h))
		wantBlob(t, db, h, data)
		update(t, db, release(h))
		wantNoBlob(t, db, h)
		wantErr(t, "own keys", ownKeys(t, db, "blob", "blobdata"), nil)
		wantErr(t, "one release too many", db.Update(t.Context(), release(h)), store.ErrNotFound)
		update(t, db, addBlob(stage(t, db, h, data)))
		wantBlob(t, db, h, data)
		update(t, db, release(h))
	}
}

// ownKeys returns an error for each key that the port keeps below some names.
func ownKeys(t *testing.T, db *store.DB, names ...string) error {
	var errs []error
	view(t, db, func(r store.Reader) error {
		for _, name := range names {
			for item, err := range r.Scan(store.Prefix("store", name), false) {
				errs = append(errs, err, fmt.Errorf("%v is left", item.Key))
			}
		}
		return nil
	})
	return errors.Join(errs...)
}

func testBlobDedupe(t *testing.T, f Factory) {
	db := openDB(t, f)
	for i, size := range []int{100, 100 << 10} {
		h, data := newBlob(size, i)
		first, second := stage(t, db, h, data), stage(t, db, h, data)
		errs := oneBatch(t, db, addBlob(first), addBlob(second), addBlob(second))
		wantErr(t, "closures", errors.Join(errs...), nil)
		update(t, db, addBlob(stage(t, db, h, data)))
		for range 3 {
			update(t, db, release(h))
			wantBlob(t, db, h, data)
		}
		update(t, db, release(h))
		wantNoBlob(t, db, h)
	}
}

func testBlobFailing(t *testing.T, f Factory) {
	db := openDB(t, f)
	for i, size := range []int{100, 100 << 10} {
		h, data := newBlob(size, i)
		s := stage(t, db, h, data)
		mine := errors.New("mine")
		errs := oneBatch(t, db, writes("a", "1"), func(tx store.Tx) error {
			return errors.Join(tx.AddBlob(s), mine)
		}, func(tx store.Tx) error {
			err := tx.RefBlob(h)
			wantErr(t, "blob of an undone closure", err, store.ErrNotFound)
			return nil
		})
		wantErr(t, "failing", errs[1], mine)
		wantErr(t, "others", errors.Join(errs[0], errs[2]), nil)
		wantNoBlob(t, db, h)
		update(t, db, addBlob(s))
		wantBlob(t, db, h, data)
	}
}

func testBlobAgain(t *testing.T, f Factory) {
	db := openDB(t, f)
	for i, size := range []int{100, 100 << 10} {
		h, data := newBlob(size, i)
		s := stage(t, db, h, data)
		errs := oneBatch(t, db, addBlob(s), release(h))
		wantErr(t, "added and released", errors.Join(errs...), nil)
		wantNoBlob(t, db, h)
		errs = oneBatch(t, db, addBlob(s), release(h), addBlob(s))
		wantErr(t, "added, released, added", errors.Join(errs...), nil)
		wantBlob(t, db, h, data)
		errs = oneBatch(t, db, release(h), addBlob(s))
		wantErr(t, "released, added", errors.Join(errs...), nil)
		wantBlob(t, db, h, data)
	}
}

func testBlobReader(t *testing.T, f Factory) {
	db := openDB(t, f)
	for i, size := range []int{100, 100 << 10} {
		h, data := newBlob(size, i)
		update(t, db, addBlob(stage(t, db, h, data)))
		b, err := db.OpenBlob(t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		update(t, db, release(h))
		got, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		wantErr(t, "close", b.Close(), nil)
	}
}

// brokenFile fails in the middle.
type brokenFile struct{ data []byte }

var errBroken = errors.New("broken file")

func (b brokenFile) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > int64(len(b.data)/2) {
		return 0, errBroken
	}
	return copy(p, b.data[off:]), nil
}

func testBlobUnreadable(t *testing.T, f Factory) {
	db := openDB(t, f)
	for i, size := range []int{1000, 300 << 10} {
		h, data := newBlob(size, i)
		_, err := db.Stage(t.Context(), int64(size), h, brokenFile{data})
		wantErr(t, "stage", err, errBroken)
		_, err = db.Stage(t.Context(), int64(size)+1, h, bytes.NewReader(data))
		if err == nil {
			t.Error("a source that is too short is staged")
		}
		wantErr(t, "store", db.Err(), nil)
		update(t, db, addBlob(stage(t, db, h, data)))
		wantBlob(t, db, h, data)
	}
}

func testBlobConcurrent(t *testing.T, f Factory) {
	db := openDB(t, f)
	sizes := []int{500, 20 << 10, 70 << 10, 200 << 10}
	senders(t, 16, func(sender int) error {
		for i := range 4 {
			h, data := newBlob(sizes[(sender+i)%len(sizes)], sender%8*10+i) // each by two senders
			s, err := db.Stage(t.Context(), int64(len(data)), h, bytes.NewReader(data))
			if err != nil {
				return err
			}
			if err := db.Update(t.Context(), addBlob(s)); err != nil {
				return err
			}
			wantBlob(t, db, h, data)
		}
		return nil
	})
}

func testBlobList(t *testing.T, f Factory) {
	db := openDB(t, f)
	want := map[store.Hash]int64{}
	for i, size := range []int{10, 100 << 10, 200 << 10} {
		h, data := newBlob(size, i)
		want[h] = int64(size)
		update(t, db, addBlob(stage(t, db, h, data)))
	}
	var moves []store.BlobMove
	for b, err := range db.Blobs(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if want[b.Hash] != b.Size || b.Refs != 1 {
			t.Errorf("blob %x: %d bytes, %d references", b.Hash, b.Size, b.Refs)
		}
		if inline := b.Place == (store.Place{}); inline && b.Size > 64<<10 {
			t.Errorf("blob of %d bytes is inline", b.Size)
		}
		delete(want, b.Hash)
		stale := store.Place{Segment: 1 << 40, Offset: 1}
		moves = append(moves, store.BlobMove{Hash: b.Hash, From: stale, To: stale})
	}
	if len(want) != 0 {
		t.Errorf("%d blobs are missing", len(want))
	}
	for range db.Blobs(t.Context()) {
		break
	}
	gone, _ := newBlob(7, 7)
	moves = append(moves, store.BlobMove{Hash: gone, To: store.Place{Segment: 1}})
	if err := db.MoveBlobs(t.Context(), moves); err != nil {
		t.Errorf("move: %v", err)
	}
	for i, size := range []int{10, 100 << 10, 200 << 10} {
		h, data := newBlob(size, i)
		wantBlob(t, db, h, data)
	}
}

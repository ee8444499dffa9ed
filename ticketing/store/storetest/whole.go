package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

var wholeTests = []test{
	{"contents leave out blobs", testContents},
	{"a snapshot's blobs outlive their release", testSnapshotBlobs},
	{"what is loaded is what was there", testLoad},
}

func testContents(t *testing.T, f Factory) {
	db := openDB(t, f)
	put(t, db, "a", "1", "zz", "2")
	small, data := newBlob(100, 1)
	staged := stage(t, db, small, data)
	update(t, db, func(tx store.Tx) error {
		return errors.Join(tx.AddBlob(staged), tx.Emit(store.Change{Kind: "x", Key: store.K("a")}))
	})
	view(t, db, func(r store.Reader) error {
		all, err := list(store.Contents(r))
		wantList(t, "contents", all, "a=1", `store/feed/1={"v":2,"changes":[{"kind":"x","key":"026100"}]}`, "store/seq=1", "zz=2")
		for i, err := range r.Scan(store.Range{}, false) {
			if store.OfBlob(i.Key) != (bytes.Contains([]byte(i.Key), []byte("blob"))) || err != nil {
				t.Errorf("OfBlob(%v) = %v, %v", i.Key, store.OfBlob(i.Key), err)
			}
		}
		for range store.Contents(r) {
			break // allowed
		}
		return err
	})
}

func testSnapshotBlobs(t *testing.T, f Factory) {
	db := openDB(t, f)
	for i, size := range []int{0, 100, 100 << 10} {
		h, data := newBlob(size, i)
		staged := stage(t, db, h, data)
		update(t, db, func(tx store.Tx) error { return tx.AddBlob(staged) })
		view(t, db, func(r store.Reader) error {
			update(t, db, func(tx store.Tx) error { return tx.ReleaseBlob(h) })
			for info, err := range store.BlobsOf(r) {
				if err != nil || info.Hash != h || info.Size != int64(size) || info.Refs != 1 {
					t.Fatalf("%+v, %v", info, err)
				}
				b, err := db.OpenBlobOf(t.Context(), r, info)
				if err != nil {
					return err
				}
				defer b.Close()
				got, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("%d bytes, want %d; %v", len(got), size, err)
				}
			}
			return nil
		})
	}
}

func testLoad(t *testing.T, f Factory) {
	db := openDB(t, f)
	h, data := newBlob(100<<10, 3)
	lost, _ := newBlob(5, 4)
	staged := stage(t, db, h, data)
	view(t, db, func(r store.Reader) error {
		if empty, err := store.Empty(r); !empty || err != nil {
			t.Errorf("Empty = %v, %v for a new store", empty, err)
		}
		return nil
	})
	items := []store.Item{{Key: store.K("a"), Value: nil}, {Key: store.K("store", "seq"), Value: []byte("7")}}
	blobs := []store.Referenced{
		{BlobInfo: store.BlobInfo{Hash: h, Size: int64(len(data)), Refs: 3}, Staged: staged},
		{BlobInfo: store.BlobInfo{Hash: lost, Size: 5, Refs: 1}},
	}
	if err := db.Load(t.Context(), items, blobs); err != nil {
		t.Fatal(err)
	}
	wantList(t, "loaded", contents(t, db), "a=")
	view(t, db, func(r store.Reader) error {
		empty, err := store.Empty(r)
		n, err2 := store.LastChange(r)
		if empty || n != 7 {
			t.Errorf("Empty = %v, LastChange = %d", empty, n)
		}
		for info := range store.BlobsOf(r) {
			if want := map[store.Hash]int64{h: 3, lost: 1}[info.Hash]; info.Refs != want {
				t.Errorf("%v has %d references, want %d", info.Hash, info.Refs, want)
			}
		}
		return errors.Join(err, err2)
	})
	if b, err := db.OpenBlob(t.Context(), lost); err == nil {
		b.Close()
		t.Error("a lost blob was opened")
	}
	for range 3 {
		if _, err := readBlob(t.Context(), db, h); err != nil {
			t.Fatal(err)
		}
		update(t, db, func(tx store.Tx) error { return tx.ReleaseBlob(h) })
	}
	if _, err := db.OpenBlob(t.Context(), h); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("after the last of 3 references: %v", err)
	}
}

func readBlob(ctx context.Context, db *store.DB, h store.Hash) ([]byte, error) {
	b, err := db.OpenBlob(ctx, h)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	defer b.Close()
	return io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
}

package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// engineTests address the engine without the committer.
var engineTests = []test{
	{"batch", testBatch},
	{"snapshot is stable", testSnapshotStable},
	{"close without commit", testBatchDropped},
}

// readTests are about order, bounds and what a transaction sees of itself.
var readTests = []test{
	{"get", testGet},
	{"empty value", testEmptyValue},
	{"bounds", testBounds},
	{"order of bytes", testOrder},
	{"scan is merged with own writes", testOwnWrites},
	{"scan breaks off early", testBreak},
	{"scan while writing", testScanWrite},
	{"many items", testManyItems},
	{"values of all sizes", testValueSizes},
	{"longest key", testLongestKey},
}

func commit(t *testing.T, e store.Engine, writes ...store.Item) {
	t.Helper()
	b, err := e.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.Commit(t.Context(), writes); err != nil {
		t.Fatal(err)
	}
}

func closeEngine(t *testing.T, e store.Engine) {
	t.Helper()
	if err := e.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func testBatch(t *testing.T, f Factory) {
	e := f.Open(t)
	defer closeEngine(t, e)
	commit(t, e, store.Item{Key: "a", Value: []byte("1")}, store.Item{Key: "b", Value: []byte("2")})
	commit(t, e, store.Item{Key: "a"}, store.Item{Key: "b", Value: []byte{}}, store.Item{Key: "c"})

	b, err := e.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.Prefetch([]store.Key{"a", "b", "nothing"}); err != nil {
		t.Errorf("prefetch: %v", err)
	}
	if _, err := b.Get("a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleted key: %v", err)
	}
	if v, err := b.Get("b"); err != nil || v == nil || len(v) != 0 {
		t.Errorf("empty value: %q, %v", v, err)
	}
	vs, err := b.GetMulti([]store.Key{"b", "c", "a", "b"})
	if err != nil || len(vs) != 4 || vs[0] == nil || vs[1] != nil || vs[2] != nil || vs[3] == nil {
		t.Errorf("GetMulti: %q, %v", vs, err)
	}
}

func testSnapshotStable(t *testing.T, f Factory) {
	e := f.Open(t)
	defer closeEngine(t, e)
	commit(t, e, store.Item{Key: "a", Value: []byte("old")}, store.Item{Key: "b", Value: []byte("old")})
	s, err := e.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	commit(t, e, store.Item{Key: "a", Value: []byte("new")}, store.Item{Key: "b"}, store.Item{Key: "c", Value: []byte("new")})
	all, err := list(s.Scan(store.Range{}, false))
	if err != nil {
		t.Fatal(err)
	}
	wantList(t, "old snapshot", all, "!61=old", "!62=old")
	s.Close()
	s, err = e.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all, err = list(s.Scan(store.Range{}, true))
	if err != nil {
		t.Fatal(err)
	}
	wantList(t, "new snapshot", all, "!63=new", "!61=new")
}

func testBatchDropped(t *testing.T, f Factory) {
	e := f.Open(t)
	defer closeEngine(t, e)
	for range 3 {
		b, err := e.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		b.Close()
	}
	commit(t, e, store.Item{Key: "a", Value: []byte("1")})
}

func testGet(t *testing.T, f Factory) {
	db := openDB(t, f)
	put(t, db, "a", "1", "b", "2")
	update(t, db, func(tx store.Tx) error {
		if err := errors.Join(tx.Put(store.K("c"), []byte("3")), tx.Delete(store.K("a"))); err != nil {
			return err
		}
		if _, err := tx.Get(store.K("a")); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("own delete: %v", err)
		}
		vs, err := tx.GetMulti([]store.Key{store.K("c"), store.K("nothing"), store.K("a"), store.K("b")})
		if got := fmt.Sprintf("%s %v", vs, err); got != "[3   2] <nil>" || vs[1] != nil || vs[2] != nil {
			t.Errorf("GetMulti: %s", got)
		}
		return nil
	})
	view(t, db, func(r store.Reader) error {
		_, err := r.Get(store.K("a"))
		wantErr(t, "deleted", err, store.ErrNotFound)
		v, err := r.Get(store.K("c"))
		if string(v) != "3" || err != nil {
			t.Errorf("written: %q, %v", v, err)
		}
		return nil
	})
}

func testEmptyValue(t *testing.T, f Factory) {
	db := openDB(t, f)
	update(t, db, func(tx store.Tx) error {
		if err := errors.Join(tx.Put(store.K("nil"), nil), tx.Put(store.K("empty"), []byte{})); err != nil {
			return err
		}
		v, err := tx.Get(store.K("nil"))
		if v == nil || err != nil {
			t.Errorf("own empty value: %v, %v", v, err)
		}
		return nil
	})
	view(t, db, func(r store.Reader) error {
		vs, err := r.GetMulti([]store.Key{store.K("nil"), store.K("empty"), store.K("absent")})
		if err != nil || vs[0] == nil || vs[1] == nil || vs[2] != nil {
			t.Errorf("GetMulti: %v, %v", vs, err)
		}
		return err
	})
	wantList(t, "contents", contents(t, db), "empty=", "nil=")
}

func testBounds(t *testing.T, f Factory) {
	db := openDB(t, f)
	update(t, db, func(tx store.Tx) error {
		for _, k := range []store.Key{store.K("a"), store.K("a", 1), store.K("a", 2), store.K("a", 2, "x"), store.K("a\x00"), store.K("b"), store.K("zz", 9)} {
			if err := tx.Put(k, nil); err != nil {
				return err
			}
		}
		return nil
	})
	tests := []struct {
		name string
		r    store.Range
		want []string
	}{
		{"prefix", store.Prefix("a"), []string{"a=", "a/1=", "a/2=", "a/2/x="}},
		{"prefix of two", store.Prefix("a", 2), []string{"a/2=", "a/2/x="}},
		{"nothing there", store.Prefix("aa"), nil},
		{"start is in, end is out", store.Range{Start: store.K("a", 1), End: store.K("b")}, []string{"a/1=", "a/2=", "a/2/x=", `"a\x00"=`}},
		{"no end", store.Range{Start: store.K("b")}, []string{"b=", "zz/9="}},
		{"no start", store.Range{End: store.K("a", 2)}, []string{"a=", "a/1="}},
		{"empty", store.Range{Start: store.K("b"), End: store.K("b")}, nil},
		{"inverted", store.Range{Start: store.K("b"), End: store.K("a")}, nil},
	}
	check := func(kind string, r store.Reader) {
		for _, test := range tests {
			got, err := list(r.Scan(test.r, false))
			wantErr(t, test.name, err, nil)
			wantList(t, kind+test.name, got, test.want...)
			got, err = list(r.Scan(test.r, true))
			wantErr(t, test.name, err, nil)
			slices.Reverse(got)
			wantList(t, kind+test.name+", reverse", got, test.want...)
		}
	}
	view(t, db, func(r store.Reader) error { check("view: ", r); return nil })
	update(t, db, func(tx store.Tx) error { check("update: ", tx); return nil })
}

func testOrder(t *testing.T, f Factory) {
	db := openDB(t, f)
	rng := rand.New(rand.NewPCG(3, 4))
	var keys []store.Key
	for range 300 {
		raw := make([]byte, 1+rng.IntN(6))
		for i := range raw {
			raw[i] = []byte{0, 1, 0x61, 0x7f, 0x80, 0xfe, 0xff}[rng.IntN(7)]
		}
		keys = append(keys, store.Key(raw))
	}
	update(t, db, func(tx store.Tx) error {
		for _, k := range keys {
			if err := tx.Put(k, []byte(k)); err != nil {
				return err
			}
		}
		return nil
	})
	slices.Sort(keys)
	keys = slices.Compact(keys)
	view(t, db, func(r store.Reader) error {
		for _, reverse := range []bool{false, true} {
			var got []store.Key
			for item, err := range r.Scan(store.Range{}, reverse) {
				if err != nil {
					return err
				}
				if string(item.Key) != string(item.Value) {
					t.Errorf("key %x has the value of %x", string(item.Key), item.Value)
				}
				got = append(got, item.Key)
			}
			if !slices.Equal(got, keys) {
				t.Errorf("reverse %v: order is not that of the bytes", reverse)
			}
			slices.Reverse(keys)
		}
		return nil
	})
}

func testOwnWrites(t *testing.T, f Factory) {
	db := openDB(t, f)
	put(t, db, "b", "old", "d", "old", "f", "old", "h", "old")
	update(t, db, func(tx store.Tx) error {
		err := errors.Join(
			tx.Put(store.K("a"), []byte("new")), tx.Delete(store.K("b")), tx.Put(store.K("c"), []byte("new")),
			tx.Put(store.K("d"), []byte("new")), tx.Delete(store.K("e")), tx.Delete(store.K("h")),
			tx.Put(store.K("i"), []byte("new")), tx.Put(store.K("j"), nil), tx.Delete(store.K("j")))
		if err != nil {
			return err
		}
		got, err := list(tx.Scan(store.Range{}, false))
		wantList(t, "forward", got, "a=new", "c=new", "d=new", "f=old", "i=new")
		if err != nil {
			return err
		}
		got, err = list(tx.Scan(store.Range{Start: store.K("b"), End: store.K("i")}, true))
		wantList(t, "reverse", got, "f=old", "d=new", "c=new")
		return err
	})
	wantList(t, "afterwards", contents(t, db), "a=new", "c=new", "d=new", "f=old", "i=new")
}

func testBreak(t *testing.T, f Factory) {
	db := openDB(t, f)
	put(t, db, "a", "1", "b", "2", "c", "3")
	breakOff := func(r store.Reader) error {
		for range 50 { // an engine that leaks iterators notices
			for item, err := range r.Scan(store.Range{}, false) {
				if err != nil || item.Key != store.K("a") {
					return fmt.Errorf("first item %v, %w", item.Key, err)
				}
				break
			}
		}
		got, err := list(r.Scan(store.Range{}, true))
		wantList(t, "after breaking off", got, "c=3", "b=2", "a=1")
		return err
	}
	view(t, db, breakOff)
	update(t, db, func(tx store.Tx) error { return breakOff(tx) })
}

func testScanWrite(t *testing.T, f Factory) {
	db := openDB(t, f)
	put(t, db, "a", "1", "b", "2", "c", "3")
	update(t, db, func(tx store.Tx) error {
		var seen []string
		for item, err := range tx.Scan(store.Range{}, false) {
			if err != nil {
				return err
			}
			seen = append(seen, item.Key.String())
			if v, err := tx.Get(item.Key); err != nil || !bytes.Equal(v, item.Value) {
				t.Errorf("get within a scan: %q, %v", v, err)
			}
			for inner, err := range tx.Scan(store.Range{Start: item.Key}, true) {
				if err != nil || inner.Key < item.Key {
					t.Errorf("scan within a scan: %v, %v", inner.Key, err)
				}
			}
			parts, err := item.Key.Split()
			if err != nil {
				return err
			}
			if err := errors.Join(tx.Delete(item.Key), tx.Put(store.K(parts[0], "moved"), item.Value)); err != nil {
				return err
			}
		}
		wantList(t, "seen", seen, "a", "b", "c")
		return nil
	})
	wantList(t, "contents", contents(t, db), "a/moved=1", "b/moved=2", "c/moved=3")
}

func testManyItems(t *testing.T, f Factory) {
	db := openDB(t, f)
	const items, chunk = 5000, 1000
	for first := 0; first < items; first += chunk {
		update(t, db, func(tx store.Tx) error {
			for i := range chunk {
				if err := tx.Put(store.K("n", first+i), fmt.Append(nil, first+i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	update(t, db, func(tx store.Tx) error {
		for i := 0; i < items; i += 3 {
			if err := tx.Delete(store.K("n", i)); err != nil {
				return err
			}
		}
		next := 0
		for item, err := range tx.Scan(store.Prefix("n"), false) {
			if next%3 == 0 {
				next++
			}
			if err != nil || string(item.Value) != fmt.Sprint(next) {
				return fmt.Errorf("item %s, %v, want %d", item.Value, err, next)
			}
			next++
		}
		if next != items {
			return fmt.Errorf("scan ended at %d", next)
		}
		return nil
	})
}

func testValueSizes(t *testing.T, f Factory) {
	db := openDB(t, f)
	for _, size := range []int{1, 1000, 1 << 10, 4 << 10, 64 << 10, 500 << 10, store.MaxTxBytes - 1000} {
		_, data := newBlob(size, size)
		update(t, db, func(tx store.Tx) error { return tx.Put(store.K("size", size), data) })
		view(t, db, func(r store.Reader) error {
			v, err := r.Get(store.K("size", size))
			if !bytes.Equal(v, data) {
				t.Errorf("value of %d bytes comes back with %d", size, len(v))
			}
			return err
		})
	}
}

func testLongestKey(t *testing.T, f Factory) {
	db := openDB(t, f)
	k := store.K(strings.Repeat("k", store.MaxKeyBytes-2))
	if len(k) != store.MaxKeyBytes {
		t.Fatalf("key has %d bytes", len(k))
	}
	update(t, db, func(tx store.Tx) error { return tx.Put(k, []byte("v")) })
	view(t, db, func(r store.Reader) error {
		v, err := r.Get(k)
		if string(v) != "v" {
			t.Errorf("value %q", v)
		}
		return err
	})
	err := db.Update(t.Context(), func(tx store.Tx) error { return tx.Put(k+"k", nil) })
	wantErr(t, "longer key", err, store.ErrTooLarge)
}

package memdb_test

import (
	"errors"
	"testing"

	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/memdb"
	"github.com/mxdesk/mxdesk/ticketing/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, storetest.Factory{
		Open: func(testing.TB) store.Engine { return memdb.New(memdb.Options{}) },
		Reopen: func(_ testing.TB, closed store.Engine) store.Engine {
			return closed.(*memdb.DB).Reopen(memdb.Options{})
		},
	})
}

func BenchmarkMails(b *testing.B) {
	storetest.Benchmark(b, func(testing.TB) store.Engine { return memdb.New(memdb.Options{}) })
}

// TestReopen writes to both the old and the new engine: they are apart.
func TestReopen(t *testing.T) {
	before := memdb.New(memdb.Options{})
	write(t, before, "a")
	again := before.Reopen(memdb.Options{})
	write(t, before, "b")
	write(t, again, "c")
	for k, want := range map[store.Key]bool{"a": true, "b": false, "c": true} {
		s, err := again.View(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(k); (err == nil) != want {
			t.Errorf("%s: %v", string(k), err)
		}
	}
}

func write(t *testing.T, e store.Engine, k store.Key) {
	t.Helper()
	b, err := e.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(t.Context(), []store.Item{{Key: k, Value: []byte{}}}); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(t.Context(), nil); err == nil {
		t.Error("a batch is committed twice")
	}
}

func TestMisuse(t *testing.T) {
	e := memdb.New(memdb.Options{})
	for _, p := range []store.Place{{}, {Segment: 1}, {Segment: 1, Offset: 1}, {Segment: 2, Offset: 1}} {
		if _, err := e.Blobs().Open(t.Context(), p, store.Hash{}, 0); err == nil {
			t.Errorf("a blob at %+v", p)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Begin(t.Context()); !errors.Is(err, store.ErrClosed) {
		t.Errorf("begin: %v", err)
	}
	if _, err := e.View(t.Context()); !errors.Is(err, store.ErrClosed) {
		t.Errorf("view: %v", err)
	}
	if err := e.Close(); !errors.Is(err, store.ErrClosed) {
		t.Errorf("close: %v", err)
	}
}

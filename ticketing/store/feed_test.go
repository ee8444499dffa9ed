package store_test

import (
	"testing"

	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/memdb"
)

// TestOldFeedRows reads a feed that begins with rows of version 1, one for each
// change.
func TestOldFeedRows(t *testing.T) {
	engine := memdb.New(memdb.Options{})
	batch, err := engine.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	old := []byte(`{"v":1,"kind":"old","key":"` + "0261" + `00"}`)
	err = batch.Commit(t.Context(), []store.Item{
		{Key: store.K("store", "feed", 1), Value: old}, {Key: store.K("store", "feed", 2), Value: old}, {Key: store.K("store", "seq"), Value: []byte("2")},
	})
	batch.Close()
	if err != nil {
		t.Fatal(err)
	}
	db := store.Open(engine, store.Options{})
	defer db.Close(t.Context())
	if err := db.Update(t.Context(), func(tx store.Tx) error { return tx.Emit(store.Change{Kind: "new"}) }); err != nil {
		t.Fatal(err)
	}
	changes, err := db.Changes(t.Context(), 0, 10)
	if err != nil || len(changes) != 3 || changes[1] != (store.Change{Seq: 2, Kind: "old", Key: store.K("a")}) || changes[2].Kind != "new" {
		t.Errorf("%+v, %v", changes, err)
	}
}

// wrapped is a transaction as layers above hand it on.
type wrapped struct{ store.Tx }

func (w wrapped) Unwrap() store.Tx { return w.Tx }

// A cursor moves in a transaction that others have wrapped, and in no other.
func TestCursorInAWrappedTransaction(t *testing.T) {
	db := store.Open(memdb.New(memdb.Options{}), store.Options{})
	defer db.Close(t.Context())
	c := db.Cursor("reader")
	var foreign error
	err := db.Update(t.Context(), func(tx store.Tx) error {
		foreign = c.Advance(struct{ store.Tx }{tx}, 1)
		return c.Advance(wrapped{wrapped{tx}}, 3)
	})
	if err != nil || foreign == nil {
		t.Errorf("%v; in a foreign transaction %v", err, foreign)
	}
	if err := db.View(t.Context(), func(r store.Reader) error {
		if at, err := c.Position(r); at != 3 || err != nil {
			t.Errorf("at %d, %v", at, err)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// feedTests are about the change feed and its cursors.
var feedTests = []test{
	{"order", testFeedOrder},
	{"dense while many write", testFeedDense},
	{"cursors", testCursors},
	{"trim", testTrim},
}

// feed lists changes as kind and key.
func feed(t testing.TB, db *store.DB, after uint64, limit int) ([]string, error) {
	t.Helper()
	changes, err := db.Changes(t.Context(), after, limit)
	var all []string
	for i, c := range changes {
		if c.Seq != after+uint64(i)+1 {
			t.Errorf("change %d after %d has number %d", i, after, c.Seq)
		}
		all = append(all, c.Kind+" "+c.Key.String())
	}
	return all, err
}

func wantFeed(t testing.TB, db *store.DB, after uint64, want ...string) {
	t.Helper()
	got, err := feed(t, db, after, 100)
	wantErr(t, "changes", err, nil)
	wantList(t, fmt.Sprintf("changes after %d", after), got, want...)
}

func wantPosition(t testing.TB, db *store.DB, name string, want uint64) {
	t.Helper()
	view(t, db, func(r store.Reader) error {
		got, err := db.Cursor(name).Position(r)
		if got != want {
			t.Errorf("cursor %s is at %d, want %d", name, got, want)
		}
		return err
	})
}

func emit(kinds ...string) func(store.Tx) error {
	return func(tx store.Tx) error {
		for _, kind := range kinds {
			if err := tx.Emit(store.Change{Kind: kind, Key: store.K(kind, "\x00\xff")}); err != nil {
				return err
			}
		}
		return nil
	}
}

func testFeedOrder(t *testing.T, f Factory) {
	db := openDB(t, f)
	wantFeed(t, db, 0)
	changed := db.Changed()
	mine := errors.New("mine")
	errs := oneBatch(t, db, emit("a", "b"), func(tx store.Tx) error {
		return errors.Join(emit("undone")(tx), mine)
	}, emit("c"), writes("x", "y"))
	wantErr(t, "failing", errs[1], mine)
	wantErr(t, "others", errors.Join(errs[0], errs[2], errs[3]), nil)
	<-changed
	changed = db.Changed()
	put(t, db, "x", "z")
	select {
	case <-changed:
		t.Error("woken by a commit without changes")
	default:
	}
	update(t, db, emit("d"))
	<-changed
	wantFeed(t, db, 0, `a a/"\x00\xff"`, `b b/"\x00\xff"`, `c c/"\x00\xff"`, `d d/"\x00\xff"`)
	wantFeed(t, db, 3, `d d/"\x00\xff"`)
	wantFeed(t, db, 4)
	wantFeed(t, db, 9)
	got, err := feed(t, db, 1, 2)
	wantErr(t, "limited", err, nil)
	wantList(t, "limited", got, `b b/"\x00\xff"`, `c c/"\x00\xff"`)
}

// testFeedDense lets a reader follow the feed while 64 goroutines write, some
// of them in vain: it must see every committed number, in the order given
// inside the transactions, without a gap.
func testFeedDense(t *testing.T, f Factory) {
	db := openDB(t, f)
	const goroutines, rounds = 64, 8
	follower := make(chan uint64)
	go func() { follower <- followFeed(t, db) }()
	senders(t, goroutines, func(sender int) error { return numberedChanges(t, db, rounds, sender) })
	update(t, db, emit("end"))
	if got := <-follower; got != goroutines*rounds {
		t.Errorf("reader saw %d changes, want %d", got, goroutines*rounds)
	}
}

// followFeed reads the feed up to a change of the kind "end", and returns how
// many there were before it.
func followFeed(t *testing.T, db *store.DB) uint64 {
	after := uint64(0)
	for {
		changed := db.Changed()
		changes, err := db.Changes(t.Context(), after, 100)
		if err != nil {
			t.Errorf("changes: %v", err)
			return after
		}
		for _, c := range changes {
			if c.Kind == "end" {
				return after
			}
			if after++; c.Seq != after || c.Key != store.K("n", after) {
				t.Errorf("change %d is %v, want %d", c.Seq, c.Key, after)
			}
		}
		if len(changes) > 0 {
			continue
		}
		select {
		case <-changed:
		case <-time.After(time.Minute):
			t.Errorf("no wake-up after change %d", after)
			return after
		}
	}
}

func numberedChanges(t *testing.T, db *store.DB, rounds, sender int) error {
	mine := errors.New("mine")
	for round := range rounds {
		if (round+sender)%4 == 0 {
			err := db.Update(t.Context(), func(tx store.Tx) error { return errors.Join(nextChange(tx), mine) })
			if !errors.Is(err, mine) {
				return err
			}
		}
		if err := db.Update(t.Context(), nextChange); err != nil {
			return err
		}
	}
	return nil
}

// nextChange counts, and emits a change that carries the count.
func nextChange(tx store.Tx) error {
	n, err := number(tx, store.K("n"))
	if err != nil {
		return err
	}
	return errors.Join(putNumber(tx, store.K("n"), n+1), tx.Emit(store.Change{Kind: "n", Key: store.K("n", n+1)}))
}

func testCursors(t *testing.T, f Factory) {
	db := openDB(t, f)
	c := db.Cursor("search")
	wantPosition(t, db, "search", 0)
	update(t, db, func(tx store.Tx) error { return errors.Join(c.Advance(tx, 5), tx.Put(store.K("effect"), nil)) })
	wantPosition(t, db, "search", 5)
	wantPosition(t, db, "another", 0)
	mine := errors.New("mine")
	err := db.Update(t.Context(), func(tx store.Tx) error { return errors.Join(c.Advance(tx, 6), mine) })
	wantErr(t, "undone", err, mine)
	wantPosition(t, db, "search", 5)
	if err := db.Update(t.Context(), func(tx store.Tx) error { return c.Advance(tx, 4) }); err == nil {
		t.Error("cursor goes back")
	}
	update(t, db, func(tx store.Tx) error { return c.Advance(tx, 5) })
	update(t, db, c.Remove)
	wantPosition(t, db, "search", 0)
}

func testTrim(t *testing.T, f Factory) {
	db := openDB(t, f)
	for range 3 {
		update(t, db, func(tx store.Tx) error {
			for range 700 {
				if err := tx.Emit(store.Change{Kind: "x"}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	trim := func(before uint64, want int) {
		t.Helper()
		if n, err := db.TrimFeed(t.Context(), before); n != want || err != nil {
			t.Errorf("trimmed %d, %v, want %d", n, err, want)
		}
	}
	c := db.Cursor("slow")
	update(t, db, func(tx store.Tx) error { return c.Advance(tx, 100) })
	trim(50, 49)
	trim(2000, 51) // up to where the cursor stands
	wantFeed(t, db, 2099, "x ")
	_, err := feed(t, db, 99, 10)
	wantErr(t, "read from the trimmed part", err, store.ErrTrimmed)
	got, err := feed(t, db, 100, 3)
	wantErr(t, "read behind it", err, nil)
	wantList(t, "read behind it", got, "x ", "x ", "x ")
	update(t, db, c.Remove)
	trim(2000, 1899)
	trim(3000, 101)
	trim(3000, 0)
	_, err = feed(t, db, 2099, 10)
	wantErr(t, "read the last, trimmed", err, store.ErrTrimmed)
	wantFeed(t, db, 2100)
	update(t, db, emit("next"))
	wantFeed(t, db, 2100, `next next/"\x00\xff"`)
	view(t, db, func(r store.Reader) error {
		last, err := store.LastChange(r)
		if last != 2101 {
			t.Errorf("last change is %d", last)
		}
		return err
	})
}

package ticketing_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/memdb"
)

// chunked is an upgrade that adds a word to every row of a kind, two rows in
// each step.
func chunked(kind, word string) ticketing.Upgrade {
	return ticketing.Upgrade{Step: func(tx store.Tx, after store.Key) (store.Key, error) {
		rg, n := store.Prefix(kind), 0
		if after != "" {
			rg.Start = after + "\x00"
		}
		for i, err := range tx.Scan(rg, false) {
			if err != nil {
				return "", err
			}
			if n++; n > 2 {
				return after, nil
			}
			after = i.Key
			if err := tx.Put(i.Key, append(slices.Clone(i.Value), word...)); err != nil {
				return "", err
			}
		}
		return "", nil
	}}
}

// old is a store of schema 1 with five rows each of two kinds.
func old(t *testing.T) *memdb.DB {
	t.Helper()
	e := memdb.New(memdb.Options{})
	db := store.Open(e, store.Options{RunTwice: true})
	if _, err := ticketing.New(db, ticketing.Options{Upgrades: []ticketing.Upgrade{}}).Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.Update(t.Context(), func(tx store.Tx) error {
		for i := range 5 {
			if err := errors.Join(tx.Put(store.K("a", i), []byte("a")), tx.Put(store.K("b", i), []byte("b"))); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return e
}

func values(t *testing.T, e *memdb.DB, kind string) string {
	t.Helper()
	s, err := e.Reopen(memdb.Options{}).View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for i := range s.Scan(store.Prefix(kind), false) {
		out = append(out, string(i.Value))
	}
	return strings.Join(out, " ")
}

// migrate opens a store with a program that knows some upgrades. With kill it
// ends, as by a crash, when that many commits were made.
func migrate(t *testing.T, e *memdb.DB, kill int, steps ...ticketing.Upgrade) (after *memdb.DB, copies []int, err error) {
	t.Helper()
	commits := 0
	after = e.Reopen(memdb.Options{BeforeCommit: func([]store.Item) error {
		if commits++; kill > 0 && commits > kill {
			return errors.New("killed")
		}
		return nil
	}})
	db := store.Open(after, store.Options{RunTwice: true})
	defer db.Close(context.Background())
	desk := ticketing.New(db, ticketing.Options{Upgrades: steps, Copy: func(_ context.Context, schema int) error {
		copies = append(copies, schema)
		return nil
	}})
	_, err = desk.Migrate(t.Context())
	return after, copies, err
}

func TestUpgradeInSteps(t *testing.T) {
	e, copies, err := migrate(t, old(t), 0, chunked("a", "+"), chunked("b", "*"))
	if err != nil || !slices.Equal(copies, []int{1}) {
		t.Fatalf("copies %v, %v", copies, err)
	}
	if a, b := values(t, e, "a"), values(t, e, "b"); a != "a+ a+ a+ a+ a+" || b != "b* b* b* b* b*" {
		t.Errorf("%q, %q", a, b)
	}
	// Now it is new: nothing is left to do, and programs before it refuse it.
	if _, copies, err := migrate(t, e, 0, chunked("a", "+"), chunked("b", "*")); err != nil || copies != nil {
		t.Errorf("copies %v, %v", copies, err)
	}
	for n := range 2 {
		_, _, err := migrate(t, e, 0, []ticketing.Upgrade{chunked("a", "+")}[:n]...)
		if e := ticketing.AsError(err); err == nil || e.Reason != "schema-newer" {
			t.Errorf("a program of schema %d: %v", n+1, err)
		}
	}
}

// Killed after any commit, it goes on where it was, without a second copy, and
// every row is upgraded once.
func TestUpgradeKilledAnywhere(t *testing.T) {
	steps := []ticketing.Upgrade{chunked("a", "+"), chunked("a", "-"), chunked("b", "*")}
	finished := false
	for kill := 1; !finished; kill++ {
		e, copies, err := migrate(t, old(t), kill, steps...)
		finished = err == nil
		if !slices.Equal(copies, []int{1}) {
			t.Fatalf("killed after %d: copies %v", kill, copies)
		}
		if finished {
			break
		}
		if _, _, err := migrate(t, e, 0, steps[:1]...); ticketing.AsError(err).Reason != "schema-newer" {
			t.Fatalf("killed after %d: an older program says %v", kill, err)
		}
		// The next program may know one more.
		e, copies, err = migrate(t, e, 0, append(slices.Clone(steps), chunked("b", "/"))...)
		if err != nil || len(copies) > 0 {
			t.Fatalf("killed after %d: copies %v, %v", kill, copies, err)
		}
		if a, b := values(t, e, "a"), values(t, e, "b"); a != "a+- a+- a+- a+- a+-" || b != "b*/ b*/ b*/ b*/ b*/" {
			t.Fatalf("killed after %d: %q, %q", kill, a, b)
		}
		if kill > 30 {
			t.Fatal("never finishes")
		}
	}
}

func TestNoUpgradeWithoutACopy(t *testing.T) {
	e := old(t)
	db := store.Open(e.Reopen(memdb.Options{}), store.Options{})
	defer db.Close(context.Background())
	before := fmt.Sprint(values(t, e, "a"), values(t, e, "meta"))
	desk := ticketing.New(db, ticketing.Options{Upgrades: []ticketing.Upgrade{chunked("a", "+")}, Copy: func(context.Context, int) error {
		return store.ErrNoSpace
	}})
	if _, err := desk.Migrate(t.Context()); err == nil {
		t.Fatal("upgraded without a copy")
	}
	if after := fmt.Sprint(values(t, e, "a"), values(t, e, "meta")); after != before {
		t.Errorf("%s, before %s", after, before)
	}
}

// What is written anew is of the schema that values carry.
func TestNewStoreIsOfTheNewestSchema(t *testing.T) {
	w := newWorld(t)
	if got, want := values(t, w.engine, "meta"), fmt.Sprintf(`"version":%d,`, ticketing.SchemaVersion); !strings.Contains(got, want) {
		t.Errorf("%s, want %s", got, want)
	}
}

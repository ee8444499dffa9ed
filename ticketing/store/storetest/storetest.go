// Package storetest is the conformance suite of the store's engines. Every
// engine runs it whole; every closure in it runs twice.
package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// Factory makes the engines under test.
type Factory struct {
	// Open returns an empty engine; what it needs to clean up it leaves to
	// t.Cleanup. The suite closes the engine.
	Open func(t testing.TB) store.Engine
	// Reopen returns an engine over the data of one that has been closed.
	Reopen func(t testing.TB, closed store.Engine) store.Engine
}

// Run holds an engine to the port's contract.
func Run(t *testing.T, f Factory) {
	for _, group := range []struct {
		name  string
		tests []test
	}{
		{"engine", engineTests},
		{"read", readTests},
		{"isolation", isolationTests},
		{"commit", commitTests},
		{"blob", blobTests},
		{"feed", feedTests},
		{"whole", wholeTests},
		{"model", modelTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, test := range group.tests {
				t.Run(test.name, func(t *testing.T) { test.run(t, f) })
			}
		})
	}
}

type test struct {
	name string
	run  func(t *testing.T, f Factory)
}

// openDB opens a store over a new engine, with every closure run twice, and
// closes it at the end of the test.
func openDB(t testing.TB, f Factory) *store.DB {
	t.Helper()
	return openOver(t, f.Open(t), store.Options{RunTwice: true})
}

func openOver(t testing.TB, e store.Engine, o store.Options) *store.DB {
	t.Helper()
	db := store.Open(e, o)
	t.Cleanup(func() { closeDB(t, db) })
	return db
}

func closeDB(t testing.TB, db *store.DB) {
	t.Helper()
	if err := db.Close(context.Background()); err != nil {
		t.Errorf("close: %v", err)
	}
}

// update and view fail the test when the transaction fails.
func update(t testing.TB, db *store.DB, fn func(store.Tx) error) {
	t.Helper()
	if err := db.Update(t.Context(), fn); err != nil {
		t.Fatalf("update: %v", err)
	}
}

func view(t testing.TB, db *store.DB, fn func(store.Reader) error) {
	t.Helper()
	if err := db.View(t.Context(), fn); err != nil {
		t.Fatalf("view: %v", err)
	}
}

// put writes pairs of one-word keys and values.
func put(t testing.TB, db *store.DB, pairs ...string) {
	t.Helper()
	update(t, db, func(tx store.Tx) error {
		for pair := range slices.Chunk(pairs, 2) {
			if err := tx.Put(store.K(pair[0]), []byte(pair[1])); err != nil {
				return err
			}
		}
		return nil
	})
}

// list shows items as key=value.
func list(items iter.Seq2[store.Item, error]) ([]string, error) {
	var all []string
	for item, err := range items {
		if err != nil {
			return all, err
		}
		all = append(all, fmt.Sprintf("%v=%s", item.Key, item.Value))
	}
	return all, nil
}

// contents lists everything that is not the port's own.
func contents(t testing.TB, db *store.DB) []string {
	t.Helper()
	var all []string
	view(t, db, func(r store.Reader) (err error) {
		own := store.Prefix("store")
		before, err := list(r.Scan(store.Range{End: own.Start}, false))
		if err != nil {
			return err
		}
		after, err := list(r.Scan(store.Range{Start: own.End}, false))
		all = append(before, after...)
		return err
	})
	return all
}

func wantList(t testing.TB, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func wantErr(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: error %v, want %v", what, got, want)
	}
}

// newBlob makes a blob of a size, its bytes set by seed.
func newBlob(size, seed int) (store.Hash, []byte) {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i*7 + i>>8*13 + seed*31 + seed>>8)
	}
	return sha256.Sum256(data), data
}

// stage stages a blob, and fails the test when that fails.
func stage(t testing.TB, db *store.DB, h store.Hash, data []byte) *store.Staged {
	t.Helper()
	s, err := db.Stage(t.Context(), int64(len(data)), h, bytes.NewReader(data))
	if err != nil {
		t.Fatalf("stage: %v", err)
	}
	return s
}

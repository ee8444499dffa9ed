package ticketing

import (
	"testing"

	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/memdb"
)

// A transaction sees its own changes of routing, not what was remembered before,
// and what it sees is not remembered when it fails.
func TestRoutesWithinTransaction(t *testing.T) {
	db := store.Open(memdb.New(memdb.Options{}), store.Options{RunTwice: true})
	defer db.Close(t.Context())
	d := New(db, Options{})
	if _, err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.CreateProject(t.Context(), "support", []string{"support@desk.test"}); err != nil {
		t.Fatal(err)
	}
	leads := func(r store.Reader) bool {
		_, err := d.routes.find(r, "help", "desk.test")
		return err == nil
	}
	outside := func() (yes bool) {
		if err := db.View(t.Context(), func(r store.Reader) error { yes = leads(r); return nil }); err != nil {
			t.Fatal(err)
		}
		return yes
	}
	change := func(end error) (before, after bool) {
		err := d.update(t.Context(), func(tx store.Tx) error {
			before = leads(tx)
			if err := save(tx, aliasKey("help@desk.test"), Alias{Address: "help@desk.test", Project: 1}); err != nil {
				return err
			}
			after = leads(tx)
			return end
		})
		if (err == nil) != (end == nil) {
			t.Fatal(err)
		}
		return before, after
	}
	if outside() {
		t.Fatal("help@ leads somewhere")
	}
	if before, after := change(errorf(KindConflict, "test", "no")); before || !after || outside() {
		t.Errorf("a transaction that fails: %v before, %v after, %v outside", before, after, outside())
	}
	if before, after := change(nil); before || !after || !outside() {
		t.Errorf("a transaction: %v before, %v after, %v outside", before, after, outside())
	}
}

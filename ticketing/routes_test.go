package ticketing

import (
	"testing"

	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/memdb"
)

// A transaction sees its own changes of routing, not what was remembered before,
// and what it sees is not remembered when it fails.
func TestRoutesWithinTransaction(t *testing.T) {
	t.Run("Alone", func(t *testing.T) { testRoutesWithinTransaction(t, true) })
	t.Run("BesideOthers", func(t *testing.T) { testRoutesWithinTransaction(t, false) })
}

func testRoutesWithinTransaction(t *testing.T, alone bool) {
	db := store.Open(memdb.New(memdb.Options{}), store.Options{RunTwice: true})
	defer db.Close(t.Context())
	d := New(db, Options{})
	if !alone {
		d.routes.commits = nil
	}
	if _, err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.CreateProject(t.Context(), "support", []string{"support@desk.test"}); err != nil {
		t.Fatal(err)
	}
	leads := func(r store.Reader) bool {
		_, err := d.routes.find(r, d.routes.now(), address{"help", "desk.test"})
		return err == nil
	}
	outside := func() bool {
		_, err := d.Route(t.Context(), "help@desk.test")
		return err == nil
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

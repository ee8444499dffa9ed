package ticketing_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/memdb"
)

// findings checks a store and returns what is wrong, as text.
func findings(t *testing.T, db *store.DB) []string {
	t.Helper()
	var found []string
	err := db.View(t.Context(), func(r store.Reader) error {
		n, err := ticketing.Check(t.Context(), db, r, ticketing.CheckOptions{Found: func(f store.Finding) {
			found = append(found, fmt.Sprintf("%v %s", f.Key, f.What))
		}})
		if n != len(found) {
			t.Errorf("%d wrong, %d told", n, len(found))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// sound fails the test if something is wrong with the world's store.
func (w *world) sound() {
	w.t.Helper()
	if f := findings(w.t, w.db); len(f) > 0 {
		w.t.Errorf("%d findings:\n%s", len(f), strings.Join(f, "\n"))
	}
}

// lived is a world in which about everything has happened that can.
func lived(t *testing.T, seed uint64, steps int) *world {
	w := newWorld(t)
	w.ok(w.CreateProject(t.Context(), "billing", []string{"billing@desk.test"}))
	w.ok(w.CreateAgent(t.Context(), ticketing.Agent{Email: "noa@corp.test"}))
	rnd := rand.New(rand.NewPCG(seed, 2))
	for i := range steps {
		w.now = w.now.Add(time.Duration(rnd.IntN(3e6)) * time.Microsecond)
		w.randomStep(rnd, i)
	}
	w.receive(mailing{from: "ann@a.test", subject: "spoof", text: "x", id: "held@x", action: ticketing.ActionHold})
	w.receive(mailing{from: "eve@a.test", subject: "spoof", text: "y", action: ticketing.ActionHold})
	w.receive(mailing{from: "carl@c.test", subject: "s", text: strings.Repeat("long \x01é", 9000), id: "a\x01b" + strings.Repeat("<", 3000)})
	refused := ticketing.Refusal{Envelope: ticketing.Envelope{ID: ticketing.NewID(w.now), ReceivedAt: w.now, MailFrom: "e\x01vil@\u00ffx"}, Recipient: "no@desk.test", Code: 550}
	if err := w.NoteRefusals(t.Context(), []ticketing.JournalEntry{refused.Entry()}); err != nil {
		t.Fatal(err)
	}
	w.deliver(rnd)
	return w
}

// deliver lets a queue work: some copies are delivered, some fail, some wait.
func (w *world) deliver(rnd *rand.Rand) {
	w.t.Helper()
	ctx := w.t.Context()
	for range 3 {
		os, err := w.Claim(ctx, w.now, "q", 10, time.Minute)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, o := range os {
			if err := w.Rendered(ctx, o.ID, "q", fmt.Appendf(nil, "mail %s", o.ID)); err != nil {
				w.t.Fatal(err)
			}
			state := []ticketing.DeliveryState{ticketing.DeliveryDelivered, ticketing.DeliveryFailed, ticketing.DeliveryDeferred}[rnd.IntN(3)]
			if err := w.Record(ctx, o.ID, "q", ticketing.Attempt{At: w.now, Text: "no"}, state, w.now.Add(time.Hour)); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	if err := w.ReleaseClaims(ctx); err != nil {
		w.t.Fatal(err)
	}
}

func TestNothingIsWrongAfterAnyLife(t *testing.T) {
	for seed := range uint64(8) {
		w := lived(t, seed, 60)
		w.sound()
		held, err := w.HeldMail(t.Context(), 1)
		if err != nil || len(held) == 0 {
			t.Fatal("no held mail", err)
		}
		if err := w.ForgetHeld(t.Context(), held[0].Name()); err != nil {
			t.Fatal(err)
		}
		for range 3 { // housekeeping takes away what is old, in whole
			w.now = w.now.Add(40 * 24 * time.Hour)
			if _, err := w.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.sound()
			w.receive(mailing{from: "ann@a.test", subject: "spoof", text: "x", id: "held@x"})
		}
	}
}

// tampered is the store of a world after some writes behind its back.
func (w *world) tampered(t *testing.T, writes ...store.Item) []string {
	t.Helper()
	e := w.engine.Reopen(memdb.Options{})
	b, err := e.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(t.Context(), writes); err != nil {
		t.Fatal(err)
	}
	b.Close()
	db := store.Open(e, store.Options{})
	defer db.Close(context.Background())
	return findings(t, db)
}

func (w *world) everything() (items []store.Item) {
	w.t.Helper()
	if err := w.db.View(w.t.Context(), func(r store.Reader) error {
		for i, err := range r.Scan(store.Range{}, false) {
			if err != nil {
				return err
			}
			items = append(items, i)
		}
		return nil
	}); err != nil {
		w.t.Fatal(err)
	}
	return items
}

// Whatever row is taken away, it is missed: but for those that nothing else in
// the store can know of.
func TestEveryMissingRowIsMissed(t *testing.T) {
	w := lived(t, 3, 12)
	may := map[string]bool{"budget": true, "agent": true}
	missed, kinds := 0, map[string]int{}
	for _, i := range w.everything() {
		kind, _, _ := strings.Cut(i.Key.String(), "/")
		kinds[kind]++
		found := w.tampered(t, store.Item{Key: i.Key})
		if len(found) > 0 {
			missed++
			continue
		}
		first := strings.HasPrefix(i.Key.String(), "store/feed/1") // as if trimmed
		// An entry that led to nothing, a name of a project before, are known to themselves only.
		// How often routing has changed matters to a desk that is open only.
		if may[kind] || first || kind == "journal" || i.Key == store.K("meta", "routing") {
			continue
		}
		t.Errorf("nobody misses %v", i.Key)
	}
	if len(kinds) < 25 || missed < 200 {
		t.Errorf("too little for a proof: %d rows of %d kinds %v", missed, len(kinds), kinds)
	}
}

// Whatever value is replaced by one that makes no sense, it shows.
func TestEveryBadValueShows(t *testing.T) {
	w := lived(t, 4, 4)
	for _, i := range w.everything() {
		for _, bad := range []string{"", "{", `{"v":99}`, "[]"} {
			if found := w.tampered(t, store.Item{Key: i.Key, Value: []byte(bad)}); len(found) == 0 {
				t.Errorf("%v = %q is fine", i.Key, bad)
			}
		}
	}
}

// Whatever row of an index is there twice, at another place, it shows.
func TestStrayRowsShow(t *testing.T) {
	w := lived(t, 5, 25)
	at := w.now.Add(time.Hour)
	for _, k := range []store.Key{
		store.K("ticket.all", store.Desc(at), 1, 1), store.K("ticket.state", "open", store.Desc(at), 1, 1),
		store.K("ticket.project", 1, store.Desc(at), 1, 99), store.K("ticket.label", 1, "never", store.Desc(at), 1, 1),
		store.K("ticket.participant", "x", 5), store.K("ticket.assignee"), store.K("out.due", at, "none"),
		store.K("out.by", "nobody@x", "none"), store.K("out.ticket", 1, 1, 1, "none"), store.K("journal.by", "x", "none"),
		store.K("journal.refused", "none"), store.K("project.alias", 1, "no@desk.test"), store.K("seen.at", at, 1, []byte("x")),
		store.K("unknown", 1), store.K("meta", "what"), store.K("token", "x"), store.K("token", 7), store.K("msgid", 1, "none"), store.K("msgid"),
		store.K("comment", 1, 1, 99), store.K("comment"), store.K("participant", 1, 1, "x@y"), store.K("ticket", 1, 99), store.K("ticket"),
		store.K("store", "what"), store.K("store", "feed", 99999), store.K("store", "cursor", "c"), store.K("store", "blob", store.Hash{1}),
		store.K("store", "blobdata", store.Hash{1}), store.K("store", "blob"), "\xff", store.K(7), store.K("seen", 1), store.K("seen.at"), store.K("held", "x"),
	} {
		if found := w.tampered(t, store.Item{Key: k, Value: []byte(`{"v":1}`)}); len(found) == 0 {
			t.Errorf("nobody minds %v", k)
		}
	}
}

// References of blobs are counted, and each that is wrong is named.
func TestWrongReferencesAreNamed(t *testing.T) {
	w := lived(t, 6, 20)
	for _, i := range w.everything() {
		if !strings.HasPrefix(i.Key.String(), "store/blob/") {
			continue
		}
		for _, n := range []string{`"refs":7,`, `"refs":0,`} {
			bad := bytes.Replace(i.Value, []byte(`"refs":1,`), []byte(n), 1)
			if bytes.Equal(bad, i.Value) {
				continue
			}
			found := w.tampered(t, store.Item{Key: i.Key, Value: bad})
			if len(found) == 0 || !strings.Contains(found[0], i.Key.String()) {
				t.Fatalf("%v: %s: %v", i.Key, bad, found)
			}
		}
	}
}

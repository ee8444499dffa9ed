package ticketing_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/memdb"
)

// unread is a mail whose octets nobody may ask for.
type unread struct{ err error }

func (u unread) ReadAt([]byte, int64) (int, error) { return 0, u.err }

// relayed is the same mail by another way: other octets, the same body.
func relayed(m mailing) mailing {
	m.cc += " relay@customer.test"
	return m
}

// decide receives a message and tells what became of it.
func (w *world) decide(m mailing, want ticketing.JournalDecision, ticket string) {
	w.t.Helper()
	if out := w.receive(m); out.Decision != want || out.Ticket != ticket {
		w.t.Errorf("%s %q: %+v, want %s %s", m.id, m.text, out, want, ticket)
	}
}

// The body of a mail is not read where its Message-ID is new, nor where it is
// the same mail to the octet.
func TestBodiesAreReadOnlyToCompareThem(t *testing.T) {
	w := newWorld(t)
	for _, want := range []ticketing.JournalDecision{ticketing.JournalAccepted, ticketing.JournalDuplicate} {
		in := w.inbound(opening())
		in.Octets = unread{errors.New("asked for")}
		if out := w.Receive(t.Context(), in)[0]; out.Err != nil || out.Decision != want {
			t.Errorf("outcome = %+v, want %s", out, want)
		}
	}
	in := w.inbound(relayed(opening()))
	in.Octets = unread{errors.New("disk")}
	out := w.Receive(t.Context(), in)[0]
	if out.Err == nil || !ticketing.AsError(out.Err).Temporary() || out.Decision != ticketing.JournalDeferred {
		t.Errorf("a mail that cannot be compared: %+v", out)
	}
	w.decide(relayed(opening()), ticketing.JournalDuplicate, "support#1")
}

func TestBodiesUnderOneMessageID(t *testing.T) {
	w := newWorld(t)
	first, second, third := opening(), opening(), opening()
	second.text, third.text = "It smokes.", "It is gone."
	w.decide(first, ticketing.JournalAccepted, "support#1")
	w.decide(second, ticketing.JournalAccepted, "support#2")
	w.decide(third, ticketing.JournalAccepted, "support#3")
	for range 2 {
		w.decide(relayed(first), ticketing.JournalDuplicate, "support#1")
		w.decide(relayed(second), ticketing.JournalDuplicate, "support#2")
		w.decide(third, ticketing.JournalDuplicate, "support#3")
	}
	w.sound()
}

// Each body is known for 90 days of its own, whatever the one before it does.
func TestBodiesAreKeptAsLongAsTheyShould(t *testing.T) {
	w := newWorld(t)
	first, second := opening(), opening()
	second.text = "It smokes."
	const day = 24 * time.Hour
	w.decide(first, ticketing.JournalAccepted, "support#1")
	w.now = w.now.Add(60 * day)
	w.decide(second, ticketing.JournalAccepted, "support#2")
	w.now = w.now.Add(40 * day)
	w.ok(w.Sweep(t.Context()))
	w.decide(relayed(second), ticketing.JournalDuplicate, "support#2")
	w.decide(relayed(first), ticketing.JournalAccepted, "support#3")
	w.sound()
	w.now = w.now.Add(91 * day)
	w.ok(w.Sweep(t.Context()))
	if rows := w.rows("seen", "seen.at"); len(rows) != 0 {
		t.Errorf("left: %q", rows)
	}
}

// A mail that is gone cannot be compared with: a mail too much is better than
// one that nobody sees.
func TestBodyThatIsGone(t *testing.T) {
	w := newWorld(t)
	w.decide(opening(), ticketing.JournalAccepted, "support#1")
	raw := *w.thread("support#1").Entries[0].Raw
	if err := w.db.Update(t.Context(), func(tx store.Tx) error { return tx.ReleaseBlob(raw) }); err != nil {
		t.Fatal(err)
	}
	w.decide(relayed(opening()), ticketing.JournalAccepted, "support#2")
	w.decide(relayed(relayed(opening())), ticketing.JournalDuplicate, "support#2")
}

// What no ticket keeps is known by its body: mail that was held and deleted,
// and mail that only had an effect.
func TestBodiesThatNoTicketKeeps(t *testing.T) {
	w := newWorld(t)
	held := opening()
	held.action = ticketing.ActionHold
	w.decide(held, ticketing.JournalHeld, "")
	list, err := w.HeldMail(t.Context(), 0)
	if err != nil || len(list) != 1 {
		t.Fatalf("held = %+v, %v", list, err)
	}
	if err := w.ForgetHeld(t.Context(), list[0].Name()); err != nil {
		t.Fatal(err)
	}
	w.decide(relayed(held), ticketing.JournalDuplicate, "")
	other := held
	other.text = "It smokes."
	w.decide(other, ticketing.JournalHeld, "")
	w.sound()
}

// backToSchema2 takes the rows of Message-IDs alone away, and upgrades again.
func (w *world) backToSchema2(ids ...string) {
	w.t.Helper()
	err := w.db.Update(w.t.Context(), func(tx store.Tx) error {
		for _, id := range ids {
			name := sha256.Sum256([]byte("id alone\x00" + id))
			err := errors.Join(tx.Delete(store.K("seen", uint64(1), name[:])), tx.Delete(store.K("seen.at", w.now, uint64(1), name[:])))
			if err != nil {
				return err
			}
		}
		return tx.Put(store.K("meta", "schema"), []byte(`{"v":2,"version":2,"since":"2026-01-01T00:00:00Z"}`))
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.ok(w.Migrate(w.t.Context()))
}

// Before schema 3 no row was kept for a Message-ID alone.
func TestMailOfBeforeSchema3ComesAgain(t *testing.T) {
	w := newWorld(t)
	m := opening()
	m.action = ticketing.ActionHold // so that its body has a row
	w.decide(m, ticketing.JournalHeld, "")
	w.backToSchema2(m.id)
	again := relayed(m)
	again.action = ticketing.ActionAccept
	w.decide(again, ticketing.JournalDuplicate, "")
	fresh := opening()
	fresh.id, fresh.text = "fresh@customer.test", "Hello."
	w.decide(fresh, ticketing.JournalAccepted, "support#1")
	w.decide(relayed(fresh), ticketing.JournalDuplicate, "support#1")
	w.sound()
	w.now = w.now.Add(91 * 24 * time.Hour)
	in := w.inbound(again)
	in.Octets = unread{errors.New("asked for")}
	if out := w.Receive(t.Context(), in)[0]; out.Err != nil || out.Decision != ticketing.JournalAccepted {
		t.Errorf("when all that is over: %+v", out)
	}
}

// Mails are not committed in the order in which they came: the row of a
// Message-ID lives as long as the last of its bodies.
func TestBodiesOutOfOrder(t *testing.T) {
	w := newWorld(t)
	first, second := opening(), opening()
	second.text = "It smokes."
	late := w.inbound(second)
	w.now = w.now.Add(time.Hour)
	w.decide(first, ticketing.JournalAccepted, "support#1")
	if out := w.Receive(t.Context(), late)[0]; out.Err != nil || out.Ticket != "support#2" {
		t.Fatalf("outcome = %+v", out)
	}
	w.sound()
	w.now = w.now.Add(90*24*time.Hour - time.Minute)
	w.ok(w.Sweep(t.Context()))
	w.decide(relayed(first), ticketing.JournalDuplicate, "support#1")
	w.sound()
}

// Whoever sends a mail again and again pays for each with its own octets, not
// with those of the first, of which relaxed form may leave nothing.
func TestFirstBodyIsReadOnce(t *testing.T) {
	w := newWorld(t)
	w.decide(opening(), ticketing.JournalAccepted, "support#1")
	first := *w.thread("support#1").Entries[0].Raw
	w.decide(relayed(opening()), ticketing.JournalDuplicate, "support#1")
	if err := w.db.Update(t.Context(), func(tx store.Tx) error { return tx.ReleaseBlob(first) }); err != nil {
		t.Fatal(err)
	}
	w.decide(relayed(relayed(opening())), ticketing.JournalDuplicate, "support#1")
}

// closed is an engine whose blobs cannot be opened, for a reason.
type closed struct {
	*memdb.DB
	why *error
}

func (c closed) Blobs() store.BlobEngine { return closedBlobs{c.DB.Blobs(), c.why} }

type closedBlobs struct {
	store.BlobEngine
	why *error
}

func (c closedBlobs) Open(ctx context.Context, p store.Place, h store.Hash, size int64) (store.BlobReader, error) {
	if *c.why != nil {
		return nil, *c.why
	}
	return c.BlobEngine.Open(ctx, p, h, size)
}

// A mail that cannot be read for now is waited for; one that is damaged is not.
func TestBodyThatCannotBeOpened(t *testing.T) {
	w := newWorld(t)
	var why error
	w.db = store.Open(closed{memdb.New(memdb.Options{}), &why}, store.Options{RunTwice: true})
	defer w.db.Close(t.Context())
	w.Desk = ticketing.New(w.db, ticketing.Options{HashBody: hashText, Now: func() time.Time { return w.now }})
	w.ok(w.Migrate(t.Context()))
	w.ok(w.CreateProject(t.Context(), "support", []string{"support@desk.test"}))
	large := opening()
	large.text = strings.Repeat("It burns. ", 10_000) // so that it is no row
	w.decide(large, ticketing.JournalAccepted, "support#1")
	why = syscall.EMFILE
	out := w.Receive(t.Context(), w.inbound(relayed(large)))[0]
	if out.Err == nil || !ticketing.AsError(out.Err).Temporary() {
		t.Errorf("while files cannot be opened: %+v", out)
	}
	why = nil
	w.decide(relayed(large), ticketing.JournalDuplicate, "support#1")
	other := large
	other.id = "other@customer.test"
	w.decide(other, ticketing.JournalAccepted, "support#2")
	why = fmt.Errorf("%w: checksum", store.ErrCorrupt)
	w.decide(relayed(other), ticketing.JournalAccepted, "support#3")
}

package ticketing_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/store"
)

// rereading makes the desk of a world read texts from the raw mails again.
func rereading(w *world) {
	w.Desk = ticketing.New(w.db, ticketing.Options{Now: func() time.Time { return w.now }, Text: func(raw io.ReaderAt, size int64) *ticketing.Message {
		b, err := io.ReadAll(io.NewSectionReader(raw, 0, size))
		if err != nil {
			w.t.Error(err)
		}
		_, text, _ := strings.Cut(string(b), " text:")
		text, _, _ = strings.Cut(text, " id:")
		return &ticketing.Message{Text: text}
	}})
}

// stored is what the store has of a comment.
func (w *world) stored(ticket, comment uint64) string {
	w.t.Helper()
	var row []byte
	if err := w.db.View(w.t.Context(), func(r store.Reader) (err error) {
		row, err = r.Get(store.K("comment", uint64(1), ticket, comment))
		return err
	}); err != nil {
		w.t.Fatal(err)
	}
	return string(row)
}

// TestTextInRaw keeps long texts of mails once, in the raw mail, and gives them
// out as if they were kept.
func TestTextInRaw(t *testing.T) {
	w := newWorld(t)
	rereading(w)
	long := strings.Repeat("The lamp is dark.\n", 100)
	ref := w.receive(mailing{from: "ann@customer.test", subject: "Lamp", text: long, id: "1@customer.test", aligned: true}).Ticket
	w.receive(mailing{from: "ann@customer.test", text: "short", id: "2@customer.test", inReplyTo: "1@customer.test", aligned: true})
	if row := w.stored(1, 1); strings.Contains(row, "lamp is dark") || len(row) > 1500 {
		t.Errorf("the long text is kept twice: %s", row)
	}
	if row := w.stored(1, 2); !strings.Contains(row, `"body":"short"`) {
		t.Errorf("the short text is not kept: %s", row)
	}
	th := w.thread(ref)
	if got := []string{th.Entries[0].Body, th.Entries[1].Body}; got[0] != strings.TrimSpace(long) || got[1] != "short" {
		t.Errorf("bodies %.60q", got)
	}
}

// TestPassOnTextInRaw mails a long text to another participant, and says so
// where it cannot be read.
func TestPassOnTextInRaw(t *testing.T) {
	w := newWorld(t)
	rereading(w)
	ref := w.receive(mailing{from: "ann@customer.test", cc: "bob@customer.test", text: "lamp", id: "1@customer.test", aligned: true}).Ticket
	w.reply(ref, "We look at it.")
	token := ""
	for _, p := range w.thread(ref).Participants {
		if p.Address == "ann@customer.test" {
			token = p.Token
		}
	}
	w.ok(w.Claim(t.Context(), w.now, "earlier", 100, 100*time.Hour))
	long := strings.Repeat("It is the bulb.\n", 100)
	for _, id := range []string{"2", "3"} {
		w.receive(mailing{from: "ann@customer.test", to: "support+" + token + "@desk.test", text: long + id, id: id + "@customer.test", aligned: true})
	}
	lost := w.thread(ref).Entries[3]
	if err := w.db.Update(t.Context(), func(tx store.Tx) error { return tx.ReleaseBlob(*lost.Raw) }); err != nil {
		t.Fatal(err)
	}

	got, err := w.Claim(t.Context(), w.now, "queue", 100, time.Minute)
	if err != nil || len(got) != 1 || got[0].Text != long+"2" {
		t.Fatalf("%d copies, %v: %+v", len(got), err, got)
	}
	last := w.thread(ref).Entries[3]
	if len(last.Deliveries) != 1 || last.Deliveries[0].State != ticketing.DeliveryDeferred || len(last.Deliveries[0].Attempts) != 1 {
		t.Errorf("deliveries %+v", last.Deliveries)
	}
	if len(last.Warnings) != 1 || last.Body != "" {
		t.Errorf("warnings %q, body %.40q", last.Warnings, last.Body)
	}
}

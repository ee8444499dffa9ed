package ticketing_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
)

func (w *world) trace(key string) []*ticketing.JournalEntry {
	w.t.Helper()
	es, err := w.Trace(w.t.Context(), key)
	if err != nil {
		w.t.Fatal(err)
	}
	return es
}

func TestTraceByEveryKey(t *testing.T) {
	w := newWorld(t)
	w.ok(w.CreateProject(t.Context(), "billing", []string{"billing@desk.test"}))
	m := opening()
	m.from, m.rcpts = "Ann@customer.test", []string{"support@desk.test", "billing@desk.test"}
	in := w.inbound(m)
	in.Envelope.Client = netip.MustParseAddrPort("[::ffff:192.0.2.7]:4711")
	in.Envelope.MailFrom = "bounces@mailer.test"
	w.Receive(t.Context(), in)
	for _, key := range []string{
		printer, "<" + strings.ToUpper(printer) + ">", "ann@CUSTOMER.test", "bounces@mailer.test", "support@desk.test", "billing@desk.test",
		"192.0.2.7", "support#1", "billing#1", in.Envelope.ID, " " + in.Envelope.ID + " ", in.Envelope.ID + ".1",
	} {
		if es := w.trace(key); len(es) != 1 || es[0].ID != in.Envelope.ID {
			t.Errorf("trace %q: %d entries", key, len(es))
		}
	}
	for _, key := range []string{"", "0", "nobody@x", in.Envelope.ID[:10], strings.Repeat("x", 5000)} {
		if es := w.trace(key); len(es) != 0 {
			t.Errorf("trace %q: %d entries", key, len(es))
		}
	}
}

func TestTraceShowsEveryOutcome(t *testing.T) {
	w := newWorld(t)
	w.ok(w.CreateProject(t.Context(), "billing", []string{"billing@desk.test"}))
	m := opening()
	m.action = ticketing.ActionHold
	w.receive(m) // support has it, held
	m.action, m.rcpts = ticketing.ActionAccept, []string{"support@desk.test", "billing@desk.test"}
	w.Receive(t.Context(), w.inbound(m))
	es := w.trace("billing#1")
	if len(es) != 1 || len(es[0].Outcomes) != 2 || es[0].Outcomes[0].Decision != ticketing.JournalDuplicate || es[0].Decision != ticketing.JournalAccepted {
		t.Errorf("entries = %+v", es)
	}
}

func TestTraceOutgoing(t *testing.T) {
	w, _, _ := talk(t)
	c := w.thread("support#1").Entries[1]
	for key, want := range map[string]int{
		"<" + c.MessageID + ">": 2, "BOB@customer.test": 1, "ann@customer.test": 2, c.Deliveries[0].ID: 1, "support#1": 3, "support#2": 0, "none#1": 0, "nobody@x": 0, "": 0,
	} {
		if os, err := w.TraceOutgoing(t.Context(), key); err != nil || len(os) != want {
			t.Errorf("trace %q: %d copies, %v; want %d", key, len(os), err, want)
		}
	}
}

func TestEveryMailLeavesAnEntry(t *testing.T) {
	w := newWorld(t)
	hold := opening()
	hold.action, hold.id = ticketing.ActionHold, "held@x"
	for i, m := range []mailing{opening(), opening(), hold, hold} {
		in := w.inbound(m)
		out := w.Receive(t.Context(), in)[0]
		es := w.trace(in.Envelope.ID)
		if len(es) != 1 || es[0].Decision != out.Decision || es[0].Reason != out.Reason || es[0].Code != 250 {
			t.Errorf("mail %d: %+v, entry %+v", i, out, es)
		}
	}
}

// The same mail with a Message-ID of its own for each project, and without one.
func TestIdentity(t *testing.T) {
	w := newWorld(t)
	m := opening()
	m.id = ""
	if out := w.receive(m); out.Ticket != "support#1" {
		t.Fatalf("outcome = %+v", out)
	}
	if out := w.receive(m); out.Decision != ticketing.JournalDuplicate {
		t.Errorf("without Message-ID, again: %+v", out)
	}
	m.subject = "Something else"
	if out := w.receive(m); out.Ticket != "support#2" {
		t.Errorf("another subject: %+v", out)
	}
	w.now = w.now.Add(91 * 24 * time.Hour)
	if out := w.receive(m); out.Ticket != "support#3" {
		t.Errorf("after 91 days: %+v", out)
	}
	if n, err := w.Sweep(t.Context()); err != nil || n == 0 {
		t.Fatalf("swept %d, %v", n, err)
	}
	if out := w.receive(m); out.Decision != ticketing.JournalDuplicate {
		t.Errorf("the sweep forgot a mail that came anew: %+v", out)
	}
	w.now = w.now.Add(91 * 24 * time.Hour)
	if _, err := w.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rows := w.rows("seen", "seen.at"); len(rows) != 0 {
		t.Errorf("identities are left: %v", rows)
	}
}

func TestRefusalsAreKeptFourteenDays(t *testing.T) {
	w := newWorld(t)
	var es []ticketing.JournalEntry
	for i := range 1500 {
		env := ticketing.Envelope{ID: ticketing.NewID(w.now), ReceivedAt: w.now, MailFrom: fmt.Sprintf("%d@spam.test", i)}
		es = append(es, ticketing.Refusal{Envelope: env, Recipient: "nobody@desk.test", Stage: "rcpt", Code: 550, Reason: "unknown-recipient"}.Entry())
	}
	if err := w.NoteRefusals(t.Context(), es); err != nil {
		t.Fatal(err)
	}
	w.receive(opening())
	for _, tc := range []struct {
		after time.Duration
		want  int
	}{{13 * 24 * time.Hour, 1000}, {time.Hour * 25, 0}} {
		w.now = w.now.Add(tc.after)
		if _, err := w.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := len(w.trace("nobody@desk.test")); got != tc.want {
			t.Errorf("%d entries can be traced, want %d", got, tc.want)
		}
	}
	if n := len(w.rows("journal")); n != 1 {
		t.Errorf("%d entries are left, want that of the accepted mail", n)
	}
}

func TestEntryOfARefusal(t *testing.T) {
	r := ticketing.Refusal{Envelope: ticketing.Envelope{ID: "x", Recipients: []ticketing.Recipient{{Address: "a@desk.test"}}}, Recipient: "b@desk.test", Code: 450}
	if e := r.Entry(); e.Decision != ticketing.JournalDeferred || len(e.RcptTo) != 2 || e.Client != "" {
		t.Errorf("entry = %+v", e)
	}
	r.Recipient, r.Code = "a@desk.test", 550
	if e := r.Entry(); e.Decision != ticketing.JournalRejected || len(e.RcptTo) != 1 {
		t.Errorf("entry = %+v", e)
	}
}

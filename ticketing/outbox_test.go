package ticketing_test

import (
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
)

func (w *world) claim(owner string, lease time.Duration) []ticketing.Outgoing {
	w.t.Helper()
	got, err := w.Claim(w.t.Context(), w.now, owner, 100, lease)
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

func TestClaimsAreFenced(t *testing.T) {
	w := newWorld(t)
	w.receive(opening())
	got := w.claim("a", time.Minute)
	if len(got) != 1 || got[0].Claim != "a" || !strings.Contains(got[0].Text, "ticket #1") {
		t.Fatalf("claimed %+v", got)
	}
	id := got[0].ID
	if again := w.claim("b", time.Minute); len(again) != 0 {
		t.Fatal("a claimed copy was claimed again")
	}
	if err := w.Rendered(t.Context(), id, "b", []byte("b")); ticketing.KindOf(err) != ticketing.KindConflict {
		t.Errorf("rendered by another: %v", err)
	}
	if err := w.Rendered(t.Context(), id, "a", []byte("first")); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(time.Minute)
	if again := w.claim("b", time.Minute); len(again) != 1 {
		t.Fatal("the lease ended, and nobody can claim the copy")
	}
	for _, f := range []func() error{
		func() error { return w.Rendered(t.Context(), id, "a", []byte("late")) },
		func() error {
			return w.Record(t.Context(), id, "a", ticketing.Attempt{}, ticketing.DeliveryDelivered, time.Time{})
		},
	} {
		if err := f(); ticketing.AsError(err).Reason != "claim-lost" {
			t.Errorf("after the lease: %v", err)
		}
	}
	if err := w.Rendered(t.Context(), id, "b", []byte("second")); err != nil {
		t.Fatal(err)
	}
	if raw, err := w.RawOutgoing(t.Context(), id); err != nil || string(raw) != "first" {
		t.Errorf("bytes = %q, %v: they never change", raw, err)
	}
	if err := w.Record(t.Context(), id, "b", ticketing.Attempt{Text: "ok"}, ticketing.DeliveryDelivered, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := w.Record(t.Context(), id, "b", ticketing.Attempt{}, ticketing.DeliveryFailed, time.Time{}); ticketing.KindOf(err) != ticketing.KindConflict {
		t.Errorf("recorded after the end: %v", err)
	}
	if rows := w.rows("out.due"); len(rows) != 0 {
		t.Errorf("due rows of a delivered copy: %v", rows)
	}
}

func TestDeferredCopiesComeBackInTime(t *testing.T) {
	w := newWorld(t)
	w.receive(opening())
	o := w.claim("a", time.Hour)[0]
	due := w.now.Add(15 * time.Minute)
	if err := w.Record(t.Context(), o.ID, "a", ticketing.Attempt{Text: "later"}, ticketing.DeliveryDeferred, due); err != nil {
		t.Fatal(err)
	}
	if at, err := w.NextDue(t.Context()); err != nil || !at.Equal(due) {
		t.Errorf("next due %v, %v; want %v", at, err, due)
	}
	if d, err := w.Depth(t.Context()); err != nil || d[ticketing.DeliveryDeferred] != 1 || d[ticketing.DeliveryPending] != 0 {
		t.Errorf("depth = %v, %v", d, err)
	}
	if at, err := w.Oldest(t.Context()); err != nil || !at.Equal(o.CreatedAt) || at.IsZero() {
		t.Errorf("oldest %v, %v; want %v", at, err, o.CreatedAt)
	}
	w.now = due.Add(-time.Microsecond)
	if got := w.claim("a", time.Hour); len(got) != 0 {
		t.Error("claimed too early")
	}
	w.now = due
	if got := w.claim("a", time.Hour); len(got) != 1 || got[0].Tries != 1 {
		t.Errorf("claimed %+v", got)
	}
	if err := w.Record(t.Context(), o.ID, "a", ticketing.Attempt{}, ticketing.DeliveryDelivered, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if at, err := w.Oldest(t.Context()); err != nil || !at.IsZero() {
		t.Errorf("oldest of none: %v, %v", at, err)
	}
}

func TestClaimsAreReleasedAtStart(t *testing.T) {
	w, _, _ := talk(t)
	n := len(w.claim("dead", 24*time.Hour))
	if n != 3 {
		t.Fatalf("claimed %d", n)
	}
	if err := w.ReleaseClaims(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.claim("new", time.Hour); len(got) != n {
		t.Errorf("%d of %d copies can be claimed again", len(got), n)
	}
}

func TestFailureShowsOnTheTicket(t *testing.T) {
	w, _, _ := talk(t)
	for _, o := range w.claim("a", time.Hour) {
		state := ticketing.DeliveryDelivered
		if o.Recipient.Address == "bob@customer.test" {
			state = ticketing.DeliveryFailed
		}
		if err := w.Record(t.Context(), o.ID, "a", ticketing.Attempt{Text: "no such\r\nuser"}, state, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	es := w.thread("support#1").Entries
	if last := es[len(es)-1]; len(es) != 3 || last.Kind != ticketing.CommentSystem || !strings.Contains(last.Body, "bob@customer.test") {
		t.Errorf("last comment = %+v", last)
	}
	for _, d := range es[1].Deliveries {
		if d.State == ticketing.DeliveryFailed && d.Attempts[0].Text != "no such user" {
			t.Errorf("attempt = %+v", d.Attempts[0])
		}
	}
}

func TestBudgetsComeBackWithTheHour(t *testing.T) {
	w := newWorld(t)
	send := func(n int) int {
		before := len(w.copies())
		for i := range n {
			m := opening()
			m.cc, m.id = "", w.now.String()+strings.Repeat("x", i)
			w.receive(m)
		}
		return len(w.copies()) - before
	}
	if got := send(8); got != 5 {
		t.Errorf("%d thanks in the first hour, want 5", got)
	}
	w.now = w.now.Add(59 * time.Minute)
	if got := send(2); got != 0 {
		t.Errorf("%d thanks more in the same hour", got)
	}
	w.now = w.now.Add(time.Minute)
	if got := send(8); got != 5 {
		t.Errorf("%d thanks in the next hour, want 5", got)
	}
	w.now = w.now.Add(3 * time.Hour)
	if _, err := w.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rows := w.rows("budget"); len(rows) != 0 {
		t.Errorf("budgets are left: %v", rows)
	}
}

// Two robots that answer each other, and say so nowhere, come to an end.
func TestRobotsDoNotTalkForEver(t *testing.T) {
	w, ann, bob := talk(t)
	before := len(w.copies())
	for i := range 60 {
		who, to := "ann@customer.test", ann
		if i%2 == 1 {
			who, to = "bob@customer.test", bob
		}
		w.receive(mailing{from: who, to: to, text: "I am away.", id: strings.Repeat("r", i+1) + "@x", aligned: true})
	}
	if n := len(w.copies()) - before; n != 40 {
		t.Errorf("%d copies in one hour, want 20 of each", n)
	}
}

func TestWhatACopyCarries(t *testing.T) {
	w, ann, _ := talk(t)
	w.ok(w.Note(t.Context(), ticketing.Ref{Project: "support", IID: 1}, "", "secret note"))
	w.receive(mailing{from: "eve@evil.test", to: ann, text: "secret words", id: "eve-id@evil.test", aligned: true})
	w.receive(mailing{from: "ann@customer.test", to: ann, text: "for Bob", id: "ann-id@x", aligned: true})
	for _, o := range w.claim("q", time.Hour) {
		all := strings.Join(append(o.References, o.Subject, o.Text, o.From.Name, o.From.Address, o.ReplyTo.Name, o.ReplyTo.Address, o.Unsubscribe, o.InReplyTo), "\n")
		for _, bad := range []string{"secret", "eve", "mika@corp.test"} {
			if strings.Contains(all, bad) {
				t.Errorf("%s for %s carries %q:\n%s", o.Kind, o.Recipient.Address, bad, all)
			}
		}
		if o.Kind == ticketing.OutgoingRelay && (o.From.Name != "ann" || o.Text != "for Bob" || o.Recipient.Address != "bob@customer.test") {
			t.Errorf("passed on: %+v", o)
		}
		if o.Kind == ticketing.OutgoingThankYou && strings.Contains(all, "It burns") {
			t.Errorf("the thank-you carries the customer's text:\n%s", all)
		}
	}
}

func TestPeopleNamedInCcHearNothingBeforeAnAnswer(t *testing.T) {
	w := newWorld(t)
	w.receive(opening())
	ann := w.thread("support#1").Participants[0]
	w.receive(mailing{from: ann.Address, to: "support+" + ann.Token + "@desk.test", cc: "carl@customer.test", text: "more", id: "2@x", aligned: true})
	if got := w.copies(); len(got) != 1 || got[0] != "thank_you ann@customer.test" {
		t.Errorf("copies = %v", got)
	}
	w.reply("support#1", "Use water.")
	if got := w.copies(); len(got) != 4 {
		t.Errorf("copies after the answer = %v", got)
	}
}

func TestAgentsNamesAreNotTheirAddresses(t *testing.T) {
	for in, want := range map[string]string{"": "noa", "noa@corp.test": "noa", "Noa\r\nB": "Noa B", "@": "noa"} {
		w := newWorld(t)
		a, err := w.CreateAgent(t.Context(), ticketing.Agent{Email: "Noa@corp.test", Name: in})
		if err != nil || a.Name != want {
			t.Errorf("name %q becomes %q, %v", in, a.Name, err)
		}
		if _, err := w.CreateAgent(t.Context(), a); ticketing.KindOf(err) != ticketing.KindConflict {
			t.Errorf("made twice: %v", err)
		}
	}
}

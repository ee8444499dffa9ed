package ticketing_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/store"
)

var first = ticketing.Ref{Project: "support", IID: 1}

func TestAgentsChangeTickets(t *testing.T) {
	w := newWorld(t)
	w.receive(opening())
	w.ok(w.CreateAgent(t.Context(), ticketing.Agent{Email: "noa@corp.test"}))
	for _, tc := range []struct {
		name   string
		change func() error
		kind   ticketing.Kind // -1 = done
	}{
		{"close", func() error { return w.SetState(t.Context(), first, "", ticketing.StateClosed) }, -1},
		{"close twice", func() error { return w.SetState(t.Context(), first, "", ticketing.StateClosed) }, ticketing.KindConflict},
		{"assign", func() error { return w.Assign(t.Context(), first, "", "NOA@corp.test") }, -1},
		{"assign to nobody known", func() error { return w.Assign(t.Context(), first, "", "x@corp.test") }, ticketing.KindNotFound},
		{"assign to the bot", func() error { return w.Assign(t.Context(), first, "", ticketing.BotAddress) }, ticketing.KindNotFound},
		{"label", func() error { return w.Label(t.Context(), first, "", []string{"B", "a", "b"}, nil) }, -1},
		{"bad label", func() error { return w.Label(t.Context(), first, "", []string{"x"}, []string{""}) }, ticketing.KindInvalid},
		{"unknown ticket", func() error {
			return w.Assign(t.Context(), ticketing.Ref{Project: "support", IID: 2}, "", "")
		}, ticketing.KindNotFound},
		{"unknown project", func() error { return w.Assign(t.Context(), ticketing.Ref{Project: "x", IID: 1}, "", "") }, ticketing.KindNotFound},
		{"unknown agent", func() error { return w.SetState(t.Context(), first, "x@corp.test", ticketing.StateOpen) }, ticketing.KindNotFound},
		{"empty note", func() error { _, err := w.Note(t.Context(), first, "", " \x00 "); return err }, ticketing.KindInvalid},
		{"long note", func() error { _, err := w.Note(t.Context(), first, "", strings.Repeat("x", 1<<17)); return err }, ticketing.KindTooLarge},
	} {
		err := tc.change()
		if tc.kind < 0 && err != nil || tc.kind >= 0 && ticketing.KindOf(err) != tc.kind {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	th := w.thread("support#1")
	if th.State != ticketing.StateClosed || th.Assignee != "noa@corp.test" || !slices.Equal(th.Labels, []string{"a", "b"}) {
		t.Errorf("ticket = %+v", th.Ticket)
	}
	if n := len(th.Entries); n != 4 {
		t.Errorf("%d comments, want one for each change that was made", n)
	}
	w.checkIndex()
}

// remove removes an agent.
func (w *world) remove(email string) error {
	return w.db.Update(w.t.Context(), func(tx store.Tx) error {
		_, err := ticketing.RemoveAgent(tx, email)
		return err
	})
}

func TestRemovedAgentsDoNothingMore(t *testing.T) {
	w := newWorld(t)
	w.receive(opening())
	noa := ticketing.Agent{Email: "noa@corp.test", Name: "Noa"}
	w.ok(w.CreateAgent(t.Context(), noa))
	w.ok(w.Reply(t.Context(), first, "noa@corp.test", "Use water."))
	if err := w.Assign(t.Context(), first, "", "noa@corp.test"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, email := range []string{" NOA@corp.test", "nobody@corp.test", ticketing.BotAddress} {
			err := w.remove(email)
			if want := email == " NOA@corp.test"; want != (err == nil) || !want && ticketing.KindOf(err) != ticketing.KindNotFound {
				t.Errorf("remove %q: %v", email, err)
			}
		}
		_, replyErr := w.Reply(t.Context(), first, "noa@corp.test", "Psst.")
		_, agentErr := w.Agent(t.Context(), "noa@corp.test")
		for i, err := range []error{replyErr, agentErr, w.Assign(t.Context(), first, "", "noa@corp.test"), w.remove("noa@corp.test")} {
			if ticketing.AsError(err).Reason != "agent-not-found" {
				t.Errorf("%d, of an agent who is gone: %v", i, err)
			}
		}
		if as, err := w.Agents(t.Context()); err != nil || len(as) != 1 || as[0].Email != "mika@corp.test" {
			t.Errorf("agents = %+v, %v", as, err)
		}
		if n, err := w.Assigned(t.Context(), "noa@corp.test"); err != nil || n != 1 {
			t.Errorf("%d tickets assigned, %v", n, err)
		}
		w.sound()
		w.ok(w.CreateAgent(t.Context(), noa)) // and comes back
	}
	th := w.thread("support#1")
	if a := th.Entries[1].Author; a.Name != "Noa" || th.Assignee != "noa@corp.test" {
		t.Errorf("the past has changed: %+v, assigned to %s", a, th.Assignee)
	}
	w.ok(w.Reply(t.Context(), first, "noa@corp.test", "Here again."))
	if err := w.SetState(t.Context(), first, "", ticketing.StateClosed); err != nil {
		t.Fatal(err)
	}
	if n, err := w.Assigned(t.Context(), "noa@corp.test"); err != nil || n != 0 {
		t.Errorf("%d tickets that are not closed, %v", n, err)
	}
	w.checkIndex()
}

// Who was an agent writes as anybody does.
func TestMailOfARemovedAgentIsACustomers(t *testing.T) {
	w := newWorld(t)
	w.ok(w.CreateAgent(t.Context(), ticketing.Agent{Email: "noa@corp.test"}))
	if err := w.remove("noa@corp.test"); err != nil {
		t.Fatal(err)
	}
	out := w.receive(mailing{from: "noa@corp.test", subject: "Help", text: "x", id: "1@corp.test", aligned: true})
	th := w.thread(out.Ticket)
	if c := th.Entries[0]; c.FromAgent || c.Kind != ticketing.CommentPublic || th.Requester.Address != "noa@corp.test" {
		t.Errorf("ticket = %+v, comment %+v", th.Ticket, c)
	}
}

func TestLists(t *testing.T) {
	w := newWorld(t)
	w.ok(w.CreateProject(t.Context(), "billing", []string{"billing@desk.test"}))
	for i, to := range []string{"support@desk.test", "billing@desk.test", "support@desk.test"} {
		w.now = w.now.Add(1e9)
		w.receive(mailing{from: "ann@customer.test", to: to, id: fmt.Sprintf("%d@x", i), text: fmt.Sprint(i)})
	}
	w.now = w.now.Add(1e9)
	if err := w.SetState(t.Context(), first, "", ticketing.StateClosed); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		f    ticketing.TicketFilter
		want string
	}{
		{ticketing.TicketFilter{}, "support#1 support#2 billing#1"},
		{ticketing.TicketFilter{Limit: 2}, "support#1 support#2"},
		{ticketing.TicketFilter{Project: "SUPPORT"}, "support#1 support#2"},
		{ticketing.TicketFilter{State: ticketing.StateOpen}, "support#2 billing#1"},
		{ticketing.TicketFilter{Project: "support", State: ticketing.StateClosed}, "support#1"},
		{ticketing.TicketFilter{Project: "billing", State: ticketing.StateWaiting}, ""},
	} {
		ts, err := w.Tickets(t.Context(), tc.f)
		var got []string
		for _, tk := range ts {
			got = append(got, tk.Ref().String())
		}
		if err != nil || strings.Join(got, " ") != tc.want {
			t.Errorf("%+v: %v, %v; want %s", tc.f, got, err, tc.want)
		}
	}
}

// Many mails at once: every ticket has its number, and none has another's.
func TestManyMailsAtOnce(t *testing.T) {
	w := newWorld(t)
	var ins []ticketing.Inbound
	for i := range 100 {
		ins = append(ins, w.inbound(mailing{from: fmt.Sprintf("%d@customer.test", i%7), id: fmt.Sprintf("%d@x", i/2), text: fmt.Sprint(i / 2)}))
	}
	desk := ticketing.New(w.db, ticketing.Options{HashBody: hashText}) // the seeds of a test's desk are not for many
	outs := make([]ticketing.Outcome, len(ins))
	var all sync.WaitGroup
	for i, in := range ins {
		all.Go(func() { outs[i] = desk.Receive(t.Context(), in)[0] })
	}
	all.Wait()
	seen := make(map[string]int)
	for i := range outs {
		if outs[i].Err != nil || outs[i].Ticket != outs[i^1].Ticket {
			t.Errorf("mails %d: %+v, its twin %+v", i, outs[i], outs[i^1])
		}
		if outs[i].Decision == ticketing.JournalAccepted {
			seen[outs[i].Ticket]++
		}
	}
	if len(seen) != 50 {
		t.Errorf("%d tickets, want 50", len(seen))
	}
	w.checkIndex()
}

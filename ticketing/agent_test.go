package ticketing_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mxdesk/mxdesk/ticketing"
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

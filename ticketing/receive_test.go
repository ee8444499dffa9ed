package ticketing_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
)

const printer = "printer@customer.test"

func opening() mailing {
	return mailing{from: "ann@customer.test", cc: "bob@customer.test", subject: "Printer on fire", text: "It burns.", id: printer, aligned: true}
}

func TestMailBecomesTicket(t *testing.T) {
	w := newWorld(t)
	out := w.receive(opening())
	if out.Decision != ticketing.JournalAccepted || out.Ticket != "support#1" {
		t.Fatalf("outcome = %+v", out)
	}
	th := w.thread("support#1")
	if th.Title != "Printer on fire" || th.State != ticketing.StateOpen || th.Requester.Address != "ann@customer.test" || th.MessageID != printer {
		t.Errorf("ticket = %+v", th.Ticket)
	}
	if len(th.Entries) != 1 || th.Entries[0].Body != "It burns." || !th.Entries[0].Verified {
		t.Errorf("comments = %+v", th.Entries)
	}
	if len(th.Participants) != 2 {
		t.Errorf("%d participants, want Ann and Bob", len(th.Participants))
	}
	if got, want := w.copies(), []string{"thank_you ann@customer.test"}; !slices.Equal(got, want) {
		t.Errorf("outgoing = %v, want %v: people named in Cc get nothing yet", got, want)
	}
}

func TestDeliveredAgainChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.receive(opening())
	out := w.receive(opening())
	if out.Decision != ticketing.JournalDuplicate || out.Ticket != "support#1" || out.Err != nil {
		t.Fatalf("outcome = %+v", out)
	}
	if n := len(w.thread("support#1").Entries); n != 1 {
		t.Errorf("%d comments after a second delivery", n)
	}
	if n := len(w.copies()); n != 1 {
		t.Errorf("%d outgoing copies after a second delivery", n)
	}
	other := opening()
	other.text = "Another text under the same Message-ID."
	if out := w.receive(other); out.Decision != ticketing.JournalAccepted {
		t.Errorf("another body with the same id: %+v", out)
	}
}

func TestAnswerAndFollowUp(t *testing.T) {
	w := newWorld(t)
	w.receive(opening())
	c := w.reply("support#1", "Use water.")
	th := w.thread("support#1")
	ds := th.Entries[1].Deliveries
	if len(ds) != 2 {
		t.Fatalf("%d copies, want one for each participant", len(ds))
	}
	if ds[0].ReplyTo.Address == ds[1].ReplyTo.Address {
		t.Error("both copies have the same reply address")
	}
	for _, o := range ds {
		if o.References[0] != printer || o.InReplyTo != printer || o.MessageID != c.MessageID {
			t.Errorf("threading of %s: In-Reply-To %s, References %v", o.Recipient.Address, o.InReplyTo, o.References)
		}
		if o.Subject != "Re: Printer on fire (#1)" || o.From.Name != "Mika" || o.From.Address != "support@desk.test" {
			t.Errorf("copy = %+v", o)
		}
	}
	out := w.receive(mailing{from: "ann@customer.test", to: replyTo(ds, "ann@customer.test"), subject: "Re: Printer", text: "It helped.", id: "2@customer.test", aligned: true})
	if out.Ticket != "support#1" || out.Reason != "follow-up-by-reply-token" {
		t.Fatalf("outcome = %+v", out)
	}
	if got := w.copies()[0]; got != "participant bob@customer.test" {
		t.Errorf("newest copy = %q, want Ann's words for Bob", got)
	}
}

func replyTo(ds []*ticketing.Outgoing, who string) string {
	for _, o := range ds {
		if o.Recipient.Address == who {
			return o.ReplyTo.Address
		}
	}
	return ""
}

func TestFollowUpByMessageID(t *testing.T) {
	w := newWorld(t)
	w.receive(opening())
	c := w.reply("support#1", "Use water.")
	for name, m := range map[string]mailing{
		"customer's own mail":        {from: "ann@customer.test", inReplyTo: printer, text: "more", id: "a@x"},
		"our answer":                 {from: "bob@customer.test", inReplyTo: c.MessageID, text: "and more", id: "b@x", aligned: true},
		"stranger, after the answer": {from: "eve@evil.test", inReplyTo: printer, text: "psst", id: "c@x", aligned: true},
	} {
		if out := w.receive(m); out.Ticket != "support#1" || out.Reason != "follow-up-by-message-id" {
			t.Errorf("%s: %+v", name, out)
		}
	}
	th := w.thread("support#1")
	for _, e := range th.Entries[2:] {
		if want := e.Author.Address == "eve@evil.test"; (e.Kind == ticketing.CommentInternal) != want {
			t.Errorf("comment of %s is %s", e.Author.Address, e.Kind)
		}
	}
	if n := len(th.Participants); n != 2 {
		t.Errorf("%d participants: a stranger joined", n)
	}
	if n := len(w.copies()); n != 3 {
		t.Errorf("copies = %v: only mail on the speaker's own token is passed on", w.copies())
	}
}

func TestColleagueJoinsBeforeFirstAnswer(t *testing.T) {
	w := newWorld(t)
	w.receive(opening())
	w.receive(mailing{from: "carl@customer.test", inReplyTo: printer, text: "me too", id: "c@x", aligned: true})
	th := w.thread("support#1")
	if len(th.Entries) != 2 || th.Entries[1].Kind != ticketing.CommentPublic || len(th.Participants) != 3 {
		t.Errorf("comments %d, participants %d", len(th.Entries), len(th.Participants))
	}
}

func TestWhoSpeaksOnAToken(t *testing.T) {
	for _, tc := range []struct {
		name     string
		from     string
		aligned  bool
		action   ticketing.Action
		decision ticketing.JournalDecision
		kind     ticketing.CommentKind
		verified bool
	}{
		{"owner, aligned", "Ann@customer.test", true, "", ticketing.JournalAccepted, ticketing.CommentPublic, true},
		{"owner, not aligned", "ann@customer.test", false, "", ticketing.JournalAccepted, ticketing.CommentPublic, false},
		{"owner, own policy fails", "ann@customer.test", false, ticketing.ActionHold, ticketing.JournalHeld, "", false},
		{"another, aligned", "eve@evil.test", true, "", ticketing.JournalAccepted, ticketing.CommentInternal, true},
		{"another, not aligned", "eve@evil.test", false, "", ticketing.JournalHeld, "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.receive(opening())
			w.reply("support#1", "Use water.")
			before := len(w.copies())
			to := replyTo(w.thread("support#1").Entries[1].Deliveries, "ann@customer.test")
			out := w.receive(mailing{from: tc.from, to: to, text: "words", id: "w@x", aligned: tc.aligned, action: tc.action})
			if out.Decision != tc.decision {
				t.Fatalf("outcome = %+v", out)
			}
			th := w.thread("support#1")
			if tc.decision == ticketing.JournalHeld {
				if len(th.Entries) != 2 {
					t.Error("held mail shows on the ticket")
				}
				return
			}
			e := th.Entries[2]
			if e.Kind != tc.kind || e.Verified != tc.verified {
				t.Errorf("comment is %s, verified %v", e.Kind, e.Verified)
			}
			if shared := len(w.copies()) > before; shared != (tc.kind == ticketing.CommentPublic) {
				t.Errorf("passed on = %v", shared)
			}
		})
	}
}

// A forged mail that the policy here takes is for agents' eyes, also when it
// comes in on the token of the one it claims to be from.
func TestForgedMailOnATokenUnderAnnotate(t *testing.T) {
	w := newWorld(t)
	w.receive(opening())
	w.reply("support#1", "Use water.")
	w.setPolicies(ticketing.PolicyAnnotate, "")
	before := len(w.copies())
	to := replyTo(w.thread("support#1").Entries[1].Deliveries, "ann@customer.test")
	out := w.receive(mailing{from: "ann@customer.test", to: to, text: "words", id: "w@x", action: ticketing.ActionReject})
	if th := w.thread("support#1"); out.Decision != ticketing.JournalAccepted || th.Entries[2].Kind != ticketing.CommentInternal || len(w.copies()) != before {
		t.Errorf("outcome = %+v, comment %s, %d new copies", out, th.Entries[2].Kind, len(w.copies())-before)
	}
}

// A Sender that stands for a missing From does not own a token: no policy of
// its domain was asked for.
func TestSenderOwnsNoToken(t *testing.T) {
	w := newWorld(t)
	w.receive(opening())
	w.reply("support#1", "Use water.")
	to := replyTo(w.thread("support#1").Entries[1].Deliveries, "ann@customer.test")
	in := w.inbound(mailing{from: "ann@customer.test", to: to, text: "words", id: "w@x"})
	in.Message.Sender, in.Message.From, in.Verdict.FromDomain = in.Message.From[0], nil, ""
	if out := w.Receive(t.Context(), in)[0]; out.Decision != ticketing.JournalHeld || out.Reason != "token-of-another" {
		t.Errorf("outcome = %+v", out)
	}
}

func TestRemovedParticipantsTokenStopsWorking(t *testing.T) {
	w := newWorld(t)
	w.receive(opening())
	w.reply("support#1", "Use water.")
	ds := w.thread("support#1").Entries[1].Deliveries
	leave := ""
	for _, o := range ds {
		if o.Recipient.Address == "bob@customer.test" {
			leave = o.Unsubscribe
		}
	}
	if out := w.receive(mailing{from: "bob@customer.test", to: leave, id: "u@x"}); out.Reason != "unsubscribed" {
		t.Fatalf("outcome = %+v", out)
	}
	_, err := w.Route(t.Context(), replyTo(ds, "bob@customer.test"))
	if ticketing.KindOf(err) != ticketing.KindNotFound {
		t.Errorf("route of a removed participant: %v", err)
	}
	w.reply("support#1", "Better now?")
	if got := w.copies()[0]; got != "new_note ann@customer.test" || len(w.copies()) != 4 {
		t.Errorf("copies = %v", w.copies())
	}
}

func TestAutomaticMailIsNotAnswered(t *testing.T) {
	null := ""
	for name, m := range map[string]mailing{
		"auto reply":    {machine: ticketing.MachineAutoReply},
		"bounce":        {machine: ticketing.MachineBounce},
		"list":          {machine: ticketing.MachineList},
		"null sender":   {mailFrom: &null},
		"no-reply":      {from: "no-reply@customer.test"},
		"mailer-daemon": {from: "MAILER-DAEMON@customer.test"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if m.from == "" {
				m.from = "ann@customer.test"
			}
			m.id, m.subject, m.text, m.aligned = "m@x", "s", "t", true
			if out := w.receive(m); out.Ticket != "support#1" {
				t.Fatalf("outcome = %+v", out)
			}
			if c := w.copies(); len(c) != 0 {
				t.Errorf("outgoing = %v", c)
			}
		})
	}
}

func TestThanksHaveBudgets(t *testing.T) {
	w := newWorld(t)
	for i := range 30 {
		m := opening()
		m.id, m.cc = strings.Repeat("x", i+1)+"@x", ""
		m.from = strings.Repeat("a", i+1) + "@forged.test"
		m.aligned = false
		w.receive(m)
	}
	if n := len(w.copies()); n != 20 {
		t.Errorf("%d thank-you mails to one domain that vouches for none, want 20", n)
	}
	for i := range 8 {
		m := opening()
		m.id, m.cc = strings.Repeat("y", i+1)+"@x", ""
		w.receive(m)
	}
	if n := len(w.copies()); n != 25 {
		t.Errorf("%d thank-you mails, want 5 more to one address", n-20)
	}
}

func TestBounceMarksTheCopy(t *testing.T) {
	w := newWorld(t)
	w.receive(opening())
	w.reply("support#1", "Use water.")
	o := w.thread("support#1").Entries[1].Deliveries[0]
	null := ""
	out := w.receive(mailing{
		from: "mailer-daemon@mx.customer.test", mailFrom: &null, to: o.Envelope, id: "dsn@x", machine: ticketing.MachineBounce,
		deliveries: []ticketing.DeliveryReport{{Recipient: o.Recipient.Address, Action: "failed", Status: "5.1.1", Diagnostic: "no such user", Hard: true}},
	})
	if out.Reason != "delivery-report" {
		t.Fatalf("outcome = %+v", out)
	}
	th := w.thread("support#1")
	if d := th.Entries[1].Deliveries[0]; d.State != ticketing.DeliveryBounced {
		t.Errorf("copy is %s", d.State)
	}
	last := th.Entries[len(th.Entries)-1]
	if last.Kind != ticketing.CommentSystem || !strings.Contains(last.Body, "no such user") {
		t.Errorf("last comment = %s %q", last.Kind, last.Body)
	}
}

func TestTwoProjectsTwoOutcomesOneTransaction(t *testing.T) {
	w := newWorld(t)
	w.ok(w.CreateProject(t.Context(), "billing", []string{"billing@desk.test"}))
	m := opening()
	m.rcpts = []string{"support@desk.test", "billing@desk.test", "support+vip@desk.test"}
	outs := w.Receive(t.Context(), w.inbound(m))
	if outs[0].Ticket != "support#1" || outs[1].Ticket != "billing#1" || outs[2].Ticket != "support#1" {
		t.Errorf("outcomes = %+v", outs)
	}
	if l := w.thread("support#1").Labels; !slices.Equal(l, []string{"vip"}) {
		t.Errorf("labels = %v", l)
	}
	es, err := w.Trace(t.Context(), printer)
	if err != nil || len(es) != 1 || len(es[0].Outcomes) != 3 {
		t.Errorf("trace = %+v, %v", es, err)
	}
}

func TestHeldMailIsReleasedOnce(t *testing.T) {
	w := newWorld(t)
	m := opening()
	m.action = ticketing.ActionHold
	if out := w.receive(m); out.Decision != ticketing.JournalHeld {
		t.Fatalf("outcome = %+v", out)
	}
	if out := w.receive(m); out.Decision != ticketing.JournalDuplicate {
		t.Errorf("held mail delivered again: %+v", out)
	}
	held, err := w.HeldMail(t.Context(), 0)
	if err != nil || len(held) != 1 || held[0].Reason != "test" {
		t.Fatalf("held = %+v, %v", held, err)
	}
	m.release = true
	if out := w.receive(m); out.Decision != ticketing.JournalAccepted || out.Ticket != "support#1" {
		t.Errorf("released: %+v", out)
	}
	if out := w.receive(m); out.Decision != ticketing.JournalDuplicate {
		t.Errorf("released twice: %+v", out)
	}
	if err := w.ForgetHeld(t.Context(), held[0].Name()); err != nil {
		t.Error(err)
	}
}

func TestNotesAreNeverMailed(t *testing.T) {
	w := newWorld(t)
	w.receive(opening())
	before := len(w.copies())
	w.ok(w.Note(t.Context(), ticketing.Ref{Project: "support", IID: 1}, "", "She is a paying customer."))
	if after := len(w.copies()); after != before {
		t.Errorf("an internal note made %d copies", after-before)
	}
}

func TestRoutes(t *testing.T) {
	w := newWorld(t)
	w.ok(w.CreateProject(t.Context(), "billing", nil))
	for addr, want := range map[string]string{
		"support@desk.test":                                 "project 1 ",
		"SUPPORT@DESK.TEST":                                 "project 1 ",
		"support+vip@desk.test":                             "project 1 vip",
		"billing@desk.test":                                 "project 2 ",
		"support+billing@desk.test":                         "project 2 ",
		"support+group-billing-2-issue-@desk.test":          "project 2 ",
		"postmaster@desk.test":                              "project 1 ",
		"abuse@desk.test":                                   "project 1 ",
		"b+aaaaaaaaaaaaaaaaaaaaaaaaaa@desk.test":            "unknown-recipient",
		"support+" + strings.Repeat("a", 26) + "@desk.test": "project 1 " + strings.Repeat("a", 26),
		"nobody@desk.test":                                  "unknown-recipient",
		"someone@elsewhere.test":                            "relay-denied",
	} {
		r, err := w.Route(t.Context(), addr)
		got := string(r.Kind) + " " + string(rune('0'+r.Project)) + " " + r.Label
		if err != nil {
			got = ticketing.AsError(err).Reason
		}
		if got != want {
			t.Errorf("%s leads to %q, want %q", addr, got, want)
		}
	}
}

func TestUndatedMailWithoutIDIsNewsUnlessTheSame(t *testing.T) {
	w := newWorld(t)
	alarm := mailing{from: "alarm@customer.test", subject: "Disk full", text: "sda1"}
	if out := w.receive(alarm); out.Decision != ticketing.JournalAccepted {
		t.Fatalf("outcome = %+v", out)
	}
	if out := w.receive(alarm); out.Decision != ticketing.JournalDuplicate {
		t.Errorf("the same octets again: %+v", out)
	}
	alarm.cc = "bob@customer.test" // another header, hence other octets
	if out := w.receive(alarm); out.Decision != ticketing.JournalAccepted {
		t.Errorf("the same words in another mail: %+v", out)
	}
}

func TestMailOpensAClosedTicketAndShowsIt(t *testing.T) {
	w := newWorld(t)
	w.receive(opening())
	w.reply("support#1", "Use water.")
	ref := ticketing.Ref{Project: "support", IID: 1}
	if err := w.SetState(t.Context(), ref, "", ticketing.StateClosed); err != nil {
		t.Fatal(err)
	}
	w.receive(mailing{from: "ann@customer.test", inReplyTo: printer, text: "I am away.", id: "ooo@x", machine: ticketing.MachineOutOfOffice})
	if th := w.thread("support#1"); th.State != ticketing.StateClosed {
		t.Errorf("an automatic answer made the ticket %s", th.State)
	}
	w.receive(mailing{from: "ann@customer.test", inReplyTo: printer, text: "It burns again.", id: "again@x"})
	th := w.thread("support#1")
	last := th.Entries[len(th.Entries)-1]
	if th.State != ticketing.StateOpen || last.Kind != ticketing.CommentSystem || !strings.Contains(last.Body, "ann@customer.test opened the ticket again") {
		t.Errorf("ticket is %s, last comment %q", th.State, last.Body)
	}
}

func TestWordsThatReopenArePassedOn(t *testing.T) {
	w := newWorld(t)
	w.receive(opening())
	w.reply("support#1", "Use water.")
	to := replyTo(w.thread("support#1").Entries[1].Deliveries, "ann@customer.test")
	if err := w.SetState(t.Context(), ticketing.Ref{Project: "support", IID: 1}, "", ticketing.StateClosed); err != nil {
		t.Fatal(err)
	}
	w.receive(mailing{from: "ann@customer.test", to: to, text: "It burns again.", id: "again@x", aligned: true})
	copies, err := w.Claim(t.Context(), w.now, "test", 100, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range copies {
		if o.Kind == ticketing.OutgoingRelay {
			if o.Recipient.Address != "bob@customer.test" || o.Text != "It burns again." {
				t.Errorf("passed on to %s: %q", o.Recipient.Address, o.Text)
			}
			return
		}
	}
	t.Error("nothing was passed on")
}

func TestMachinesInviteNobody(t *testing.T) {
	for class, want := range map[ticketing.MachineClass]int{ticketing.MachineNone: 2, ticketing.MachineAutoReply: 1, ticketing.MachineBounce: 1} {
		w := newWorld(t)
		m := opening()
		m.machine = class
		w.receive(m)
		if n := len(w.thread("support#1").Participants); n != want {
			t.Errorf("%s: %d participants, want %d", class, n, want)
		}
	}
}

func TestBulkMailIsNotPassedOn(t *testing.T) {
	w := newWorld(t)
	w.receive(opening())
	w.reply("support#1", "Use water.")
	to := replyTo(w.thread("support#1").Entries[1].Deliveries, "ann@customer.test")
	before := len(w.copies())
	w.receive(mailing{from: "ann@customer.test", to: to, text: "We got your mail.", id: "robot@x", aligned: true, machine: ticketing.MachineBulk})
	if after := len(w.copies()); after != before {
		t.Errorf("%d copies of bulk mail went to other customers", after-before)
	}
	if n := len(w.thread("support#1").Entries); n != 3 {
		t.Errorf("%d comments, want it kept", n)
	}
}

package ticketing_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
)

// monster is a mail in which everything is as long as it may be.
func (w *world) monster(rcpts ...string) ticketing.Inbound {
	in := w.inbound(mailing{from: "ann@customer.test", id: strings.Repeat("i", 900) + "@x", aligned: true, rcpts: rcpts})
	m := in.Message
	nasty := strings.Repeat("\"\\\n\x01<\u2028", 300<<10)
	m.Text, m.Subject = nasty, strings.Repeat("\"", 998)
	m.Trim = func() (reply, quoted string) { return nasty, nasty }
	m.Forwarded = &ticketing.Forwarded{Text: nasty, Subject: nasty, Date: nasty, From: ticketing.Person{Name: nasty, Address: nasty}}
	for i := range 1000 {
		m.Attachments = append(m.Attachments, ticketing.Attachment{
			Name: fmt.Sprintf("%d%s", i, strings.Repeat("\"", 200)), Type: "application/octet-stream", SHA256: strings.Repeat("0", 64), Part: "1.1.1",
		})
		m.References = append(m.References, fmt.Sprintf("%d%s@x", i, strings.Repeat("r", 900)))
		m.Warnings = append(m.Warnings[:min(i, 19)], nasty)
	}
	for i := range 100 {
		m.Cc = append(m.Cc, ticketing.Person{
			Name:    strings.Repeat("\"", 300),
			Address: fmt.Sprintf("%d%s@%scustomer.test", i, strings.Repeat("c", 60), strings.Repeat(strings.Repeat("d", 60)+".", 2)),
		})
		in.Verdict.DKIM = append(in.Verdict.DKIM, ticketing.DKIMResult{Domain: strings.Repeat("d", 253), Selector: strings.Repeat("s", 253), Reason: nasty})
		in.Verdict.ARC.Sealers = append(in.Verdict.ARC.Sealers, strings.Repeat("s", 253))
	}
	in.Verdict.AuthenticationResults, in.Verdict.SPF.Explanation = nasty, nasty
	in.Envelope.Helo = strings.Repeat("h", 255)
	return in
}

// Nothing that a mail holds may make it fail for ever: it is stored, or
// refused for good.
func TestMonstersFitIntoOneTransaction(t *testing.T) {
	for _, projects := range []int{1, 2, 10} {
		for _, action := range []ticketing.Action{ticketing.ActionAccept, ticketing.ActionHold} {
			t.Run(fmt.Sprintf("%d projects, %s", projects, action), func(t *testing.T) {
				w := newWorld(t)
				var rcpts []string
				for i := range projects {
					name := fmt.Sprintf("p%d", i)
					w.ok(w.CreateProject(t.Context(), name, []string{name + "@desk.test"}))
				}
				for i := range 1000 {
					rcpts = append(rcpts, fmt.Sprintf("p%d+%d%s@desk.test", i%projects, i, strings.Repeat("l", 40)))
				}
				in := w.monster(rcpts...)
				in.Verdict.Verdict.Action = action
				outs := w.Receive(t.Context(), in)
				if outs[0].Err != nil {
					t.Fatal(outs[0].Err)
				}
				if action == ticketing.ActionHold {
					return
				}
				th := w.thread(outs[0].Ticket)
				if c := th.Entries[0]; !c.Truncated || projects < 10 && len(c.Attachments) == 0 || !strings.HasSuffix(c.Warnings[len(c.Warnings)-1], "in the raw mail only") {
					t.Errorf("truncated %v, %d attachments, last warning %q", c.Truncated, len(c.Attachments), c.Warnings[len(c.Warnings)-1])
				}
				if len(th.Labels) > 50 || len(th.Participants) < 2 {
					t.Errorf("%d labels, %d participants", len(th.Labels), len(th.Participants))
				}
			})
		}
	}
}

func TestMailToTooManyProjectsIsRefusedForGood(t *testing.T) {
	w := newWorld(t)
	m := opening()
	for i := range 11 {
		name := fmt.Sprintf("p%d", i)
		w.ok(w.CreateProject(t.Context(), name, []string{name + "@desk.test"}))
		m.rcpts = append(m.rcpts, name+"@desk.test")
	}
	outs := w.Receive(t.Context(), w.inbound(m))
	if e := ticketing.AsError(outs[0].Err); e.Kind != ticketing.KindTooLarge || e.Temporary() {
		t.Errorf("outcome = %+v", outs[0])
	}
}

func TestLongAnswerToManyPeople(t *testing.T) {
	w := newWorld(t)
	m := opening()
	for i := range 120 {
		m.cc += fmt.Sprintf(" %d@customer.test", i)
	}
	w.receive(m)
	body := strings.Repeat("\"long\" ", 9<<10)
	w.reply("support#1", body)
	n := 0
	for {
		got, err := w.Claim(t.Context(), w.now, "queue", 1000, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == 0 {
			break
		}
		for _, o := range got {
			if o.Kind == ticketing.OutgoingNote {
				if n++; o.Text != strings.TrimSpace(body) {
					t.Fatalf("copy for %s has a text of %d octets", o.Recipient.Address, len(o.Text))
				}
			}
		}
	}
	if n != ticketing.MaxParticipants {
		t.Errorf("%d copies, want %d", n, ticketing.MaxParticipants)
	}
	to := replyTo(w.thread("support#1").Entries[1].Deliveries, "ann@customer.test")
	w.receive(mailing{from: "ann@customer.test", to: to, text: strings.Repeat("thanks ", 50<<10), id: "l@x", aligned: true})
	passed := slices.DeleteFunc(w.copies(), func(c string) bool { return !strings.HasPrefix(c, "participant ") })
	if len(passed) != ticketing.MaxParticipants-1 {
		t.Errorf("passed on to %d people, want %d", len(passed), ticketing.MaxParticipants-1)
	}
}

func TestCopiesWithLongHistoriesAreClaimed(t *testing.T) {
	w, _, _ := talk(t)
	for range 8 {
		w.reply("support#1", "Again.")
	}
	attempt := ticketing.Attempt{Host: strings.Repeat("h", 400), Text: strings.Repeat("\"", 900)}
	for range ticketing.MaxAttempts {
		for {
			got, err := w.Claim(t.Context(), w.now, "queue", 1000, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) == 0 {
				break
			}
			for _, o := range got {
				if err := w.Record(t.Context(), o.ID, "queue", attempt, ticketing.DeliveryDeferred, w.now.Add(time.Second)); err != nil {
					t.Fatal(err)
				}
			}
		}
		w.now = w.now.Add(time.Minute)
	}
	if _, err := w.Claim(t.Context(), w.now, "queue", 1000, time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := w.ReleaseClaims(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestRefusalsOfAnySizeAreNotedAndSwept(t *testing.T) {
	w := newWorld(t)
	in := w.monster("support@desk.test")
	for i := range 1000 {
		in.Envelope.Recipients = append(in.Envelope.Recipients, ticketing.Recipient{Address: fmt.Sprintf("%d%s@desk.test", i, strings.Repeat("l", 60))})
	}
	in.Envelope.Client = netip.MustParseAddrPort("192.0.2.1:25")
	var es []ticketing.JournalEntry
	for i := range 100 {
		e := ticketing.Refusal{Envelope: *in.Envelope, Code: 550, Reason: "dmarc-reject", Verdict: in.Verdict, Subject: in.Message.Text, MessageID: "bad\xffid\x00@x"}.Entry()
		e.ID = fmt.Sprintf("%s.%d", e.ID, i)
		es = append(es, e)
	}
	if err := w.NoteRefusals(t.Context(), es); err != nil {
		t.Fatal(err)
	}
	if got, err := w.Trace(t.Context(), "192.0.2.1"); err != nil || len(got) != 100 {
		t.Fatalf("traced %d entries, %v", len(got), err)
	}
	w.now = w.now.Add(15 * 24 * time.Hour)
	if n, err := w.Sweep(t.Context()); err != nil || n != 100 {
		t.Fatalf("swept %d, %v", n, err)
	}
	if rows := w.rows("journal", "journal.by", "journal.refused"); len(rows) != 0 {
		t.Errorf("%d rows are left, the first is %s", len(rows), rows[0])
	}
}

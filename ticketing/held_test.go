package ticketing_test

import (
	"strings"
	"testing"

	"github.com/mxdesk/mxdesk/ticketing"
)

// talk is a world with ticket support#1 of Ann and Bob that an agent has
// answered; it returns their reply addresses.
func talk(t *testing.T) (w *world, ann, bob string) {
	t.Helper()
	w = newWorld(t)
	w.receive(opening())
	w.reply("support#1", "Use water.")
	ds := w.thread("support#1").Entries[1].Deliveries
	return w, replyTo(ds, "ann@customer.test"), replyTo(ds, "bob@customer.test")
}

func TestReleasedMailSpeaksOnItsTicket(t *testing.T) {
	for _, tc := range []struct {
		name   string
		from   string
		action ticketing.Action
		kind   ticketing.CommentKind
	}{
		{"owner, own policy fails", "ann@customer.test", ticketing.ActionHold, ticketing.CommentPublic},
		{"another, not aligned", "eve@evil.test", ticketing.ActionAccept, ticketing.CommentInternal},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w, ann, _ := talk(t)
			m := mailing{from: tc.from, to: ann, text: "words", id: "w@x", action: tc.action}
			if out := w.receive(m); out.Decision != ticketing.JournalHeld {
				t.Fatalf("outcome = %+v", out)
			}
			m.release = true
			if out := w.receive(m); out.Ticket != "support#1" {
				t.Fatalf("released: %+v", out)
			}
			es := w.thread("support#1").Entries
			if e := es[len(es)-1]; e.Kind != tc.kind || e.Verified {
				t.Errorf("comment is %q, verified %v; want %q", e.Kind, e.Verified, tc.kind)
			}
		})
	}
}

func TestOwnMailThatCameBackIsReleasedAsTicket(t *testing.T) {
	w := newWorld(t)
	w.receive(opening())
	c := w.reply("support#1", "Use water.")
	m := mailing{from: "list@customer.test", id: c.MessageID, text: "Use water.", subject: "Re: Printer"}
	if out := w.receive(m); out.Reason != "own-mail-returned" {
		t.Fatalf("outcome = %+v", out)
	}
	m.release = true
	if out := w.receive(m); out.Ticket != "support#2" {
		t.Errorf("released: %+v", out)
	}
}

// A held mail is named as the list has it, or by the id that its sender was told.
func TestHeldMailIsFoundByTransaction(t *testing.T) {
	w := newWorld(t)
	w.ok(w.CreateProject(t.Context(), "billing", []string{"billing@desk.test"}))
	m := opening()
	m.action = ticketing.ActionHold
	one := w.inbound(m)
	w.Receive(t.Context(), one)
	m.id, m.rcpts = "two@x", []string{"support@desk.test", "billing@desk.test"}
	two := w.inbound(m)
	w.Receive(t.Context(), two)
	id, both := one.Envelope.ID, two.Envelope.ID
	for name, want := range map[string]string{
		id: id + ".1", " " + strings.ToUpper(id) + " ": id + ".1", id + ".1": id + ".1", both + ".2": both + ".2",
	} {
		if h, err := w.HeldByName(t.Context(), name); err != nil || h.Name() != want {
			t.Errorf("%q: %+v, %v", name, h, err)
		}
	}
	for name, want := range map[string]ticketing.Kind{
		both: ticketing.KindConflict, id[:10]: ticketing.KindNotFound, id + ".2": ticketing.KindNotFound, "": ticketing.KindNotFound, id + ".": ticketing.KindNotFound,
	} {
		if _, err := w.HeldByName(t.Context(), name); ticketing.KindOf(err) != want {
			t.Errorf("%q: %v, want kind %v", name, err, want)
		}
		if err := w.ForgetHeld(t.Context(), name); ticketing.KindOf(err) != want {
			t.Errorf("delete %q: %v, want kind %v", name, err, want)
		}
	}
	if _, err := w.HeldByName(t.Context(), both); !strings.Contains(err.Error(), both+".1, "+both+".2") {
		t.Errorf("the names to choose from are not said: %v", err)
	}
	if err := w.ForgetHeld(t.Context(), id); err != nil {
		t.Error(err)
	}
	if hs, err := w.HeldMail(t.Context(), 0); err != nil || len(hs) != 2 {
		t.Errorf("%d held mails, %v", len(hs), err)
	}
}

package ticketing_test

import (
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

package ticketing_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
)

func TestPostmasterOfADomainWithoutProject(t *testing.T) {
	w := newWorld(t)
	w.ok(w.AddDomain(t.Context(), "Other.Test."))
	for _, a := range []string{"postmaster@other.test", "ABUSE@other.test"} {
		if r, err := w.Route(t.Context(), a); err != nil || r.Project != 1 {
			t.Errorf("%s leads to %+v, %v", a, r, err)
		}
	}
	if _, err := w.Route(t.Context(), "nobody@other.test"); ticketing.KindOf(err) != ticketing.KindNotFound {
		t.Errorf("nobody@: %v", err)
	}
	if _, err := w.AddDomain(t.Context(), "other.test"); ticketing.KindOf(err) != ticketing.KindConflict {
		t.Errorf("added again: %v", err)
	}
}

func TestBadNames(t *testing.T) {
	w := newWorld(t)
	for _, d := range []string{"", ".", "-x.test", "x-.test", "a..b", "a b", "bücher.test", strings.Repeat("a.", 127) + "toolong", "../x", "a/b"} {
		if _, err := w.AddDomain(t.Context(), d); ticketing.KindOf(err) != ticketing.KindInvalid {
			t.Errorf("domain %q: %v", d, err)
		}
	}
	for _, a := range []string{"", "@", "x@", "@x.test", "a+b@x.test", "a b@x.test", ".a@x.test", "a..b@x.test", strings.Repeat("a", 65) + "@x.test", "a\r\nb@x.test"} {
		if err := w.AddAlias(t.Context(), "support", a); ticketing.KindOf(err) != ticketing.KindInvalid {
			t.Errorf("alias %q: %v", a, err)
		}
	}
	for _, p := range []string{"", "-", "a b", "a#1", strings.Repeat("a", 64), "ü"} {
		if _, err := w.CreateProject(t.Context(), p, nil); ticketing.KindOf(err) != ticketing.KindInvalid {
			t.Errorf("project %q: %v", p, err)
		}
	}
	if _, err := w.CreateProject(t.Context(), "Support", nil); ticketing.KindOf(err) != ticketing.KindConflict {
		t.Errorf("project twice: %v", err)
	}
	if _, err := w.CreateProject(t.Context(), "new", []string{"new@desk.test", "support@desk.test"}); ticketing.KindOf(err) != ticketing.KindConflict {
		t.Errorf("taken alias: %v", err)
	}
	if _, err := w.Route(t.Context(), "new@desk.test"); ticketing.KindOf(err) != ticketing.KindNotFound {
		t.Errorf("alias of a project that was not made: %v", err)
	}
}

func TestAliasesAndDomainsGoInOrder(t *testing.T) {
	w := newWorld(t)
	if err := w.RemoveDomain(t.Context(), "desk.test"); ticketing.KindOf(err) != ticketing.KindConflict {
		t.Errorf("domain in use: %v", err)
	}
	if err := w.AddAlias(t.Context(), "support", "help@other.test"); err != nil {
		t.Fatal(err)
	}
	if err := w.RemoveAlias(t.Context(), "support@desk.test"); err != nil {
		t.Fatal(err)
	}
	if err := w.RemoveDomain(t.Context(), "desk.test"); err != nil {
		t.Fatal(err)
	}
	ps, err := w.Projects(t.Context())
	if err != nil || ps[0].Address != "help@other.test" {
		t.Errorf("project writes from %+v, %v", ps[0], err)
	}
	if _, err := w.Route(t.Context(), "support@desk.test"); ticketing.AsError(err).Reason != "relay-denied" {
		t.Errorf("removed domain: %v", err)
	}
}

// A ticket whose address is gone must not write from there: the answers would
// go nowhere.
func TestTicketWritesFromAnAddressThatWorks(t *testing.T) {
	w := newWorld(t)
	w.receive(opening())
	for _, err := range []error{
		w.AddAlias(t.Context(), "support", "help@other.test"), w.RemoveAlias(t.Context(), "support@desk.test"), w.RemoveDomain(t.Context(), "desk.test"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	w.reply("support#1", "Use water.")
	for _, o := range w.thread("support#1").Entries[1].Deliveries {
		for _, a := range []string{o.From.Address, o.ReplyTo.Address, o.Envelope, o.Unsubscribe, o.MessageID} {
			if !strings.HasSuffix(a, "@other.test") {
				t.Errorf("%s cannot be reached", a)
			}
		}
	}
}

func TestTicketWithoutAlias(t *testing.T) {
	w := newWorld(t)
	w.ok(w.CreateProject(t.Context(), "billing", nil))
	m := opening()
	m.to = "support+billing@desk.test"
	if out := w.receive(m); out.Ticket != "billing#1" {
		t.Fatalf("outcome = %+v", out)
	}
	ref := ticketing.Ref{Project: "billing", IID: 1}
	if _, err := w.Reply(t.Context(), ref, "", "Hello."); ticketing.AsError(err).Reason != "no-address" || ticketing.KindOf(err) != ticketing.KindConflict {
		t.Errorf("reply without an address: %v", err)
	}
	if err := w.AddAlias(t.Context(), "billing", "billing@desk.test"); err != nil {
		t.Fatal(err)
	}
	w.reply("billing#1", "Hello.")
}

func TestLongAliasesStillCarryTokens(t *testing.T) {
	w := newWorld(t)
	long := strings.Repeat("a", 64) + "@desk.test"
	if err := w.AddAlias(t.Context(), "support", long); err != nil {
		t.Fatal(err)
	}
	m := opening()
	m.to = long
	w.receive(m)
	w.reply("support#1", "Hello.")
	o := w.thread("support#1").Entries[1].Deliveries[0]
	if local, _, _ := strings.Cut(o.ReplyTo.Address, "@"); len(local) > 64 || o.From.Address != long {
		t.Errorf("reply address %s, from %s", o.ReplyTo.Address, o.From.Address)
	}
	if r, err := w.Route(t.Context(), strings.ToUpper(o.ReplyTo.Address)); err != nil || r.Kind != ticketing.RouteReply {
		t.Errorf("reply address in capitals leads to %+v, %v", r, err)
	}
}

// Other people's local parts may be longer than 64 octets: they still get
// their answers.
func TestRequestersWithOddAddresses(t *testing.T) {
	for name, from := range map[string]string{
		"long local part": strings.Repeat("l", 80) + "@customer.test",
		"quoted":          `a"b\c d@customer.test`,
		"not ASCII":       "jörg@bücher.test",
		"literal":         "ann@[192.0.2.1]",
		"capitals":        "Ann.O'Neil@customer.test",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			in := w.inbound(mailing{from: "x@customer.test", id: "o@x", aligned: true})
			in.Message.From, in.Envelope.MailFrom = []ticketing.Person{{Address: from}}, from
			outs := w.Receive(t.Context(), in)
			if outs[0].Err != nil {
				t.Fatal(outs[0].Err)
			}
			w.reply("support#1", "Hello.")
			if ds := w.thread("support#1").Entries[1].Deliveries; len(ds) != 1 || ds[0].Recipient.Address != from {
				t.Errorf("deliveries = %+v", ds)
			}
			if es, err := w.Trace(t.Context(), from); err != nil || len(es) != 1 {
				t.Errorf("trace = %v, %v", es, err)
			}
		})
	}
}

func TestTheDeskIsNoParticipant(t *testing.T) {
	w, ann, bob := talk(t)
	bobs := w.thread("support#1").Entries[1].Deliveries
	for _, o := range bobs {
		if o.Recipient.Address == "bob@customer.test" {
			w.receive(mailing{from: "bob@customer.test", to: o.Unsubscribe, id: "u@x"})
		}
	}
	for _, addr := range []string{"support@desk.test", "SUPPORT+x@Desk.Test", ann, bob, bobs[0].Envelope, bobs[0].Unsubscribe} {
		if own, err := w.Owns(t.Context(), addr); err != nil || !own {
			t.Errorf("%s is not ours: %v", addr, err)
		}
	}
	m := opening()
	m.id, m.text, m.cc = "second@x", "other", "support@desk.test "+bob+" carl@customer.test"
	out := w.receive(m)
	if ps := w.thread(out.Ticket).Participants; len(ps) != 2 {
		t.Errorf("%d participants, want Ann and Carl", len(ps))
	}
}

func TestUnsubscribingMailIsKept(t *testing.T) {
	w, _, _ := talk(t)
	o := w.thread("support#1").Entries[1].Deliveries[0]
	for i, text := range []string{"Please delete my data, too.", "Did you hear me?"} {
		w.now = w.now.Add(time.Minute)
		out := w.receive(mailing{from: o.Recipient.Address, to: o.Unsubscribe, text: text, id: text})
		if out.Reason != "unsubscribed" {
			t.Fatalf("outcome %d = %+v", i, out)
		}
	}
	es := w.thread("support#1").Entries[2:]
	if len(es) != 3 || es[0].Kind != ticketing.CommentInternal || es[0].Raw == nil || es[1].Kind != ticketing.CommentSystem || es[2].Body != "Did you hear me?" {
		t.Errorf("comments = %+v", es)
	}
}

func TestSubjectReference(t *testing.T) {
	for _, tc := range []struct {
		name, from, subject string
		aligned             bool
		ticket              string
	}{
		{"participant, aligned", "ann@customer.test", "Re: Printer (#1)", true, "support#1"},
		{"participant, not aligned", "ann@customer.test", "Re: Printer (#1)", false, "support#2"},
		{"stranger, aligned", "eve@evil.test", "Re: Printer (#1)", true, "support#2"},
		{"last reference counts", "ann@customer.test", "(#7) Printer (#1)", true, "support#1"},
		{"unknown number", "ann@customer.test", "Printer (#99)", true, "support#2"},
		{"too long a number", "ann@customer.test", "Printer (#99999999999999999999)", true, "support#2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w, _, _ := talk(t)
			if out := w.receive(mailing{from: tc.from, subject: tc.subject, text: "hi", id: "s@x", aligned: tc.aligned}); out.Ticket != tc.ticket {
				t.Errorf("outcome = %+v, want %s", out, tc.ticket)
			}
		})
	}
}

func TestTokenInHeaderCountsInsideItsProjectOnly(t *testing.T) {
	w, ann, _ := talk(t)
	w.ok(w.CreateProject(t.Context(), "billing", []string{"billing@desk.test"}))
	w.receive(mailing{from: "ann@customer.test", to: "billing@desk.test", text: "first", id: "b@x", aligned: true})
	m := mailing{from: "ann@customer.test", to: "x@elsewhere.test " + strings.ToUpper(ann), text: "hi", id: "h@x", aligned: true}
	m.rcpts = []string{"billing@desk.test"}
	if out := w.receive(m); out.Ticket != "billing#2" {
		t.Errorf("token of another project: %+v", out)
	}
	m.rcpts = []string{"support@desk.test"}
	if out := w.receive(m); out.Ticket != "support#1" || out.Reason != "follow-up-by-reply-token" {
		t.Errorf("token in a header: %+v", out)
	}
	m = mailing{from: "ann@customer.test", to: "x@elsewhere.test", cc: ann, text: "hi again", id: "h2@x", aligned: true, rcpts: []string{"support@desk.test"}}
	if out := w.receive(m); out.Reason != "follow-up-by-reply-token" {
		t.Errorf("token in Cc: %+v", out)
	}
}

func TestReferencesStayInsideTheProject(t *testing.T) {
	w, _, _ := talk(t)
	w.ok(w.CreateProject(t.Context(), "billing", []string{"billing@desk.test"}))
	if out := w.receive(mailing{from: "ann@customer.test", to: "billing@desk.test", inReplyTo: printer, text: "x", id: "r@x", aligned: true}); out.Ticket != "billing#1" {
		t.Errorf("outcome = %+v", out)
	}
}

func TestReportWithoutOurEnvelopeFindsItsMail(t *testing.T) {
	w, _, _ := talk(t)
	c := w.thread("support#1").Entries[1]
	null := ""
	out := w.receive(mailing{from: "mailer-daemon@old.test", mailFrom: &null, id: "dsn@old", machine: ticketing.MachineBounce,
		deliveries: []ticketing.DeliveryReport{{Action: "failed", MessageID: c.MessageID}}})
	es := w.thread("support#1").Entries
	if out.Ticket != "support#1" || es[len(es)-1].Kind != ticketing.CommentInternal {
		t.Errorf("outcome = %+v", out)
	}
}

func TestRemovedPersonDoesNotComeBackByThemselves(t *testing.T) {
	w := newWorld(t)
	w.receive(opening())
	leave := w.thread("support#1").Participants[1]
	w.receive(mailing{from: leave.Address, to: "u+" + leave.Leave + "@desk.test", id: "u@x"})
	w.receive(mailing{from: leave.Address, inReplyTo: printer, cc: "dan@customer.test", text: "hello?", id: "r@x", aligned: true})
	th := w.thread("support#1")
	if e := th.Entries[len(th.Entries)-1]; e.Kind != ticketing.CommentInternal || len(th.Participants) != 1 {
		t.Errorf("comment is %s, %d participants", e.Kind, len(th.Participants))
	}
}

// What is remembered of addresses must never show: a desk that has just been
// opened sees the same.
func TestRoutesAreForgotten(t *testing.T) {
	w := newWorld(t)
	w.receive(opening())
	ctx := t.Context()
	addresses := []string{
		"support@desk.test", "help@other.test", "new@other.test", "new@desk.test", "support+new@desk.test", "support+x@desk.test",
		"postmaster@other.test", "any@other.test", "any@elsewhere.test", "new+a@other.test",
	}
	steps := []func() error{
		func() error { return nil },
		func() error { _, err := w.AddDomain(ctx, "other.test"); return err },
		func() error { return w.AddAlias(ctx, "support", "help@other.test") },
		func() error { _, err := w.CreateProject(ctx, "new", []string{"new@other.test"}); return err },
		func() error { return w.RemoveAlias(ctx, "help@other.test") },
		func() error { return w.RemoveAlias(ctx, "support@desk.test") },
		func() error { return w.RemoveAlias(ctx, "new@other.test") },
		func() error { return w.RemoveDomain(ctx, "other.test") },
	}
	for i, step := range steps {
		w.ok(nil, step())
		fresh := ticketing.New(w.db, ticketing.Options{})
		for _, a := range addresses {
			for range 2 { // found out, then remembered
				got, gotErr := w.Route(ctx, a)
				want, wantErr := fresh.Route(ctx, a)
				if got != want || fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
					t.Errorf("step %d, %s: %+v %v, want %+v %v", i, a, got, gotErr, want, wantErr)
				}
				own, err := w.Owns(ctx, a)
				if ownFresh, errFresh := fresh.Owns(ctx, a); own != ownFresh || err != nil || errFresh != nil {
					t.Errorf("step %d: %s is own: %v, want %v, %v, %v", i, a, own, ownFresh, err, errFresh)
				}
			}
		}
	}
}

package web_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/server/web"
	"github.com/mxdesk/mxdesk/ticketing"
)

func TestListRow(t *testing.T) {
	w := newWorld(t, web.Options{})
	w.receive(plain("Printer on fire", "text"))
	if err := w.desk.Label(t.Context(), first, "", []string{"vip"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.desk.Assign(t.Context(), first, "", "mika@corp.test"); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(3 * time.Minute)
	w.signIn()
	row := w.get("/tickets").one(t, "a.row")
	contains(t, row, "Open", "Ann Customer", "3 min", "Printer on fire", "support#1", "vip", "Assigned to mika@corp.test")
	if row.attr("href") != "/tickets/support/1" {
		t.Errorf("row leads to %s", row.attr("href"))
	}
	at := row.one(t, "time")
	if at.attr("datetime") != "2026-11-22T10:00:00Z" || at.attr("title") != "Sunday, 22 November 2026, 10:00:00 UTC" {
		t.Errorf("time %q, %q", at.attr("datetime"), at.attr("title"))
	}
}

func TestListFilters(t *testing.T) {
	w := newWorld(t, web.Options{})
	w.project("billing")
	w.receive(plain("One", "text"))
	w.receive(plain("Two", "text"))
	bill := plain("Three", "text")
	bill.to = "billing@desk.test"
	w.receive(bill)
	if err := w.desk.SetState(t.Context(), first, "", ticketing.StateClosed); err != nil {
		t.Fatal(err)
	}
	w.signIn()
	for path, want := range map[string]string{
		"/tickets":                            "One Three Two",
		"/tickets?state=open":                 "Three Two",
		"/tickets?state=CLOSED":               "One",
		"/tickets?state=waiting":              "",
		"/tickets?project=billing":            "Three",
		"/tickets?project=support&state=open": "Two",
	} {
		doc := w.get(path)
		got := doc.texts("bdi.row-title")
		for title := range strings.FieldsSeq(want) {
			if !strings.Contains(strings.Join(got, " "), title) {
				t.Errorf("%s: %q, want %s", path, got, want)
			}
		}
		if len(got) != len(strings.Fields(want)) || (want == "") != (len(doc.all(".empty")) == 1) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	// The ticket's page shows the same list beside it, and leads back to it.
	doc := w.get("/tickets/support/2?project=support&state=open")
	if got := doc.texts("bdi.row-title"); len(got) != 1 || got[0] != "Two" {
		t.Errorf("beside the ticket: %q", got)
	}
	if back := doc.one(t, "a.back").attr("href"); back != "/tickets?project=support&state=open" {
		t.Errorf("back to %s", back)
	}
}

func TestListPages(t *testing.T) {
	w := newWorld(t, web.Options{})
	for i := range 101 {
		w.now = w.now.Add(time.Minute)
		w.receive(plain(fmt.Sprintf("Ticket %d", i+1), "text"))
	}
	w.signIn()
	for _, c := range []struct {
		path, first string
		n           int
		newer       string
		older       string
	}{
		{"/tickets?state=open", "Ticket 101", 50, "", "/tickets?page=2&state=open"},
		{"/tickets?state=open&page=2", "Ticket 51", 50, "/tickets?state=open", "/tickets?page=3&state=open"},
		{"/tickets?state=open&page=3", "Ticket 1", 1, "/tickets?page=2&state=open", ""},
		{"/tickets?state=open&page=9", "", 0, "/tickets?page=8&state=open", ""},
	} {
		doc := w.get(c.path)
		titles := doc.texts("bdi.row-title")
		if len(titles) != c.n || c.n > 0 && titles[0] != c.first {
			t.Errorf("%s: %d rows %.60q", c.path, len(titles), titles)
		}
		links := map[string]string{}
		for _, a := range doc.all("a.button") {
			links[a.text()] = a.attr("href")
		}
		if links["Newer"] != c.newer || links["Older"] != c.older {
			t.Errorf("%s: %v", c.path, links)
		}
	}
}

func TestHome(t *testing.T) {
	w := newWorld(t, web.Options{})
	if res := w.do(http.MethodGet, "/"); res.Code != http.StatusSeeOther || res.Header().Get("Location") != "/tickets" {
		t.Errorf("GET /: %d to %q", res.Code, res.Header().Get("Location"))
	}
}

func TestCaptureBanner(t *testing.T) {
	for _, capture := range []bool{true, false} {
		w := newWorld(t, web.Options{Capture: capture})
		w.signIn()
		for _, path := range []string{"/tickets", "/held", "/journal", "/sign-in"} {
			if n := len(w.get(path).all("p.banner")); (n == 1) != capture {
				t.Errorf("%s: capture %v, %d banners", path, capture, n)
			}
		}
	}
}

func TestHeldMail(t *testing.T) {
	w := newWorld(t, web.Options{})
	w.signIn()
	contains(t, w.get("/held").one(t, ".empty"), "No held mail")
	in := plain("Pay now", "text")
	in.auth = ticketing.Verdict{
		FromDomain: "customer.test", DMARC: ticketing.DMARCResult{Result: "fail", Domain: "customer.test", Policy: "quarantine"},
		Verdict: ticketing.Decision{Action: ticketing.ActionHold, Reason: ticketing.ReasonDMARCQuarantine},
	}
	w.receive(in)
	contains(t, w.get("/held").one(t, "li.entry"), "Ann Customer", "ann@customer.test", "Pay now", "Unverified", "asks to set such mail aside", "For support")
	for reason, says := range map[string]string{
		ticketing.ReasonListed: "Block lists speak against where it comes from.", ticketing.ReasonVerifierFailed: "It could not be checked whole.",
	} {
		in := plain("Buy "+reason, "text")
		in.auth = ticketing.Verdict{Verdict: ticketing.Decision{Action: ticketing.ActionHold, Reason: reason}}
		w.now = w.now.Add(time.Minute)
		w.receive(in)
		contains(t, w.get("/held").all("li.entry")[0], "Buy "+reason, says)
	}
}

func TestJournal(t *testing.T) {
	w := newWorld(t, web.Options{})
	w.receive(plain("Printer on fire", "text"))
	refusal := ticketing.Refusal{
		Envelope:  ticketing.Envelope{ID: ticketing.NewID(w.now), Helo: "spam.test", MailFrom: "ann@customer.test", ReceivedAt: w.now.Add(time.Minute)},
		Recipient: "nobody@desk.test", Stage: "rcpt", Code: 550, Enhanced: "5.1.1", Reason: "unknown-address",
	}
	if err := w.desk.NoteRefusals(t.Context(), []ticketing.JournalEntry{refusal.Entry()}); err != nil {
		t.Fatal(err)
	}
	w.signIn()
	contains(t, w.get("/journal").one(t, ".empty"), "Every mail leaves an entry")
	contains(t, w.get("/journal?q=nobody@else.test").one(t, ".empty"), "Nothing is known")
	doc := w.get("/journal?q=%20Ann@customer.test%20")
	rows := doc.all("li.transaction")
	if len(rows) != 3 {
		t.Fatalf("%d rows", len(rows))
	}
	contains(t, rows[0], "Refused", "nobody@desk.test", "unknown-address", "550 5.1.1", "spam.test")
	text := rows[1].text() + rows[2].text()
	for _, want := range []string{"Accepted", "Printer on fire", "support#1", "SPF pass", "Waiting to be sent", "Automatic thank-you"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in %s", want, text)
		}
	}
	if v := doc.one(t, "input").attr("value"); v != "Ann@customer.test" {
		t.Errorf("the question became %q", v)
	}
}

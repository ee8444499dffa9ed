package web_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/server/web"
	"github.com/mxdesk/mxdesk/ticketing"
)

var first = ticketing.Ref{Project: "support", IID: 1}

// must fails the test on an error.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// deliver claims every copy that is due and records an attempt on it.
func (w *world) deliver(state ticketing.DeliveryState, a ticketing.Attempt) {
	w.t.Helper()
	for _, o := range must(w.desk.Claim(w.t.Context(), w.now, "test", 100, time.Minute)) {
		a.At = w.now
		if err := w.desk.Record(w.t.Context(), o.ID, "test", a, state, w.now.Add(time.Hour)); err != nil {
			w.t.Fatal(err)
		}
	}
}

func TestTicketWhoSaidWhat(t *testing.T) {
	w := newWorld(t, web.Options{})
	w.receive(plain("Printer on fire", "The printer is on fire.\nSee http://customer.test/fire."))
	w.now = w.now.Add(4 * time.Minute)
	must(w.desk.Reply(t.Context(), first, "mika@corp.test", "Please use water."))
	must(w.desk.Note(t.Context(), first, "mika@corp.test", "She is a paying customer."))
	if err := w.desk.SetState(t.Context(), first, "mika@corp.test", ticketing.StateWaiting); err != nil {
		t.Fatal(err)
	}
	w.signIn()
	doc := w.get("/tickets/support/1")
	contains(t, doc.one(t, "header.ticket-head"), "Printer on fire", "support#1", "Waiting", "Ann Customer")
	for look, want := range map[string][]string{
		"customer": {"Ann Customer", "ann@customer.test", "Verified", "The printer is on fire.", "Sun 22 Nov, 10:00 UTC"},
		"agent":    {"Mika Saari", "(you)", "to Ann Customer", "Please use water.", "Sun 22 Nov, 10:04 UTC", "Waiting to be sent"},
		"internal": {"Mika Saari", "Internal note", "She is a paying customer."},
	} {
		contains(t, doc.one(t, "article."+look), want...)
	}
	if note := doc.one(t, "article.internal"); len(note.all(".deliveries")) != 0 {
		t.Error("a note shows deliveries")
	}
	contains(t, doc.one(t, "p.system"), "Mika Saari changed the state from open to waiting")
	link := doc.one(t, "article.customer").one(t, "div.text").one(t, "a")
	if link.attr("href") != "http://customer.test/fire" || link.attr("rel") != "noopener noreferrer nofollow" {
		t.Errorf("link to %q, rel %q", link.attr("href"), link.attr("rel"))
	}
	contains(t, doc.one(t, "aside.side"), "Ann Customer", "Requester", "support@desk.test", "Sun 22 Nov, 10:04 UTC")
}

func TestTicketShowsNoSecrets(t *testing.T) {
	w := newWorld(t, web.Options{})
	w.receive(plain("Printer on fire", "text"))
	must(w.desk.Reply(t.Context(), first, "mika@corp.test", "water"))
	w.signIn()
	th := must(w.desk.Thread(t.Context(), first))
	body := w.do(http.MethodGet, "/tickets/support/1").Body.String()
	for _, p := range th.Participants {
		if p.Token == "" || strings.Contains(body, p.Token) || strings.Contains(body, p.Leave) {
			t.Error("the page holds a participant's reply address")
		}
	}
	if strings.Contains(body, th.Entries[1].Deliveries[0].Envelope) {
		t.Error("the page holds a bounce address")
	}
}

func TestShield(t *testing.T) {
	spoofed := plain("Pay now", "text")
	spoofed.auth = ticketing.Verdict{
		FromDomain: "customer.test",
		SPF:        ticketing.SPFResult{Result: "softfail", Domain: "evil.test", Scope: "mfrom"},
		DMARC:      ticketing.DMARCResult{Result: "fail", Domain: "customer.test", Policy: "none"},
	}
	listed := plain("Cheap", "text")
	listed.auth = ticketing.Verdict{
		FromDomain: "customer.test", DMARC: ticketing.DMARCResult{Result: "none", Domain: "customer.test"},
		Lists:   ticketing.ListsResult{Score: 5, Hits: []ticketing.ListHit{{Zone: "bl.test", Answer: "127.0.0.2", Weight: 5}}},
		Verdict: ticketing.Decision{Action: ticketing.ActionAccept, Reason: ticketing.ReasonListed},
	}
	forged := plain("Pay cheap", "text")
	forged.auth = listed.auth
	forged.auth.DMARC.Result = "fail"
	several := plain("Both of us", "text")
	several.auth = ticketing.Verdict{DMARC: ticketing.DMARCResult{Result: "none"}, Verdict: ticketing.Decision{Action: ticketing.ActionAccept, Reason: ticketing.ReasonManyFrom}}
	unknown := plain("Hello", "text")
	unknown.auth = ticketing.Verdict{FromDomain: "customer.test", DMARC: ticketing.DMARCResult{Result: "none", Domain: "customer.test"}}
	unread := plain("Long", "text")
	unread.auth = ticketing.Verdict{Verdict: ticketing.Decision{Action: ticketing.ActionAccept, Reason: ticketing.ReasonVerifierFailed}}
	for _, c := range []struct {
		in    incoming
		class string
		want  []string
	}{
		{unread, "summary.attention", []string{"may not come from who it says. It could not be checked."}},
		{listed, "summary.attention", []string{"Unverified", "Unverified Block lists speak against where this mail comes from. ", "bl.test=127.0.0.2(5)"}},
		{forged, "summary.attention", []string{"customer.test does not vouch for it", "bl.test=127.0.0.2(5)"}},
		{several, "summary.attention", []string{"Unverified", "It does not name one sender."}},
		{unknown, "summary.attention", []string{"Unverified", "customer.test publishes no rules to check it by."}},
		{plain("Hello", "text"), "summary.ok", []string{"Verified", "customer.test vouches for this mail.", "SPF pass", "DKIM pass", "selector=s1", "bits=2048", "DMARC pass", "aligned=dkim", "ARC none"}},
		{spoofed, "summary.attention", []string{"Unverified", "may not come from who it says", "customer.test does not vouch for it", "SPF softfail", "DKIM none", "not signed", "DMARC fail"}},
	} {
		w := newWorld(t, web.Options{})
		w.receive(c.in)
		w.signIn()
		s := w.get("/tickets/support/1").one(t, "details.shield")
		s.one(t, c.class)
		contains(t, s, c.want...)
	}
}

func TestDeliveries(t *testing.T) {
	for _, c := range []struct {
		state   ticketing.DeliveryState
		attempt ticketing.Attempt
		tone    string
		want    []string
	}{
		{ticketing.DeliveryDelivered, ticketing.Attempt{Host: "mx.customer.test", TLS: "TLS 1.3", Code: 250, Enhanced: "2.0.0", Text: "ok"}, ".ok", []string{"Delivered", "mx.customer.test, TLS 1.3, 250 2.0.0 ok", "10:00 UTC"}},
		{ticketing.DeliveryFailed, ticketing.Attempt{Host: "mx.customer.test", Code: 550, Enhanced: "5.1.1", Text: "unknown"}, ".danger", []string{"Failed", "mx.customer.test, 550 5.1.1 unknown"}},
		{ticketing.DeliveryDeferred, ticketing.Attempt{Text: "connection refused"}, ".info", []string{"Delayed, will be tried again", "connection refused", "Next attempt Sun 22 Nov, 11:00 UTC"}},
		{ticketing.DeliveryCaptured, ticketing.Attempt{}, ".attention", []string{"Captured, not sent"}},
	} {
		w := newWorld(t, web.Options{})
		w.receive(plain("Printer", "text"))
		must(w.desk.Reply(t.Context(), first, "mika@corp.test", "water"))
		w.deliver(c.state, c.attempt)
		w.signIn()
		d := w.get("/tickets/support/1").one(t, "article.agent").one(t, "details.deliveries")
		contains(t, d, append(c.want, "Ann Customer", "ann@customer.test")...)
		if len(d.one(t, "summary").all(c.tone)) != 1 {
			t.Errorf("%s is not marked %s", c.state, c.tone)
		}
	}
}

func TestQuotedTextIsFolded(t *testing.T) {
	w := newWorld(t, web.Options{})
	w.receive(plain("Printer", "text"))
	must(w.desk.Reply(t.Context(), first, "mika@corp.test", "water"))
	reply := plain("Re: Printer", "It is out.\n\nOn Sun, 22 Nov 2026 at 10:00, Mika wrote:\n> water")
	reply.raw = strings.Replace(reply.raw, "\n\n", "\nIn-Reply-To: <"+must(w.desk.Thread(t.Context(), first)).MessageID+">\n\n", 1)
	w.receive(reply)
	w.signIn()
	articles := w.get("/tickets/support/1").all("article.customer")
	if len(articles) != 2 {
		t.Fatalf("%d articles", len(articles))
	}
	contains(t, articles[1].one(t, "details.quoted"), "Show quoted text", "> water")
	if text := articles[1].all("div.text")[0].text(); strings.Contains(text, "water") {
		t.Errorf("the text shows what is quoted: %s", text)
	}
}

// comments are the entries of a ticket's page.
func comments(doc node) []node {
	return slices.DeleteFunc(doc.all("li"), func(n node) bool { return !strings.HasPrefix(n.attr("id"), "comment-") })
}

func TestLongTicket(t *testing.T) {
	w := newWorld(t, web.Options{})
	w.receive(plain("Printer", "text"))
	for i := range 1100 {
		must(w.desk.Note(t.Context(), first, "mika@corp.test", fmt.Sprintf("note %d", i+2)))
	}
	w.signIn()
	for _, c := range []struct {
		path        string
		from, to, n int
		earlier     string
	}{
		{"/tickets/support/1?state=open", 602, 1101, 500, "/tickets/support/1?state=open&before=602"},
		{"/tickets/support/1?before=602", 102, 601, 500, "/tickets/support/1?before=102"},
		{"/tickets/support/1?before=102", 1, 101, 101, ""},
	} {
		doc := w.get(c.path)
		items := comments(doc)
		if len(items) != c.n || items[0].attr("id") != fmt.Sprintf("comment-%d", c.from) || items[c.n-1].attr("id") != fmt.Sprintf("comment-%d", c.to) {
			t.Errorf("%s: %d comments from %s", c.path, len(items), items[0].attr("id"))
		}
		found := slices.ContainsFunc(doc.all("a.button"), func(a node) bool { return a.attr("href") == c.earlier })
		if found != (c.earlier != "") {
			t.Errorf("%s: link to %q is there: %v", c.path, c.earlier, found)
		}
	}
}

func TestMuchTextIsBounded(t *testing.T) {
	w := newWorld(t, web.Options{})
	w.receive(plain("Printer", "text"))
	for range 30 {
		must(w.desk.Note(t.Context(), first, "mika@corp.test", strings.Repeat("& ", 32<<10)))
	}
	w.signIn()
	res := w.do(http.MethodGet, "/tickets/support/1")
	if n := res.Body.Len(); n > 5<<20 {
		t.Errorf("page of %d octets", n)
	}
	if items := comments(parse(t, res)); len(items) == 0 || len(items) >= 31 {
		t.Errorf("%d comments", len(items))
	}
}

func TestBadAddresses(t *testing.T) {
	w := newWorld(t, web.Options{})
	w.receive(plain("Printer", "text"))
	w.signIn()
	for path, want := range map[string]int{
		"/tickets/support/2": 404, "/tickets/nothing/1": 404, "/tickets/support/0": 404, "/tickets/support/x": 404,
		"/tickets/support/-1": 404, "/tickets/support/99999999999999999999": 404, "/tickets/support/1/": 404,
		"/tickets/support/1/comments/2/original": 404, "/tickets/support/1/comments/x/original": 404,
		"/tickets/support/1/comments/1/attachments/1": 404, "/tickets/support/1/comments/1/attachments/0": 404,
		"/tickets/support/1?before=x": 422, "/tickets/support/1?before=1": 422, "/tickets/support/1?before=-5": 422,
		"/tickets?state=odd": 422, "/tickets?page=0": 422, "/tickets?page=101": 422, "/tickets?page=x": 422, "/tickets?project=nothing": 404,
		"/tickets?project=" + strings.Repeat("x", 300): 422, "/journal?q=%ff": 422, "/journal?q=" + strings.Repeat("x", 1001): 422,
		"/nowhere": 404, "/assets/app.css": 404, "/assets/nothing": 404,
	} {
		res := w.do(http.MethodGet, path)
		if res.Code != want {
			t.Errorf("GET %.60s: %d, want %d", path, res.Code, want)
			continue
		}
		parse(t, res).one(t, "h1")
	}
}

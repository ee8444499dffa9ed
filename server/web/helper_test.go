package web_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/mxdesk/mxdesk/auth/login"
	"github.com/mxdesk/mxdesk/server/web"
	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/mail"
	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/memdb"
)

// world is a desk with project support, agent Mika, and its pages.
type world struct {
	t       *testing.T
	db      *store.DB
	desk    *ticketing.Desk
	login   *login.Login
	pages   http.Handler
	now     time.Time
	cookies []*http.Cookie
}

func newWorld(t *testing.T, o web.Options) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return w.now }
	w.db = store.Open(memdb.New(memdb.Options{}), store.Options{})
	t.Cleanup(func() { w.db.Close(context.Background()) })
	w.desk = ticketing.New(w.db, ticketing.Options{Now: clock})
	if _, err := w.desk.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.project("support")
	if _, err := w.desk.CreateAgent(t.Context(), ticketing.Agent{Email: "mika@corp.test", Name: "Mika Saari", Admin: true}); err != nil {
		t.Fatal(err)
	}
	w.login = login.New(w.db, w.desk, login.Options{Now: clock, PublicURL: "https://desk.test"})
	o.Now = clock
	w.pages = web.New(w.desk, w.login, o)
	return w
}

func (w *world) project(name string) {
	w.t.Helper()
	if _, err := w.desk.CreateProject(w.t.Context(), name, []string{name + "@desk.test"}); err != nil {
		w.t.Fatal(err)
	}
}

// incoming is a raw mail of a test and how it was judged.
type incoming struct {
	from string // envelope sender
	to   string // default support@desk.test
	raw  string // LF is made CRLF
	auth ticketing.Verdict
}

// genuine is the verdict on an aligned mail.
func genuine(domain string) ticketing.Verdict {
	return ticketing.Verdict{
		FromDomain: domain,
		SPF:        ticketing.SPFResult{Result: "pass", Domain: domain, Scope: "mfrom", Mechanism: "ip4:192.0.2.1"},
		DKIM:       []ticketing.DKIMResult{{Result: "pass", Domain: domain, Selector: "s1", Algorithm: "rsa-sha256", KeyBits: 2048}},
		DMARC:      ticketing.DMARCResult{Result: "pass", Domain: domain, Policy: "reject", Disposition: "none", AlignedDKIM: true},
		Verdict:    ticketing.Decision{Action: ticketing.ActionAccept, Reason: ticketing.ReasonDMARCPass},
	}
}

func (w *world) receive(in incoming) ticketing.Outcome {
	w.t.Helper()
	if in.to == "" {
		in.to = "support@desk.test"
	}
	if in.auth.Verdict.Action == "" {
		in.auth.Verdict = ticketing.Decision{Action: ticketing.ActionAccept, Reason: ticketing.ReasonNone}
	}
	raw := []byte(strings.ReplaceAll(in.raw, "\n", "\r\n"))
	staged, err := w.db.Stage(w.t.Context(), int64(len(raw)), sha256.Sum256(raw), bytes.NewReader(raw))
	if err != nil {
		w.t.Fatal(err)
	}
	route, err := w.desk.Route(w.t.Context(), in.to)
	if err != nil {
		w.t.Fatal(err)
	}
	out := w.desk.Receive(w.t.Context(), ticketing.Inbound{
		Envelope: &ticketing.Envelope{
			ID: ticketing.NewID(w.now), Protocol: "ESMTP", Helo: "mx.customer.test", MailFrom: in.from, ReceivedAt: w.now,
			Recipients: []ticketing.Recipient{{Address: in.to, Route: route}},
		},
		Message: mail.Parse(bytes.NewReader(raw), int64(len(raw)), mail.Options{}),
		Verdict: &in.auth, Raw: staged, Octets: bytes.NewReader(raw), Size: int64(len(raw)),
	})[0]
	if out.Err != nil {
		w.t.Fatal(out.Err)
	}
	return out
}

// plain is a mail of Ann without anything special, aligned.
func plain(subject, text string) incoming {
	return incoming{from: "ann@customer.test", auth: genuine("customer.test"), raw: fmt.Sprintf(
		"From: Ann Customer <ann@customer.test>\nTo: support@desk.test\nSubject: %s\nMessage-ID: <%x@customer.test>\n\n%s\n",
		subject, sha256.Sum256([]byte(subject+text)), text)}
}

func (w *world) signIn() {
	w.t.Helper()
	link, err := w.login.Link(w.t.Context(), "mika@corp.test")
	if err != nil {
		w.t.Fatal(err)
	}
	res := w.do(http.MethodPost, strings.TrimPrefix(link, "https://desk.test"))
	if res.Code != http.StatusSeeOther {
		w.t.Fatalf("sign-in: %d\n%s", res.Code, res.Body)
	}
}

// do sends a request with the cookies set so far, as a browser does.
func (w *world) do(method, target string) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, target, nil)
	for _, c := range w.cookies {
		r.AddCookie(c)
	}
	res := httptest.NewRecorder()
	w.pages.ServeHTTP(res, r)
	for _, c := range res.Result().Cookies() {
		w.cookies = slices.DeleteFunc(w.cookies, func(old *http.Cookie) bool { return old.Name == c.Name })
		if c.MaxAge > 0 {
			w.cookies = append(w.cookies, c)
		}
	}
	return res
}

// get loads a page that must be there.
func (w *world) get(target string) node {
	w.t.Helper()
	res := w.do(http.MethodGet, target)
	if res.Code != http.StatusOK {
		w.t.Fatalf("GET %s: %d\n%s", target, res.Code, res.Body)
	}
	return parse(w.t, res)
}

// node is a part of a parsed page.
type node struct{ *html.Node }

func parse(t *testing.T, res *httptest.ResponseRecorder) node {
	t.Helper()
	if ct := res.Header().Get("Content-Type"); ct != "text/html; charset=utf-8" {
		t.Fatalf("Content-Type %q", ct)
	}
	doc, err := html.Parse(bytes.NewReader(res.Body.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	return node{doc}
}

func (n node) attr(name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// matches reads a selector of a tag, ".class" or "tag.class".
func (n node) matches(selector string) bool {
	tag, class, _ := strings.Cut(selector, ".")
	return n.Type == html.ElementNode && (tag == "" || n.Data == tag) &&
		(class == "" || slices.Contains(strings.Fields(n.attr("class")), class))
}

// all returns the elements below that match.
func (n node) all(selector string) []node {
	var out []node
	for d := range n.Descendants() {
		if (node{d}).matches(selector) {
			out = append(out, node{d})
		}
	}
	return out
}

// one returns the only element that matches.
func (n node) one(t *testing.T, selector string) node {
	t.Helper()
	found := n.all(selector)
	if len(found) != 1 {
		t.Fatalf("%d elements match %s, want 1", len(found), selector)
	}
	return found[0]
}

// text is the text below, with white space folded.
func (n node) text() string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func (n node) texts(selector string) []string {
	var out []string
	for _, m := range n.all(selector) {
		out = append(out, m.text())
	}
	return out
}

func contains(t *testing.T, n node, want ...string) {
	t.Helper()
	text := n.text()
	for _, s := range want {
		if !strings.Contains(text, s) {
			t.Errorf("%q is missing in: %s", s, text)
		}
	}
}

package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/auth/login"
	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/memdb"
)

// office is a desk with project support, admin Mika, one ticket and one held
// mail, behind the API.
type office struct {
	t     *testing.T
	desk  *ticketing.Desk
	srv   *httptest.Server
	keys  []string // domains that keys were asked for
	fails error    // of Keys
}

func (o *office) Ensure(_ context.Context, domain string) error {
	o.keys = append(o.keys, domain)
	return o.fails
}

func (o *office) Link(_ context.Context, email string) (string, error) {
	if email != "mika@corp.test" {
		return "", &ticketing.Error{Kind: ticketing.KindNotFound, Reason: "agent-not-found", Message: "there is no such agent"}
	}
	return "http://desk.test/signin/x", nil
}

func (o *office) SignOut(ctx context.Context, email string) (login.Ended, error) {
	_, err := o.desk.Agent(ctx, email)
	return login.Ended{Sessions: 2}, err
}

func (o *office) Remove(ctx context.Context, email string) (login.Ended, error) {
	_, err := o.desk.Agent(ctx, email)
	return login.Ended{Sessions: 1, Links: 1}, err
}

func (o *office) Release(ctx context.Context, name string) (ticketing.Outcome, error) {
	return ticketing.Outcome{Ticket: "support#2"}, o.desk.ForgetHeld(ctx, name)
}

func (o *office) FullText(context.Context, *ticketing.Comment) (string, string, error) {
	return "the full text", "", nil
}

func newOffice(t *testing.T) *office {
	t.Helper()
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	db := store.Open(memdb.New(memdb.Options{}), store.Options{RunTwice: true, Now: clock})
	o := &office{t: t, desk: ticketing.New(db, ticketing.Options{Now: clock})}
	o.srv = httptest.NewServer(Handler(Options{Desk: o.desk, Keys: o, Release: o, Body: o, SignIn: o, Hostname: "mx.test"}))
	t.Cleanup(func() { o.srv.Close(); db.Close(context.Background()) })
	if _, err := o.desk.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := o.desk.CreateAgent(t.Context(), ticketing.Agent{Email: "mika@corp.test", Name: "Mika", Admin: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.desk.CreateProject(t.Context(), "support", []string{"support@desk.test"}); err != nil {
		t.Fatal(err)
	}
	o.receive(db, now, "1", strings.Repeat("It burns. ", 8000), ticketing.ActionAccept)
	o.receive(db, now, "2", "spoof", ticketing.ActionHold)
	return o
}

func (o *office) receive(db *store.DB, now time.Time, id, text string, a ticketing.Action) {
	o.t.Helper()
	staged, err := db.Stage(o.t.Context(), int64(len(text)), sha256.Sum256([]byte(text)), strings.NewReader(text))
	if err != nil {
		o.t.Fatal(err)
	}
	r, err := o.desk.Route(o.t.Context(), "support@desk.test")
	if err != nil {
		o.t.Fatal(err)
	}
	outs := o.desk.Receive(o.t.Context(), ticketing.Inbound{
		Envelope: &ticketing.Envelope{ID: "t" + id, MailFrom: "ann@customer.test", ReceivedAt: now,
			Recipients: []ticketing.Recipient{{Address: "support@desk.test", Route: r}}},
		Message: &ticketing.Message{From: []ticketing.Person{{Address: "ann@customer.test"}}, Subject: "Fire <&>", Text: text, MessageID: id + "@x",
			Machine: ticketing.Machine{Class: ticketing.MachineNone}},
		Verdict: &ticketing.Verdict{Verdict: ticketing.Decision{Action: a, Reason: "test"}}, Raw: staged, Octets: strings.NewReader(text), Size: int64(len(text)),
	})
	if outs[0].Err != nil {
		o.t.Fatal(outs[0].Err)
	}
}

// post makes a call and returns the status and the lines of the answer.
func (o *office) post(call, body string) (int, []map[string]any) {
	o.t.Helper()
	resp, err := http.Post(o.srv.URL+"/"+call, "application/json", strings.NewReader(body))
	if err != nil {
		o.t.Fatal(err)
	}
	defer resp.Body.Close()
	var lines []map[string]any
	for dec := json.NewDecoder(resp.Body); ; {
		var v map[string]any
		if dec.Decode(&v) != nil {
			return resp.StatusCode, lines
		}
		lines = append(lines, v)
	}
}

func TestEveryCall(t *testing.T) {
	for _, tc := range []struct {
		call, body string
		status     int
		lines      int
		key        string // of the first line
		want       any
	}{
		{"ticket.list", `{}`, 200, 1, "title", "Fire <&>"},
		{"ticket.list", ``, 200, 1, "requester", "ann@customer.test"},
		{"ticket.list", `{"project":"support","state":"open","limit":1}`, 200, 1, "state", "open"},
		{"ticket.list", `{"state":"closed"}`, 200, 0, "", nil},
		{"ticket.list", `{"state":"lost"}`, 422, 1, "reason", "bad-state"},
		{"ticket.list", `{"project":"none"}`, 404, 1, "reason", "project-not-found"},
		{"ticket.show", `{"ticket":"support#1"}`, 200, 1, "iid", 1.0},
		{"ticket.show", `{"ticket":"support#9"}`, 404, 1, "reason", "ticket-not-found"},
		{"ticket.show", `{"ticket":"support"}`, 422, 1, "reason", "bad-ticket"},
		{"ticket.reply", `{"ticket":"support#1","body":"Use water."}`, 200, 1, "comment", 2.0},
		{"ticket.reply", `{"ticket":"support#1","body":" \n"}`, 422, 1, "reason", "empty-body"},
		{"ticket.reply", `{"ticket":"support#1","body":"x","as":"nobody@corp.test"}`, 404, 1, "reason", "agent-not-found"},
		{"ticket.reply", `{"ticket":"support#1","body":"` + strings.Repeat("x", 70<<10) + `"}`, 413, 1, "reason", "body-too-large"},
		{"ticket.note", `{"ticket":"support#1","body":"psst","as":"mika@corp.test"}`, 200, 1, "comment", 2.0},
		{"ticket.state", `{"ticket":"support#1","state":"closed"}`, 200, 1, "message", "support#1: closed"},
		{"ticket.state", `{"ticket":"support#1","state":"open"}`, 409, 1, "reason", "state-unchanged"},
		{"ticket.assign", `{"ticket":"support#1","to":"mika@corp.test"}`, 200, 1, "ticket", "support#1"},
		{"ticket.assign", `{"ticket":"support#1"}`, 200, 1, "message", "support#1: assigned to nobody"},
		{"ticket.label", `{"ticket":"support#1","add":["a","b"],"remove":["b"]}`, 200, 1, "ticket", "support#1"},
		{"ticket.label", `{"ticket":"support#1","add":["<>"]}`, 422, 1, "reason", "bad-label"},
		{"project.create", `{"name":"billing","aliases":["billing@Other.test"]}`, 200, 1, "project", "billing"},
		{"project.create", `{"name":"support"}`, 409, 1, "reason", "project-exists"},
		{"project.create", `{"name":"../x"}`, 422, 1, "reason", "bad-name"},
		{"project.list", `{}`, 200, 1, "address", "support@desk.test"},
		{"alias.add", `{"name":"help@desk.test","project":"support"}`, 200, 1, "alias", "help@desk.test"},
		{"alias.add", `{"name":"a@../../etc","project":"support"}`, 422, 1, "reason", "bad-domain"},
		{"alias.remove", `{"name":"support@desk.test"}`, 200, 1, "alias", "support@desk.test"},
		{"alias.remove", `{"name":"nobody@desk.test"}`, 404, 1, "reason", "alias-not-found"},
		{"alias.list", `{}`, 200, 1, "project", "support"},
		{"domain.add", `{"name":"new.test"}`, 200, 1, "domain", "new.test"},
		{"domain.add", `{"name":"a b"}`, 422, 1, "reason", "bad-domain"},
		{"domain.remove", `{"name":"desk.test"}`, 409, 1, "reason", "domain-in-use"},
		{"domain.list", `{}`, 200, 1, "domain", "desk.test"},
		{"project.set", `{"name":"support","policy":"Annotate"}`, 200, 1, "message", "policy of project support: annotate"},
		{"project.set", `{"name":"support"}`, 422, 1, "reason", "nothing-to-set"},
		{"project.set", `{"name":"none","policy":"hold"}`, 404, 1, "reason", "project-not-found"},
		{"domain.set", `{"name":"desk.test","policy":"inherit"}`, 200, 1, "message", "policy of domain desk.test: inherit"},
		{"domain.set", `{"name":"desk.test","policy":"strict"}`, 422, 1, "reason", "bad-policy"},
		{"domain.show", `{"name":"Desk.test."}`, 200, 6, "value", "10 mx.test."},
		{"domain.show", `{"name":"other.test"}`, 404, 1, "reason", "domain-not-found"},
		{"dkim.keygen", `{"domain":"new.test"}`, 200, 1, "bits", 2048.0},
		{"dkim.keygen", `{"domain":"new.test","bits":4096}`, 200, 1, "bits", 4096.0},
		{"dkim.list", `{}`, 200, 5, "selector", "rsa1"},
		{"dkim.list", `{"domain":"desk.test","check":true}`, 200, 4, "dns", "missing"},
		{"dkim.list", `{"domain":"other.test"}`, 404, 1, "reason", "keys-not-found"},
		{"dkim.dns", `{"domain":"desk.test"}`, 200, 3, "name", "rsa1._domainkey.desk.test"},
		{"dkim.dns", `{"domain":"other.test"}`, 404, 1, "reason", "keys-not-found"},
		{"dkim.rotate", `{"domain":"desk.test","bits":3072}`, 200, 1, "step", "made"},
		{"dkim.rotate", `{"domain":"desk.test","now":true}`, 200, 1, "step", "turned"},
		{"dkim.rotate", `{"domain":"desk.test","abort":true}`, 200, 1, "step", "dropped"},
		{"dkim.rotate", `{"domain":"desk.test"}`, 409, 1, "reason", "keys-not-published"},
		{"dkim.rotate", `{"domain":"other.test"}`, 404, 1, "reason", "keys-not-found"},
		{"agent.link", `{}`, 200, 1, "agent", "mika@corp.test"},
		{"agent.link", `{"name":"nobody@corp.test"}`, 404, 1, "reason", "agent-not-found"},
		{"agent.signout", `{"name":" Mika@corp.test"}`, 200, 1, "message", "mika@corp.test is signed out: 2 sessions ended"},
		{"agent.signout", `{"name":"nobody@corp.test"}`, 404, 1, "reason", "agent-not-found"},
		{"agent.remove", `{"name":"mika@corp.test"}`, 200, 1, "message", "agent mika@corp.test removed: 1 session ended, 1 sign-in link void"},
		{"agent.remove", `{"name":"nobody@corp.test"}`, 404, 1, "reason", "agent-not-found"},
		{"queue.list", `{}`, 200, 1, "kind", "thank_you"},
		{"queue.list", `{"state":"failed"}`, 200, 0, "", nil},
		{"queue.list", `{"state":"lost"}`, 422, 1, "reason", "bad-state"},
		{"queue.show", `{"name":"nothing"}`, 404, 1, "reason", "outgoing-message-not-found"},
		{"queue.retry", `{"all":true}`, 200, 0, "", nil}, // it is due
		{"queue.retry", `{"to":"elsewhere.test"}`, 200, 0, "", nil},
		{"queue.retry", `{"ids":["nothing","nor this"]}`, 200, 2, "reason", "outgoing-message-not-found"},
		{"queue.retry", `{}`, 422, 1, "reason", "bad-selection"},
		{"queue.cancel", `{"to":"customer.test"}`, 200, 1, "state", "cancelled"},
		{"queue.cancel", `{"to":"customer.test","all":true}`, 422, 1, "reason", "bad-selection"},
		{"queue.cancel", `{"ids":["nothing"]}`, 200, 1, "done", false},
		{"held.list", `{}`, 200, 1, "name", "t2.1"},
		{"held.release", `{"name":"t2.1"}`, 200, 1, "ticket", "support#2"},
		{"held.release", `{"name":"t9.1"}`, 404, 1, "reason", "held-mail-not-found"},
		{"held.delete", `{"name":"t2.1"}`, 200, 1, "message", "deleted"},
		{"held.delete", `{"name":"t2"}`, 200, 1, "message", "deleted"},
		{"held.show", `{"name":"t9"}`, 404, 1, "reason", "held-mail-not-found"},
		{"held.delete", `{"name":"t9.1"}`, 404, 1, "reason", "held-mail-not-found"},
		{"trace", `{"name":"<1@x>"}`, 200, 1, "direction", "in"},
		{"trace", `{"name":"ann@customer.test"}`, 200, 3, "decision", "accepted"},
		{"trace", `{"name":"nobody@x"}`, 404, 1, "reason", "mail-not-found"},
		{"trace", `{"nam":"x"}`, 422, 1, "reason", "bad-request"},
		{"trace", `{"name":7}`, 422, 1, "reason", "bad-request"},
		{"trace", `[`, 422, 1, "reason", "bad-request"},
		{"trace", `{"name":"x"} {"name":"y"}`, 422, 1, "reason", "bad-request"},
		{"trace", `{"name":"` + strings.Repeat("x", maxRequest) + `"}`, 422, 1, "reason", "bad-request"},
		{"no.such.call", `{}`, 404, 0, "", nil},
	} {
		body := tc.body[:min(len(tc.body), 60)]
		t.Run(tc.call+" "+body, func(t *testing.T) {
			o := newOffice(t)
			status, lines := o.post(tc.call, tc.body)
			if status != tc.status || len(lines) != tc.lines {
				t.Fatalf("status %d, lines %v; want %d and %d", status, lines, tc.status, tc.lines)
			}
			if tc.key != "" && lines[0][tc.key] != tc.want {
				t.Errorf("%s = %v, want %v", tc.key, lines[0][tc.key], tc.want)
			}
		})
	}
}

func TestOnlyPostIsServed(t *testing.T) {
	o := newOffice(t)
	resp, err := http.Get(o.srv.URL + "/ticket.list")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %s", resp.Status)
	}
}

func TestShowHasTheFullTextAndNoNulls(t *testing.T) {
	o := newOffice(t)
	_, lines := o.post("ticket.show", `{"ticket":"support#1"}`)
	b, _ := json.Marshal(lines[0])
	if !bytes.Contains(b, []byte("the full text")) {
		t.Error("the text is cut")
	}
	for _, key := range []string{"labels", "participants", "comments"} {
		if _, ok := lines[0][key].([]any); !ok {
			t.Errorf("%s is %v, want a list", key, lines[0][key])
		}
	}
}

func TestKeysAreMadeForNewDomains(t *testing.T) {
	o := newOffice(t)
	o.post("alias.add", `{"name":" Help@Other.Test. ","project":"support"}`)
	o.post("domain.add", `{"name":"Third.Test"}`)
	o.post("alias.add", `{"name":"bad@@","project":"support"}`)
	if got := strings.Join(o.keys, " "); got != "other.test third.test" {
		t.Errorf("keys for %q", got)
	}
	o.fails = errors.New("/secret/path: permission denied")
	status, lines := o.post("domain.add", `{"name":"fourth.test"}`)
	if b, _ := json.Marshal(lines); status != 500 || bytes.Contains(b, []byte("secret")) {
		t.Errorf("status %d, %s", status, b)
	}
}

func TestStatusOfKinds(t *testing.T) {
	for k, want := range map[ticketing.Kind]int{
		ticketing.KindInternal: 500, ticketing.KindUnavailable: 503, ticketing.KindInvalid: 422, ticketing.KindNotFound: 404,
		ticketing.KindConflict: 409, ticketing.KindDenied: 403, ticketing.KindTooLarge: 413,
	} {
		if got := Status(k); got != want {
			t.Errorf("kind %d: %d, want %d", k, got, want)
		}
	}
}

// What a list counts is what a ticket shows, the notes of the desk among them.
func TestListCountsEntries(t *testing.T) {
	o := newOffice(t)
	o.post("ticket.state", `{"ticket":"support#1","state":"closed"}`)
	_, listed := o.post("ticket.list", `{}`)
	_, shown := o.post("ticket.show", `{"ticket":"support#1"}`)
	entries, _ := shown[0]["comments"].([]any)
	if len(entries) != 2 || entries[1].(map[string]any)["kind"] != "system" {
		t.Fatalf("entries: %v", entries)
	}
	if listed[0]["entries"] != 2.0 {
		t.Errorf("the list says %v", listed[0])
	}
}

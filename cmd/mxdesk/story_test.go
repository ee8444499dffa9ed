package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"

	"github.com/mxdesk/mxdesk/auth/dns"
	"github.com/mxdesk/mxdesk/queue/queuetest"
	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/memdb"
)

// story is the whole App in a bubble of virtual time: memory store, pipes for
// connections, a zone file for name servers, scripted servers for next hops.
type story struct {
	*App
	t       *testing.T
	net     *pipeNet
	mx      *queuetest.Net
	logs    *syncBuffer
	dns     *growingZone
	jump    atomic.Int64 // how far the clock is from the time of the bubble
	engine  store.Engine
	stopped bool
}

// growingZone is a zone to which TXT records are added while it is asked, and
// that may get a bug.
type growingZone struct {
	dns.Resolver
	mu      sync.Mutex
	added   map[string]string
	crashes bool
}

func (z *growingZone) crash() {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.crashes = true
}

func (z *growingZone) add(name, text string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.added[name] = text
}

func (z *growingZone) TXT(ctx context.Context, name string) ([]string, bool, error) {
	z.mu.Lock()
	text, crashes := z.added[name], z.crashes
	z.mu.Unlock()
	if crashes {
		panic("a bug")
	}
	if text != "" {
		return []string{text}, false, nil
	}
	return z.Resolver.TXT(ctx, name)
}

// lasting is an engine that can be read after its end.
type lasting struct{ store.Engine }

func (lasting) Close() error { return nil }

const zone = `{
  "customer.test": [["MX", [10, "mx.customer.test"]], ["TXT", "v=spf1 ip4:192.0.2.1 -all"]],
  "mx.customer.test": [["A", "192.0.2.25"]],
  "_dmarc.customer.test": [["TXT", "v=DMARC1; p=reject"]],
  "plain.test": [["MX", [10, "mx.plain.test"]]],
  "mx.plain.test": [["A", "192.0.2.26"]],
  "2.0.0.127.bl.test": [["A", "127.0.0.2"]],
  "77.2.0.192.bl.test": [["A", "127.0.0.3"], ["TXT", "see https://bl.test/192.0.2.77"]]
}`

// tell runs a story in a bubble.
func tell(t *testing.T, f func(s *story)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := newStory(t, dir)
		defer s.stop()
		f(s)
	})
}

func newStory(t *testing.T, dir string) *story {
	t.Helper()
	z, err := dns.ParseZone([]byte(zone))
	if err != nil {
		t.Fatal(err)
	}
	s := &story{t: t, net: &pipeNet{listeners: map[string]*pipeListener{}}, mx: &queuetest.Net{}, logs: &syncBuffer{},
		dns: &growingZone{Resolver: z, added: map[string]string{}}, engine: lasting{memdb.New(memdb.Options{})}}
	cfg := DefaultConfig()
	cfg.Data, cfg.Hostname, cfg.File = dir, "desk.test", "story.toml"
	cfg.Queue.Relay = "mx"
	cfg.SMTP.Trusted = []string{"192.0.2.1"}
	cfg.Auth.Lists, cfg.Auth.HelpURL = []string{"bl.test weight=5 refuse"}, "https://desk.test/why#{reason}"
	app, err := NewApp(t.Context(), cfg, Parts{
		Engine: s.engine, Resolver: s.dns, Dialer: s.mx, Listen: s.net.listen,
		Admin: func(string) (net.Listener, error) { return s.net.listen("unix", "admin") },
		Log:   slog.New(slog.NewTextHandler(s.logs, nil)),
		Now:   func() time.Time { return time.Now().Add(time.Duration(s.jump.Load())) },
	})
	if err != nil {
		t.Fatal(err)
	}
	s.App = app
	if _, err := app.Desk.CreateProject(t.Context(), "support", []string{"support@desk.test"}); err != nil {
		t.Fatal(err)
	}
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.logs.String())
		}
	})
	return s
}

func (s *story) stop() {
	s.t.Helper()
	if s.stopped {
		return
	}
	s.stopped = true
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := s.Drain(ctx); err != nil {
		s.t.Errorf("drain: %v", err)
	}
}

// send delivers a message from a client address and returns the reply to its
// last command.
func (s *story) send(client, from, to, message string) string {
	s.t.Helper()
	conn, err := s.net.dial(s.cfg.SMTP.Listen[0], client)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	c := textproto.NewConn(conn)
	last := ""
	for _, step := range []string{"", "EHLO mx.customer.test", "MAIL FROM:<" + from + ">", "RCPT TO:<" + to + ">", "DATA"} {
		if step != "" {
			if err := c.PrintfLine("%s", step); err != nil {
				s.t.Fatal(err)
			}
		}
		code, text, err := c.ReadResponse(0)
		last = fmt.Sprintf("%d %s", code, text)
		if err != nil || code >= 400 {
			return last
		}
	}
	w := c.DotWriter()
	io.WriteString(w, strings.ReplaceAll(message, "\n", "\r\n"))
	w.Close()
	code, text, err := c.ReadResponse(0)
	if err != nil {
		s.t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", code, text)
}

func (s *story) thread(ref string) *ticketing.Thread {
	s.t.Helper()
	r, err := ticketing.ParseRef(ref)
	if err != nil {
		s.t.Fatal(err)
	}
	th, err := s.Desk.Thread(s.t.Context(), r)
	if err != nil {
		s.t.Fatal(err)
	}
	return th
}

// metric returns the sum of all samples of a metric whose line starts so.
func (s *story) metric(prefix string) (sum float64) {
	s.t.Helper()
	families, err := s.Registry.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	var text bytes.Buffer
	for _, f := range families {
		expfmt.MetricFamilyToText(&text, f)
	}
	for line := range strings.Lines(text.String()) {
		if !strings.HasPrefix(line, prefix) {
			continue
		}
		var v float64
		fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &v)
		sum += v
	}
	return sum
}

func mailText(from, subject, id, extra, body string) string {
	return fmt.Sprintf("From: %s\nTo: support@desk.test\nSubject: %s\nMessage-ID: <%s>\nDate: Sun, 22 Nov 2026 10:00:00 +0000\n%s\n%s\n", from, subject, id, extra, body)
}

func TestStoryTicketAnswerFollowUp(t *testing.T) {
	tell(t, func(s *story) {
		t := s.t
		mx := &queuetest.Server{}
		s.mx.Put("192.0.2.25:25", mx)
		got := s.send("192.0.2.1", "ann@customer.test", "support@desk.test",
			mailText("Ann <ann@customer.test>", "Printer on fire", "1@customer.test", "Cc: Bob <bob@customer.test>\n", "It burns."))
		if !strings.HasPrefix(got, "250 2.6.0 queued as ") {
			t.Fatalf("reply = %q", got)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		th := s.thread("support#1")
		if !th.Entries[0].Verified || th.Entries[0].Auth.SPF.Result != "pass" || th.Entries[0].Auth.DMARC.Result != "pass" {
			t.Errorf("auth = %+v", th.Entries[0].Auth)
		}
		if d := th.Entries[0].Deliveries; len(d) != 1 || d[0].State != ticketing.DeliveryDelivered {
			t.Fatalf("thank-you = %+v", d)
		}
		thanks := string(mx.Messages()[0].Data)
		for _, want := range []string{"Auto-Submitted: auto-replied", "In-Reply-To: <1@customer.test>", "DKIM-Signature: ", "Subject: Re: Printer on fire (#1)"} {
			if !strings.Contains(thanks, want) {
				t.Errorf("thank-you lacks %q:\n%s", want, thanks)
			}
		}
		if strings.Contains(thanks, "It burns") {
			t.Error("automatic mail carries the customer's text")
		}

		if _, err := s.Desk.Reply(t.Context(), ticketing.Ref{Project: "support", IID: 1}, "", "Use *water*."); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		ds := s.thread("support#1").Entries[1].Deliveries
		if len(ds) != 2 || ds[0].State != ticketing.DeliveryDelivered || ds[1].State != ticketing.DeliveryDelivered {
			t.Fatalf("deliveries = %+v", ds)
		}
		token := ""
		for _, o := range ds {
			if o.Recipient.Address == "ann@customer.test" {
				token = o.ReplyTo.Address
			}
		}
		got = s.send("192.0.2.1", "ann@customer.test", token,
			mailText("Ann <ann@customer.test>", "Re: Printer on fire (#1)", "2@customer.test", "", "It helped.\n\nOn Sun, 22 Nov 2026 at 10:04, Mika <support@desk.test> wrote:\n> Use water."))
		if !strings.HasPrefix(got, "250 ") {
			t.Fatalf("reply = %q", got)
		}
		if logs := s.logs.String(); strings.Contains(logs, token) || !strings.Contains(logs, "rcpt="+ticketing.MaskTokens(token)) {
			t.Errorf("reply address %s in the log:\n%s", token, logs)
		}
		th = s.thread("support#1")
		if n := len(th.Entries); n != 3 || th.Entries[2].Body != "It helped." {
			t.Errorf("%d comments, last %q", n, th.Entries[n-1].Body)
		}
	})
}

func TestStoryForgedMailIsRefusedAndTraced(t *testing.T) {
	tell(t, func(s *story) {
		t := s.t
		got := s.send("192.0.2.66", "ann@customer.test", "support@desk.test", mailText("ann@customer.test", "Pay me", "f@customer.test", "", "Now."))
		if !strings.HasPrefix(got, "550 5.7.26") {
			t.Fatalf("reply = %q", got)
		}
		if got := s.send("192.0.2.66", "x@y.test", "nobody@desk.test", ""); !strings.HasPrefix(got, "550 5.1.1") {
			t.Errorf("unknown recipient: %q", got)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		for key, reason := range map[string]string{"f@customer.test": ticketing.ReasonDMARCReject, "nobody@desk.test": "unknown-recipient"} {
			es, err := s.Desk.Trace(t.Context(), key)
			if err != nil || len(es) != 1 || es[0].Decision != ticketing.JournalRejected || es[0].Reason != reason {
				t.Errorf("trace %s = %+v, %v", key, es, err)
			}
		}
		ts, err := s.Desk.Tickets(t.Context(), ticketing.TicketFilter{})
		if err != nil || len(ts) != 0 {
			t.Errorf("tickets = %v, %v", ts, err)
		}
	})
}

// The journal has the very reply that the client heard, our own faults
// included.
func TestStoryJournalHasTheReply(t *testing.T) {
	tell(t, func(s *story) {
		s.dns.crash()
		got := s.send("192.0.2.66", "ann@customer.test", "support@desk.test", mailText("ann@customer.test", "Hello", "1@customer.test", "", "Hi."))
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		es, err := s.Desk.Trace(s.t.Context(), "1@customer.test")
		if err != nil || len(es) != 1 || !strings.HasPrefix(got, "451 4.4.5 ") || !strings.HasPrefix(got, fmt.Sprintf("%d %s ", es[0].Code, es[0].Enhanced)) {
			s.t.Errorf("reply %q, journal %+v, %v", got, es, err)
		}
	})
}

func TestStoryListedClientsAndPolicies(t *testing.T) {
	tell(t, func(s *story) {
		t := s.t
		text := func(from, id string) string { return mailText(from, "Hello", id, "", "Hi.") }
		got := s.send("192.0.2.77", "ann@plain.test", "support@desk.test", text("ann@plain.test", "1@plain.test"))
		if !strings.HasPrefix(got, "550 5.7.1 ") || !strings.Contains(got, "see https://bl.test/192.0.2.77; see https://desk.test/why#listed (id ") {
			t.Errorf("listed client: %q", got)
		}
		if err := s.Desk.SetDomainPolicy(t.Context(), "desk.test", ticketing.PolicyHold); err != nil {
			t.Fatal(err)
		}
		if got := s.send("192.0.2.66", "ann@customer.test", "support@desk.test", text("ann@customer.test", "2@customer.test")); !strings.HasPrefix(got, "250 ") {
			t.Errorf("forged mail under hold: %q", got)
		}
		if held, err := s.Desk.HeldMail(t.Context(), 0); err != nil || len(held) != 1 || held[0].Reason != ticketing.ReasonDMARCReject {
			t.Errorf("held = %+v, %v", held, err)
		}
		if err := s.Desk.SetProjectPolicy(t.Context(), "support", ticketing.PolicyAnnotate); err != nil {
			t.Fatal(err)
		}
		if got := s.send("192.0.2.77", "ann@plain.test", "support@desk.test", text("ann@plain.test", "3@plain.test")); !strings.HasPrefix(got, "250 ") {
			t.Errorf("listed client under annotate: %q", got)
		}
		c := s.thread("support#1").Entries[0]
		if c.Verified || c.Auth.Verdict.Reason != ticketing.ReasonListed || len(c.Auth.Lists.Hits) != 1 || c.Auth.IPRev.Result != "permerror" {
			t.Errorf("verdict on the ticket = %+v", c.Auth)
		}
		if n := s.metric(`mxdesk_dnsbl_lookups_total{list="bl.test",result="hit"}`); n != 2 {
			t.Errorf("%v hits counted, want 2", n)
		}
	})
}

// What waits is as true in a scrape as the moment before.
func TestStoryQueueAtEachScrape(t *testing.T) {
	tell(t, func(s *story) {
		t := s.t
		s.mx.Put("192.0.2.25:25", &queuetest.Server{Script: queuetest.Replies(map[string]string{"RCPT": "451 4.2.1 come back later"})})
		s.send("192.0.2.1", "ann@customer.test", "support@desk.test", mailText("ann@customer.test", "Hello", "1@customer.test", "", "Hi."))
		time.Sleep(time.Second)
		synctest.Wait()
		now := scrape(t, s.App)
		if begun, next := now("mxdesk_queue_oldest_timestamp_seconds"), now("mxdesk_queue_next_due_timestamp_seconds"); begun == 0 || next < begun+60 {
			t.Errorf("a copy waits since %v until %v, say the metrics", begun, next)
		}
		s.depth(0, 1)
		if done, err := s.Desk.Cancel(t.Context(), ticketing.Selection{Domain: "customer.test"}); err != nil || len(done) != 1 || done[0].Err != nil {
			t.Fatalf("cancel: %+v, %v", done, err)
		}
		if at := scrape(t, s.App)("mxdesk_queue_oldest_timestamp_seconds"); at != 0 {
			t.Errorf("nothing waits, and the metrics say since %v", at)
		}
		s.depth(0, 0)
	})
}

// However often an operator asks for a retry, the mail waits no longer than
// after its first attempt.
func TestStoryRetriesBeginAnew(t *testing.T) {
	tell(t, func(s *story) {
		t := s.t
		s.mx.Put("192.0.2.25:25", &queuetest.Server{Script: queuetest.Replies(map[string]string{"RCPT": "451 4.2.1 come back later"})})
		s.send("192.0.2.1", "ann@customer.test", "support@desk.test", mailText("ann@customer.test", "Hello", "1@customer.test", "", "Hi."))
		for range 6 {
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if done, err := s.Desk.Retry(t.Context(), ticketing.Selection{All: true}); err != nil || len(done) != 1 || done[0].Err != nil {
				t.Fatalf("retry: %+v, %v", done, err)
			}
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		copies, err := s.Desk.Outgoing(t.Context(), "", 0)
		if err != nil || len(copies) != 1 || copies[0].Tries != 7 || time.Until(copies[0].Due) > 6*time.Minute {
			t.Errorf("copies = %+v, %v", copies, err)
		}
	})
}

// depth fails the test unless a scrape counts so many copies.
func (s *story) depth(pending, deferred int) {
	s.t.Helper()
	want := fmt.Sprintf("# HELP mxdesk_queue_depth Outgoing copies by state.\n# TYPE mxdesk_queue_depth gauge\n"+
		"mxdesk_queue_depth{state=\"deferred\"} %d\nmxdesk_queue_depth{state=\"pending\"} %d\n", deferred, pending)
	if err := testutil.GatherAndCompare(s.scraped(), strings.NewReader(want), "mxdesk_queue_depth"); err != nil {
		s.t.Error(err)
	}
}

func TestStoryDaysOfRetries(t *testing.T) {
	tell(t, func(s *story) {
		t := s.t
		mx := &queuetest.Server{Script: queuetest.Replies(map[string]string{"RCPT": "451 4.2.1 come back later"})}
		s.mx.Put("192.0.2.25:25", mx)
		s.send("192.0.2.1", "ann@customer.test", "support@desk.test", mailText("ann@customer.test", "Hello", "1@customer.test", "", "Hi."))
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		d := s.thread("support#1").Entries[0].Deliveries[0]
		if d.State != ticketing.DeliveryDeferred || d.Tries < 4 {
			t.Fatalf("after 2 hours: %s after %d tries", d.State, d.Tries)
		}
		time.Sleep(6 * 24 * time.Hour)
		synctest.Wait()
		th := s.thread("support#1")
		d = th.Entries[0].Deliveries[0]
		if d.State != ticketing.DeliveryFailed || d.Attempts[len(d.Attempts)-1].Code != 451 {
			t.Errorf("after 6 days: %s, %+v", d.State, d.Attempts[len(d.Attempts)-1])
		}
		last := th.Entries[len(th.Entries)-1]
		if last.Kind != ticketing.CommentSystem || !strings.Contains(last.Body, "could not be delivered") {
			t.Errorf("the ticket does not tell: %q", last.Body)
		}
		if n := len(mx.Messages()); n != 0 {
			t.Errorf("%d mails taken", n)
		}
	})
}

func TestStoryEveryMetricMoves(t *testing.T) {
	tell(t, func(s *story) {
		t := s.t
		s.mx.Put("192.0.2.25:25", &queuetest.Server{})
		s.send("192.0.2.1", "ann@customer.test", "support@desk.test", mailText("ann@customer.test", "Hello", "1@customer.test", "", "Hi."))
		s.send("192.0.2.66", "ann@customer.test", "support@desk.test", mailText("ann@customer.test", "Forged", "2@customer.test", "", "Hi."))
		s.send("192.0.2.1", "ann@customer.test", "nobody@desk.test", "")
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, m := range []string{
			"mxdesk_smtp_connections_total", "mxdesk_smtp_rejections_total", "mxdesk_smtp_transactions_total", "mxdesk_smtp_message_bytes_count",
			"mxdesk_auth_results_total{mechanism=\"spf\",result=\"pass\"}", "mxdesk_auth_results_total{mechanism=\"dmarc\",result=\"fail\"}",
			"mxdesk_auth_seconds_count", "mxdesk_intake_messages_total", "mxdesk_intake_seconds_count", "mxdesk_tickets_total{event=\"created\"}",
			"mxdesk_queue_deliveries_total", "mxdesk_queue_attempts_total", "mxdesk_store_batches_total{result=\"ok\"}",
			"mxdesk_store_batch_closures_count", "mxdesk_store_commit_seconds_count", "mxdesk_intake_last_taken_timestamp_seconds",
		} {
			if s.metric(m) == 0 {
				t.Errorf("%s did not move", m)
			}
		}
		if problems, err := testutil.GatherAndLint(s.Registry); err != nil || len(problems) > 0 {
			t.Errorf("lint of the metrics: %v, %v", problems, err)
		}
	})
}

// pipeNet is a network of pipes by listen address.
type pipeNet struct {
	mu        sync.Mutex
	listeners map[string]*pipeListener
}

func (n *pipeNet) listen(_, address string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	n.listeners[address] = l
	return l, nil
}

func (n *pipeNet) dial(address, client string) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[address]
	n.mu.Unlock()
	if l == nil {
		return nil, errors.New("nobody listens on " + address)
	}
	ours, theirs := net.Pipe()
	select {
	case l.conns <- pipeEnd{theirs, client}:
		return ours, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

type pipeListener struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2525} }

// pipeEnd is the server's end of a pipe with the client's address on it.
type pipeEnd struct {
	net.Conn
	client string
}

func (p pipeEnd) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(p.client), Port: 40000} }

// syncBuffer is a log that goroutines share.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

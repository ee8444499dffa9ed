package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/server/api"
	"github.com/mxdesk/mxdesk/ticketing"
)

// rounds is how often a fault is repeated.
func rounds() int {
	if n, err := strconv.Atoi(os.Getenv("ROUNDS")); err == nil && n > 0 {
		return n
	}
	return 3
}

// sender is an honest mail server: it sends one message after the other, each
// until it is answered 250, and keeps what was answered.
type sender struct {
	addr string
	lmtp bool
	name string

	mu      sync.Mutex
	taken   []string // Message-IDs answered 250, the first of each ticket followed by its follow-ups
	ids     []string // of their transactions, as the replies told them
	sent    int      // messages begun
	retries int
	refused []string // replies 5xx: never right here
	replies map[string]int
}

// follows is how many messages make one ticket: the first opens it, the others
// answer the first.
const follows = 3

func (s *sender) run(ctx context.Context) {
	s.replies = map[string]int{}
	var c *client
	defer func() {
		if c != nil {
			c.close()
		}
	}()
	for ctx.Err() == nil {
		id, text := s.message(s.sent)
		s.sent++
		done := false
		for !done && ctx.Err() == nil {
			c, done = s.try(c, id, text)
		}
		if done && s.sent%8 == 0 { // as if the reply had been lost
			if c, done = s.try(c, id, text); done {
				s.mu.Lock()
				s.taken, s.ids = s.taken[:len(s.taken)-1], slices.Delete(s.ids, len(s.ids)-2, len(s.ids)-1)
				s.mu.Unlock()
			}
		}
	}
}

// message is the nth message of the sender. Every tenth is large.
func (s *sender) message(n int) (id, text string) {
	from := fmt.Sprintf("%s@customer.test", s.name)
	id = fmt.Sprintf("%s.%d@customer.test", s.name, n)
	body := strings.Repeat("words of message "+id+"\n", 1+n%7)
	if n%10 == 9 {
		body = strings.Repeat(body, 400)
	}
	text = letter(from, "support@desk.test", "Load "+id, id, body)
	if first := n - n%follows; first != n {
		text = fmt.Sprintf("In-Reply-To: <%s.%d@customer.test>\r\n", s.name, first) + text
	}
	return id, text
}

func (s *sender) try(c *client, id, text string) (*client, bool) {
	var err error
	if c == nil {
		if c, err = dial(s.addr, s.lmtp); err != nil {
			time.Sleep(20 * time.Millisecond)
			return nil, false
		}
	}
	c.conn.SetDeadline(time.Now().Add(20 * time.Second))
	got, err := c.deliver(s.name+"@customer.test", "support@desk.test", text)
	if err == nil && strings.HasPrefix(got, "250 ") {
		s.mu.Lock()
		s.taken, s.ids = append(s.taken, id), append(s.ids, got[strings.LastIndexByte(got, ' ')+1:])
		s.mu.Unlock()
		return c, true
	}
	s.retries++
	c.close()
	if err == nil {
		s.replies[strings.Join(strings.Fields(got)[:2], " ")]++
		if got[0] == '5' {
			s.refused = append(s.refused, got)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil, false
}

// load is some senders at work.
type load struct {
	senders []*sender
	wg      sync.WaitGroup
	stop    context.CancelFunc
}

var senderNumber atomic.Int64

func startLoad(t *testing.T, d *desk) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{stop: cancel}
	for i := range 9 {
		s := &sender{addr: d.SMTP, name: fmt.Sprintf("s%d", senderNumber.Add(1))}
		switch i % 3 {
		case 1:
			s.addr, s.lmtp = d.LMTP, true
		case 2:
			s.addr, s.lmtp = d.Socket, true
		}
		l.senders = append(l.senders, s)
		l.wg.Go(func() { s.run(ctx) })
	}
	t.Cleanup(l.end)
	return l
}

// end lets the senders finish.
func (l *load) end() {
	l.stop()
	l.wg.Wait()
}

// count is how many messages have been taken.
func (l *load) count() (n int) {
	for _, s := range l.senders {
		s.mu.Lock()
		n += len(s.taken)
		s.mu.Unlock()
	}
	return n
}

// check compares what the senders were promised with what the desk has.
func (l *load) check(t *testing.T, d *desk) (taken, retries int) {
	t.Helper()
	have, promised := d.messages(), map[string]bool{}
	for _, s := range l.senders {
		taken, retries = taken+len(s.taken), retries+s.retries
		for _, r := range s.refused {
			t.Fatalf("%s: an honest mail was refused: %s", s.name, r)
		}
		for n, id := range s.taken {
			var e api.Transaction
			if n%5 == 0 && (d.admin("trace", api.NameRequest{Name: s.ids[n]}, &e) != nil || e.ID != s.ids[n] || e.MessageID != id) {
				t.Errorf("%s was answered %q, of which the journal knows %+v", id, s.ids[n], e)
			}
			switch places := have[id]; {
			case len(places) == 0:
				t.Errorf("%s was answered 250 and is lost", id)
			case len(places) > 1:
				t.Errorf("%s is there %d times: %v", id, len(places), places)
			case n%follows != 0 && !slices.Equal(places, have[s.taken[n-n%follows]]):
				t.Errorf("%s went to %s, what it answers is in %s", id, places[0], have[s.taken[n-n%follows]])
			}
			promised[id] = true
		}
	}
	// What is left was taken without our having seen the 250: at most the one
	// message that each sender had in the air when it was told to stop.
	for id, places := range have {
		last := slices.ContainsFunc(l.senders, func(s *sender) bool {
			return id == fmt.Sprintf("%s.%d@customer.test", s.name, s.sent-1)
		})
		if !promised[id] && l.owns(id) && (!last || len(places) > 1) {
			t.Errorf("%s is there without being promised: %v", id, places)
		}
	}
	return taken, retries
}

func (l *load) owns(id string) bool {
	return slices.ContainsFunc(l.senders, func(s *sender) bool { return strings.HasPrefix(id, s.name+".") })
}

// messages maps each Message-ID to the tickets in which it is a comment, once
// for each comment; every comment must have whole text.
func (d *desk) messages() map[string][]string {
	d.t.Helper()
	have := map[string][]string{}
	for _, tk := range decode[api.Ticket](d, "ticket", "list", "--limit", "0") {
		ref := fmt.Sprintf("%s#%d", tk.Project, tk.IID)
		for _, c := range d.thread(ref).Comments {
			if c.Kind == ticketing.CommentSystem || c.FromAgent {
				continue
			}
			have[c.MessageID] = append(have[c.MessageID], ref)
			if !strings.HasPrefix(c.Body, "words of message ") && strings.Contains(c.MessageID, "@customer.test") {
				d.t.Errorf("%s, comment %d has no whole text: %q", ref, c.ID, tail(c.Body, 200))
			}
		}
	}
	return have
}

// thread is ticket show without the cost of a process.
func (d *desk) thread(ref string) api.Thread {
	d.t.Helper()
	var out api.Thread
	if err := d.admin("ticket.show", api.TicketRequest{Ticket: ref}, &out); err != nil {
		d.t.Fatalf("ticket.show %s: %v", ref, err)
	}
	return out
}

// admin asks the admin socket as the commands do and reads one answer.
func (d *desk) admin(call string, req, answer any) error {
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			return api.Dial(filepath.Join(d.Data, "run"))
		},
	}}
	body, err := json.Marshal(req)
	if err != nil {
		return err
	}
	resp, err := client.Post("http://mxdesk/"+call, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("%s: %s", resp.Status, text)
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}

const customerZone = `customer.test. TXT "v=spf1 ip4:127.0.0.1 -all"
customer.test. MX 10 mx.customer.test.
mx.customer.test. A 127.0.0.1
_dmarc.customer.test. TXT "v=DMARC1; p=none"`

// loadedDesk is a running desk with project support that is fit for load.
func loadedDesk(t *testing.T, extra string) *desk {
	t.Helper()
	bin := needs(t)
	server, _ := nameServer(t, customerZone)
	d := newDesk(t, bin, fmt.Sprintf("dns.servers = [%q]\nlog.level = \"warn\"\n%s", server, extra))
	d.start()
	d.project("support", "support@desk.test")
	return d
}

func TestRealKill(t *testing.T) {
	d := loadedDesk(t, "")
	l := startLoad(t, d)
	for range rounds() {
		time.Sleep(time.Duration(300+rand.IntN(1500)) * time.Millisecond)
		if code := d.stop(syscall.SIGKILL); code != -1 {
			t.Fatalf("exit %d, not killed:\n%s", code, tail(d.log.String(), 2000))
		}
		d.start()
	}
	time.Sleep(300 * time.Millisecond)
	l.end()
	taken, retries := l.check(t, d)
	t.Logf("%d kills: %d messages answered 250, each there once; %d retries", rounds(), taken, retries)
	if taken < 20*rounds() || retries == 0 {
		t.Error("too little for a proof")
	}
}

func TestRealStopUnderLoad(t *testing.T) {
	d := loadedDesk(t, "")
	l := startLoad(t, d)
	for range rounds() {
		time.Sleep(time.Duration(300+rand.IntN(700)) * time.Millisecond)
		began := time.Now()
		code := d.stop(syscall.SIGTERM)
		if took := time.Since(began); code != 0 || took > drainTime {
			t.Errorf("exit %d after %s:\n%s", code, took, tail(d.log.String(), 2000))
		}
		d.start()
	}
	time.Sleep(300 * time.Millisecond)
	l.end()
	taken, retries := l.check(t, d)
	t.Logf("%d stops: %d messages answered 250, each there once; %d retries", rounds(), taken, retries)
	if taken < 20*rounds() {
		t.Error("too little for a proof")
	}
}

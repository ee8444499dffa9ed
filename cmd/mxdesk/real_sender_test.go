package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// sender is an honest mail server: it sends one message after the other, each
// until it is answered 250, and keeps what was answered.
type sender struct {
	addr  string
	lmtp  bool
	name  string
	bulk  int  // every so many messages one of nearly 1 MiB, 0 = none
	fresh bool // every ticket from a domain of its own, which no cache knows

	mu      sync.Mutex
	taken   []promise // in order: the first of each ticket, then its follow-ups
	invites []invite  // answers of the desk that wait to be answered
	now     promise   // the message under way
	retries int
	refused []string       // replies 5xx: never right here
	replies map[string]int // replies 4xx
	slowest time.Duration  // from the end of a message to its reply
}

// promise is a message that was answered 250.
type promise struct {
	n      int
	id     string // Message-ID
	queued string // id in the reply
	answer invite // the copy that it answers, if any
}

// invite is a copy from the desk that asks for an answer.
type invite struct {
	to     string // reply address
	ticket string
	id     string // Message-ID
}

// follows is how many messages make one ticket: the first opens it, the others
// answer the first.
const follows = 3

// replyTime bounds what an honest mail server waits for: RFC 5321 says ten
// minutes, a test has less time.
const replyTime = 50 * time.Second

// run sends until the context ends. What was under way then is sent again by
// the next run, as mail servers do.
func (s *sender) run(ctx context.Context) {
	var c *client
	defer func() {
		if c != nil {
			c.close()
		}
	}()
	for ctx.Err() == nil {
		if s.now.id == "" {
			s.next()
		}
		text := s.message(s.now)
		var queued string
		for queued == "" && ctx.Err() == nil {
			c, queued = s.try(c, text)
		}
		if queued != "" && s.now.n%8 == 7 { // as if the reply had been lost
			if c, queued = s.try(c, text); queued == "" {
				continue
			}
		}
		if queued != "" {
			s.keep(queued)
		}
	}
}

// next chooses the message to send: an answer to the desk where one waits.
func (s *sender) next() {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.taken)
	s.now = promise{n: n, id: fmt.Sprintf("%s.%d@%s", s.name, n, s.domain(n))}
	if len(s.invites) > 0 && n%follows == 1 {
		s.now.answer, s.invites = s.invites[0], s.invites[1:]
	}
}

func (s *sender) keep(queued string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.queued = queued
	s.taken, s.now = append(s.taken, s.now), promise{}
}

func (s *sender) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.taken)
}

// domain is where the nth message comes from.
func (s *sender) domain(n int) string {
	if s.fresh {
		return fmt.Sprintf("%s-%d.customer.test", s.name, n/follows)
	}
	return "customer.test"
}

func (s *sender) address(n int) string { return s.name + "@" + s.domain(n) }

// body is the text of a message, which is known from its Message-ID alone.
func (s *sender) body(id string) string {
	local, _, _ := strings.Cut(id, "@")
	n, _ := strconv.Atoi(local[strings.LastIndexByte(local, '.')+1:])
	line := "words of message " + id + "\n"
	switch {
	case s.bulk > 0 && n%s.bulk == 0:
		return strings.Repeat(line, 950_000/len(line))
	case n%10 == 9:
		return strings.Repeat(line, 400)
	}
	return strings.Repeat(line, 1+n%7)
}

func (s *sender) message(p promise) string {
	to, reference := "support@desk.test", ""
	if first := p.n - p.n%follows; first != p.n {
		reference = fmt.Sprintf("%s.%d@%s", s.name, first, s.domain(first))
	}
	if p.answer.to != "" {
		to, reference = p.answer.to, p.answer.id
	}
	text := letter(s.address(p.n), to, "Load "+p.id, p.id, s.body(p.id))
	if reference != "" {
		text = "In-Reply-To: <" + reference + ">\r\n" + text
	}
	return text
}

// try sends the message under way once, and returns the id of the 250.
func (s *sender) try(c *client, text string) (*client, string) {
	var err error
	if c == nil {
		if c, err = dial(s.addr, s.lmtp); err != nil {
			time.Sleep(20 * time.Millisecond)
			return nil, ""
		}
	}
	c.conn.SetDeadline(time.Now().Add(replyTime))
	to := "support@desk.test"
	if s.now.answer.to != "" {
		to = s.now.answer.to
	}
	began := time.Now()
	got, err := c.deliver(s.address(s.now.n), to, text)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slowest = max(s.slowest, time.Since(began))
	if err == nil && strings.HasPrefix(got, "250 ") {
		return c, got[strings.LastIndexByte(got, ' ')+1:]
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
	return nil, ""
}

// invited hands a copy from the desk to the sender it is for.
func (s *sender) invited(i invite) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.invites) < 3 {
		s.invites = append(s.invites, i)
	}
}

// load is some senders, and an agent who answers them.
type load struct {
	d       *desk
	senders []*sender
	agent   *agent
	wg      sync.WaitGroup
	halt    context.CancelFunc
}

var senderNumber atomic.Int64

// newLoad makes nine senders over three roads; bulk and fresh as sender has them.
func newLoad(d *desk, bulk int, fresh bool) *load {
	l := &load{d: d, agent: &agent{d: d, kept: map[string]string{}}, halt: func() {}}
	for i := range 9 {
		s := &sender{addr: d.SMTP, name: fmt.Sprintf("s%d", senderNumber.Add(1)), bulk: bulk, fresh: fresh, replies: map[string]int{}}
		switch i % 3 {
		case 1:
			s.addr, s.lmtp = d.LMTP, true
		case 2:
			s.addr, s.lmtp = d.Socket, true
		}
		l.senders = append(l.senders, s)
	}
	return l
}

// start sets everybody to work, until end.
func (l *load) start() {
	ctx, cancel := context.WithCancel(context.Background())
	l.halt = cancel
	for _, s := range l.senders {
		l.wg.Go(func() { s.run(ctx) })
	}
	l.wg.Go(func() { l.agent.run(ctx) })
}

// end lets everybody finish what they are at.
func (l *load) end() {
	l.halt()
	l.wg.Wait()
}

// count is how many messages have been taken.
func (l *load) count() (n int) {
	for _, s := range l.senders {
		n += s.count()
	}
	return n
}

// more waits until the senders have got n more messages in.
func (l *load) more(t *testing.T, n int) {
	t.Helper()
	want := l.count() + n
	eventually(t, replyTime, fmt.Sprintf("%d more messages", n), func() error {
		if got := l.count(); got < want {
			return fmt.Errorf("%d of %d", got, want)
		}
		return nil
	})
}

// again waits until every sender has got a message in from here on: the first
// is the one that was under way.
func (l *load) again(t *testing.T) {
	t.Helper()
	defer late(t, "mail of everybody", time.Now())
	before := map[*sender]int{}
	for _, s := range l.senders {
		before[s] = s.count()
	}
	eventually(t, replyTime, "mail of everybody", func() error {
		for _, s := range l.senders {
			if n := s.count(); n == before[s] {
				return fmt.Errorf("%s has not got one in since its %d", s.name, n)
			}
		}
		return nil
	})
}

// sender finds who has an address.
func (l *load) sender(address string) *sender {
	local, _, _ := strings.Cut(address, "@")
	i := slices.IndexFunc(l.senders, func(s *sender) bool { return s.name == local })
	if i < 0 {
		return nil
	}
	return l.senders[i]
}

func pause(least, most time.Duration) { time.Sleep(least + rand.N(most-least+1)) }

package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/queue/queuetest"
	"github.com/mxdesk/mxdesk/server/api"
)

// agent answers tickets through the admin socket. When a call fails it looks
// whether the answer is there before it writes it again, as people do.
type agent struct {
	d *desk

	mu   sync.Mutex
	n    int
	kept map[string]string // mark of an answer -> ticket
}

func (a *agent) run(ctx context.Context) {
	for ctx.Err() == nil {
		time.Sleep(30 * time.Millisecond)
		var newest []api.Ticket
		if err := a.d.adminLines("ticket.list", api.ListRequest{Limit: 30}, &newest); err != nil || len(newest) == 0 {
			continue
		}
		t := newest[rand.IntN(len(newest))]
		ticket := fmt.Sprintf("%s#%d", t.Project, t.IID)
		a.mu.Lock()
		a.n++
		mark := fmt.Sprintf("MARK-%d-OF-%s-END", a.n, ticket)
		a.mu.Unlock()
		for !a.answer(ctx, ticket, mark) {
			if ctx.Err() != nil && a.d.readyz() == 0 {
				return
			}
		}
	}
}

// answer writes an answer and tells whether it is kept.
func (a *agent) answer(ctx context.Context, ticket, mark string) bool {
	var done api.Done
	err := a.d.admin("ticket.reply", api.TicketRequest{Ticket: ticket, Body: "The answer is " + mark}, &done)
	for err != nil {
		var th api.Thread
		if a.d.admin("ticket.show", api.TicketRequest{Ticket: ticket}, &th) == nil {
			if !holds(th, mark) {
				return false
			}
			break
		}
		if ctx.Err() != nil && a.d.readyz() == 0 {
			return false
		}
		time.Sleep(30 * time.Millisecond)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.kept[mark] = ticket
	return true
}

func holds(th api.Thread, mark string) bool {
	return slices.ContainsFunc(th.Comments, func(c api.Comment) bool { return strings.Contains(c.Body, mark) })
}

// check wants every answer that was kept once, on its ticket, with a copy to
// the requester.
func (a *agent) check(t *testing.T, threads map[string]api.Thread) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	found := map[string]int{}
	for ref, th := range threads {
		for _, c := range th.Comments {
			mark := markIn(c.Body)
			if mark == "" || !c.FromAgent {
				continue
			}
			found[mark]++
			if kept, ok := a.kept[mark]; ok && kept != ref {
				t.Errorf("answer %s is on %s", mark, ref)
			}
			if !slices.ContainsFunc(c.Deliveries, func(o api.Delivery) bool { return o.Recipient == th.Requester }) {
				t.Errorf("answer %s has no copy for %s: %+v", mark, th.Requester, c.Deliveries)
			}
		}
	}
	for mark := range a.kept {
		if found[mark] != 1 {
			t.Errorf("answer %s was kept and is there %d times", mark, found[mark])
		}
	}
	for mark, n := range found {
		if _, ok := a.kept[mark]; n > 1 || !ok && mark != fmt.Sprintf("MARK-%d-OF-%s", a.n, mark[strings.Index(mark, "-OF-")+4:]) {
			t.Errorf("answer %s is there %d times, kept: %v", mark, n, ok)
		}
	}
}

var markPattern = regexp.MustCompile(`MARK-\d+-OF-(\S+?)-END`)

func markIn(text string) string { return markPattern.FindString(text) }

// hop is the next hop of all outgoing mail. It keeps what it answered 250.
type hop struct {
	*queuetest.Server
	addr string
	act  atomic.Pointer[queuetest.Script] // nil: a good server
}

// newHop runs a next hop until the test ends. What it takes is told to heard.
func newHop(t *testing.T) *hop {
	h := &hop{}
	h.Server = &queuetest.Server{Script: func(e queuetest.Event) queuetest.Action {
		if act := h.act.Load(); act != nil {
			return (*act)(e)
		}
		return queuetest.Action{}
	}}
	h.addr = h.Listen(t)
	return h
}

// behave changes what the hop does; nil is good.
func (h *hop) behave(s queuetest.Script) {
	if s == nil {
		h.act.Store(nil)
		return
	}
	h.act.Store(&s)
}

// copyKey tells copies apart.
type copyKey struct{ recipient, id string }

func copyOf(m queuetest.Message) (copyKey, *mail.Message) {
	msg, err := mail.ReadMessage(bytes.NewReader(m.Data))
	if err != nil {
		return copyKey{}, nil
	}
	to := m.To[strings.IndexByte(m.To, '<')+1:]
	return copyKey{to[:strings.IndexByte(to, '>')], strings.Trim(msg.Header.Get("Message-Id"), "<>")}, msg
}

// invite hands answers that the hop has taken since the nth mail to their
// recipients, and returns how many mails it has now.
func (l *load) invite(h *hop, n int) int {
	all := h.Messages()
	for _, m := range all[n:] {
		key, msg := copyOf(m)
		mark := markPattern.FindSubmatch(m.Data)
		s := l.sender(key.recipient)
		if msg == nil || mark == nil || s == nil || s.fresh {
			continue
		}
		to, err := mail.ParseAddress(msg.Header.Get("Reply-To"))
		if err == nil {
			s.invited(invite{to: to.Address, ticket: string(mark[1]), id: key.id})
		}
	}
	return len(all)
}

// gap is a time without a server: what the next hop had before and after it.
type gap struct{ from, to int }

// between tells whether one of two mails may have been sent before the gap, and
// the other after it.
func (g gap) between(first, second int) bool { return first < g.to && second >= g.from }

// check compares the copies of the desk with what the hop has: each is there,
// with the same bytes where it came twice, and nothing else is.
func (h *hop) check(t *testing.T, copies []api.Outgoing, later bool) {
	t.Helper()
	got := map[copyKey]bool{}
	for _, m := range h.Messages() {
		key, _ := copyOf(m)
		got[key] = true
	}
	for _, c := range copies {
		key := copyKey{c.Recipient, c.MessageID}
		switch {
		case c.State == "delivered" && !got[key]:
			t.Errorf("the copy %s for %s is delivered, the next hop has none", c.MessageID, c.Recipient)
		case c.State != "delivered" && !(later && c.State == "deferred" && c.Due != nil):
			t.Errorf("the copy %s for %s is %s after %+v", c.MessageID, c.Recipient, c.State, c.Attempts)
		}
		delete(got, key)
	}
	for key := range got {
		t.Errorf("the next hop has a mail %s for %s of which the desk knows nothing", key.id, key.recipient)
	}
}

// checkTwice wants copies that came again to have the same bytes, to be at most
// so many, and, where gaps are known, to have come before and after one.
func (h *hop) checkTwice(t *testing.T, most int, gaps []gap) {
	t.Helper()
	all, latest, twice := h.Messages(), map[copyKey]int{}, 0
	for i, m := range all {
		key, _ := copyOf(m)
		before, again := latest[key]
		latest[key] = i
		if !again {
			continue
		}
		twice++
		if !bytes.Equal(m.Data, all[before].Data) {
			t.Errorf("the copy %s for %s came twice, with other bytes", key.id, key.recipient)
		}
		if len(gaps) > 0 && !slices.ContainsFunc(gaps, func(g gap) bool { return g.between(before, i) }) {
			t.Errorf("the copy %s for %s came twice, and the server lived all the time", key.id, key.recipient)
		}
	}
	if twice > most {
		t.Errorf("%d copies came twice, at most %d may", twice, most)
	}
}

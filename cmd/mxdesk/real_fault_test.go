package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/server/api"
	"github.com/mxdesk/mxdesk/ticketing"
)

// fault is one way to hurt a desk under load. After each round everything that
// was promised must hold.
type fault struct {
	name string
	hurt func(w *trial) // one round; it ends with a server that runs and is well
	slow int            // one round where the others have so many; 0 = 1

	settings string            // TOML
	disk     bool              // the data lie on a small disk
	bulk     int               // every so many messages one of 1 MiB
	fresh    bool              // every ticket from another domain
	twice    bool              // each round may send copies twice: it ends the process
	later    bool              // copies may wait for a later attempt
	within   time.Duration     // of every reply; 0 = replyTime
	tempfail func(string) bool // which replies 4xx are right; nil = all
}

// trial is a desk under load, with its neighbours.
type trial struct {
	*testing.T
	fault
	d    *desk
	dns  *slowDNS
	hop  *hop
	load *load
	hurts,
	kills, amid, // kills, and those before what was at work was through
	invited int
	gaps []gap // by kills
}

// newTrial starts a desk with project support and its neighbours.
func newTrial(t *testing.T, f fault) *trial {
	t.Helper()
	bin := needs(t)
	server, _ := nameServer(t, customerZone)
	w := &trial{T: t, fault: f, dns: newSlowDNS(t, server), hop: newHop(t)}
	w.d = newDesk(t, bin, fmt.Sprintf("dns.servers = [%q]\nlog.level = \"warn\"\nqueue.relay = \"smtp://%s\"\n%s", w.dns.addr, w.hop.addr, f.settings))
	if f.disk {
		smallDisk(t, w.d.Data)
		// The mount is undone after the server has ended.
		t.Cleanup(func() { w.d.stop(syscall.SIGKILL) })
	}
	w.d.start()
	w.d.project("support", "support@desk.test")
	w.load = newLoad(w.d, f.bulk, f.fresh)
	return w
}

// round hurts the desk once, under load, and checks everything.
func (w *trial) round() {
	w.load.start()
	defer w.load.end()
	w.hurts++
	w.hurt(w)
	w.load.again(w.T)
	w.load.end()
	w.quiet()
	w.check()
	w.invited = w.load.invite(w.hop, w.invited)
}

// quiet waits until the queue has nothing left to do.
func (w *trial) quiet() {
	w.Helper()
	eventually(w.T, 90*time.Second, "the end of the queue", func() error {
		for _, state := range []string{"pending", "deferred"} {
			var left []api.Outgoing
			if err := w.d.adminLines("queue.list", api.NameRequest{State: state, Limit: 5}, &left); err != nil {
				return err
			}
			if len(left) > 0 && !(w.later && state == "deferred") {
				return fmt.Errorf("%d copies and more are %s: %+v", len(left), state, left[0].Attempts)
			}
		}
		return nil
	})
}

// check compares the whole desk with the journals of its neighbours.
func (w *trial) check() {
	w.Helper()
	threads := w.d.threads()
	w.load.check(w.T, threads)
	w.load.agent.check(w.T, threads)
	var copies []api.Outgoing
	if err := w.d.adminLines("queue.list", api.NameRequest{}, &copies); err != nil {
		w.Fatal(err)
	}
	twice := 0
	if w.twice {
		twice = 20 * w.hurts // as many connections has a next hop
	}
	w.hop.check(w.T, copies, w.later)
	w.hop.checkTwice(w.T, twice, w.gaps)
	w.d.verify(w.d.Data)
	for _, s := range w.load.senders {
		if w.within > 0 && s.slowest > w.within {
			w.Errorf("%s waited %s for a reply, at most %s is right", s.name, s.slowest, w.within)
		}
		for r := range s.replies {
			if w.tempfail != nil && !w.tempfail(r) {
				w.Errorf("reply %q to an honest mail", r)
			}
		}
	}
	if w.Failed() {
		w.FailNow()
	}
}

// finish stops the desk and looks at what it leaves on the disk.
func (w *trial) finish() tally {
	w.Helper()
	if code := w.d.stop(syscall.SIGTERM); code != 0 {
		w.Errorf("exit %d after SIGTERM:\n%s", code, tail(w.d.log.String(), 2000))
	}
	w.d.verify(w.d.Data)
	sum := tally{rounds: w.hurts, kills: w.kills, amid: w.amid, taken: w.load.count(), answers: len(w.load.agent.kept), replies: map[string]int{}}
	for _, s := range w.load.senders {
		sum.retries += s.retries
		for r, n := range s.replies {
			sum.replies[r] += n
		}
		sum.slowest = max(sum.slowest, s.slowest)
		for _, p := range s.taken {
			if p.answer.to != "" {
				sum.answered++
			}
		}
	}
	seen := map[copyKey]bool{}
	for _, m := range w.hop.Messages() {
		key, _ := copyOf(m)
		if sum.copies++; seen[key] {
			sum.twice++
		}
		seen[key] = true
	}
	return sum
}

// readers is how many tickets are read at once.
const readers = 4

// threads reads every ticket.
func (d *desk) threads() map[string]api.Thread {
	d.t.Helper()
	var tickets []api.Ticket
	if err := d.adminLines("ticket.list", api.ListRequest{}, &tickets); err != nil {
		d.t.Fatal(err)
	}
	read, errs := make([]api.Thread, len(tickets)), make([]error, len(tickets))
	var wg sync.WaitGroup
	for first := range readers {
		wg.Go(func() {
			for i := first; i < len(tickets); i += readers {
				errs[i] = d.admin("ticket.show", api.TicketRequest{Ticket: reference(tickets[i])}, &read[i])
			}
		})
	}
	wg.Wait()
	out := map[string]api.Thread{}
	for i, tk := range tickets {
		if errs[i] != nil {
			d.t.Fatalf("ticket.show %s: %v", reference(tk), errs[i])
		}
		out[reference(tk)] = read[i]
	}
	return out
}

func reference(t api.Ticket) string { return fmt.Sprintf("%s#%d", t.Project, t.IID) }

// messages maps each Message-ID to the tickets in which it is a comment, once
// for each comment.
func messages(threads map[string]api.Thread) map[string][]string {
	have := map[string][]string{}
	for ref, th := range threads {
		for _, c := range th.Comments {
			if c.Kind != ticketing.CommentSystem && !c.FromAgent {
				have[c.MessageID] = append(have[c.MessageID], ref)
			}
		}
	}
	return have
}

// check compares what the senders were promised with what the desk has.
func (l *load) check(t *testing.T, threads map[string]api.Thread) {
	t.Helper()
	have, known := messages(threads), map[string]bool{}
	for _, s := range l.senders {
		for _, r := range s.refused {
			t.Fatalf("%s: an honest mail was refused: %s", s.name, r)
		}
		for _, p := range s.taken {
			known[p.id] = true
			l.checkPromise(t, s, p, have)
		}
		// What was not promised may be there: the reply did not arrive.
		known[s.now.id] = true
		if places := have[s.now.id]; len(places) > 1 {
			t.Errorf("%s is there %d times: %v", s.now.id, len(places), places)
		}
	}
	for ref, th := range threads {
		for _, c := range th.Comments {
			local, _, _ := strings.Cut(c.MessageID, ".")
			s := l.sender(local)
			if s == nil || c.FromAgent {
				continue
			}
			if !known[c.MessageID] {
				t.Errorf("%s is on %s without being promised", c.MessageID, ref)
			}
			if want := strings.TrimSpace(s.body(c.MessageID)); strings.TrimSpace(c.Body) != want {
				t.Errorf("%s has %d octets of text, %d were sent: %q", c.MessageID, len(c.Body), len(want), tail(c.Body, 200))
			}
		}
	}
}

func (l *load) checkPromise(t *testing.T, s *sender, p promise, have map[string][]string) {
	t.Helper()
	places := have[p.id]
	first := s.taken[p.n-p.n%follows]
	switch {
	case len(places) == 0:
		t.Errorf("%s was answered 250 and is lost", p.id)
	case len(places) > 1:
		t.Errorf("%s is there %d times: %v", p.id, len(places), places)
	case p.answer.to != "" && places[0] != p.answer.ticket:
		t.Errorf("%s went to %s, it answers a mail of %s", p.id, places[0], p.answer.ticket)
	case p.answer.to == "" && p.n%follows != 0 && !slices.Equal(places, have[first.id]):
		t.Errorf("%s went to %s, what it answers is in %s", p.id, places[0], have[first.id])
	}
	if p.n%10 != 0 {
		return
	}
	var e api.Transaction
	if err := l.d.admin("trace", api.NameRequest{Name: p.queued}, &e); err != nil || e.ID != p.queued || e.MessageID != p.id {
		t.Errorf("%s was answered %q, of which the journal knows %+v, %v", p.id, p.queued, e, err)
	}
}

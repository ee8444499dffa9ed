package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
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
	invited int
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
	before := w.load.count()
	eventually(w.T, replyTime, "mail after the fault", func() error {
		if n := w.load.count() - before; n < 9 {
			return fmt.Errorf("%d messages taken", n)
		}
		return nil
	})
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
	w.hop.check(w.T, copies, twice, w.later)
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
	sum := tally{rounds: w.hurts, taken: w.load.count(), answers: len(w.load.agent.kept), replies: map[string]int{}}
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

// tally is what one fault or more have shown.
type tally struct {
	rounds, taken, retries, answers, answered, copies, twice int
	replies                                                  map[string]int
	slowest                                                  time.Duration
}

func (a *tally) add(b tally) {
	a.rounds, a.taken, a.retries = a.rounds+b.rounds, a.taken+b.taken, a.retries+b.retries
	a.answers, a.answered = a.answers+b.answers, a.answered+b.answered
	a.copies, a.twice = a.copies+b.copies, a.twice+b.twice
	a.slowest = max(a.slowest, b.slowest)
	for r, n := range b.replies {
		if a.replies == nil {
			a.replies = map[string]int{}
		}
		a.replies[r] += n
	}
}

// row is a line of the table in docs/proof.md.
func (a tally) row(name string) string {
	var replies []string
	for r, n := range a.replies {
		replies = append(replies, fmt.Sprintf("%d× `%s`", n, r))
	}
	slices.Sort(replies)
	return fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %d | %d | %s |", name, a.rounds, a.taken, a.retries, a.answers, a.answered, a.copies, a.twice, strings.Join(replies, ", "))
}

const tallyHead = "| fault | rounds | answered `250` | tried again | agents' answers | answered by mail | copies sent | of them twice | replies 4xx |\n|---|---|---|---|---|---|---|---|---|"

// rounds is how often a fault is repeated.
func rounds() int {
	if n, err := strconv.Atoi(os.Getenv("ROUNDS")); err == nil && n > 0 {
		return n
	}
	return 3
}

// deadline is when the faults should be through, zero without MINUTES.
func deadline() time.Time {
	n, err := strconv.Atoi(os.Getenv("MINUTES"))
	if err != nil || n <= 0 {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(n) * time.Minute)
}

// trialRounds is how many rounds one desk lives: what it holds is checked whole
// after each.
const trialRounds = 15

// TestRealFault hurts desks in every way of the table, ROUNDS times each, and
// for at most MINUTES together.
func TestRealFault(t *testing.T) {
	needs(t, "strace", "knotd")
	var table []string
	end, list := deadline(), faults()
	for i, f := range list {
		share := time.Time{}
		if !end.IsZero() {
			share = time.Now().Add(time.Until(end) / time.Duration(len(list)-i))
		}
		t.Run(f.name, func(t *testing.T) {
			sum := repeat(t, f, (rounds()+max(f.slow, 1)-1)/max(f.slow, 1), share)
			table = append(table, sum.row(f.name))
			t.Logf("%+v", sum)
		})
	}
	t.Logf("\n%s\n%s", tallyHead, strings.Join(table, "\n"))
}

// repeat runs n rounds of a fault, fewer when its time is over.
func repeat(t *testing.T, f fault, n int, end time.Time) (sum tally) {
	began, told := time.Now(), time.Now()
	over := func() bool { return sum.rounds >= n || !end.IsZero() && sum.rounds > 0 && time.Now().After(end) }
	for !over() {
		t.Run(fmt.Sprintf("from%d", sum.rounds+1), func(t *testing.T) {
			w := newTrial(t, f)
			for w.hurts == 0 || w.hurts < min(trialRounds, n-sum.rounds) && (end.IsZero() || time.Now().Before(end)) {
				w.round()
				if done := sum.rounds + w.hurts; time.Since(told) > 15*time.Second {
					told = time.Now()
					each := time.Since(began) / time.Duration(done)
					t.Logf("%s: round %d of %d, %.1f s each, %s left", f.name, done, n, each.Seconds(), (each * time.Duration(n-done)).Round(time.Second))
				}
			}
			sum.add(w.finish())
		})
		if t.Failed() {
			return sum
		}
	}
	return sum
}

// threads reads every ticket.
func (d *desk) threads() map[string]api.Thread {
	d.t.Helper()
	var tickets []api.Ticket
	if err := d.adminLines("ticket.list", api.ListRequest{}, &tickets); err != nil {
		d.t.Fatal(err)
	}
	out := map[string]api.Thread{}
	for _, tk := range tickets {
		ref := fmt.Sprintf("%s#%d", tk.Project, tk.IID)
		out[ref] = d.thread(ref)
	}
	return out
}

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

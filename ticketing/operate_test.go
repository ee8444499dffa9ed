package ticketing_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/store/badgerdb"
)

// onEngines runs a test on each engine.
func onEngines(t *testing.T, test func(t *testing.T, w *world)) {
	t.Run("memdb", func(t *testing.T) { test(t, newWorld(t)) })
	t.Run("badgerdb", func(t *testing.T) {
		db, err := badgerdb.Open(t.TempDir(), badgerdb.Options{})
		if err != nil {
			t.Fatal(err)
		}
		test(t, newWorldOn(t, db, ticketing.PolicyInherit))
	})
}

// waiting makes a copy for each name and brings it into the state that it is
// called after, and returns their ids: those that wait longest due in an hour.
func (w *world) waiting(names ...string) map[string]string {
	w.t.Helper()
	ids := map[string]string{}
	for _, name := range names {
		to := name + "@" + name + ".test"
		w.receive(mailing{from: to, subject: name, text: name, id: name + "@x"})
		if name == "pending" {
			continue
		}
		state := ticketing.DeliveryState(name)
		for _, o := range w.claim("q", 24*time.Hour) {
			if o.Recipient.Address != to || name == "claimed" {
				continue
			}
			if err := w.Record(w.t.Context(), o.ID, "q", ticketing.Attempt{At: w.now, Text: "as it was"}, state, w.now.Add(time.Hour)); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	os, err := w.Outgoing(w.t.Context(), "", 0)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, o := range os {
		name, _, _ := strings.Cut(o.Recipient.Address, "@")
		ids[name] = o.ID
	}
	return ids
}

// done says in one line for each copy what became of it.
func done(ids map[string]string, all []ticketing.CopyDone, err error) string {
	if err != nil {
		return ticketing.AsError(err).Reason
	}
	var lines []string
	for _, c := range all {
		name := "?"
		for n, id := range ids {
			if id == c.ID {
				name = n
			}
		}
		if c.Err != nil {
			name += ":" + ticketing.AsError(c.Err).Reason
		}
		lines = append(lines, name)
	}
	return strings.Join(lines, " ")
}

func TestRetry(t *testing.T) {
	states := []string{"delivered", "failed", "captured", "claimed", "deferred", "pending"}
	for _, tc := range []struct {
		s    ticketing.Selection
		want string
		due  string // what can be claimed afterwards
	}{
		{ticketing.Selection{IDs: []string{"deferred"}}, "deferred", "deferred pending"},
		{ticketing.Selection{IDs: []string{"pending", "claimed", "delivered", "deferred", "deferred"}}, "pending claimed delivered:final deferred", "deferred pending"},
		{ticketing.Selection{IDs: []string{"failed", "captured", "nobody"}}, "failed:final captured:final ?:outgoing-message-not-found", "pending"},
		{ticketing.Selection{All: true}, "deferred", "deferred pending"},
		{ticketing.Selection{Domain: "Deferred.Test."}, "deferred", "deferred pending"},
		{ticketing.Selection{Domain: "claimed.test"}, "", "pending"},
		{ticketing.Selection{Domain: "test"}, "", "pending"},
		{ticketing.Selection{}, "bad-selection", "pending"},
		{ticketing.Selection{IDs: []string{"deferred"}, All: true}, "bad-selection", "pending"},
		{ticketing.Selection{All: true, Domain: "deferred.test"}, "bad-selection", "pending"},
		{ticketing.Selection{Domain: "<>"}, "bad-domain", "pending"},
	} {
		t.Run(fmt.Sprintf("%+v", tc.s), func(t *testing.T) {
			w := newWorld(t)
			ids := w.waiting(states...)
			for i, name := range tc.s.IDs {
				if id := ids[name]; id != "" {
					tc.s.IDs[i] = strings.ToUpper(id)
				}
			}
			all, err := w.Retry(t.Context(), tc.s)
			if got := done(ids, all, err); got != tc.want {
				t.Errorf("retry: %s, want %s", got, tc.want)
			}
			w.sound()
			var due []string
			for _, o := range w.claim("q", time.Hour) {
				due = append(due, strings.Split(o.Recipient.Address, "@")[0])
				if o.Subject == "Re: deferred (#5)" && o.Tries != 1 {
					t.Errorf("%d tries", o.Tries)
				}
			}
			slices.Sort(due)
			if got := strings.Join(due, " "); got != tc.due {
				t.Errorf("due: %s, want %s", got, tc.due)
			}
		})
	}
}

func TestCancel(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		ids := w.waiting("delivered", "failed", "claimed", "deferred", "pending")
		all, err := w.Cancel(t.Context(), ticketing.Selection{IDs: []string{ids["pending"], ids["claimed"], ids["delivered"], ids["failed"], "none", ids["deferred"]}})
		if got, want := done(ids, all, err), "pending claimed:being-sent delivered:final failed:final ?:outgoing-message-not-found deferred"; got != want {
			t.Errorf("cancel: %s, want %s", got, want)
		}
		for name, tries := range map[string]int{"pending": 0, "deferred": 1} {
			o, err := w.OutgoingByID(t.Context(), ids[name])
			if err != nil {
				t.Fatal(err)
			}
			last := o.Attempts[len(o.Attempts)-1]
			if o.State != ticketing.DeliveryCancelled || o.Tries != tries || len(o.Attempts) != tries+1 || last.Text != "cancelled by the operator" || !last.At.Equal(w.now) {
				t.Errorf("%s is now %+v", name, o)
			}
			es := w.thread(o.Ref).Entries
			if c := es[len(es)-1]; c.Kind != ticketing.CommentSystem || c.Body != "The mail to "+o.Recipient.Address+" was cancelled by the operator" {
				t.Errorf("last comment = %+v", c)
			}
		}
		if again, err := w.Cancel(t.Context(), ticketing.Selection{IDs: []string{ids["pending"]}}); done(ids, again, err) != "pending:final" {
			t.Errorf("cancelled twice: %+v, %v", again, err)
		}
		if all, err := w.Retry(t.Context(), ticketing.Selection{IDs: []string{ids["pending"]}}); done(ids, all, err) != "pending:final" {
			t.Errorf("a cancelled copy comes back: %+v, %v", all, err)
		}
		w.now = w.now.Add(48 * time.Hour)
		if due := w.claim("q", time.Hour); len(due) != 1 || due[0].ID != ids["claimed"] {
			t.Errorf("due are %+v", due)
		}
		w.sound()
	})
}

func TestCancelOfADomain(t *testing.T) {
	w := newWorld(t)
	ids := w.waiting("delivered", "claimed", "deferred", "pending")
	for domain, want := range map[string]string{
		"claimed.test": "claimed:being-sent", "deferred.test": "deferred", "delivered.test": "", "pending": "", "": "bad-selection",
	} {
		all, err := w.Cancel(t.Context(), ticketing.Selection{Domain: domain})
		if got := done(ids, all, err); got != want {
			t.Errorf("cancel for %q: %s, want %s", domain, got, want)
		}
	}
	if d, err := w.Depth(t.Context()); err != nil || d[ticketing.DeliveryPending] != 2 || d[ticketing.DeliveryDeferred] != 0 {
		t.Errorf("waiting: %v, %v", d, err)
	}
}

// Many large tickets are no reason for a transaction that is too large.
func TestOperationsComeInPieces(t *testing.T) {
	w := newWorld(t)
	for i := range 4 {
		in := w.monster("support@desk.test")
		in.Message.MessageID = fmt.Sprintf("%d@x", i)
		if out := w.Receive(t.Context(), in)[0]; out.Err != nil {
			t.Fatal(out.Err)
		}
		w.reply(fmt.Sprintf("support#%d", i+1), "x")
	}
	n := len(w.copies())
	if n < 300 {
		t.Fatalf("%d copies", n)
	}
	for i, do := range []func() ([]ticketing.CopyDone, error){
		func() ([]ticketing.CopyDone, error) {
			w.putOff()
			return w.Retry(t.Context(), ticketing.Selection{All: true})
		},
		func() ([]ticketing.CopyDone, error) { return w.Cancel(t.Context(), ticketing.Selection{All: true}) },
	} {
		all, err := do()
		if err != nil {
			t.Fatal(i, err)
		}
		if len(all) != n || slices.ContainsFunc(all, func(c ticketing.CopyDone) bool { return c.Err != nil }) {
			t.Errorf("%d: %d of %d copies, or not all of them", i, len(all), n)
		}
	}
	if rows := w.rows("out.due"); len(rows) != 0 {
		t.Errorf("%d copies wait", len(rows))
	}
	w.sound()
}

// putOff has an attempt at everything that is due fail.
func (w *world) putOff() {
	w.t.Helper()
	for {
		os := w.claim("q", time.Hour)
		if len(os) == 0 {
			return
		}
		for _, o := range os {
			if err := w.Record(w.t.Context(), o.ID, "q", ticketing.Attempt{}, ticketing.DeliveryDeferred, w.now.Add(2*time.Hour)); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// A copy is sent once or cancelled, whatever queue and operators do at once.
func TestCancelledIsNeverSent(t *testing.T) { onEngines(t, race) }

func race(t *testing.T, w *world) {
	for i := range 60 {
		from := fmt.Sprintf("%d@c%d.test", i, i)
		w.receive(mailing{from: from, subject: from, text: from, id: from, aligned: true})
	}
	ids := w.waiting()
	var mu sync.Mutex
	cancelled, sent := map[string]bool{}, map[string]int{}
	var all sync.WaitGroup
	for q := range 4 {
		rnd := rand.New(rand.NewPCG(uint64(q), 1))
		all.Go(func() {
			for {
				os, err := w.Claim(t.Context(), w.now, fmt.Sprint("q", q), 3, time.Hour)
				if err != nil {
					t.Error(err)
					return
				}
				for _, o := range os {
					state := ticketing.DeliveryDeferred
					if rnd.IntN(4) == 0 {
						state = ticketing.DeliveryDelivered
					}
					mu.Lock()
					if cancelled[o.ID] {
						t.Errorf("%s is sent, and is cancelled", o.Recipient.Address)
					}
					if state == ticketing.DeliveryDelivered {
						sent[o.ID]++
					}
					mu.Unlock()
					if err := w.Record(t.Context(), o.ID, fmt.Sprint("q", q), ticketing.Attempt{}, state, w.now.Add(time.Hour)); err != nil {
						t.Errorf("record: %v", err)
					}
				}
				mu.Lock()
				over := len(cancelled)+len(sent) >= len(ids) || t.Failed()
				mu.Unlock()
				if over {
					return
				}
			}
		})
	}
	all.Go(func() {
		for left := len(ids); left > 0 && !t.Failed(); {
			if _, err := w.Retry(t.Context(), ticketing.Selection{All: true}); err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			left = len(ids) - len(cancelled) - len(sent)
			mu.Unlock()
		}
	})
	all.Go(func() {
		for _, id := range ids {
			c, err := w.Cancel(t.Context(), ticketing.Selection{IDs: []string{id}})
			if err != nil {
				t.Error(err)
				return
			}
			if c[0].Err == nil {
				mu.Lock()
				cancelled[id] = true
				mu.Unlock()
			}
		}
	})
	all.Wait()
	for id, n := range sent {
		if n > 1 || cancelled[id] {
			t.Errorf("%s was sent %d times, cancelled: %v", id, n, cancelled[id])
		}
	}
	if len(cancelled) == 0 || len(sent) == 0 {
		t.Errorf("%d cancelled, %d sent: nothing was tried", len(cancelled), len(sent))
	}
	w.sound()
}

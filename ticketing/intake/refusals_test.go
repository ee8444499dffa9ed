package intake

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/memdb"
)

func refusalFrom(client string, at time.Time) ticketing.Refusal {
	return ticketing.Refusal{
		Envelope:  ticketing.Envelope{ID: ticketing.NewID(at), ReceivedAt: at, Client: netip.AddrPortFrom(netip.MustParseAddr(client), 25)},
		Recipient: "nobody@desk.test", Stage: "rcpt", Code: 550, Reason: "unknown-recipient",
	}
}

func newIntake(t *testing.T, now func() time.Time, v Verifier, s Store) (*Intake, *ticketing.Desk, *store.DB) {
	t.Helper()
	db := store.Open(memdb.New(memdb.Options{}), store.Options{RunTwice: true, Now: now})
	desk := ticketing.New(db, ticketing.Options{Now: now})
	if _, err := desk.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := desk.CreateProject(t.Context(), "support", []string{"support@desk.test"}); err != nil {
		t.Fatal(err)
	}
	if s == nil {
		s = db
	}
	return New(desk, s, v, Options{Now: now, Reply: reply}), desk, db
}

func TestFloodOfOneClientIsFolded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, desk, db := newIntake(t, time.Now, nil, nil)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { in.Run(ctx); close(done) }()
		for range 500 {
			in.Refused(refusalFrom("192.0.2.1", time.Now()))
		}
		in.Refused(refusalFrom("192.0.2.2", time.Now()))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		check := func(when string, client string, want int) []*ticketing.JournalEntry {
			t.Helper()
			es, err := desk.Trace(t.Context(), client)
			if err != nil || len(es) != want {
				t.Errorf("%s: %d entries of %s, %v; want %d", when, len(es), client, err, want)
			}
			return es
		}
		check("after two seconds", "192.0.2.1", 60)
		check("after two seconds", "192.0.2.2", 1)
		time.Sleep(time.Minute)
		synctest.Wait()
		es := check("after the minute", "192.0.2.1", 61)
		sum := 0
		for _, e := range es {
			sum += max(e.Count, 1)
		}
		if sum != 500 {
			t.Errorf("the entries count %d refusals, want 500", sum)
		}
		// A new window, ended by the stop.
		for range 70 {
			in.Refused(refusalFrom("192.0.2.3", time.Now()))
		}
		stop()
		<-done
		if es := check("after the end", "192.0.2.3", 61); len(es) > 0 && max(es[0].Count, es[len(es)-1].Count) > 10 {
			t.Errorf("counts = %d, %d", es[0].Count, es[len(es)-1].Count)
		}
		db.Close(context.Background())
	})
}

func TestRefusalsOfOneTransactionHaveTheirOwnIDs(t *testing.T) {
	now := time.Now()
	r := newRefusals(func() time.Time { return now })
	one := refusalFrom("192.0.2.1", now).Entry()
	for range 200 {
		r.add(one)
	}
	seen := make(map[string]bool)
	for _, e := range r.take(true) {
		if seen[e.ID] || !bytes.HasPrefix([]byte(e.ID), []byte(one.ID+".")) {
			t.Errorf("id %s", e.ID)
		}
		seen[e.ID] = true
	}
	if len(seen) != perClient+1 || len(r.clients) != 0 {
		t.Errorf("%d entries, %d clients left", len(seen), len(r.clients))
	}
}

func TestRefusalsAreBounded(t *testing.T) {
	now := time.Now()
	r := newRefusals(func() time.Time { return now })
	dropped := 0
	for i := range maxClients + 5000 {
		if !r.add(refusalFrom(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), now).Entry()) {
			dropped++
		}
	}
	if len(r.clients) > maxClients || len(r.pending) > maxPending || dropped != 5000 {
		t.Errorf("%d clients, %d pending, %d dropped", len(r.clients), len(r.pending), dropped)
	}
	e := refusalFrom("10.0.0.0", now)
	e.Envelope.Recipients = make([]ticketing.Recipient, 1000)
	if n := len(e.Entry().RcptTo); n > 101 {
		t.Errorf("an entry has %d recipients", n)
	}
}

// reply answers 451 to what may come again, else 550, and tells the reason.
func reply(err error) (code int, enhanced string) {
	e := ticketing.AsError(err)
	if e.Temporary() {
		return 451, "4 " + e.Reason
	}
	return 550, "5 " + e.Reason
}

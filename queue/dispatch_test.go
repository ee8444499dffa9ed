package queue

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/queue/queuetest"
	"github.com/mxdesk/mxdesk/ticketing"
)

// TestReuse: mails for one destination share connections, and one that comes
// while a connection idles uses it.
func TestReuse(t *testing.T) {
	mx := &queuetest.Server{}
	synctestWorld(t, mx, func(t *testing.T, w *world) {
		w.o.PerDestination = 1
		for range 5 {
			w.add("a@one.test")
		}
		w.start("mx", nil)
		time.Sleep(4 * time.Second)
		w.add("b@one.test")
		time.Sleep(4 * time.Second)
		if conns := mx.Connections(); conns != 1 || len(mx.Messages()) != 6 {
			t.Errorf("%d connections for %d mails", conns, len(mx.Messages()))
		}
		time.Sleep(2 * time.Second) // the connection has idled for 5 s
		rset, quit := 0, 0
		for _, c := range mx.Commands() {
			switch c {
			case "RSET":
				rset++
			case "QUIT":
				quit++
			}
		}
		if rset != 5 || quit != 1 {
			t.Errorf("%d RSET, %d QUIT in %q", rset, quit, mx.Commands())
		}
		w.add("c@one.test")
		time.Sleep(time.Second)
		w.stop()
		if conns := mx.Connections(); conns != 2 || len(mx.Messages()) != 7 {
			t.Errorf("%d connections for %d mails", conns, len(mx.Messages()))
		}
	})
}

// TestStaleConnection: a connection that died while it idled is replaced within
// the same attempt.
func TestStaleConnection(t *testing.T) {
	for _, a := range []queuetest.Action{{Drop: true}, {Reply: "421 4.4.2 idle too long"}, {Reply: "500 5.5.1 what"}} {
		mx := &queuetest.Server{Script: func(e queuetest.Event) queuetest.Action {
			if e.Verb == "RSET" {
				return a
			}
			return queuetest.Action{}
		}}
		synctestWorld(t, mx, func(t *testing.T, w *world) {
			w.o.PerDestination = 1
			w.add("a@one.test", "b@one.test")
			w.start("mx", nil)
			time.Sleep(time.Second)
			w.stop()
			o := w.box.Get("2")
			if conns := mx.Connections(); conns != 2 || o.State != ticketing.DeliveryDelivered || o.Tries != 1 {
				t.Errorf("%+v: %d connections, %s after %d attempts", a, conns, o.State, o.Tries)
			}
		})
	}
}

// TestSlowDestination: a destination that answers nothing holds up nobody else,
// however much waits for it, and takes no more connections than it may.
func TestSlowDestination(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		slow := &queuetest.Server{Script: func(e queuetest.Event) queuetest.Action { return queuetest.Action{Delay: 4 * time.Minute} }}
		good := &queuetest.Server{}
		w.net.Put("192.0.2.2:25", slow)
		w.net.Put("192.0.2.1:25", good)
		for range 2000 {
			w.box.Add(time.Now(), ticketing.Outgoing{ID: fmt.Sprintf("slow%d", depth(w)), Recipient: ticketing.Person{Address: "a@two.test"}})
		}
		w.start("mx", nil)
		time.Sleep(time.Minute)
		for i := range 100 {
			w.box.Add(time.Now(), ticketing.Outgoing{ID: fmt.Sprintf("good%d", i), Recipient: ticketing.Person{Address: "a@one.test"}})
		}
		start := time.Now()
		time.Sleep(time.Minute)
		got := good.Messages()
		if len(got) != 100 {
			t.Fatalf("%d mails delivered beside the slow destination", len(got))
		}
		if d := got[99].At.Sub(start); d > 2*time.Second {
			t.Errorf("the last one took %v", d)
		}
		if most := w.net.Most("192.0.2.2:25"); most > firstCouriers {
			t.Errorf("%d connections to the slow destination", most)
		}
		w.stop()
	})
}

func depth(w *world) int {
	d, _ := w.box.Depth(w.t.Context())
	return d[ticketing.DeliveryPending]
}

// TestConcurrency: the number of connections grows with success, to the
// destination's limit, and never passes the limit of all.
func TestConcurrency(t *testing.T) {
	for _, tt := range []struct{ all, per, copies, most int }{
		{50, 20, 400, 20},
		{50, 20, 5, 5},
		{8, 20, 400, 8},
		{50, 3, 100, 3},
		{1, 1, 10, 1},
	} {
		t.Run(fmt.Sprintf("%d of %d", tt.per, tt.all), func(t *testing.T) {
			mx := &queuetest.Server{Script: func(e queuetest.Event) queuetest.Action { return queuetest.Action{Delay: 10 * time.Millisecond} }}
			synctestWorld(t, mx, func(t *testing.T, w *world) {
				w.o.Concurrency, w.o.PerDestination = tt.all, tt.per
				for i := range tt.copies {
					w.box.Add(time.Now(), ticketing.Outgoing{ID: fmt.Sprint(i), Recipient: ticketing.Person{Address: "a@one.test"}})
				}
				w.start("mx", nil)
				time.Sleep(time.Hour)
				w.stop()
				if most := w.net.Most("192.0.2.1:25"); most != tt.most || len(mx.Messages()) != tt.copies {
					t.Errorf("%d connections at the same time, want %d; %d mails of %d", most, tt.most, len(mx.Messages()), tt.copies)
				}
			})
		})
	}
}

// TestManyDestinations: with more destinations than connections each gets its
// turn, idle connections make way, and little is held in memory.
func TestManyDestinations(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		mx := &queuetest.Server{}
		w.o.Dialer = toOne{w.net}
		w.o.Resolver = anyDomain{}
		w.net.Put("192.0.2.1:25", mx)
		w.o.Concurrency, w.o.MaxClaimed = 4, 40
		for i := range 500 {
			w.box.Add(time.Now(), ticketing.Outgoing{ID: fmt.Sprint(i), Recipient: ticketing.Person{Address: fmt.Sprintf("a@d%d.test", i%200)}})
		}
		start := time.Now()
		w.start("mx", nil)
		time.Sleep(time.Hour)
		w.stop()
		got := mx.Messages()
		if len(got) != 500 {
			t.Fatalf("%d mails", len(got))
		}
		if d := got[499].At.Sub(start); d > 10*time.Second {
			t.Errorf("idle connections were in the way: %v", d)
		}
		if most := w.net.Most("192.0.2.1:25"); most > 4 {
			t.Errorf("%d connections", most)
		}
	})
}

// TestDownDestination: when a destination cannot be reached, what waits for it
// is not tried one by one.
func TestDownDestination(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.net.Hang("192.0.2.1:25")
		for range 50 {
			w.add("a@one.test")
		}
		w.start("mx", nil)
		time.Sleep(time.Minute)
		w.stop()
		for i := range 50 {
			o := w.box.Get(fmt.Sprint(i + 1))
			if o.State != ticketing.DeliveryDeferred || o.Tries != 1 || o.Attempts[0].Text != "connect: no answer in time" || o.Attempts[0].Host != "mx.one.test [192.0.2.1]" {
				t.Fatalf("%+v", o)
			}
		}
		if n := len(w.net.Dialled()); n > firstCouriers {
			t.Errorf("%d connections", n)
		}
	})
}

// TestIdleMakesWay: an idle connection gives its slot to another destination at
// once.
func TestIdleMakesWay(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		one, two := &queuetest.Server{}, &queuetest.Server{}
		w.net.Put("192.0.2.1:25", one)
		w.net.Put("192.0.2.2:25", two)
		w.o.Concurrency = 1
		w.add("a@one.test")
		w.start("mx", nil)
		time.Sleep(time.Second)
		w.add("a@two.test")
		time.Sleep(time.Second)
		if len(two.Messages()) != 1 {
			t.Error("the other destination waits for an idle connection")
		}
		w.stop()
	})
}

// TestParallelAdd: copies added from many goroutines all leave.
func TestParallelAdd(t *testing.T) {
	mx := &queuetest.Server{}
	synctestWorld(t, mx, func(t *testing.T, w *world) {
		w.start("mx", nil)
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				for j := range 20 {
					w.box.Add(time.Now(), ticketing.Outgoing{ID: fmt.Sprint(i, j), Recipient: ticketing.Person{Address: "a@one.test"}})
					time.Sleep(time.Duration(i) * 100 * time.Millisecond)
				}
			})
		}
		wg.Wait()
		time.Sleep(time.Minute)
		w.stop()
		if n := len(mx.Messages()); n != 400 {
			t.Errorf("%d mails of 400", n)
		}
	})
}

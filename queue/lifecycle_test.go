package queue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/queue/queuetest"
	"github.com/mxdesk/mxdesk/ticketing"
)

// TestFiveDays: a destination that is down for good is tried on the curve, for
// five days, and then the copy fails. No bounce is written.
func TestFiveDays(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		renders := 0
		w.add("a@one.test") // nobody listens
		start := time.Now()
		w.start("mx", renderFunc(func(ctx context.Context, o ticketing.Outgoing) ([]byte, error) {
			renders++
			return plain(ctx, o)
		}))
		time.Sleep(6 * 24 * time.Hour)
		w.stop()

		o := w.box.Get("1")
		want := []time.Duration{0, 5, 15, 35, 75, 135, 255, 435}
		for i, m := range want {
			if got := o.Attempts[i].At.Sub(start); got < m*time.Minute || got > m*time.Minute+time.Duration(i)*2*time.Second {
				t.Errorf("attempt %d at %v, want %v", i+1, got, m*time.Minute)
			}
		}
		for i := len(want); i < len(o.Attempts)-1; i++ {
			if d := o.Attempts[i].At.Sub(o.Attempts[i-1].At); d < 4*time.Hour || d > 4*time.Hour+2*time.Second {
				t.Errorf("attempt %d after %v, want 4h", i+1, d)
			}
		}
		last := o.Attempts[len(o.Attempts)-1]
		if age := last.At.Sub(start); age < lifetime || age > lifetime+time.Minute {
			t.Errorf("last attempt after %v", age)
		}
		if o.State != ticketing.DeliveryFailed || last.Text != "given up, time ran out: connect: connection refused" || last.Enhanced != "4.4.1" {
			t.Errorf("%s %+v", o.State, last)
		}
		if renders != 1 || len(w.net.Dialled()) != len(o.Attempts) {
			t.Errorf("%d renders, %d connections for %d attempts", renders, len(w.net.Dialled()), len(o.Attempts))
		}
		if d, _ := w.box.Depth(t.Context()); len(d) != 1 {
			t.Errorf("other copies appeared: %v", d)
		}
	})
}

// TestOwnDeadline: the copy's own deadline ends the attempts.
func TestOwnDeadline(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.put(ticketing.Outgoing{Recipient: ticketing.Person{Address: "a@one.test"}, Deadline: time.Now().Add(12 * time.Minute)})
		w.start("mx", nil)
		time.Sleep(time.Hour)
		w.stop()
		if o := w.box.Get("1"); o.State != ticketing.DeliveryFailed || o.Tries != 3 {
			t.Errorf("%s after %d attempts, want 3: at 0, 5 and 12 min", o.State, o.Tries)
		}
	})
}

// TestBackAfterDays: a host that comes back gets the mail with the bytes of
// the first attempt.
func TestBackAfterDays(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.add("a@one.test")
		renders := 0
		w.start("mx", renderFunc(func(context.Context, ticketing.Outgoing) ([]byte, error) {
			renders++
			return fmt.Appendf(nil, "Subject: rendering %d\r\n\r\n", renders), nil
		}))
		time.Sleep(3 * 24 * time.Hour)
		mx := &queuetest.Server{}
		w.net.Put("192.0.2.1:25", mx)
		time.Sleep(5 * time.Hour)
		w.stop()
		got := mx.Messages()
		if len(got) != 1 || string(got[0].Data) != "Subject: rendering 1\r\n\r\n" {
			t.Errorf("%+v", got)
		}
	})
}

// TestCrashBeforeRecord: what a crash hides is sent again, with the same bytes.
func TestCrashBeforeRecord(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		mx := &queuetest.Server{}
		w.net.Put("192.0.2.1:25", mx)
		var mu sync.Mutex
		crashed := true
		w.box.Fail = func(method, _ string) error {
			mu.Lock()
			defer mu.Unlock()
			if crashed && method == "Record" {
				return errors.New("power cut")
			}
			return nil
		}
		w.add("a@one.test")
		w.start("mx", nil)
		time.Sleep(time.Second)
		w.stop() // records nothing
		if _, state := w.last("1"); state != ticketing.DeliveryPending || len(mx.Messages()) != 1 {
			t.Fatalf("%s, %d mails", state, len(mx.Messages()))
		}
		mu.Lock()
		crashed = false
		mu.Unlock()
		w.o.Owner = "node, started again"
		w.start("mx", nil)
		time.Sleep(10 * time.Minute)
		if n := len(mx.Messages()); n != 1 {
			t.Errorf("%d mails: the lease was not waited for", n)
		}
		time.Sleep(time.Hour)
		w.stop()
		got := mx.Messages()
		if _, state := w.last("1"); state != ticketing.DeliveryDelivered || len(got) != 2 || !bytes.Equal(got[0].Data, got[1].Data) {
			t.Errorf("%s, %+v", state, got)
		}
	})
}

// TestRecordRetry: a store that is unwell for some seconds loses nothing and
// causes no second mail.
func TestRecordRetry(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		mx := &queuetest.Server{}
		w.net.Put("192.0.2.1:25", mx)
		well := time.Now().Add(5 * time.Second)
		w.box.Fail = func(method, _ string) error {
			if method == "Record" && time.Now().Before(well) {
				return errors.New("store is unwell")
			}
			return nil
		}
		w.add("a@one.test")
		w.start("mx", nil)
		time.Sleep(time.Hour)
		w.stop()
		if _, state := w.last("1"); state != ticketing.DeliveryDelivered || len(mx.Messages()) != 1 {
			t.Errorf("%s, %d mails", state, len(mx.Messages()))
		}
	})
}

// TestStoreDown: nothing is tried while copies cannot be claimed, and the queue
// goes on by itself.
func TestStoreDown(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		mx := &queuetest.Server{}
		w.net.Put("192.0.2.1:25", mx)
		well := time.Now().Add(10 * time.Minute)
		calls := 0
		w.box.Fail = func(method, _ string) error {
			if time.Now().Before(well) {
				calls++
				return errors.New("store is unwell")
			}
			return nil
		}
		w.box.Add(time.Now(), ticketing.Outgoing{ID: "1", Recipient: ticketing.Person{Address: "a@one.test"}})
		w.start("mx", nil)
		time.Sleep(10*time.Minute + storeRetry)
		w.stop()
		if _, state := w.last("1"); state != ticketing.DeliveryDelivered || calls > 200 {
			t.Errorf("%s, %d calls", state, calls)
		}
	})
}

// TestLeaseLost: who has lost the lease changes nothing any more.
func TestLeaseLost(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		mx := &queuetest.Server{Script: func(e queuetest.Event) queuetest.Action {
			if e.Verb == "END" {
				return queuetest.Action{Delay: 9 * time.Minute}
			}
			return queuetest.Action{}
		}}
		w.net.Put("192.0.2.1:25", mx)
		w.add("a@one.test")
		w.start("mx", nil)
		time.Sleep(time.Minute)
		// Another owner takes over, as if the lease had ended.
		later := time.Now().Add(24 * time.Hour)
		if got, err := w.box.Claim(t.Context(), later, "other", 10, time.Hour); err != nil || len(got) != 1 {
			t.Fatalf("%v, %v", got, err)
		}
		time.Sleep(20 * time.Minute)
		w.stop()
		if o := w.box.Get("1"); o.State != ticketing.DeliveryPending || o.Claim != "other" || len(o.Attempts) != 0 {
			t.Errorf("%+v", o)
		}
	})
}

// TestLateCopy: a copy that has waited so long that its lease could end during
// an attempt is left alone until the lease has ended.
func TestLateCopy(t *testing.T) {
	mx := &queuetest.Server{Script: func(e queuetest.Event) queuetest.Action {
		if e.Verb == "END" && e.N == 1 {
			return queuetest.Action{Delay: 9 * time.Minute}
		}
		return queuetest.Action{}
	}}
	synctestWorld(t, mx, func(t *testing.T, w *world) {
		w.o.PerDestination = 1
		w.add("a@one.test", "b@one.test")
		start := time.Now()
		w.start("mx", nil)
		time.Sleep(time.Hour)
		w.stop()
		got := mx.Messages()
		if len(got) != 2 || got[1].At.Sub(start) < 20*time.Minute || got[1].At.Sub(start) > 22*time.Minute {
			t.Errorf("%+v", got)
		}
		if o := w.box.Get("2"); o.Tries != 1 {
			t.Errorf("%d attempts of the late copy", o.Tries)
		}
	})
}

// TestTwoNodes: two queues over one store send every copy once.
func TestTwoNodes(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		mx := &queuetest.Server{}
		w.net.Put("192.0.2.1:25", mx)
		for range 300 {
			w.add("a@one.test")
		}
		w.start("mx", nil)
		first := w.stop
		w.o.Owner = "second"
		w.start("mx", nil)
		time.Sleep(10 * time.Minute)
		first()
		w.stop()
		seen := map[string]int{}
		for _, m := range mx.Messages() {
			seen[m.From]++
		}
		if len(seen) != 300 || len(mx.Messages()) != 300 {
			t.Errorf("%d copies in %d mails", len(seen), len(mx.Messages()))
		}
	})
}

// TestPanic: a panic costs one attempt of one copy.
func TestPanic(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		mx := &queuetest.Server{}
		w.net.Put("192.0.2.1:25", mx)
		w.o.PerDestination = 1
		w.add("a@one.test", "b@one.test", "c@one.test")
		panics := 1
		w.start("mx", renderFunc(func(ctx context.Context, o ticketing.Outgoing) ([]byte, error) {
			if o.ID == "2" && panics > 0 {
				panics--
				panic("boom")
			}
			return plain(ctx, o)
		}))
		time.Sleep(time.Minute)
		if a, state := w.last("2"); state != ticketing.DeliveryDeferred || a.Text != "internal error" || a.Enhanced != "4.3.0" {
			t.Errorf("%s %+v", state, a)
		}
		if len(mx.Messages()) != 2 {
			t.Errorf("%d of the others were sent", len(mx.Messages()))
		}
		time.Sleep(10 * time.Minute)
		w.stop()
		if _, state := w.last("2"); state != ticketing.DeliveryDelivered {
			t.Error(state)
		}
	})
}

// TestPanicInRecord: a panic of the store leaves the copy to its lease.
func TestPanicInRecord(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		mx := &queuetest.Server{}
		w.net.Put("192.0.2.1:25", mx)
		var once sync.Once
		w.box.Fail = func(method, _ string) error {
			if method == "Record" {
				once.Do(func() { panic("boom") })
			}
			return nil
		}
		w.add("a@one.test")
		w.start("mx", nil)
		time.Sleep(time.Hour)
		w.stop()
		if _, state := w.last("1"); state != ticketing.DeliveryDelivered {
			t.Error(state)
		}
	})
}

// TestRenderErrors: what can never be rendered fails; our own trouble defers.
func TestRenderErrors(t *testing.T) {
	for _, tt := range []struct {
		err   error
		state ticketing.DeliveryState
		text  string
	}{
		{errors.New("secret path"), ticketing.DeliveryDeferred, "render: internal error"},
		{&ticketing.Error{Kind: ticketing.KindUnavailable, Message: "store is down"}, ticketing.DeliveryDeferred, "render: store is down"},
		{&ticketing.Error{Kind: ticketing.KindInvalid, Message: "header with a line break"}, ticketing.DeliveryFailed, "render: header with a line break"},
	} {
		bubble(t, func(t *testing.T, w *world) {
			w.add("a@one.test")
			w.start("mx", renderFunc(func(context.Context, ticketing.Outgoing) ([]byte, error) { return nil, tt.err }))
			time.Sleep(time.Second)
			w.stop()
			if a, state := w.last("1"); state != tt.state || a.Text != tt.text {
				t.Errorf("%s %+v", state, a)
			}
		})
	}
}

// TestDrain: attempts in progress may finish; those that do not are
// interrupted, and what waits is given back.
func TestDrain(t *testing.T) {
	for _, tt := range []struct {
		name  string
		delay time.Duration
		state ticketing.DeliveryState
		text  string
		after time.Duration
	}{
		{"finishes", 10 * time.Second, ticketing.DeliveryDelivered, "taken", 10 * time.Second},
		{"interrupted", 10 * time.Minute, ticketing.DeliveryDeferred, "interrupted: this server is stopping (the mail may have been taken)", 21 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				mx := &queuetest.Server{Script: func(e queuetest.Event) queuetest.Action {
					if e.Verb == "END" {
						return queuetest.Action{Delay: tt.delay}
					}
					return queuetest.Action{}
				}}
				w.net.Put("192.0.2.1:25", mx)
				w.o.PerDestination = 1
				w.add("a@one.test", "b@one.test")
				w.start("mx", nil)
				time.Sleep(time.Second)
				stopped := time.Now()
				w.stop()
				if d := time.Since(stopped); d > tt.after {
					t.Errorf("stopped after %v", d)
				}
				if a, state := w.last("1"); state != tt.state || a.Text != tt.text {
					t.Errorf("first: %s %+v", state, a)
				}
				o := w.box.Get("2")
				if o.State != ticketing.DeliveryDeferred || o.Claim != "" || o.Due.After(time.Now()) ||
					!strings.HasPrefix(o.Attempts[0].Text, "interrupted: ") {
					t.Errorf("second: %+v", o)
				}
			})
		})
	}
}

// TestAttemptTimeout: one attempt never outlasts its lease.
func TestAttemptTimeout(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		mx := &queuetest.Server{Script: func(e queuetest.Event) queuetest.Action {
			return queuetest.Action{Delay: 4 * time.Minute}
		}}
		w.net.Put("192.0.2.1:25", mx)
		w.add("a@one.test")
		start := time.Now()
		w.start("mx", nil)
		time.Sleep(17 * time.Minute)
		w.stop()
		a, state := w.last("1")
		if state != ticketing.DeliveryDeferred || a.Enhanced != "4.4.7" || a.At.Sub(start) != 15*time.Minute {
			t.Errorf("%s %+v", state, a)
		}
	})
}

// TestBusy holds copies back while mail is coming in, and not afterwards.
func TestBusy(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		quiet := time.Now().Add(time.Second)
		w.o.Busy = func() bool { return time.Now().Before(quiet) }
		for range 200 {
			w.add("customer@one.test")
		}
		w.start("capture", nil)
		done := func() (n int) {
			for i := range 200 {
				if w.box.Get(fmt.Sprint(i+1)).State == ticketing.DeliveryCaptured {
					n++
				}
			}
			return n
		}
		time.Sleep(time.Second - busyPause/2)
		if n, most := done(), int(time.Second/busyPause); n < most/2 || n > most {
			t.Errorf("%d copies in a busy second, want up to %d", n, most)
		}
		time.Sleep(time.Second)
		if n := done(); n != 200 {
			t.Errorf("%d copies after a quiet second, want all", n)
		}
		w.stop()
	})
}

package main

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxdesk/mxdesk/queue/queuetest"
	"github.com/mxdesk/mxdesk/ticketing"
)

// TestStoryClockJumps sets the clock forth and back under way. Mail is taken
// once, joins its ticket, and everything that is to go out does.
func TestStoryClockJumps(t *testing.T) {
	for _, jump := range []time.Duration{time.Hour, -time.Hour, 24 * time.Hour, -24 * time.Hour, -3 * 365 * 24 * time.Hour} {
		t.Run(jump.String(), func(t *testing.T) { tell(t, func(s *story) { s.jumps(jump) }) })
	}
}

func (s *story) jumps(by time.Duration) {
	t := s.t
	mx := &queuetest.Server{Script: func(e queuetest.Event) queuetest.Action {
		if e.Verb == "RCPT" && e.N == 1 {
			return queuetest.Action{Reply: "451 4.2.1 come back later"}
		}
		return queuetest.Action{}
	}}
	s.mx.Put("192.0.2.25:25", mx)
	deliver := func(id, extra string) {
		t.Helper()
		for range 2 { // as if the reply had been lost
			got := s.send("192.0.2.1", "ann@customer.test", "support@desk.test", mailText("ann@customer.test", "Hello", id, extra, "Words of "+id+"."))
			if !strings.HasPrefix(got, "250 2.6.0 ") {
				t.Errorf("%s: %s", id, got)
			}
		}
	}
	deliver("1@customer.test", "")
	time.Sleep(time.Minute)
	synctest.Wait() // the thank-you is deferred
	s.jump.Store(int64(by))
	deliver("1@customer.test", "")
	deliver("2@customer.test", "In-Reply-To: <1@customer.test>\n")
	if _, err := s.Desk.Reply(t.Context(), ticketing.Ref{Project: "support", IID: 1}, "", "Use water."); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Minute)
	synctest.Wait()
	deliver("3@customer.test", "In-Reply-To: <1@customer.test>\n")
	s.jump.Store(0)
	deliver("4@customer.test", "In-Reply-To: <1@customer.test>\n")
	time.Sleep(25 * time.Hour)
	synctest.Wait()

	var bodies []string
	for _, e := range s.thread("support#1").Entries {
		bodies = append(bodies, strings.TrimSpace(e.Body))
		for _, d := range e.Deliveries {
			if d.State != ticketing.DeliveryDelivered {
				t.Errorf("the copy of %q is %s after %+v", e.Body, d.State, d.Attempts)
			}
		}
	}
	if got, want := fmt.Sprint(bodies), "[Words of 1@customer.test. Words of 2@customer.test. Use water. Words of 3@customer.test. Words of 4@customer.test.]"; got != want {
		t.Errorf("comments %s", got)
	}
	if n := len(mx.Messages()); n != 2 {
		t.Errorf("%d mails went out, want the thank-you and the answer", n)
	}
}

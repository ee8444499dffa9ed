package load

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// sink is a server that keeps nothing and refuses after so many mails.
type sink struct {
	addr            string
	refuseAfter     int64
	sessions, mails atomic.Int64
	hello           sync.Map
}

func newSink(t *testing.T) *sink {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := &sink{addr: l.Addr().String(), refuseAfter: 1 << 30}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.sessions.Add(1)
			go s.serve(c)
		}
	}()
	return s
}

func (s *sink) serve(c net.Conn) {
	defer c.Close()
	say := func(text string) { fmt.Fprintf(c, "%s\r\n", text) }
	say("220-sink\r\n220 ready")
	for r := bufio.NewReader(c); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		switch verb := strings.ToUpper(line[:4]); verb {
		case "EHLO", "LHLO":
			s.hello.Store(verb, true)
			say("250-sink\r\n250 PIPELINING")
		case "DATA":
			say("354 go on")
			for line != ".\r\n" {
				if line, err = r.ReadString('\n'); err != nil {
					return
				}
			}
			if s.mails.Add(1) > s.refuseAfter {
				say("451 4.3.0 no more")
				continue
			}
			say("250 2.0.0 kept")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 fine")
		}
	}
}

func someMails(t *testing.T, n int) []Mail {
	t.Helper()
	mails, err := newMaker(t).Make(t.Context(), Kind{Size: 1000}, n)
	if err != nil {
		t.Fatal(err)
	}
	return mails
}

func TestSend(t *testing.T) {
	mails := someMails(t, 60)
	for name, tc := range map[string]struct {
		shape    Shape
		lmtp     bool
		sessions int64
	}{
		"kept":      {Shape{Sessions: 5, Keep: true}, false, 5},
		"kept LMTP": {Shape{Sessions: 5, Keep: true}, true, 5},
		"new":       {Shape{Sessions: 5}, false, 60},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSink(t)
			r, err := Send(t.Context(), Target{Addr: s.addr, LMTP: tc.lmtp}, mails, tc.shape, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			if r.Accepted != 60 || s.mails.Load() != 60 || s.sessions.Load() != tc.sessions || len(r.Latency) != 60 {
				t.Errorf("%d accepted of %d that came in %d sessions, %d latencies", r.Accepted, s.mails.Load(), s.sessions.Load(), len(r.Latency))
			}
			for _, d := range r.Latency {
				if d <= 0 || d > r.Elapsed {
					t.Errorf("a latency of %s in %s", d, r.Elapsed)
				}
			}
			if _, ok := s.hello.Load("LHLO"); ok != tc.lmtp {
				t.Errorf("said LHLO: %v", ok)
			}
		})
	}
}

func TestSendStopsAtTheFirstRefusal(t *testing.T) {
	s := newSink(t)
	s.refuseAfter = 7
	r, err := Send(t.Context(), Target{Addr: s.addr}, someMails(t, 60), Shape{Sessions: 3, Keep: true}, time.Minute)
	if err == nil || !strings.Contains(err.Error(), "451") {
		t.Errorf("error = %v", err)
	}
	// The two other sessions may be stopped before they hear of their last mail,
	// and none sends another one.
	if r.Accepted < 5 || r.Accepted > 7 || s.mails.Load() > 7+3 {
		t.Errorf("%d accepted of %d sent, want 7", r.Accepted, s.mails.Load())
	}
}

func TestSendEndsInTime(t *testing.T) {
	s := newSink(t)
	r, err := Send(t.Context(), Target{Addr: s.addr}, someMails(t, 5), Shape{Sessions: 1, Keep: true}, 0)
	if err != nil || r.Accepted != 0 || s.mails.Load() != 0 {
		t.Errorf("%d accepted after the end, %v", r.Accepted, err)
	}
}

func TestIdle(t *testing.T) {
	s := newSink(t)
	release, err := Idle(t.Context(), Target{Addr: s.addr}, 4)
	if err != nil {
		t.Fatal(err)
	}
	release()
	if s.sessions.Load() != 4 || s.mails.Load() != 0 {
		t.Errorf("%d sessions, %d mails", s.sessions.Load(), s.mails.Load())
	}
}

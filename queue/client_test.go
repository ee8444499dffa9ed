package queue

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/queue/queuetest"
	"github.com/mxdesk/mxdesk/ticketing"
)

var withoutPipelining = []string{"SIZE 52428800", "8BITMIME"}

// TestRefusedAtEachStep: 4yz defers and 5yz fails, whatever the step, with and
// without pipelining, and the next copy goes through the same connection where
// the protocol allows it.
func TestRefusedAtEachStep(t *testing.T) {
	for _, tt := range []struct {
		verb, reply string
		state       ticketing.DeliveryState
		code        int
		enhanced    string
		text        string
	}{
		{"CONNECT", "421 4.3.2 busy", ticketing.DeliveryDeferred, 421, "4.3.2", "greeting: busy"},
		{"CONNECT", "450 later", ticketing.DeliveryDeferred, 450, "", "greeting: later"},
		{"CONNECT", "554 5.7.1 go away", ticketing.DeliveryFailed, 554, "5.7.1", "greeting: go away"},
		{"EHLO", "421 4.3.2 busy", ticketing.DeliveryDeferred, 421, "4.3.2", "EHLO: busy"},
		{"EHLO", "450 later", ticketing.DeliveryDeferred, 450, "", "EHLO: later"},
		{"MAIL", "451 4.7.1 greylisted", ticketing.DeliveryDeferred, 451, "4.7.1", "MAIL: greylisted"},
		{"MAIL", "550 5.7.1 bad sender", ticketing.DeliveryFailed, 550, "5.7.1", "MAIL: bad sender"},
		{"MAIL", "421 4.4.5 bye", ticketing.DeliveryDeferred, 421, "4.4.5", "MAIL: bye"},
		{"RCPT", "452 4.2.2 full", ticketing.DeliveryDeferred, 452, "4.2.2", "RCPT: full"},
		{"RCPT", "550 5.1.1 unknown", ticketing.DeliveryFailed, 550, "5.1.1", "RCPT: unknown"},
		{"RCPT", "550-5.1.1 many\n550 5.1.1 lines", ticketing.DeliveryFailed, 550, "5.1.1", "RCPT: many lines"},
		{"RCPT", "354 what", ticketing.DeliveryDeferred, 0, "4.5.0", "RCPT: unexpected reply: what"},
		{"DATA", "451 4.3.0 no", ticketing.DeliveryDeferred, 451, "4.3.0", "DATA: no"},
		{"DATA", "554 5.0.0 never", ticketing.DeliveryFailed, 554, "5.0.0", "DATA: never"},
		{"DATA", "250 what", ticketing.DeliveryDeferred, 0, "4.5.0", "DATA: unexpected reply: what"},
		{"END", "452 4.3.1 disk full", ticketing.DeliveryDeferred, 452, "4.3.1", "end of data: disk full"},
		{"END", "554 5.7.1 spam", ticketing.DeliveryFailed, 554, "5.7.1", "end of data: spam"},
		{"END", "421 4.3.2 bye", ticketing.DeliveryDeferred, 421, "4.3.2", "end of data: bye"},
	} {
		for name, ext := range map[string][]string{"pipelined": nil, "one by one": withoutPipelining} {
			t.Run(tt.verb+" "+tt.reply[:3]+" "+name, func(t *testing.T) {
				bubble(t, func(t *testing.T, w *world) {
					mx := &queuetest.Server{Extensions: ext, Script: queuetest.Replies(map[string]string{tt.verb: tt.reply})}
					w.net.Put("192.0.2.1:25", mx)
					w.add("a@one.test")
					w.start("mx", nil)
					time.Sleep(time.Minute)
					w.stop()
					a, state := w.last("1")
					if state != tt.state || a.Code != tt.code || a.Enhanced != tt.enhanced || a.Text != tt.text {
						t.Errorf("%s %+v", state, a)
					}
					if n := len(mx.Messages()); n > 0 {
						t.Errorf("%d mails were taken", n)
					}
				})
			})
		}
	}
}

// TestRefusedThenNext: a refusal of one mail leaves the connection good for
// the next one.
func TestRefusedThenNext(t *testing.T) {
	for _, verb := range []string{"MAIL", "RCPT", "DATA", "END"} {
		for name, ext := range map[string][]string{"pipelined": nil, "one by one": withoutPipelining} {
			t.Run(verb+" "+name, func(t *testing.T) {
				bubble(t, func(t *testing.T, w *world) {
					mx := &queuetest.Server{Extensions: ext, Script: func(e queuetest.Event) queuetest.Action {
						if e.Verb == verb && e.N == 1 {
							return queuetest.Action{Reply: "550 5.0.0 not this one"}
						}
						if e.Verb == "DATA" && e.N == 1 { // granted although the transaction has failed
							return queuetest.Action{Reply: "354 go on"}
						}
						return queuetest.Action{}
					}}
					w.net.Put("192.0.2.1:25", mx)
					w.o.PerDestination = 1
					w.add("a@one.test", "b@one.test")
					w.start("mx", nil)
					time.Sleep(time.Minute)
					w.stop()
					_, first := w.last("1")
					_, second := w.last("2")
					conns := mx.Connections()
					if first != ticketing.DeliveryFailed || second != ticketing.DeliveryDelivered || conns != 1 || len(mx.Messages()) != 1 {
						t.Errorf("%s, %s, %d connections, %d mails", first, second, conns, len(mx.Messages()))
					}
				})
			})
		}
	}
}

// TestDropAtEachStep: a lost connection defers; once the mail may have been
// taken, nobody else is asked.
func TestDropAtEachStep(t *testing.T) {
	for _, how := range []queuetest.Action{{Drop: true}, {Hang: true}, {Delay: 2 * time.Hour, Drop: true}, {Reply: "garbage"}} {
		for _, verb := range []string{"CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "BODY", "END"} {
			t.Run(verb, func(t *testing.T) {
				bubble(t, func(t *testing.T, w *world) {
					bad := &queuetest.Server{Script: func(e queuetest.Event) queuetest.Action {
						if e.Verb == verb {
							return how
						}
						return queuetest.Action{}
					}}
					good := &queuetest.Server{}
					w.net.Put("192.0.2.2:25", bad)
					w.net.Put("192.0.2.3:25", good)
					w.net.Put("[2001:db8::3]:25", good)
					w.add("a@two.test")
					w.start("mx", nil)
					time.Sleep(14 * time.Minute)
					a, state := w.last("1")
					lost := verb == "BODY" || verb == "END"
					switch {
					case !lost && (state != ticketing.DeliveryDelivered || !strings.HasPrefix(a.Host, "b.two.test [")):
						t.Errorf("%s %+v: want the second host to take it", state, a)
					case lost && (state != ticketing.DeliveryDeferred || a.Host != "a.two.test [192.0.2.2]"):
						t.Errorf("%s %+v: want no other host to be asked", state, a)
					}
					w.stop()
				})
			})
		}
	}
}

func TestHelo(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		mx := &queuetest.Server{Script: queuetest.Replies(map[string]string{"EHLO": "502 5.5.1 what"})}
		w.net.Put("192.0.2.1:25", mx)
		w.add("a@one.test")
		w.start("mx", nil)
		time.Sleep(time.Second)
		w.stop()
		if _, state := w.last("1"); state != ticketing.DeliveryDelivered {
			t.Error(state)
		}
		want := "EHLO desk.test|HELO desk.test|MAIL FROM:<b+1@desk.test>|RCPT TO:<a@one.test>|DATA|QUIT"
		if got := strings.Join(mx.Commands(), "|"); got != want {
			t.Errorf("commands %s, want %s", got, want)
		}
	})
}

// TestUnfit: what this server cannot take fails without being sent.
func TestUnfit(t *testing.T) {
	for _, tt := range []struct {
		name     string
		ext      []string
		to, raw  string
		enhanced string // "" = delivered
		mail     string // a part of MAIL
	}{
		{"size", []string{"SIZE 10"}, "a@one.test", "Subject: long\r\n\r\n", "5.3.4", ""},
		{"size fits", []string{"SIZE 17"}, "a@one.test", "Subject: long\r\n\r\n", "", " SIZE=17"},
		{"size unlimited", []string{"SIZE 0"}, "a@one.test", "Subject: long\r\n\r\n", "", " SIZE=17"},
		{"size without number", []string{"SIZE"}, "a@one.test", "Subject: long\r\n\r\n", "", " SIZE=17"},
		{"utf8 address", []string{"8BITMIME"}, "josé@one.test", "A: b\r\n\r\n", "5.6.7", ""},
		{"utf8 address offered", []string{"8BITMIME", "SMTPUTF8"}, "josé@one.test", "A: b\r\n\r\n", "", " SMTPUTF8"},
		{"utf8 header", []string{"8BITMIME"}, "a@one.test", "To: josé\r\n\r\n", "5.6.7", ""},
		{"utf8 not needed", []string{"8BITMIME", "SMTPUTF8"}, "a@one.test", "A: b\r\n\r\n", "", "MAIL FROM:<b+1@desk.test>"},
		{"8-bit body", nil, "a@one.test", "A: b\r\n\r\n\xe9\r\n", "", " BODY=8BITMIME"},
		{"8-bit body not offered", []string{"PIPELINING"}, "a@one.test", "A: b\r\n\r\n\xe9\r\n", "5.6.3", ""},
		{"bare LF", nil, "a@one.test", "A: b\r\n\r\n.\nMAIL FROM:<x@y>\r\n", "5.6.0", ""},
		{"bare CR", nil, "a@one.test", "A: b\r\n\r\na\rb\r\n", "5.6.0", ""},
		{"no last line end", nil, "a@one.test", "A: b\r\n\r\na", "5.6.0", ""},
		{"bad address", nil, "a\r\n@one.test", "A: b\r\n\r\n", "5.1.3", ""},
		{"no address", nil, "", "A: b\r\n\r\n", "5.1.3", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				mx := &queuetest.Server{Extensions: tt.ext}
				w.net.Put("192.0.2.1:25", mx)
				w.add(tt.to)
				w.start("mx", renderFunc(func(context.Context, ticketing.Outgoing) ([]byte, error) { return []byte(tt.raw), nil }))
				time.Sleep(time.Second)
				w.stop()
				a, state := w.last("1")
				got := mx.Messages()
				if tt.enhanced != "" {
					if state != ticketing.DeliveryFailed || a.Enhanced != tt.enhanced || a.Code != 0 || len(got) > 0 {
						t.Errorf("%s %+v, %d mails", state, a, len(got))
					}
					return
				}
				if state != ticketing.DeliveryDelivered || len(got) != 1 || !strings.HasSuffix(got[0].From, tt.mail) {
					t.Errorf("%s %+v, %+v", state, a, got)
				}
			})
		})
	}
}

// TestSlowData: a server that stops reading is left after the time for one
// write, not after the patience of its kernel.
func TestSlowData(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		mx := &queuetest.Server{Script: func(e queuetest.Event) queuetest.Action {
			if e.Verb == "BODY" {
				return queuetest.Action{Delay: time.Hour, Drop: true}
			}
			return queuetest.Action{}
		}}
		w.net.Put("192.0.2.1:25", mx)
		w.add("a@one.test")
		start := time.Now()
		w.start("mx", renderFunc(func(context.Context, ticketing.Outgoing) ([]byte, error) {
			return []byte("A: b\r\n\r\n" + strings.Repeat("line\r\n", 50000)), nil
		}))
		time.Sleep(20 * time.Minute)
		w.stop()
		o := w.box.Get("1")
		if o.Tries < 1 || o.Attempts[0].Text != "sending the mail: no answer in time" {
			t.Fatalf("%+v", o.Attempts)
		}
		if d := o.Attempts[0].At.Sub(start); d < 180*time.Second || d > 6*time.Minute+time.Minute {
			t.Errorf("gave up after %v", d)
		}
	})
}

// TestRefusedDuringData: the reply of a server that hangs up half-way is kept.
func TestRefusedDuringData(t *testing.T) {
	mx := &queuetest.Server{Script: func(e queuetest.Event) queuetest.Action {
		if e.Verb == "BODY" {
			return queuetest.Action{Reply: "552 5.3.4 too much", Close: true}
		}
		return queuetest.Action{}
	}}
	synctestWorld(t, mx, func(t *testing.T, w *world) {
		w.add("a@one.test")
		w.start("mx", renderFunc(func(context.Context, ticketing.Outgoing) ([]byte, error) {
			return []byte("A: b\r\n\r\n" + strings.Repeat("line\r\n", 50000)), nil
		}))
		time.Sleep(10 * time.Minute)
		w.stop()
		if a, state := w.last("1"); state != ticketing.DeliveryFailed || a.Code != 552 || a.Text != "sending the mail: too much" {
			t.Errorf("%s %+v", state, a)
		}
	})
}

// synctestWorld runs a test with one server for one.test.
func synctestWorld(t *testing.T, mx *queuetest.Server, f func(t *testing.T, w *world)) {
	t.Helper()
	bubble(t, func(t *testing.T, w *world) {
		w.net.Put("192.0.2.1:25", mx)
		f(t, w)
	})
}

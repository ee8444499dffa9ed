package queue

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxdesk/mxdesk/auth/dns"
	"github.com/mxdesk/mxdesk/queue/queuetest"
	"github.com/mxdesk/mxdesk/ticketing"
)

// renderFunc is a Renderer.
type renderFunc func(ctx context.Context, o ticketing.Outgoing) ([]byte, error)

func (f renderFunc) Render(ctx context.Context, o ticketing.Outgoing) ([]byte, error) {
	return f(ctx, o)
}

// plain renders a small mail that names its copy.
func plain(_ context.Context, o ticketing.Outgoing) ([]byte, error) {
	return []byte("Message-ID: <" + o.MessageID + ">\r\nSubject: " + o.Subject + "\r\n\r\nHello\r\n.dot\r\n"), nil
}

const zone = `{
 "one.test":   [["MX", [10, "mx.one.test"]]],
 "mx.one.test": [["A", "192.0.2.1"]],
 "two.test":   [["MX", [20, "b.two.test"]], ["MX", [10, "a.two.test"]]],
 "a.two.test": [["A", "192.0.2.2"]],
 "b.two.test": [["A", "192.0.2.3"], ["AAAA", "2001:db8::3"]],
 "implicit.test": [["A", "192.0.2.1"]],
 "null.test":  [["MX", [0, "."]]],
 "slow.test":  [["TIMEOUT"]],
 "loop.test":  [["MX", [10, "desk.test"]], ["MX", [20, "mx.one.test"]]],
 "loop2.test": [["MX", [10, "mx.one.test"]], ["MX", [20, "desk.test"]], ["MX", [30, "a.two.test"]]],
 "own.test":   [["MX", [10, "own.own.test"]]],
 "own2.test": [["MX", [10, "mx.one.test"]], ["MX", [10, "own.own.test"]]],
 "own3.test": [["MX", [10, "mx.one.test"]], ["MX", [20, "own.own.test"]]],
 "own.own.test": [["A", "203.0.113.9"]],
 "private.test": [["MX", [10, "p.private.test"]]],
 "p.private.test": [["A", "10.0.0.1"], ["A", "127.0.0.1"], ["AAAA", "fe80::1"], ["AAAA", "::1"]],
 "lost.test":  [["MX", [10, "nowhere.test"]]],
 "dark.test":  [["MX", [10, "mx.dark.test"]]],
 "mx.dark.test": [["TIMEOUT"]],
 "many.test":  [["MX", [10, "mx.many.test"]], ["MX", [20, "mx.one.test"]]],
 "mx.many.test": [["A", "192.0.2.11"], ["A", "192.0.2.12"], ["A", "192.0.2.13"], ["AAAA", "2001:db8::11"]],
 "empty.test": [["TXT", "nothing"]]
}`

// world is a queue with everything around it.
type world struct {
	t    *testing.T
	box  *queuetest.Box
	net  *queuetest.Net
	o    Options
	stop func()
}

// newWorld makes a world whose servers are at addresses of zone.
func newWorld(t *testing.T) *world {
	z, err := dns.ParseZone([]byte(zone))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, box: queuetest.NewBox(), net: &queuetest.Net{}}
	w.o = Options{
		Hostname: "desk.test", Owner: "node", Resolver: z, Dialer: w.net,
		OwnAddrs: func() []netip.Addr { return []netip.Addr{netip.MustParseAddr("203.0.113.9")} },
		Rand:     func() float64 { return 0.5 },
		Log:      slog.New(slog.NewTextHandler(testWriter{t}, nil)),
	}
	return w
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// start runs a queue over route; the returned function stops it and waits.
func (w *world) start(route string, r Renderer) {
	w.t.Helper()
	parsed, err := ParseRoute(route)
	if err != nil {
		w.t.Fatal(err)
	}
	if r == nil {
		r = renderFunc(plain)
	}
	q := New(w.box, r, parsed, w.o)
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := q.Run(ctx); err != nil {
			w.t.Errorf("Run: %v", err)
		}
	}()
	w.stop = func() { cancel(); <-ended }
}

// add puts copies for the recipients in, with ids 1, 2, ….
func (w *world) add(recipients ...string) {
	for _, r := range recipients {
		w.put(ticketing.Outgoing{Recipient: ticketing.Person{Address: r}})
	}
}

func (w *world) put(o ticketing.Outgoing) {
	n := 0
	depth, _ := w.box.Depth(context.Background())
	for _, k := range depth {
		n += k
	}
	o.ID = fmt.Sprint(n + 1)
	o.MessageID = o.ID + "@desk.test"
	if o.Envelope == "" {
		o.Envelope = "b+" + o.ID + "@desk.test"
	}
	w.box.Add(time.Now(), o)
}

// last returns the last attempt of a copy and its state.
func (w *world) last(id string) (ticketing.Attempt, ticketing.DeliveryState) {
	w.t.Helper()
	o := w.box.Get(id)
	if len(o.Attempts) == 0 {
		return ticketing.Attempt{}, o.State
	}
	return o.Attempts[len(o.Attempts)-1], o.State
}

// bubble runs a test in virtual time.
func bubble(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f(t, newWorld(t))
		time.Sleep(3 * time.Hour) // what a slow server still does
	})
}

func TestDeliver(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		mx := &queuetest.Server{Script: queuetest.Replies(map[string]string{"END": "250-2.0.0 first line\n250 2.0.0 queued as \x1b[1mX"})}
		w.net.Put("192.0.2.1:25", mx)
		w.add("customer@one.test")
		w.start("mx", nil)
		time.Sleep(time.Second)
		w.stop()

		a, state := w.last("1")
		if state != ticketing.DeliveryDelivered || a.Code != 250 || a.Enhanced != "2.0.0" ||
			a.Text != "first line queued as [1mX" || a.Host != "mx.one.test [192.0.2.1]" || a.TLS != "" {
			t.Errorf("%s %+v", state, a)
		}
		got := mx.Messages()
		if len(got) != 1 || got[0].From != "MAIL FROM:<b+1@desk.test> SIZE=53" || got[0].To != "RCPT TO:<customer@one.test>" || !got[0].Pipelined {
			t.Fatalf("%+v", got)
		}
		if want, _ := plain(t.Context(), w.box.Get("1")); string(got[0].Data) != string(want) {
			t.Errorf("data %q, want %q", got[0].Data, want)
		}
		want := []string{"EHLO desk.test", got[0].From, got[0].To, "DATA", "QUIT"}
		if !slices.Equal(mx.Commands(), want) {
			t.Errorf("commands %q, want %q", mx.Commands(), want)
		}
	})
}

// A line about a copy names its ticket as all other lines do.
func TestLogNamesTheTicket(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var log strings.Builder
		w.o.Log = slog.New(slog.NewTextHandler(&log, nil))
		w.net.Put("192.0.2.1:25", &queuetest.Server{})
		w.put(ticketing.Outgoing{Recipient: ticketing.Person{Address: "customer@one.test"}, Ticket: 7, Ref: "support#12"})
		w.start("mx", nil)
		time.Sleep(time.Second)
		w.stop()
		if !strings.Contains(log.String(), "copy=1 ticket=support#12 ") {
			t.Errorf("log: %s", &log)
		}
	})
}

func TestCapture(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.add("customer@one.test", "other@two.test")
		w.start("capture", nil)
		time.Sleep(time.Second)
		w.stop()
		for _, id := range []string{"1", "2"} {
			a, state := w.last(id)
			if state != ticketing.DeliveryCaptured || a.Text != "no relay is configured" {
				t.Errorf("%s %+v", state, a)
			}
			if raw, err := w.box.RawOutgoing(t.Context(), id); err != nil || len(raw) == 0 {
				t.Errorf("raw: %q, %v", raw, err)
			}
		}
		if d := w.net.Dialled(); len(d) != 0 {
			t.Errorf("dialled %q", d)
		}
	})
}

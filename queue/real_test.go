package queue

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/mxdesk/mxdesk/metrics"
	"github.com/mxdesk/mxdesk/queue/queuetest"
	"github.com/mxdesk/mxdesk/ticketing"
)

// await polls until every copy is in a state.
func (w *world) await(want ticketing.DeliveryState, copies int) {
	w.t.Helper()
	for range 1000 {
		if d, _ := w.box.Depth(context.Background()); d[want] == copies {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	d, _ := w.box.Depth(context.Background())
	w.t.Fatalf("copies by state: %v, want %d %s", d, copies, want)
}

// TestLoopback sends a large and many small mails over real sockets: to a mail
// exchanger with STARTTLS, to a relay and into a unix socket.
func TestLoopback(t *testing.T) {
	big := strings.Repeat(strings.Repeat(".0123456789", 7)+"\r\n", 50_000) // 4 MB
	render := renderFunc(func(_ context.Context, o ticketing.Outgoing) ([]byte, error) {
		if o.ID == "1" {
			return []byte("Subject: big\r\n\r\n" + big), nil
		}
		return plain(t.Context(), o)
	})
	conf, pool := queuetest.Certificate(t, "localhost")
	for name, setUp := range map[string]func(w *world, s *queuetest.Server) string{
		"mx": func(w *world, s *queuetest.Server) string {
			s.TLS = conf
			_, port, _ := net.SplitHostPort(s.Listen(t))
			n, _ := strconv.ParseUint(port, 10, 16)
			w.o.Port, w.o.Resolver = uint16(n), atLoopback{}
			w.o.AllowNets = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
			return "mx"
		},
		"relay": func(w *world, s *queuetest.Server) string {
			s.TLS = conf
			_, port, _ := net.SplitHostPort(s.Listen(t))
			w.o.RootCAs = pool
			return "smtp://localhost:" + port + "?tls=require"
		},
		"lmtp": func(w *world, s *queuetest.Server) string {
			s.LMTP = true
			path := filepath.Join(t.TempDir(), "s")
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			s.Accept(t, l)
			return "lmtp://" + path
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.t = t
			w.o.Log, w.o.Dialer, w.o.OwnAddrs = nil, nil, nil
			s := &queuetest.Server{}
			route := setUp(w, s)
			for range 100 {
				w.add("a@one.test")
			}
			w.start(route, render)
			w.await(ticketing.DeliveryDelivered, 100)
			w.stop()
			got := s.Messages()
			if len(got) != 100 {
				t.Fatalf("%d mails", len(got))
			}
			for _, m := range got {
				if m.TLS != (name != "lmtp") {
					t.Error("TLS was not used as it should be")
				}
				if strings.HasPrefix(string(m.Data), "Subject: big") && string(m.Data) != "Subject: big\r\n\r\n"+big {
					t.Error("the big mail was changed on its way")
				}
			}
			a, _ := w.last("1")
			t.Logf("%d connections, host %q, %s", s.Connections(), a.Host, a.TLS)
		})
	}
}

// TestGuardedLoopback: without AllowNets nothing connects to loopback.
func TestGuardedLoopback(t *testing.T) {
	w := newWorld(t)
	w.o.Log, w.o.Dialer, w.o.OwnAddrs, w.o.Resolver = nil, nil, nil, atLoopback{}
	s := &queuetest.Server{}
	s.Listen(t)
	w.add("a@one.test")
	w.start("mx", nil)
	w.await(ticketing.DeliveryFailed, 1)
	w.stop()
	if n := s.Connections(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

// TestMetrics: the counters tell the story of three copies.
func TestMetrics(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		reg := prometheus.NewRegistry()
		w.o.Metrics = metrics.New(reg).Queue
		mx := &queuetest.Server{Script: func(e queuetest.Event) queuetest.Action {
			if strings.Contains(e.Line, "<nobody@") {
				return queuetest.Action{Reply: "550 5.1.1 unknown"}
			}
			return queuetest.Action{}
		}}
		w.net.Put("192.0.2.1:25", mx)
		w.add("a@one.test", "nobody@one.test", "b@two.test")
		w.start("mx", nil)
		time.Sleep(20 * time.Second)
		w.stop()
		want := `
# HELP mxdesk_queue_attempts_total Attempts to hand a copy to the next hop, by the state they led to.
# TYPE mxdesk_queue_attempts_total counter
mxdesk_queue_attempts_total{result="deferred",tls="none"} 1
mxdesk_queue_attempts_total{result="delivered",tls="none"} 1
mxdesk_queue_attempts_total{result="failed",tls="none"} 1
# HELP mxdesk_queue_claims_total Copies claimed (taken) and claims that another owner took over (lost).
# TYPE mxdesk_queue_claims_total counter
mxdesk_queue_claims_total{result="taken"} 3
# HELP mxdesk_queue_deliveries_total Outgoing copies that reached a final state.
# TYPE mxdesk_queue_deliveries_total counter
mxdesk_queue_deliveries_total{result="delivered"} 1
mxdesk_queue_deliveries_total{result="failed"} 1
`
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "mxdesk_queue_attempts_total",
			"mxdesk_queue_claims_total", "mxdesk_queue_deliveries_total"); err != nil {
			t.Error(err)
		}
	})
}

// TestThroughput measures; it only fails when something is badly wrong.
func TestThroughput(t *testing.T) {
	w := newWorld(t)
	w.o.Log, w.o.Dialer = nil, nil
	s := &queuetest.Server{}
	addr := s.Listen(t)
	const copies = 3000
	for i := range copies {
		w.box.Add(time.Now(), ticketing.Outgoing{ID: fmt.Sprint(i), Recipient: ticketing.Person{Address: "a@one.test"}})
	}
	start := time.Now()
	w.start("smtp://"+addr+"?tls=off", nil)
	w.await(ticketing.DeliveryDelivered, copies)
	d := time.Since(start)
	w.stop()
	t.Logf("%d mails in %v over %d connections: %.0f/s", copies, d, s.Connections(), copies/d.Seconds())
}

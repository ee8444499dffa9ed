package metrics

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// useQueue calls every method of a Queue.
func useQueue(q *Queue) {
	q.Depth("pending", 3)
	q.Depth("pending", 2)
	q.Claimed(2)
	q.Lost()
	q.Attempted(300 * time.Millisecond)
	q.Recorded("deferred", "")
	q.Recorded("delivered", "TLS 1.3")
	q.Recorded("delivered", "whatever the server likes")
	q.Finished("delivered", 2*time.Second)
}

func TestQueue(t *testing.T) {
	useQueue(nil) // counts nothing, and does not panic

	reg := prometheus.NewPedanticRegistry()
	q := newQueue(reg)
	useQueue(q)
	want := `
# HELP mxdesk_queue_attempts_total Attempts to hand a copy to the next hop, by the state they led to.
# TYPE mxdesk_queue_attempts_total counter
mxdesk_queue_attempts_total{result="deferred",tls="none"} 1
mxdesk_queue_attempts_total{result="delivered",tls="TLS 1.3"} 1
mxdesk_queue_attempts_total{result="delivered",tls="other"} 1
# HELP mxdesk_queue_claims_total Copies claimed (taken) and claims that another owner took over (lost).
# TYPE mxdesk_queue_claims_total counter
mxdesk_queue_claims_total{result="lost"} 1
mxdesk_queue_claims_total{result="taken"} 2
# HELP mxdesk_queue_deliveries_total Outgoing copies that reached a final state.
# TYPE mxdesk_queue_deliveries_total counter
mxdesk_queue_deliveries_total{result="delivered"} 1
# HELP mxdesk_queue_depth Outgoing copies by state.
# TYPE mxdesk_queue_depth gauge
mxdesk_queue_depth{state="pending"} 2
`
	err := testutil.GatherAndCompare(reg, strings.NewReader(want), "mxdesk_queue_attempts_total",
		"mxdesk_queue_claims_total", "mxdesk_queue_deliveries_total", "mxdesk_queue_depth")
	if err != nil {
		t.Error(err)
	}
	if n := testutil.CollectAndCount(q.attemptSeconds) + testutil.CollectAndCount(q.deliverySeconds); n != 2 {
		t.Errorf("histograms: %d, want 2", n)
	}
}

package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Queue counts what the outgoing queue does. A nil *Queue counts nothing.
type Queue struct {
	depth           *prometheus.GaugeVec
	deliveries      *prometheus.CounterVec
	attempts        *prometheus.CounterVec
	deliverySeconds prometheus.Histogram
	attemptSeconds  prometheus.Histogram
	claims          *prometheus.CounterVec
	nextDue         prometheus.Gauge
	oldest          prometheus.Gauge
}

// The label values. Anything else is counted as "other", so that nothing from
// outside can make new series.
var (
	queueStates = [...]string{"pending", "deferred", "delivered", "failed", "captured", "bounced", "cancelled"}
	queueTLS    = [...]string{"none", "TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3"}
)

// newQueue registers the collectors of the queue.
func newQueue(reg prometheus.Registerer) *Queue {
	q := &Queue{
		depth: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mxdesk_queue_depth", Help: "Outgoing copies by state.",
		}, []string{"state"}),
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mxdesk_queue_deliveries_total", Help: "Outgoing copies that reached a final state.",
		}, []string{"result"}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mxdesk_queue_attempts_total", Help: "Attempts to hand a copy to the next hop, by the state they led to.",
		}, []string{"result", "tls"}),
		deliverySeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "mxdesk_queue_delivery_seconds", Help: "Time from the intent of a copy to its final state.",
			Buckets: []float64{.1, .3, 1, 3, 10, 30, 60, 300, 1800, 7200, 28800, 86400, 432000},
		}),
		attemptSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "mxdesk_queue_attempt_seconds", Help: "Length of one attempt.",
			Buckets: []float64{.01, .03, .1, .3, 1, 3, 10, 30, 60, 300, 900},
		}),
		claims: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mxdesk_queue_claims_total", Help: "Copies claimed (taken) and claims that another owner took over (lost).",
		}, []string{"result"}),
		nextDue: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "mxdesk_queue_next_due_timestamp_seconds", Help: "When the next attempt for a waiting copy is due; 0 if none waits.",
		}),
		oldest: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "mxdesk_queue_oldest_timestamp_seconds", Help: "When the oldest waiting copy was made; 0 if none waits.",
		}),
	}
	reg.MustRegister(q.depth, q.deliveries, q.attempts, q.deliverySeconds, q.attemptSeconds, q.claims, q.nextDue, q.oldest)
	return q
}

// Depth sets how many copies are in a state.
func (q *Queue) Depth(state string, n int) {
	if q != nil {
		q.depth.WithLabelValues(known(queueStates[:], state)).Set(float64(n))
	}
}

// Waiting sets when the next attempt is due and when the oldest waiting copy
// was made; zero times if none waits. A copy in work is due again at the end
// of its lease: only a queue that stands still lets a due time pass.
func (q *Queue) Waiting(nextDue, oldest time.Time) {
	if q != nil {
		q.nextDue.Set(seconds(nextDue))
		q.oldest.Set(seconds(oldest))
	}
}

// Claimed counts copies taken into work.
func (q *Queue) Claimed(n int) {
	if q != nil {
		q.claims.WithLabelValues("taken").Add(float64(n))
	}
}

// Lost counts a claim that somebody else has taken over.
func (q *Queue) Lost() {
	if q != nil {
		q.claims.WithLabelValues("lost").Inc()
	}
}

// Attempted notes the length of an attempt.
func (q *Queue) Attempted(d time.Duration) {
	if q != nil {
		q.attemptSeconds.Observe(d.Seconds())
	}
}

// Recorded counts an attempt by the state it led to and the TLS version of its
// connection, "" for plain text or none.
func (q *Queue) Recorded(state, tls string) {
	if q == nil {
		return
	}
	if tls == "" {
		tls = "none"
	}
	q.attempts.WithLabelValues(known(queueStates[:], state), known(queueTLS[:], tls)).Inc()
}

// Finished counts a copy that reached a final state, age after its intent.
func (q *Queue) Finished(state string, age time.Duration) {
	if q != nil {
		q.deliveries.WithLabelValues(known(queueStates[:], state)).Inc()
		q.deliverySeconds.Observe(age.Seconds())
	}
}

// Package metrics has one struct of Prometheus collectors for each component.
// The structs are made once and handed to whoever counts; their methods take
// the label values as closed sets, and do nothing on a nil receiver.
package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the collectors of one server.
type Metrics struct {
	SMTP   *SMTP
	Auth   *Auth
	DNS    *DNS
	DNSBL  *DNSBL
	Intake *Intake
	Queue  *Queue
	Store  *Store
	Health *Health
}

// New makes the collectors and registers them.
func New(reg prometheus.Registerer) *Metrics {
	return &Metrics{
		SMTP:   newSMTP(reg),
		Auth:   newAuth(reg),
		DNS:    newDNS(reg),
		DNSBL:  newDNSBL(reg),
		Intake: newIntake(reg),
		Queue:  newQueue(reg),
		Store:  newStore(reg),
		Health: newHealth(reg),
	}
}

// latency buckets, in seconds: from a tenth of a millisecond to a minute.
var latency = []float64{.0001, .0002, .0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60}

// Intake counts what becomes of messages.
type Intake struct {
	messages *prometheus.CounterVec
	tickets  *prometheus.CounterVec
	stages   *prometheus.HistogramVec
	dropped  prometheus.Counter
	taken    prometheus.Gauge
}

func newIntake(reg prometheus.Registerer) *Intake {
	m := &Intake{
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mxdesk_intake_messages_total", Help: "Messages after DATA, per recipient, by decision and reason.",
		}, []string{"decision", "reason"}),
		tickets: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mxdesk_tickets_total", Help: "Tickets made and comments added by mail.",
		}, []string{"event"}),
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mxdesk_intake_seconds", Help: "Time a message takes from its last byte to its commit, by stage.", Buckets: latency,
		}, []string{"stage"}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mxdesk_journal_dropped_total", Help: "Refusals that the journal could not keep.",
		}),
		taken: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "mxdesk_intake_last_taken_timestamp_seconds", Help: "When a mail was last taken (accepted, held or a duplicate); 0 since the start.",
		}),
	}
	reg.MustRegister(m.messages, m.tickets, m.stages, m.dropped, m.taken)
	return m
}

// Outcome counts what became of a message for one recipient.
func (m *Intake) Outcome(decision, reason string) {
	if m == nil {
		return
	}
	m.messages.WithLabelValues(decision, reason).Inc()
	if decision != "accepted" {
		return
	}
	event := "comment"
	if reason == "new-ticket" {
		event = "created"
	}
	m.tickets.WithLabelValues(event).Inc()
}

// Taken notes that a mail was taken.
func (m *Intake) Taken(at time.Time) {
	if m != nil {
		m.taken.Set(seconds(at))
	}
}

// Stage observes how long a stage of the intake took: judge, commit or all.
func (m *Intake) Stage(stage string, d time.Duration) {
	if m != nil {
		m.stages.WithLabelValues(stage).Observe(d.Seconds())
	}
}

// RefusalDropped counts a refusal that the journal did not take.
func (m *Intake) RefusalDropped() {
	if m != nil {
		m.dropped.Inc()
	}
}

// Auth counts results of authentication.
type Auth struct {
	results *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

func newAuth(reg prometheus.Registerer) *Auth {
	m := &Auth{
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mxdesk_auth_results_total", Help: "Results of authentication by mechanism, in the words of RFC 8601.",
		}, []string{"mechanism", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mxdesk_auth_seconds", Help: "Time the mechanisms take, name servers included.", Buckets: latency,
		}, []string{"mechanism"}),
	}
	reg.MustRegister(m.results, m.seconds)
	return m
}

// Result counts one result of a mechanism: spf, dkim, dmarc, arc or verdict.
func (m *Auth) Result(mechanism, result string) {
	if m != nil {
		m.results.WithLabelValues(mechanism, result).Inc()
	}
}

// Took observes how long a mechanism took.
func (m *Auth) Took(mechanism string, d time.Duration) {
	if m != nil {
		m.seconds.WithLabelValues(mechanism).Observe(d.Seconds())
	}
}

// Store observes the committer.
type Store struct {
	batches  *prometheus.CounterVec
	closures prometheus.Histogram
	bytes    prometheus.Histogram
	seconds  prometheus.Histogram
}

func newStore(reg prometheus.Registerer) *Store {
	m := &Store{
		batches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mxdesk_store_batches_total", Help: "Batches committed, by result.",
		}, []string{"result"}),
		closures: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "mxdesk_store_batch_closures", Help: "Transactions that shared one commit.", Buckets: []float64{1, 2, 5, 10, 20, 50, 100, 200},
		}),
		bytes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "mxdesk_store_batch_bytes", Help: "Bytes of keys and values written by one commit.", Buckets: prometheus.ExponentialBuckets(256, 4, 8),
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "mxdesk_store_commit_seconds", Help: "Time a batch takes, sync included.", Buckets: latency,
		}),
	}
	reg.MustRegister(m.batches, m.closures, m.bytes, m.seconds)
	return m
}

// Batch observes one batch of the committer.
func (m *Store) Batch(closures int, bytes int64, took time.Duration, err error) {
	if m == nil {
		return
	}
	result := "ok"
	if err != nil {
		result = "failed"
	}
	m.batches.WithLabelValues(result).Inc()
	m.closures.Observe(float64(closures))
	m.bytes.Observe(float64(bytes))
	m.seconds.Observe(took.Seconds())
}

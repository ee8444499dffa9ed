package metrics

import (
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// SMTPListener says which of the two protocols a listener speaks.
type SMTPListener string

// The listeners.
const (
	ListenerSMTP SMTPListener = "smtp"
	ListenerLMTP SMTPListener = "lmtp"
)

// SMTPConnection is what became of a new connection.
type SMTPConnection string

// The results of a connection attempt.
const (
	ConnectionServed      SMTPConnection = "served"
	ConnectionBusy        SMTPConnection = "busy"         // the server has too many connections
	ConnectionClientLimit SMTPConnection = "client-limit" // the client's network has too many
	ConnectionClientRate  SMTPConnection = "client-rate"  // the client's network comes too often
	ConnectionEarlyTalker SMTPConnection = "early-talker" // the client spoke before the greeting
	ConnectionGone        SMTPConnection = "gone"         // the client left before the greeting
)

// SMTPDecision is how a mail transaction ended.
type SMTPDecision string

// The decisions. Aborted means RSET, QUIT or a lost connection.
const (
	TransactionAccepted  SMTPDecision = "accepted"
	TransactionHeld      SMTPDecision = "held"
	TransactionDuplicate SMTPDecision = "duplicate"
	TransactionRejected  SMTPDecision = "rejected"
	TransactionDeferred  SMTPDecision = "deferred"
	TransactionAborted   SMTPDecision = "aborted"
)

// SMTP counts what the SMTP and LMTP listeners do. All methods may be called
// on a nil *SMTP, which counts nothing.
type SMTP struct {
	connectionsTotal *prometheus.CounterVec
	connections      prometheus.Gauge
	transactions     *prometheus.CounterVec
	rejections       *prometheus.CounterVec
	replies          *prometheus.CounterVec
	messageBytes     prometheus.Histogram
	tlsSessions      *prometheus.CounterVec
	dataSeconds      prometheus.Histogram
}

// newSMTP makes the collectors and registers them with reg.
func newSMTP(reg prometheus.Registerer) *SMTP {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "mxdesk_smtp_" + name, Help: help}, labels)
	}
	m := &SMTP{
		connectionsTotal: counter("connections_total", "Connections offered by clients, by what became of them.", "listener", "result"),
		connections: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "mxdesk_smtp_connections", Help: "Connections open now.",
		}),
		transactions: counter("transactions_total", "Mail transactions ended, by decision.", "listener", "decision"),
		rejections:   counter("rejections_total", "Refusals, permanent and temporary, by step of the session and reason.", "stage", "reason"),
		replies:      counter("replies_total", "Replies to MAIL, RCPT and the end of the data, by first digit of the code.", "class"),
		messageBytes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "mxdesk_smtp_message_bytes", Help: "Sizes of the messages received whole.",
			Buckets: prometheus.ExponentialBuckets(1024, 4, 9), // 1 KiB to 64 MiB
		}),
		tlsSessions: counter("tls_sessions_total", "Sessions secured by STARTTLS, by protocol version.", "version"),
		dataSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "mxdesk_smtp_data_seconds", Help: "Time from the end of the data to the reply.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}),
	}
	reg.MustRegister(m.connectionsTotal, m.connections, m.transactions, m.rejections,
		m.replies, m.messageBytes, m.tlsSessions, m.dataSeconds)
	return m
}

// Connection counts a connection offered by a client.
func (m *SMTP) Connection(l SMTPListener, result SMTPConnection) {
	if m != nil {
		m.connectionsTotal.WithLabelValues(string(l), string(result)).Inc()
	}
}

// Open adds n, which may be negative, to the connections open now.
func (m *SMTP) Open(n int) {
	if m != nil {
		m.connections.Add(float64(n))
	}
}

// Transaction counts the end of a mail transaction.
func (m *SMTP) Transaction(l SMTPListener, d SMTPDecision) {
	if m != nil {
		m.transactions.WithLabelValues(string(l), string(d)).Inc()
	}
}

// Rejected counts a refusal. Stages and reasons outside the known words are
// counted as "other", so that no input can grow the number of series.
func (m *SMTP) Rejected(stage, reason string) {
	if m != nil {
		m.rejections.WithLabelValues(known(smtpStages(), stage), known(smtpReasons(), reason)).Inc()
	}
}

// Reply counts a reply by the first digit of its code, 2 to 5.
func (m *SMTP) Reply(code int) {
	if m == nil {
		return
	}
	if class := code / 100; class >= 2 && class <= 5 {
		m.replies.WithLabelValues(strconv.Itoa(class) + "xx").Inc()
	}
}

// Message records the size of a message received whole, in octets.
func (m *SMTP) Message(size int64) {
	if m != nil {
		m.messageBytes.Observe(float64(size))
	}
}

// TLS counts a session by its TLS version as crypto/tls names it, "TLS 1.3".
func (m *SMTP) TLS(version string) {
	if m != nil {
		m.tlsSessions.WithLabelValues(known([]string{"TLS 1.2", "TLS 1.3"}, version)).Inc()
	}
}

// Data records how long the client waited for the reply to a whole message.
func (m *SMTP) Data(d time.Duration) {
	if m != nil {
		m.dataSeconds.Observe(d.Seconds())
	}
}

// known returns word if it is in the list, else "other".
func known(words []string, word string) string {
	if slices.Contains(words, word) {
		return word
	}
	return "other"
}

func smtpStages() []string { return []string{"connect", "helo", "mail", "rcpt", "data"} }

func smtpReasons() []string {
	return []string{
		"early-talker", "too-many-connections", "connecting-too-often", "busy",
		"bad-helo", "bad-sender", "bad-recipient", "nested-mail", "smtputf8-needed",
		"too-many-messages", "too-many-bytes", "session-too-long", "too-many-errors", "too-many-recipients",
		"unknown-recipient", "unknown-recipients", "mixed-recipients", "relay-denied", "ambiguous-address",
		"too-large", "bare-newline", "header-too-large", "too-many-fields", "line-too-long", "mail-loop",
		"connection-lost", "aborted", "truncated", "overloaded",
		"disk-full", "store-failed", "deadline", "dns-timeout", "internal-error",
		"dmarc-reject", "listed", "auth-temperror", "verifier-deadline",
	}
}

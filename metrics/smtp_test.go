package metrics

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestSMTP(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	m := newSMTP(reg)
	m.Connection(ListenerSMTP, ConnectionServed)
	m.Open(2)
	m.Open(-1)
	m.Transaction(ListenerLMTP, TransactionHeld)
	m.Rejected("rcpt", "unknown-recipient")
	m.Rejected("rcpt", "words of a client")
	m.Rejected("words of a client", "bare-newline")
	m.Reply(250)
	m.Reply(999)
	m.TLS("TLS 1.3")
	m.TLS("TLS 9")
	m.Message(2000)
	m.Data(3 * time.Millisecond)

	want := `
# HELP mxdesk_smtp_connections Connections open now.
# TYPE mxdesk_smtp_connections gauge
mxdesk_smtp_connections 1
# HELP mxdesk_smtp_connections_total Connections offered by clients, by what became of them.
# TYPE mxdesk_smtp_connections_total counter
mxdesk_smtp_connections_total{listener="smtp",result="served"} 1
# HELP mxdesk_smtp_rejections_total Refusals, permanent and temporary, by step of the session and reason.
# TYPE mxdesk_smtp_rejections_total counter
mxdesk_smtp_rejections_total{reason="bare-newline",stage="other"} 1
mxdesk_smtp_rejections_total{reason="other",stage="rcpt"} 1
mxdesk_smtp_rejections_total{reason="unknown-recipient",stage="rcpt"} 1
# HELP mxdesk_smtp_replies_total Replies to MAIL, RCPT and the end of the data, by first digit of the code.
# TYPE mxdesk_smtp_replies_total counter
mxdesk_smtp_replies_total{class="2xx"} 1
# HELP mxdesk_smtp_tls_sessions_total Sessions secured by STARTTLS, by protocol version.
# TYPE mxdesk_smtp_tls_sessions_total counter
mxdesk_smtp_tls_sessions_total{version="TLS 1.3"} 1
mxdesk_smtp_tls_sessions_total{version="other"} 1
# HELP mxdesk_smtp_transactions_total Mail transactions ended, by decision.
# TYPE mxdesk_smtp_transactions_total counter
mxdesk_smtp_transactions_total{decision="held",listener="lmtp"} 1
`
	err := testutil.GatherAndCompare(reg, strings.NewReader(want), "mxdesk_smtp_connections",
		"mxdesk_smtp_connections_total", "mxdesk_smtp_rejections_total", "mxdesk_smtp_replies_total",
		"mxdesk_smtp_tls_sessions_total", "mxdesk_smtp_transactions_total")
	if err != nil {
		t.Error(err)
	}
	if n := testutil.CollectAndCount(m.dataSeconds) + testutil.CollectAndCount(m.messageBytes); n != 2 {
		t.Errorf("histograms: %d, want 2", n)
	}
}

func TestSMTPNil(t *testing.T) {
	var m *SMTP
	m.Connection(ListenerSMTP, ConnectionServed)
	m.Open(1)
	m.Transaction(ListenerSMTP, TransactionAccepted)
	m.Rejected("mail", "busy")
	m.Reply(250)
	m.Message(1)
	m.TLS("TLS 1.3")
	m.Data(time.Second)
}

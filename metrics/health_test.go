package metrics

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func useHealth(m *Metrics) {
	m.Health.Build("1.2.3")
	m.Health.Ready(true, false)
	m.Health.Disk(math.Inf(1), 100)
	m.Health.Certificate(time.Unix(1_900_000_000, 500_000_000))
	m.Queue.Waiting(time.Unix(1_800_000_000, 0), time.Time{})
	m.Intake.Taken(time.Unix(1_800_000_001, 0))
}

func TestHealth(t *testing.T) {
	useHealth(&Metrics{}) // counts nothing, and does not panic

	reg := prometheus.NewPedanticRegistry()
	useHealth(New(reg))
	want := `
# HELP mxdesk_build_info Always 1; the label is what counts.
# TYPE mxdesk_build_info gauge
mxdesk_build_info{version="1.2.3"} 1
# HELP mxdesk_disk_free_bytes Room left where the data is; +Inf with a store that is not on a disk.
# TYPE mxdesk_disk_free_bytes gauge
mxdesk_disk_free_bytes +Inf
# HELP mxdesk_intake_last_taken_timestamp_seconds When a mail was last taken (accepted, held or a duplicate); 0 since the start.
# TYPE mxdesk_intake_last_taken_timestamp_seconds gauge
mxdesk_intake_last_taken_timestamp_seconds 1.800000001e+09
# HELP mxdesk_queue_next_due_timestamp_seconds When the next attempt for a waiting copy is due; 0 if none waits.
# TYPE mxdesk_queue_next_due_timestamp_seconds gauge
mxdesk_queue_next_due_timestamp_seconds 1.8e+09
# HELP mxdesk_queue_oldest_timestamp_seconds When the oldest waiting copy was made; 0 if none waits.
# TYPE mxdesk_queue_oldest_timestamp_seconds gauge
mxdesk_queue_oldest_timestamp_seconds 0
# HELP mxdesk_ready 1 while mail is taken, 0 while /readyz says no.
# TYPE mxdesk_ready gauge
mxdesk_ready 1
# HELP mxdesk_store_failed 1 when the store takes no more writes until a restart.
# TYPE mxdesk_store_failed gauge
mxdesk_store_failed 0
# HELP mxdesk_tls_certificate_expiry_timestamp_seconds When the certificate of STARTTLS expires.
# TYPE mxdesk_tls_certificate_expiry_timestamp_seconds gauge
mxdesk_tls_certificate_expiry_timestamp_seconds 1.9000000005e+09
`
	err := testutil.GatherAndCompare(reg, strings.NewReader(want), "mxdesk_build_info", "mxdesk_disk_free_bytes",
		"mxdesk_intake_last_taken_timestamp_seconds", "mxdesk_queue_next_due_timestamp_seconds", "mxdesk_queue_oldest_timestamp_seconds",
		"mxdesk_ready", "mxdesk_store_failed", "mxdesk_tls_certificate_expiry_timestamp_seconds")
	if err != nil {
		t.Error(err)
	}
}

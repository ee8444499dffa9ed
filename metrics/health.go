package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Health says how the server is. It is set at each scrape, so that a value is
// never older than what it stands beside.
type Health struct {
	build       *prometheus.GaugeVec
	ready       prometheus.Gauge
	storeFailed prometheus.Gauge
	diskFree    prometheus.Gauge
	diskReserve prometheus.Gauge
	certificate prometheus.Gauge
}

func newHealth(reg prometheus.Registerer) *Health {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "mxdesk_" + name, Help: help})
	}
	m := &Health{
		build: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mxdesk_build_info", Help: "Always 1; the label is what counts.",
		}, []string{"version"}),
		ready:       gauge("ready", "1 while mail is taken, 0 while /readyz says no."),
		storeFailed: gauge("store_failed", "1 when the store takes no more writes until a restart."),
		diskFree:    gauge("disk_free_bytes", "Room left where the data is; +Inf with a store that is not on a disk."),
		diskReserve: gauge("disk_reserve_bytes", "Mail is put off while less room than this is left."),
		certificate: gauge("tls_certificate_expiry_timestamp_seconds", "When the certificate of STARTTLS expires."),
	}
	reg.MustRegister(m.build, m.ready, m.storeFailed, m.diskFree, m.diskReserve, m.certificate)
	return m
}

// Build tells the version of the program.
func (m *Health) Build(version string) {
	if m != nil {
		m.build.WithLabelValues(version).Set(1)
	}
}

// Ready tells whether mail is taken, and whether the store has failed.
func (m *Health) Ready(ready, storeFailed bool) {
	if m != nil {
		m.ready.Set(truth(ready))
		m.storeFailed.Set(truth(storeFailed))
	}
}

// Disk tells how much room is left and how much must be, in octets.
func (m *Health) Disk(free, reserve float64) {
	if m != nil {
		m.diskFree.Set(free)
		m.diskReserve.Set(reserve)
	}
}

// Certificate tells when the certificate expires.
func (m *Health) Certificate(expires time.Time) {
	if m != nil {
		m.certificate.Set(seconds(expires))
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// seconds is a time as Prometheus has it, 0 for none.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

package metrics

import "github.com/prometheus/client_golang/prometheus"

// DNSBL counts what block and allow lists say. The names of the lists come from
// the configuration. A nil *DNSBL counts nothing.
type DNSBL struct {
	lookups *prometheus.CounterVec
	healthy *prometheus.GaugeVec
}

// newDNSBL makes the collectors and registers them with reg.
func newDNSBL(reg prometheus.Registerer) *DNSBL {
	m := &DNSBL{
		lookups: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mxdesk_dnsbl_lookups_total", Help: "Questions to block and allow lists, by list and result.",
		}, []string{"list", "result"}),
		healthy: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mxdesk_dnsbl_list_healthy", Help: "Whether a block or allow list is in use (1) or passed over (0).",
		}, []string{"list"}),
	}
	reg.MustRegister(m.lookups, m.healthy)
	return m
}

// Lookup counts a question to a list; the result is hit, clean or failed.
func (m *DNSBL) Lookup(list, result string) {
	if m != nil {
		m.lookups.WithLabelValues(list, known([]string{"hit", "clean", "failed"}, result)).Inc()
	}
}

// Healthy notes whether a list is in use.
func (m *DNSBL) Healthy(list string, ok bool) {
	if m == nil {
		return
	}
	value := 0.0
	if ok {
		value = 1
	}
	m.healthy.WithLabelValues(list).Set(value)
}

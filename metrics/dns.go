package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The label values of lookups.
var (
	dnsTypes   = []string{"TXT", "A", "AAAA", "MX", "PTR"}
	dnsResults = []string{"answer", "no-data", "no-name", "time-out", "failure"}
)

// DNS counts lookups and tells what the cache of answers does. A nil *DNS counts
// nothing.
type DNS struct {
	lookups *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	cache   atomic.Pointer[func() DNSCache]

	requests, evicted, entries, bytes *prometheus.Desc
}

// DNSCache is what a cache counted since it was made, and what it holds.
type DNSCache struct {
	Hits      uint64 // answered from memory
	Misses    uint64 // asked of the resolver behind
	Coalesced uint64 // waited for a lookup of another caller
	Refused   uint64 // not looked up: too many lookups were under way
	Evicted   uint64 // forgotten before their time for want of room
	Entries   int
	Bytes     int
}

func newDNS(reg prometheus.Registerer) *DNS {
	m := &DNS{
		lookups: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mxdesk_dns_lookups_total", Help: "Lookups that name servers were asked, by type of record and result.",
		}, []string{"type", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mxdesk_dns_lookup_seconds", Help: "Time a lookup takes, all attempts included, by result.", Buckets: latency,
		}, []string{"result"}),
		requests: prometheus.NewDesc("mxdesk_dns_cache_requests_total", "Questions put to the cache, by how they were answered.", []string{"result"}, nil),
		evicted:  prometheus.NewDesc("mxdesk_dns_cache_evicted_total", "Answers forgotten before their time for want of room.", nil, nil),
		entries:  prometheus.NewDesc("mxdesk_dns_cache_entries", "Answers in the cache.", nil, nil),
		bytes:    prometheus.NewDesc("mxdesk_dns_cache_bytes", "Approximate memory of the answers in the cache.", nil, nil),
	}
	reg.MustRegister(m.lookups, m.seconds, m)
	return m
}

// Lookup counts a lookup by its type, TXT and the like, and by what came of it:
// answer, no-data, no-name, time-out or failure.
func (m *DNS) Lookup(kind, result string, took time.Duration) {
	if m == nil {
		return
	}
	result = known(dnsResults, result)
	m.lookups.WithLabelValues(known(dnsTypes, kind), result).Inc()
	m.seconds.WithLabelValues(result).Observe(took.Seconds())
}

// Watch lets the state of a cache be asked whenever metrics are read.
func (m *DNS) Watch(state func() DNSCache) {
	if m != nil {
		m.cache.Store(&state)
	}
}

// Describe is part of prometheus.Collector.
func (m *DNS) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.requests, m.evicted, m.entries, m.bytes} {
		ch <- d
	}
}

// Collect is part of prometheus.Collector.
func (m *DNS) Collect(ch chan<- prometheus.Metric) {
	var s DNSCache
	if state := m.cache.Load(); state != nil {
		s = (*state)()
	}
	for result, n := range map[string]uint64{"hit": s.Hits, "miss": s.Misses, "coalesced": s.Coalesced, "refused": s.Refused} {
		ch <- prometheus.MustNewConstMetric(m.requests, prometheus.CounterValue, float64(n), result)
	}
	ch <- prometheus.MustNewConstMetric(m.evicted, prometheus.CounterValue, float64(s.Evicted))
	ch <- prometheus.MustNewConstMetric(m.entries, prometheus.GaugeValue, float64(s.Entries))
	ch <- prometheus.MustNewConstMetric(m.bytes, prometheus.GaugeValue, float64(s.Bytes))
}

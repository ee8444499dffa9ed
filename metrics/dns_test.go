package metrics

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestDNS(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	m := newDNS(reg)
	m.Lookup("TXT", "answer", time.Millisecond)
	m.Lookup("MX", "time-out", 5*time.Second)
	m.Lookup("words of a client", "words of a server", time.Second)
	m.Watch(func() DNSCache {
		return DNSCache{Hits: 5, Misses: 4, Coalesced: 3, Refused: 2, Evicted: 1, Entries: 7, Bytes: 900}
	})

	want := `
# HELP mxdesk_dns_cache_bytes Approximate memory of the answers in the cache.
# TYPE mxdesk_dns_cache_bytes gauge
mxdesk_dns_cache_bytes 900
# HELP mxdesk_dns_cache_entries Answers in the cache.
# TYPE mxdesk_dns_cache_entries gauge
mxdesk_dns_cache_entries 7
# HELP mxdesk_dns_cache_evicted_total Answers forgotten before their time for want of room.
# TYPE mxdesk_dns_cache_evicted_total counter
mxdesk_dns_cache_evicted_total 1
# HELP mxdesk_dns_cache_requests_total Questions put to the cache, by how they were answered.
# TYPE mxdesk_dns_cache_requests_total counter
mxdesk_dns_cache_requests_total{result="coalesced"} 3
mxdesk_dns_cache_requests_total{result="hit"} 5
mxdesk_dns_cache_requests_total{result="miss"} 4
mxdesk_dns_cache_requests_total{result="refused"} 2
# HELP mxdesk_dns_lookups_total Lookups that name servers were asked, by type of record and result.
# TYPE mxdesk_dns_lookups_total counter
mxdesk_dns_lookups_total{result="answer",type="TXT"} 1
mxdesk_dns_lookups_total{result="other",type="other"} 1
mxdesk_dns_lookups_total{result="time-out",type="MX"} 1
`
	names := []string{
		"mxdesk_dns_cache_bytes", "mxdesk_dns_cache_entries", "mxdesk_dns_cache_evicted_total",
		"mxdesk_dns_cache_requests_total", "mxdesk_dns_lookups_total",
	}
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
	if n := testutil.CollectAndCount(m.seconds); n != 3 {
		t.Errorf("histograms: %d, want 3", n)
	}
	var none *DNS
	none.Lookup("A", "answer", time.Second)
	none.Watch(nil)
}

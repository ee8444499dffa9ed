package metrics

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// useDNSBL calls every method of a DNSBL.
func useDNSBL(m *DNSBL) {
	m.Healthy("bl.test", true)
	m.Healthy("dead.test", true)
	m.Healthy("dead.test", false)
	m.Lookup("bl.test", "hit")
	m.Lookup("bl.test", "clean")
	m.Lookup("bl.test", "clean")
	m.Lookup("bl.test", "failed")
	m.Lookup("bl.test", "127.0.0.2")
}

func TestDNSBL(t *testing.T) {
	useDNSBL(nil) // counts nothing, and does not panic

	reg := prometheus.NewPedanticRegistry()
	useDNSBL(newDNSBL(reg))
	want := `
# HELP mxdesk_dnsbl_list_healthy Whether a block or allow list is in use (1) or passed over (0).
# TYPE mxdesk_dnsbl_list_healthy gauge
mxdesk_dnsbl_list_healthy{list="bl.test"} 1
mxdesk_dnsbl_list_healthy{list="dead.test"} 0
# HELP mxdesk_dnsbl_lookups_total Questions to block and allow lists, by list and result.
# TYPE mxdesk_dnsbl_lookups_total counter
mxdesk_dnsbl_lookups_total{list="bl.test",result="clean"} 2
mxdesk_dnsbl_lookups_total{list="bl.test",result="failed"} 1
mxdesk_dnsbl_lookups_total{list="bl.test",result="hit"} 1
mxdesk_dnsbl_lookups_total{list="bl.test",result="other"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

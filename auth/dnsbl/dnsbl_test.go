package dnsbl_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxdesk/mxdesk/auth/dns"
	"github.com/mxdesk/mxdesk/auth/dnsbl"
	"github.com/mxdesk/mxdesk/metrics"
)

var _ dnsbl.Metrics = (*metrics.DNSBL)(nil)

const (
	reverse6 = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2."
	records  = `{
 "2.2.0.192.bl.test": [["A","127.0.0.4"],["A","127.0.0.2"],["TXT"," Listed,\r\n see\thttps://bl.test/\u0000192.0.2.2 \u202e "]],
 "` + reverse6 + `bl.test": [["A","127.0.0.3"]],
 "2.2.0.192.wl.test": [["A","127.0.9.2"]],
 "3.2.0.192.bl.test": [["TXT","a text is no listing"]],
 "4.2.0.192.bl.test": [["TIMEOUT"]],
 "5.2.0.192.bl.test": [["A","127.0.0.1"]],
 "6.2.0.192.bl.test": [["A","127.0.0.2"],["A","127.255.255.254"]],
 "7.2.0.192.bl.test": [["A","198.51.100.1"]],
 "8.2.0.192.bl.test": [["A","127.0.0.4"],["TIMEOUT"]],
 "9.2.0.192.bl.test": [["A","127.0.0.77"]],
 "10.2.0.192.bl.test": [["A","127.255.254.255"]],

 "spam.example.dom.test": [["A","127.0.1.2"]],
 "xn--bcher-kva.example.dom.test": [["A","127.0.1.4"]],
 "slow.example.dom.test": [["TIMEOUT"]],
 "odd.example.dom.test": [["A","127.255.255.252"]],
 "2.2.0.192.dom.test": [["A","127.0.1.255"]]
}`
)

func zone(t testing.TB, text string) *dns.Zone {
	t.Helper()
	z, err := dns.ParseZone([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func lists(t testing.TB, lines ...string) []dnsbl.List {
	t.Helper()
	var out []dnsbl.List
	for _, line := range lines {
		l, err := dnsbl.ParseList(line)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, l)
	}
	return out
}

func checker(t testing.TB, r dns.Resolver, o dnsbl.Options, lines ...string) *dnsbl.Checker {
	t.Helper()
	c, err := dnsbl.New(r, lists(t, lines...), o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func ask(client string, domains ...string) dnsbl.Query {
	q := dnsbl.Query{Domains: domains}
	if client != "" {
		q.Client = netip.MustParseAddr(client)
	}
	return q
}

// show writes a result in one line, each hit as zone, query, answer, weight.
func show(r dnsbl.Result) string {
	out := []string{fmt.Sprint(r.Score)}
	for _, h := range r.Hits {
		line := fmt.Sprintf("%s %s %s %d", h.Zone, h.Query, h.Answer, h.Weight)
		if h.Refuse || h.Text != "" {
			line += fmt.Sprintf(" refuse %q", h.Text)
		}
		out = append(out, line)
	}
	for _, f := range r.Failed {
		out = append(out, "failed "+f)
	}
	return strings.Join(out, "; ")
}

func TestCheck(t *testing.T) {
	z := zone(t, records)
	const bl, dom = "bl.test weight=3", "dom.test domains weight=2"
	for _, c := range []struct {
		what  string
		lists []string
		query dnsbl.Query
		want  string
	}{
		{"nothing", nil, ask("192.0.2.2", "spam.example"), "0"},
		{"listed", []string{bl}, ask("192.0.2.2"), "3; bl.test 192.0.2.2 127.0.0.4 3"},
		{"IPv4-mapped", []string{bl}, ask("::ffff:192.0.2.2"), "3; bl.test 192.0.2.2 127.0.0.4 3"},
		{"IPv6", []string{bl}, ask("2001:db8::1"), "3; bl.test 2001:db8::1 127.0.0.3 3"},
		{"IPv6 with zone", []string{bl}, ask("2001:db8::1%eth0"), "3; bl.test 2001:db8::1 127.0.0.3 3"},
		{"not listed", []string{bl}, ask("192.0.2.1"), "0"},
		{"only a text", []string{bl}, ask("192.0.2.3"), "0"},
		{"no client", []string{bl}, ask(""), "0"},
		{"block and allow", []string{bl, "wl.test weight=-5"}, ask("192.0.2.2"),
			"-2; bl.test 192.0.2.2 127.0.0.4 3; wl.test 192.0.2.2 127.0.9.2 -5"},
		{"refuse", []string{bl + " refuse"}, ask("192.0.2.2"),
			`3; bl.test 192.0.2.2 127.0.0.4 3 refuse "Listed, see https://bl.test/ 192.0.2.2 ?"`},
		{"refuse without text", []string{bl + " refuse"}, ask("192.0.2.9"), `3; bl.test 192.0.2.9 127.0.0.77 3 refuse ""`},
		{"text times out", []string{bl + " refuse"}, ask("192.0.2.8"), `3; bl.test 192.0.2.8 127.0.0.4 3 refuse ""`},
		{"time-out", []string{bl, "wl.test"}, ask("192.0.2.4"), "0; failed bl.test"},

		{"other answers", []string{bl + " answers=127.0.0.10-20"}, ask("192.0.2.2"), "0"},
		{"last of a range", []string{bl + " answers=127.0.0.3-4"}, ask("192.0.2.2"), "3; bl.test 192.0.2.2 127.0.0.4 3"},
		{"behind a range", []string{bl + " answers=127.0.0.3-76"}, ask("192.0.2.9"), "0"},
		{"second answer counts", []string{bl + " answers=127.0.0.10-20 answers=127.0.0.2-3"}, ask("192.0.2.2"), "3; bl.test 192.0.2.2 127.0.0.2 3"},
		{"two weights of one zone", []string{"bl.test weight=3 answers=127.0.0.2 refuse", "bl.test weight=4 answers=127.0.0.4", "bl.test weight=9 answers=127.0.0.9"},
			ask("192.0.2.2"), `7; bl.test 192.0.2.2 127.0.0.2 3 refuse "Listed, see https://bl.test/ 192.0.2.2 ?"; bl.test 192.0.2.2 127.0.0.4 4`},
		{"name", []string{bl + " name=secret"}, ask("192.0.2.2"), "3; secret 192.0.2.2 127.0.0.4 3"},

		{"127.0.0.1", []string{bl}, ask("192.0.2.5"), "0; failed bl.test"},
		{"127.0.0.1 that counts", []string{"bl.test answers=127.0.0.1"}, ask("192.0.2.5"), "1; bl.test 192.0.2.5 127.0.0.1 1"},
		{"127.0.0.1 that counts for one", []string{"bl.test", "bl.test weight=2 answers=127.0.0.1"}, ask("192.0.2.5"), "2; bl.test 192.0.2.5 127.0.0.1 2"},
		{"refused beside a listing", []string{bl}, ask("192.0.2.6"), "0; failed bl.test"},
		{"refused cannot be made to count", []string{bl + " answers=127.255.255.254"}, ask("192.0.2.6"), "0; failed bl.test"},
		{"outside", []string{bl, "wl.test"}, ask("192.0.2.7"), "0; failed bl.test"},
		{"nearly refused", []string{bl}, ask("192.0.2.10"), "3; bl.test 192.0.2.10 127.255.254.255 3"},

		{"domains", []string{dom}, ask("192.0.2.2", "good.example", "SPAM.example.", "bücher.example"),
			"2; dom.test spam.example 127.0.1.2 2; dom.test xn--bcher-kva.example 127.0.1.4 2"},
		{"the same domain", []string{dom}, ask("", "spam.example", "Spam.Example"), "2; dom.test spam.example 127.0.1.2 2"},
		{"an address is no domain", []string{dom}, ask("", "2.2.0.192", "192.0.2.2", "[192.0.2.2]"), "0"},
		{"no domains", []string{dom}, ask("192.0.2.2", "", "test", "a b.example", "x\x00.example", "-.example", "@"), "0"},
		{"one domain times out", []string{dom}, ask("", "slow.example", "spam.example"), "2; dom.test spam.example 127.0.1.2 2; failed dom.test"},
		{"one domain is refused", []string{dom}, ask("", "odd.example", "spam.example"), "0; failed dom.test"},
		{"both kinds", []string{dom, bl}, ask("192.0.2.2", "spam.example"), "5; dom.test spam.example 127.0.1.2 2; bl.test 192.0.2.2 127.0.0.4 3"},
	} {
		t.Run(c.what, func(t *testing.T) {
			if got := show(checker(t, z, dnsbl.Options{}, c.lists...).Check(t.Context(), c.query)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	many := slices.Repeat(lists(t, "bl.test"), 51)
	if _, err := dnsbl.New(nil, many[:50], dnsbl.Options{}); err != nil {
		t.Error(err)
	}
	for want, lists := range map[string][]dnsbl.List{
		"at most 50":         many,
		"unknown kind":       {{Zone: "bl.test", Kind: 2}},
		"empty name":         {{}},
		"two labels":         {{Zone: "BL.test"}},
		"printable":          {{Zone: "bl.test", Name: "a b"}},
		"called bl.test too": lists(t, "bl.test", "bl.test domains"),
		"called x too":       lists(t, "bl.test name=x", "other.test name=x"),
	} {
		if _, err := dnsbl.New(nil, lists, dnsbl.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
	both := lists(t, "bl.test", "bl.test domains name=bl-domains", "bl.test domains weight=2")
	if _, err := dnsbl.New(nil, both, dnsbl.Options{}); err != nil {
		t.Error(err)
	}
}

// recorder notes the names that are asked, and never answers those below a zone
// of dead. With all set it answers everything with that address.
type recorder struct {
	dns.Resolver
	dead string
	all  string

	mu    sync.Mutex
	names []string
}

func (r *recorder) note(kind, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.names = append(r.names, kind+" "+name)
}

func (r *recorder) asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.Sort(r.names)
	return r.names
}

func (r *recorder) A(ctx context.Context, name string) ([]netip.Addr, bool, error) {
	r.note("A", name)
	switch {
	case r.dead != "" && strings.HasSuffix(name, r.dead):
		<-ctx.Done()
		return nil, false, fmt.Errorf("%w: %w", dns.ErrTemporary, ctx.Err())
	case r.all != "":
		return []netip.Addr{netip.MustParseAddr(r.all)}, false, nil
	}
	return r.Resolver.A(ctx, name)
}

func (r *recorder) TXT(ctx context.Context, name string) ([]string, bool, error) {
	r.note("TXT", name)
	return r.Resolver.TXT(ctx, name)
}

func TestCheckAsksNoMoreThanItMust(t *testing.T) {
	r := &recorder{Resolver: zone(t, records)}
	c := checker(t, r, dnsbl.Options{}, "bl.test refuse answers=127.0.0.2", "bl.test answers=127.0.0.4", "wl.test weight=-1", "no.test refuse", "dom.test domains")
	domains := []string{"bad name", "spam.example"}
	for i := range 1000 {
		domains = append(domains, fmt.Sprintf("d%d.example", i))
	}
	c.Check(t.Context(), ask("192.0.2.2", domains...))
	want := []string{"A 2.2.0.192.bl.test", "A 2.2.0.192.no.test", "A 2.2.0.192.wl.test", "TXT 2.2.0.192.bl.test", "A spam.example.dom.test"}
	for i := range 9 {
		want = append(want, fmt.Sprintf("A d%d.example.dom.test", i))
	}
	slices.Sort(want)
	if got := r.asked(); !reflect.DeepEqual(got, want) {
		t.Errorf("asked %v\nwant %v", got, want)
	}
}

func TestCheckTextIsBounded(t *testing.T) {
	text, err := json.Marshal(map[string]any{"2.2.0.192.bl.test": [][]any{{"A", "127.0.0.2"}, {"TXT", "\n" + strings.Repeat("ü\x1b[1m ", 20_000)}}})
	if err != nil {
		t.Fatal(err)
	}
	res := checker(t, zone(t, string(text)), dnsbl.Options{}, "bl.test refuse").Check(t.Context(), ask("192.0.2.2"))
	if len(res.Hits) != 1 {
		t.Fatal(show(res))
	}
	got := res.Hits[0].Text
	if len(got) > 200 || len(got) < 190 || strings.Trim(got, "?[1m ") != "" || strings.Contains(got, "  ") {
		t.Errorf("%d octets: %q", len(got), got)
	}
}

// A list that never answers costs the deadline, not the others' word.
func TestCheckListThatNeverAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{Resolver: zone(t, records), dead: ".dead.test"}
		c := checker(t, r, dnsbl.Options{Timeout: 3 * time.Second}, "dead.test weight=100 refuse", "bl.test weight=3")
		start := time.Now()
		got := show(c.Check(t.Context(), ask("192.0.2.2")))
		if want := "3; bl.test 192.0.2.2 127.0.0.4 3; failed dead.test"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// tally counts as Metrics.
type tally struct {
	mu      sync.Mutex
	lookups map[string]int
	healthy map[string]bool
}

func newTally() *tally { return &tally{lookups: map[string]int{}, healthy: map[string]bool{}} }

func (m *tally) Lookup(list, result string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lookups[list+" "+result]++
}

func (m *tally) Healthy(list string, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.healthy[list] = ok
}

func (m *tally) health() map[string]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.healthy)
}

func TestMetrics(t *testing.T) {
	m := newTally()
	c := checker(t, zone(t, records), dnsbl.Options{Metrics: m}, "bl.test answers=127.0.0.4", "bl.test answers=127.0.0.2", "dom.test domains name=dom")
	for i := range 8 {
		c.Check(t.Context(), ask(fmt.Sprintf("192.0.2.%d", i), "good.example", "spam.example", "odd.example"))
	}
	want := map[string]int{
		"bl.test clean": 3, "bl.test hit": 1, "bl.test failed": 4,
		"dom clean": 8, "dom hit": 8, "dom failed": 8,
	}
	if !reflect.DeepEqual(m.lookups, want) {
		t.Errorf("lookups %v, want %v", m.lookups, want)
	}
	if want := map[string]bool{"bl.test": true, "dom": true}; !reflect.DeepEqual(m.healthy, want) {
		t.Errorf("healthy %v, want %v", m.healthy, want)
	}
}

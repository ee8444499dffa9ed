package dnsbl_test

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxdesk/mxdesk/auth/dns"
	"github.com/mxdesk/mxdesk/auth/dnsbl"
)

// nibbles stand for ::ffff:127.0.0. in front of its last octet.
const nibbles = ".0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."

func TestHealth(t *testing.T) {
	const (
		v2, v1 = "2.0.0.127.l.test", "1.0.0.127.l.test"
		s2, s1 = "2" + nibbles + "l.test", "1" + nibbles + "l.test"
		listed = `[["A","127.0.0.2"],["A","127.0.0.10"]]`
	)
	for _, c := range []struct {
		what, list string
		entries    map[string]string
		ok         bool
		why        string
	}{
		{"both families", "l.test", map[string]string{v2: listed, s2: listed}, true, ""},
		{"IPv4 alone", "l.test", map[string]string{v2: listed}, true, ""},
		{"IPv6 alone", "l.test", map[string]string{s2: listed}, true, ""},
		{"other answers count", "l.test answers=127.0.0.4", map[string]string{v2: listed}, true, ""},
		{"IPv4, silent about IPv6", "l.test", map[string]string{v2: listed, s2: `[["TIMEOUT"]]`}, true, ""},
		{"nothing", "l.test", map[string]string{}, false, "does not list 127.0.0.2"},
		{"lists everything", "l.test", map[string]string{v2: listed, v1: listed}, false, "lists 127.0.0.1"},
		{"lists everything of IPv6", "l.test", map[string]string{v2: listed, s2: listed, s1: listed}, false, "lists ::ffff:127.0.0.1"},
		{"lists everything that it tells", "l.test", map[string]string{v2: `[["TIMEOUT"]]`, v1: listed}, false, "lists 127.0.0.1"},
		{"refused", "l.test", map[string]string{v2: `[["A","127.255.255.254"]]`}, false, "answers 127.255.255.254, as lists do that refuse"},
		{"refused by 127.0.0.1", "l.test", map[string]string{v2: `[["A","127.0.0.1"]]`}, false, "answers 127.0.0.1, as lists do that refuse"},
		{"parked", "l.test", map[string]string{v2: `[["A","203.0.113.1"]]`, v1: `[["A","203.0.113.1"]]`}, false, "answers 203.0.113.1, which is no listing"},
		{"silent", "l.test", map[string]string{v2: `[["SERVFAIL"]]`}, true, "does not answer"},
		{"half silent", "l.test", map[string]string{v2: listed, v1: `[["SERVFAIL"]]`}, true, "does not answer"},

		{"domains", "l.test domains", map[string]string{"test.l.test": listed}, true, ""},
		{"no domains", "l.test domains", map[string]string{v2: listed}, false, "does not list test"},
		{"all domains", "l.test domains", map[string]string{"test.l.test": listed, "invalid.l.test": listed}, false, "lists invalid"},
	} {
		t.Run(c.what, func(t *testing.T) {
			m := newTally()
			got := checker(t, zone(t, object(c.entries)), dnsbl.Options{Metrics: m}, c.list).Health(t.Context())
			if len(got) != 1 || got[0].Zone != "l.test" || got[0].OK != c.ok || !strings.HasPrefix(got[0].Why, c.why) || (c.why == "") != (got[0].Why == "") {
				t.Errorf("got %+v, want %v %q", got, c.ok, c.why)
			}
			if m.healthy["l.test"] != c.ok {
				t.Errorf("metrics say %v", m.healthy)
			}
		})
	}
}

// object writes a zone of records in JSON.
func object(records map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(records)) {
		parts = append(parts, `"`+name+`":`+records[name])
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// world is a Resolver whose zone can be changed.
type world struct {
	dns.Resolver
	current atomic.Pointer[recorder]
}

func (w *world) A(ctx context.Context, name string) (addrs []netip.Addr, authentic bool, err error) {
	return w.current.Load().A(ctx, name)
}

const (
	working = `{"2.0.0.127.bl.test":[["A","127.0.0.2"]], "2.2.0.192.bl.test":[["A","127.0.0.2"]],
		"test.dom.test":[["A","127.0.1.2"]], "spam.example.dom.test":[["A","127.0.1.2"]]}`
	gone   = `{}`
	silent = `{"2.0.0.127.bl.test":[["TIMEOUT"]], "test.dom.test":[["TIMEOUT"]],
		"2.2.0.192.bl.test":[["A","127.0.0.2"]], "spam.example.dom.test":[["A","127.0.1.2"]]}`
	bothHit = "2; bl.test 192.0.2.2 127.0.0.2 1; dom.test spam.example 127.0.1.2 1"
	neither = "0; failed bl.test; failed dom.test"
)

// A list that gives no answer stays what it was.
func TestHealthKeepsState(t *testing.T) {
	w := &world{}
	c := checker(t, w, dnsbl.Options{}, "bl.test", "dom.test domains")
	for _, step := range []struct{ zone, want string }{
		{silent, bothHit}, // healthy until something else is known
		{working, bothHit},
		{silent, bothHit},
		{gone, neither},
		{silent, neither},
		{working, bothHit},
	} {
		w.current.Store(&recorder{Resolver: zone(t, step.zone)})
		c.Health(t.Context())
		if got := show(c.Check(t.Context(), ask("192.0.2.2", "spam.example"))); got != step.want {
			t.Errorf("got %s, want %s", got, step.want)
		}
	}
}

// An unhealthy list is not asked at all.
func TestCheckPassesOver(t *testing.T) {
	r := &recorder{Resolver: zone(t, working), all: "203.0.113.1"}
	c := checker(t, r, dnsbl.Options{}, "bl.test refuse weight=100", "dom.test domains")
	for _, h := range c.Health(t.Context()) {
		if h.OK {
			t.Errorf("%+v", h)
		}
	}
	r.names, r.all = nil, ""
	if got := show(c.Check(t.Context(), ask("192.0.2.2", "spam.example"))); got != neither || r.asked() != nil {
		t.Errorf("got %s, asked %v", got, r.names)
	}
}

// probes counts the health checks of bl.test since the last call.
func (w *world) probes() int {
	r := w.current.Load()
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, name := range r.names {
		if name == "A 2.0.0.127.bl.test" {
			n++
		}
	}
	r.names = nil
	return n
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		w, m := &world{}, newTally()
		c := checker(t, w, dnsbl.Options{Metrics: m, Log: slog.New(slog.NewTextHandler(&log, nil))}, "bl.test", "dom.test domains")
		change := func(text, all string) { w.current.Store(&recorder{Resolver: zone(t, text), all: all}) }
		// after waits and tells how often bl.test was checked meanwhile.
		after := func(d time.Duration) int {
			time.Sleep(d)
			synctest.Wait()
			return w.probes()
		}
		expect := func(what string, probes, want int, result string) {
			t.Helper()
			if probes != want {
				t.Errorf("%s: %d checks, want %d", what, probes, want)
			}
			if got := show(c.Check(t.Context(), ask("192.0.2.2", "spam.example"))); got != result {
				t.Errorf("%s: got %s, want %s", what, got, result)
			}
			ok := result == bothHit
			if want := map[string]bool{"bl.test": ok, "dom.test": ok}; !reflect.DeepEqual(m.health(), want) {
				t.Errorf("%s: metrics say %v", what, m.health())
			}
			w.probes()
		}
		change(working, "")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { c.Run(ctx); close(done) }()

		expect("at the start", after(time.Second), 1, bothHit)
		expect("within the hour", after(59*time.Minute+58*time.Second), 0, bothHit)
		expect("after an hour", after(2*time.Second), 1, bothHit)
		change(gone, "")
		expect("gone", after(time.Hour), 1, neither)
		expect("before five minutes", after(4*time.Minute+50*time.Second), 0, neither)
		expect("again after five minutes", after(10*time.Second), 1, neither)
		change(silent, "")
		expect("silent", after(10*time.Minute), 2, neither)
		change(working, "")
		expect("healthy again", after(5*time.Minute), 1, bothHit)
		change(silent, "")
		expect("silent, and healthy before", after(time.Hour), 1, bothHit)
		expect("silent is asked again sooner", after(5*time.Minute), 1, bothHit)
		expect("silent for the third time", after(5*time.Minute), 1, neither)
		change(working, "")
		expect("it answers again", after(5*time.Minute), 1, bothHit)

		change(working, "203.0.113.1")
		if got := show(c.Check(ctx, ask("192.0.2.2", "spam.example"))); got != neither {
			t.Errorf("parked: got %s", got)
		}
		w.probes()
		expect("suspected", after(time.Minute), 1, neither)
		change(working, "")
		expect("no longer parked", after(5*time.Minute), 1, bothHit)

		cancel()
		<-done
		want := []string{"list unhealthy, not asked any more", "list healthy again", "list unhealthy, not asked any more", "list healthy again", "list suspected", "list unhealthy, not asked any more", "list healthy again"}
		if got := messages(log.String(), "list=bl.test"); !reflect.DeepEqual(got, want) {
			t.Errorf("log: %q", got)
		}
	})
}

// messages returns the messages of the lines of a text log that hold mark.
func messages(log, mark string) []string {
	var out []string
	for line := range strings.Lines(log) {
		_, rest, _ := strings.Cut(line, `msg="`)
		msg, _, _ := strings.Cut(rest, `"`)
		if strings.Contains(line, mark) {
			out = append(out, msg)
		}
	}
	return out
}

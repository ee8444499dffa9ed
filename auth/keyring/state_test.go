package keyring

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
)

var start = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func days(n int) time.Time { return start.AddDate(0, 0, n) }

// parseRing reads "selector state[@day][-day]" words: since and until in days
// from start.
func parseRing(t testing.TB, text string) ring {
	t.Helper()
	var r ring
	for word := range strings.FieldsSeq(text) {
		name, rest, _ := strings.Cut(word, ":")
		state, since, _ := strings.Cut(rest, "@")
		from, to, retired := strings.Cut(since, "-")
		k := Key{Domain: "desk.test", Selector: name, Algorithm: RSA, Bits: 2048, State: State(state), Record: "x"}
		if strings.HasPrefix(name, "ed") {
			k.Algorithm, k.Bits = Ed25519, 256
		}
		k.Since = days(number(t, from))
		if retired {
			k.Until = days(number(t, to))
		}
		if k.State == Gone {
			k.Record = revoked
		}
		r = append(r, k)
	}
	return r
}

func number(t testing.TB, s string) (n int) {
	t.Helper()
	if _, err := fmt.Sscan(s, &n); err != nil {
		t.Fatalf("number %q: %v", s, err)
	}
	return n
}

func TestSteps(t *testing.T) {
	const keep = 7 * 24 * time.Hour
	pair := parseRing(t, "rsa2:gone@0 ed2:gone@0")
	pair = pair.each(func(k Key) Key { k.Record = "x"; return k })
	begin := func(r ring, now time.Time) (ring, error) { return r.begin(pair, now) }
	turn := func(r ring, now time.Time) (ring, error) { return r.turn(now, keep) }
	expire := func(r ring, now time.Time) (ring, error) { return r.expire(now), nil }
	for _, tt := range []struct {
		name   string
		step   func(ring, time.Time) (ring, error)
		before string
		day    int
		after  string // "" = refused
	}{
		{"begin", begin, "rsa1:active@0 ed1:active@0", 5, "rsa1:active@0 ed1:active@0 rsa2:next@5 ed2:next@5"},
		{"begin beside retired keys", begin, "rsa0:retired@1-8 rsa1:active@1", 5, "rsa0:retired@1-8 rsa1:active@1 rsa2:next@5 ed2:next@5"},
		{"begin twice", begin, "rsa1:active@0 rsa3:next@1", 5, ""},
		{"turn", turn, "rsa1:active@0 ed1:active@0 rsa2:next@5 ed2:next@5", 6, "rsa1:retired@6-13 ed1:retired@6-13 rsa2:active@6 ed2:active@6"},
		{"turn leaves others alone", turn, "rsa0:gone@1 ed0:retired@1-8 rsa1:active@0 rsa2:next@5", 6, "rsa0:gone@1 ed0:retired@1-8 rsa1:retired@6-13 rsa2:active@6"},
		{"turn to nothing", turn, "rsa1:active@0 rsa0:retired@0-7", 6, ""},
		{"drop", ring.drop, "rsa1:active@0 rsa2:next@5 ed2:next@5", 6, "rsa1:active@0 rsa2:gone@6 ed2:gone@6"},
		{"drop nothing", ring.drop, "rsa1:active@0", 6, ""},
		{"expire nothing", expire, "rsa0:retired@1-8 rsa1:active@1 rsa2:next@2", 7, "rsa0:retired@1-8 rsa1:active@1 rsa2:next@2"},
		{"expire on time", expire, "rsa0:retired@1-8 rsa1:active@1 rsa2:next@2", 8, "rsa0:gone@8 rsa1:active@1 rsa2:next@2"},
		{"an active key does not age", expire, "rsa1:active@0", 9000, "rsa1:active@0"},
		{"remember what is gone", expire, "rsa0:gone@0 rsa1:active@1", 89, "rsa0:gone@0 rsa1:active@1"},
		{"forget what is long gone", expire, "rsa0:gone@0 rsa1:active@1", 90, "rsa1:active@1"},
	} {
		before := parseRing(t, tt.before)
		got, err := tt.step(before, days(tt.day))
		if tt.after == "" {
			if e, ok := errors.AsType[*ticketing.Error](err); !ok || e.Kind != ticketing.KindConflict {
				t.Errorf("%s: %v, %v; want a refusal", tt.name, got, err)
			}
			continue
		}
		if want := parseRing(t, tt.after); err != nil || fmt.Sprint([]Key(got)) != fmt.Sprint([]Key(want)) {
			t.Errorf("%s:\n%v, %v; want\n%v", tt.name, []Key(got), err, []Key(want))
		}
		if fmt.Sprint([]Key(before)) != fmt.Sprint([]Key(parseRing(t, tt.before))) {
			t.Errorf("%s: the ring itself changed", tt.name)
		}
	}
}

func TestTooManyKeys(t *testing.T) {
	r := make(ring, maxKeys-1)
	if _, err := r.begin(make(ring, 2), start); ticketing.KindOf(err) != ticketing.KindConflict {
		t.Errorf("err = %v", err)
	}
	if _, err := r[1:].begin(make(ring, 2), start); err != nil {
		t.Errorf("err = %v", err)
	}
}

func TestSelectorsAreNeverUsedTwice(t *testing.T) {
	used := map[string]bool{"ed202611zb": true} // half of a pair counts
	var order []string
	for range 60 {
		rsa, ed := selectors(start, func(s string) bool { return used[s] })
		if used[rsa] || used[ed] || strings.TrimPrefix(rsa, "rsa") != strings.TrimPrefix(ed, "ed") {
			t.Fatalf("%s and %s after %v", rsa, ed, order)
		}
		used[rsa], used[ed] = true, true
		order = append(order, strings.TrimPrefix(rsa, "rsa202611"))
	}
	if got := strings.Join(order, " "); !strings.HasPrefix(got, " b c d") || !strings.Contains(got, " y z za zc zd ") || !strings.Contains(got, " zy zz zza ") {
		t.Errorf("order = %q", got)
	}
	if rsa, _ := selectors(days(20), func(string) bool { return false }); rsa != "rsa202612" {
		t.Errorf("in December: %s", rsa)
	}
}

func TestBitsOfTheNextKey(t *testing.T) {
	for have, want := range map[int]int{1024: 2048, 2048: 2048, 3072: 3072, 4096: 4096, 8192: 4096} {
		r := ring{{Algorithm: RSA, Bits: have, State: Active}, {Algorithm: RSA, Bits: 4096, State: Retired}}
		if got := r.bits(); got != want {
			t.Errorf("after %d bits: %d, want %d", have, got, want)
		}
	}
	if got := (ring{{Algorithm: Ed25519, Bits: 256, State: Active}}).bits(); got != 2048 {
		t.Errorf("after no RSA key: %d", got)
	}
}

func TestStrings(t *testing.T) {
	for length, want := range map[int]string{1: "1", 255: "255", 256: "255 1", 410: "255 155", 511: "255 255 1"} {
		record := strings.Repeat("x", length)
		parts := Key{Record: record}.Strings()
		sizes := make([]string, len(parts))
		for i, p := range parts {
			sizes[i] = fmt.Sprint(len(p))
		}
		if strings.Join(sizes, " ") != want || strings.Join(parts, "") != record {
			t.Errorf("%d octets: %v", length, sizes)
		}
	}
}

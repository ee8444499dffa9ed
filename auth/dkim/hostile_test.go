package dkim

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestHostile bounds the work that one message can cause.
func TestHostile(t *testing.T) {
	var b strings.Builder
	zone := map[string][]string{}
	for i := range 200 {
		tags := strings.Replace(goodTags, "s=sel", fmt.Sprintf("s=s%d", i%3), 1)
		signed := forge(t, edKey, tags, plainMail)
		b.WriteString(signed[:len(signed)-len(plainMail)])
		zone[fmt.Sprintf("s%d._domainkey.example.org", i)] = []string{publish(t, edKey)}
	}
	b.WriteString(plainMail)
	fake := &fakeDNS{txt: zone}
	m := read(t, b.String())
	results := New(fake, Options{Now: testNow}).Verify(t.Context(), m)
	if len(results) != 10 || fake.lookups != 3 {
		t.Errorf("%d results, %d lookups", len(results), fake.lookups)
	}
	for i, r := range results {
		if r.Result != Pass {
			t.Errorf("signature %d: %s", i, r.Reason)
		}
	}
}

// TestManyNames gives a signature that names one field thousands of times: no
// more fields are hashed than there are.
func TestManyNames(t *testing.T) {
	h := "h=" + strings.Repeat("from:x:", 10000) + "to"
	tags := strings.Replace(goodTags, "h=from:to:subject", h, 1)
	signed := forge(t, edKey, tags, plainMail)
	zone := map[string][]string{"sel._domainkey.example.org": {publish(t, edKey)}}
	if got := verify(t, zone, signed)[0]; got.Result != Pass {
		t.Errorf("%s (%s)", got.Result, got.Reason)
	}
	m := read(t, signed)
	if n := len(slices.Collect(m.Select(h[2:], -1))); n != 2 {
		t.Errorf("%d fields selected", n)
	}
}

// TestTimeout gives a name server that never answers.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		raw := plainMail
		zone := map[string][]string{}
		for i := range 10 {
			raw = forge(t, edKey, strings.Replace(goodTags, "s=sel", fmt.Sprintf("s=s%d", i), 1), raw)
			zone[fmt.Sprintf("s%d._domainkey.example.org", i)] = []string{"HANG"}
		}
		fake := &fakeDNS{txt: zone}
		start := time.Now()
		results := New(fake, Options{}).Verify(t.Context(), read(t, raw))
		if d := time.Since(start); d != 10*time.Second {
			t.Errorf("took %v", d)
		}
		for i, r := range results {
			if r.Result != TempError {
				t.Errorf("signature %d: %s", i, r.Result)
			}
		}
		if fake.peak > parallelism {
			t.Errorf("%d lookups at a time", fake.peak)
		}
	})
}

// TestNoLookup shows that what fails without a key asks for none.
func TestNoLookup(t *testing.T) {
	for _, raw := range []string{
		forge(t, edKey, goodTags, plainMail) + "added\r\n",
		"DKIM-Signature: v=1; junk\r\n" + plainMail,
		forge(t, edKey, goodTags+"; x=1", plainMail),
	} {
		fake := &fakeDNS{txt: map[string][]string{}}
		New(fake, Options{Now: testNow}).Verify(t.Context(), read(t, raw))
		if fake.lookups != 0 {
			t.Errorf("%d lookups for %.40q", fake.lookups, raw)
		}
	}
}

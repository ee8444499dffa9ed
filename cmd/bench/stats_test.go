package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSpread(t *testing.T) {
	for _, tc := range []struct {
		values []float64
		want   spread
	}{
		{nil, spread{}},
		{[]float64{3}, spread{3, 3, 3}},
		{[]float64{9, 1, 5}, spread{5, 1, 9}},
		{[]float64{4, 1, 2, 9}, spread{3, 1, 9}},
	} {
		if got := spreadOf(tc.values); got != tc.want {
			t.Errorf("spread of %v = %v, want %v", tc.values, got, tc.want)
		}
	}
}

func TestQuantile(t *testing.T) {
	var hundred []int
	for i := range 100 {
		hundred = append(hundred, i+1)
	}
	for q, want := range map[float64]int{0: 1, 0.5: 50, 0.99: 99, 1: 100} {
		if got := quantile(hundred, q); got != want {
			t.Errorf("quantile %v = %d, want %d", q, got, want)
		}
	}
	if got := quantile([]int(nil), 0.5); got != 0 {
		t.Errorf("quantile of nothing = %d", got)
	}
}

// The median of the ratios is not the ratio of the medians: a slow moment of
// the machine hits both servers of a repetition.
func TestRatiosArePaired(t *testing.T) {
	ours, theirs := []float64{300, 30, 280}, []float64{100, 10, 140}
	if got := spreadOf(ratios(ours, theirs)).Median; got != 3 {
		t.Errorf("median ratio = %v, want 3", got)
	}
	if got := ratios([]float64{1}, []float64{0}); len(got) != 0 {
		t.Errorf("ratio to a server that took nothing: %v", got)
	}
}

func TestRemaining(t *testing.T) {
	if got := remaining(10*time.Second, 1, 4); got != "30s" {
		t.Errorf("remaining = %s, want 30s", got)
	}
}

func TestMissing(t *testing.T) {
	before := counts{kept: 10, passed: 10, checked: true}
	for name, tc := range map[string]struct {
		after  counts
		signed bool
		wrong  bool
	}{
		"all there":           {counts{15, 15, true}, true, false},
		"one lost":            {counts{14, 15, true}, true, true},
		"one too many":        {counts{16, 15, true}, true, true},
		"one not verified":    {counts{15, 14, true}, true, true},
		"nothing to verify":   {counts{15, 10, true}, false, false},
		"no checks in server": {counts{15, 10, false}, true, false},
	} {
		if got := tc.after.missing(before, 5, tc.signed); (got != "") != tc.wrong {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestChoose(t *testing.T) {
	all, err := choose(plan(), false, "")
	if err != nil || len(all) != len(plan()) {
		t.Fatalf("%d rows, %v", len(all), err)
	}
	seen := map[string]bool{}
	for _, r := range all {
		name := r.group.title + r.name()
		if seen[name] {
			t.Errorf("two rows are called %s", name)
		}
		seen[name] = true
	}
	quick, err := choose(plan(), true, "^LMTP")
	if err != nil || len(quick) == 0 || len(quick) >= len(all) || slices.ContainsFunc(quick, func(r row) bool { return r.group != lmtp }) {
		t.Errorf("quick rows of LMTP: %v, %v", quick, err)
	}
	if _, err := choose(plan(), false, "nothing is called so"); err == nil {
		t.Error("no error without a row")
	}
	if got := parts(quick); slices.Contains(got, "rspamd") || !slices.Contains(got, "dovecot") {
		t.Errorf("parts for LMTP: %v", got)
	}
}

func measured(wrong string) []*series {
	ours := []point{{mails: 5, rate: 300, p50: 1, p99: 2}, {mails: 5, rate: 330, p50: 1, p99: 4, wrong: wrong}}
	theirs := []point{{mails: 5, rate: 100}, {mails: 5, rate: 100}}
	return []*series{{row: plan()[2], ours: ours, theirs: theirs}}
}

func TestReport(t *testing.T) {
	r := &report{Versions: map[string]string{"Postfix": "3.7"}, Repetitions: 2, syncs: []float64{3000}}
	r.add(measured(""))
	var out bytes.Buffer
	if err := r.write(&out, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"smtp-source s=50 kept 10 KiB", "315 (300..330)", "3.15 (3.00..3.30)", "3.0   met", "1.0/3.0", "3000 (3000..3000) per second"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestReportOfWrongCounts(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		r := &report{}
		r.add(measured("5 mails were answered 250, 4 were kept"))
		var out bytes.Buffer
		if err := r.write(&out, asJSON); !errors.Is(err, errWrong) {
			t.Errorf("error = %v", err)
		}
		if !strings.Contains(out.String(), "mxdesk smtp: 5 mails were answered 250, 4 were kept") {
			t.Errorf("the reason is missing in\n%s", out.String())
		}
		if asJSON != json.Valid(out.Bytes()) {
			t.Errorf("JSON: %v, output:\n%s", asJSON, out.String())
		}
	}
	if r := (result{Wrong: []string{"x"}, Goal: 3, Met: true}); r.mark() != "WRONG" {
		t.Errorf("mark = %s", r.mark())
	}
}

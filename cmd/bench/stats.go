package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// spread is the middle of some values and how far they lie apart.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// spreadOf returns the spread of values; of an even number of values the
// median is the mean of the middle two. Of none it is zero.
func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	s := slices.Sorted(slices.Values(values))
	n := len(s)
	return spread{Median: (s[(n-1)/2] + s[n/2]) / 2, Min: s[0], Max: s[n-1]}
}

// text writes the spread with so many decimals.
func (s spread) text(decimals int) string {
	return fmt.Sprintf("%.*f (%.*f..%.*f)", decimals, s.Median, decimals, s.Min, decimals, s.Max)
}

// quantile returns the value below which a share q of the sorted values lies
// (nearest rank), zero of none.
func quantile[T cmp.Ordered](sorted []T, q float64) T {
	if len(sorted) == 0 {
		var zero T
		return zero
	}
	rank := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(rank, 0), len(sorted)-1)]
}

// percentiles returns p50 and p99 in milliseconds.
func percentiles(ds []time.Duration) (p50, p99 float64) {
	s := slices.Sorted(slices.Values(ds))
	return millis(quantile(s, 0.5)), millis(quantile(s, 0.99))
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// ratios divides pair by pair.
func ratios(a, b []float64) []float64 {
	var out []float64
	for i := range min(len(a), len(b)) {
		if b[i] > 0 {
			out = append(out, a[i]/b[i])
		}
	}
	return out
}

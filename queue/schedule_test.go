package queue

import (
	"testing"
	"time"
)

func TestNext(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	deadline := now.Add(lifetime)
	for _, tt := range []struct {
		tries int
		rand  float64
		want  time.Duration
	}{
		{0, 0.5, 5 * time.Minute},
		{1, 0.5, 5 * time.Minute},
		{1, 0, 4*time.Minute + 30*time.Second},
		{1, 1, 5*time.Minute + 30*time.Second},
		{2, 0.5, 10 * time.Minute},
		{3, 0.5, 20 * time.Minute},
		{4, 0.5, 40 * time.Minute},
		{5, 0.5, time.Hour},
		{6, 0.5, 2 * time.Hour},
		{7, 0.5, 3 * time.Hour},
		{8, 0.5, 4 * time.Hour},
		{8, 0, 3*time.Hour + 36*time.Minute},
		{1000, 0.5, 4 * time.Hour},
	} {
		due, ok := next(tt.tries, deadline, now, tt.rand)
		if !ok || due.Sub(now) != tt.want {
			t.Errorf("next(%d, rand %v) = %v, %t, want %v", tt.tries, tt.rand, due.Sub(now), ok, tt.want)
		}
	}
}

func TestNextDeadline(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if due, ok := next(9, now.Add(time.Minute), now, 0.5); !ok || !due.Equal(now.Add(time.Minute)) {
		t.Errorf("before the deadline: %v, %t: want the deadline itself", due, ok)
	}
	for _, past := range []time.Duration{0, time.Hour} {
		if _, ok := next(1, now.Add(-past), now, 0.5); ok {
			t.Errorf("%v after the deadline: want to give up", past)
		}
	}
}

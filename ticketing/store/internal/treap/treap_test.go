package treap

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestModel runs random changes beside a Go map, and keeps old versions to see
// that they stay as they were.
func TestModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var m Map
	model := map[string]string{}
	type version struct {
		m     Map
		model map[string]string
	}
	var versions []version
	for i := range 5000 {
		key := fmt.Sprintf("%03d", rng.IntN(600))
		if rng.IntN(3) == 0 {
			m = m.Delete(key)
			delete(model, key)
		} else {
			value := fmt.Sprint(i)
			m = m.Put(key, []byte(value))
			model[key] = value
		}
		if i%100 == 0 {
			versions = append(versions, version{m, maps.Clone(model)})
			if i%300 != 0 { // some of the versions begin a series of changes
				m = m.Own()
			} else {
				m.owner = nil
			}
		}
	}
	for _, v := range append(versions, version{m, model}) {
		check(t, v.m, v.model, rng)
	}
}

func check(t *testing.T, m Map, model map[string]string, rng *rand.Rand) {
	t.Helper()
	if m.Len() != len(model) {
		t.Fatalf("Len = %d, want %d", m.Len(), len(model))
	}
	keys := slices.Sorted(maps.Keys(model))
	for range 10 {
		start, end := fmt.Sprintf("%03d", rng.IntN(620)-10), fmt.Sprintf("%03d", rng.IntN(620))
		if rng.IntN(4) == 0 {
			end = ""
		}
		var want []string
		for _, k := range keys {
			if k >= start && (end == "" || k < end) {
				want = append(want, k+"="+model[k])
			}
		}
		if got := list(m.Scan(start, end, false)); !slices.Equal(got, want) {
			t.Fatalf("scan %q-%q: %v, want %v", start, end, got, want)
		}
		slices.Reverse(want)
		if got := list(m.Scan(start, end, true)); !slices.Equal(got, want) {
			t.Fatalf("reverse scan %q-%q: %v, want %v", start, end, got, want)
		}
	}
}

func list(c *Cursor) []string {
	var all []string
	for k, v := range c.All() {
		all = append(all, k+"="+string(v))
	}
	return all
}

// TestDepth holds sorted insertion, the worst case of a plain tree, to a
// logarithmic depth.
func TestDepth(t *testing.T) {
	var m Map
	for i := range 20_000 {
		m = m.Put(fmt.Sprintf("%06d", i), nil)
	}
	if d := depth(m.root); d > 60 {
		t.Errorf("depth %d for 20,000 sorted keys", d)
	}
}

func depth(n *node) int {
	if n == nil {
		return 0
	}
	return 1 + max(depth(n.left), depth(n.right))
}

func BenchmarkPut(b *testing.B) {
	keys := make([]string, 3000)
	for i := range keys {
		keys[i] = fmt.Sprintf("table/%d/%d", rand.IntN(10), rand.Int())
	}
	var m Map
	for i := 0; b.Loop(); i++ {
		if i%len(keys) == 0 {
			m = Map{}
		}
		m = m.Put(keys[i%len(keys)], nil)
	}
}

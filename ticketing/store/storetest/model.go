package storetest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// modelTests run random operations beside a model.
var modelTests = []test{
	{"seed 1", func(t *testing.T, f Factory) { testModel(t, f, 1) }},
	{"seed 2", func(t *testing.T, f Factory) { testModel(t, f, 2) }},
	{"seed 3", func(t *testing.T, f Factory) { testModel(t, f, 3) }},
}

// model is what a store should hold.
type model struct {
	values map[store.Key]string
	refs   map[int]int // of blob number
	feed   []string    // kinds of the changes
}

func (m model) clone() model {
	return model{maps.Clone(m.values), maps.Clone(m.refs), slices.Clone(m.feed)}
}

// player makes the random choices of one test.
type player struct {
	t   *testing.T
	rng *rand.Rand
	db  *store.DB
}

const (
	modelTxs   = 250
	modelKeys  = 60
	modelBlobs = 12
)

var errUndo = errors.New("undo")

func testModel(t *testing.T, f Factory, seed uint64) {
	e := f.Open(t)
	p := player{t, rand.New(rand.NewPCG(seed, 0)), store.Open(e, store.Options{RunTwice: true})}
	m := model{values: map[store.Key]string{}, refs: map[int]int{}}
	for range modelTxs {
		m = p.transaction(m)
		if t.Failed() {
			break
		}
		if p.rng.IntN(60) == 0 {
			closeDB(t, p.db)
			e = f.Reopen(t, e)
			p.db = store.Open(e, store.Options{RunTwice: true})
		}
	}
	p.compare(m)
	closeDB(t, p.db)
}

// transaction runs up to 25 operations, of which one may spoil everything, and
// returns the model after it.
func (p *player) transaction(before model) model {
	steps, undo := 1+p.rng.IntN(25), p.rng.IntN(5) == 0
	staged := make([]*store.Staged, modelBlobs)
	for i := range staged {
		if p.rng.IntN(4) == 0 {
			h, data := modelBlob(i)
			staged[i] = stage(p.t, p.db, h, data)
		}
	}
	seed := p.rng.Uint64()
	var after model
	err := p.db.Update(p.t.Context(), func(tx store.Tx) error {
		rng := rand.New(rand.NewPCG(seed, 1)) // the same choices in each run
		after = before.clone()
		for range steps {
			if err := step(rng, tx, &after, staged); err != nil {
				return err
			}
		}
		if undo {
			return errUndo
		}
		return nil
	})
	switch {
	case undo && errors.Is(err, errUndo):
		return before
	case err != nil:
		p.t.Errorf("transaction: %v", err)
	}
	return after
}

// modelBlob returns blob number i, some small and some large.
func modelBlob(i int) (store.Hash, []byte) {
	return newBlob([]int{200, 20 << 10, 70 << 10}[i%3], i)
}

func modelKey(rng *rand.Rand) store.Key {
	n := rng.IntN(modelKeys)
	return store.K("m", n%7, fmt.Sprint(n))
}

// step does one operation on the transaction and on the model.
func step(rng *rand.Rand, tx store.Tx, m *model, staged []*store.Staged) error {
	switch rng.IntN(8) {
	case 0, 1:
		k, v := modelKey(rng), fmt.Sprint(rng.Uint64())
		m.values[k] = v
		return tx.Put(k, []byte(v))
	case 2:
		k := modelKey(rng)
		delete(m.values, k)
		return tx.Delete(k)
	case 3:
		return checkGet(rng, tx, m)
	case 4, 5:
		return checkScan(rng, tx, m)
	case 6:
		kind := fmt.Sprint(rng.IntN(100))
		m.feed = append(m.feed, kind)
		return tx.Emit(store.Change{Kind: kind})
	}
	return stepBlob(rng, tx, m, staged)
}

func checkGet(rng *rand.Rand, r store.Reader, m *model) error {
	keys := []store.Key{modelKey(rng), modelKey(rng), modelKey(rng)}
	vs, err := r.GetMulti(keys)
	if err != nil {
		return err
	}
	for i, k := range keys {
		want, ok := m.values[k]
		if ok != (vs[i] != nil) || string(vs[i]) != want {
			return fmt.Errorf("GetMulti of %v: %q, want %q", k, vs[i], want)
		}
		v, err := r.Get(k)
		if ok != (err == nil) || !ok && !errors.Is(err, store.ErrNotFound) || string(v) != want {
			return fmt.Errorf("get of %v: %q, %w, want %q", k, v, err, want)
		}
	}
	return nil
}

func checkScan(rng *rand.Rand, r store.Reader, m *model) error {
	within := store.Range{Start: modelKey(rng), End: modelKey(rng)}
	if rng.IntN(3) == 0 {
		within = store.Prefix("m", rng.IntN(7))
	}
	var want []string
	for _, k := range slices.Sorted(maps.Keys(m.values)) {
		if k >= within.Start && k < within.End {
			want = append(want, fmt.Sprintf("%v=%s", k, m.values[k]))
		}
	}
	reverse := rng.IntN(2) == 0
	if reverse {
		slices.Reverse(want)
	}
	got, err := list(r.Scan(within, reverse))
	if err != nil {
		return err
	}
	if limit := rng.IntN(4); limit < len(want) { // once more, breaking off
		n := 0
		for range r.Scan(within, reverse) {
			if n++; n > limit {
				break
			}
		}
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("scan %v to %v, reverse %v: %q, want %q", within.Start, within.End, reverse, got, want)
	}
	return nil
}

func stepBlob(rng *rand.Rand, tx store.Tx, m *model, staged []*store.Staged) error {
	i := rng.IntN(modelBlobs)
	h, _ := modelBlob(i)
	if staged[i] != nil && rng.IntN(2) == 0 {
		m.refs[i]++
		return tx.AddBlob(staged[i])
	}
	change, by := tx.RefBlob, 1
	if rng.IntN(2) == 0 {
		change, by = tx.ReleaseBlob, -1
	}
	err := change(h)
	if m.refs[i] == 0 {
		if !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("blob %d that is not there: %w", i, err)
		}
		return nil
	}
	m.refs[i] += by
	return err
}

// compare checks everything there is.
func (p *player) compare(m model) {
	p.t.Helper()
	var want []string
	for _, k := range slices.Sorted(maps.Keys(m.values)) {
		want = append(want, fmt.Sprintf("%v=%s", k, m.values[k]))
	}
	wantList(p.t, "contents", contents(p.t, p.db), want...)
	changes, err := p.db.Changes(p.t.Context(), 0, len(m.feed)+10)
	wantErr(p.t, "changes", err, nil)
	var kinds []string
	for _, c := range changes {
		kinds = append(kinds, c.Kind)
	}
	wantList(p.t, "feed", kinds, m.feed...)
	refs := map[store.Hash]int64{}
	for b, err := range p.db.Blobs(p.t.Context()) {
		if err != nil {
			p.t.Fatal(err)
		}
		refs[b.Hash] = b.Refs
	}
	for i := range modelBlobs {
		h, data := modelBlob(i)
		if refs[h] != int64(m.refs[i]) {
			p.t.Errorf("blob %d has %d references, want %d", i, refs[h], m.refs[i])
		}
		if m.refs[i] > 0 {
			wantBlob(p.t, p.db, h, data)
		} else {
			wantNoBlob(p.t, p.db, h)
		}
	}
}

package store

import "errors"

const (
	maxMemo      = 4096    // keys that a batch remembers
	maxMemoBytes = 4 << 10 // of a value that it remembers
)

// memo remembers what was read from a snapshot, absent keys too: the closures
// of a batch ask for much the same.
type memo struct {
	Reader
	values map[Key][]byte // nil for an absent key
}

func newMemo(r Reader) *memo { return &memo{r, make(map[Key][]byte)} }

// Get returns the value of a key, from memory if it was asked for before.
func (m *memo) Get(k Key) ([]byte, error) {
	if v, ok := m.values[k]; ok {
		if v == nil {
			return nil, ErrNotFound
		}
		return v, nil
	}
	v, err := m.Reader.Get(k)
	if absent := errors.Is(err, ErrNotFound); (absent || err == nil && len(v) <= maxMemoBytes) && len(m.values) < maxMemo {
		m.values[k] = v
	}
	return v, err
}

package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// RowsRequest selects rows of the store.
type RowsRequest struct {
	Prefix string `json:"prefix"` // as keys are printed; "" = all
	After  string `json:"after"`  // begin behind this key; "" = at the first
	Limit  int    `json:"limit"`  // 0 = all
	Values bool   `json:"values"`
}

// StoreRow is one row of the store.
type StoreRow struct {
	Key  string `json:"key"` // as people read it, and as --after takes it
	Size int    `json:"size"`
	// Value is there when values were asked for: as it is when it is JSON, else
	// Bytes.
	Value json.RawMessage `json:"value,omitempty"`
	Bytes []byte          `json:"bytes,omitempty"`
}

func (s *Store) list(ctx context.Context, req RowsRequest, o *out) error {
	rg := store.Range{}
	if req.Prefix != "" {
		k, err := store.ParseKey(req.Prefix)
		if err != nil {
			return err
		}
		rg = store.Range{Start: k, End: k + "\xff"}
	}
	if req.After != "" {
		k, err := store.ParseKey(req.After)
		if err != nil {
			return err
		}
		rg.Start = max(rg.Start, k+"\x00")
	}
	return s.DB.View(ctx, func(r store.Reader) error {
		n := 0
		for i, err := range r.Scan(rg, false) {
			if err == nil {
				err = context.Cause(ctx)
			}
			if err != nil {
				return err
			}
			if err := o.value(storeRow(i, req.Values)); err != nil {
				return err
			}
			if n++; n == req.Limit {
				break
			}
		}
		return nil
	})
}

func storeRow(i store.Item, values bool) StoreRow {
	row := StoreRow{Key: i.Key.String(), Size: len(i.Value)}
	switch {
	case !values:
	case json.Valid(i.Value):
		row.Value = i.Value
	default:
		row.Bytes = i.Value
	}
	return row
}

// escape writes characters that could do something to a terminal as JSON
// escapes, which changes nothing of what the JSON says.
func escape(text []byte) []byte {
	if !bytes.ContainsFunc(text, harmful) {
		return text
	}
	var b []byte
	for _, r := range string(text) {
		switch {
		case harmful(r):
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return b
}

// harmful characters are controls that JSON lets stand, and those that turn the
// direction of writing.
func harmful(r rune) bool {
	return r > 0x7e && unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == 0x2028 || r == 0x2029
}

// Stats is the answer to store.stats.
type Stats struct {
	Kinds  []KindStats `json:"kinds"` // by name
	Inline BlobStats   `json:"inline"`
	Apart  BlobStats   `json:"apart"`  // in files of their own
	Change uint64      `json:"change"` // number of the newest
	Space  Space       `json:"space"`
}

// KindStats counts the rows of one kind, the first element of their keys.
type KindStats struct {
	Kind  string `json:"kind"`
	Rows  int64  `json:"rows"`
	Bytes int64  `json:"bytes"`
}

// BlobStats counts blobs.
type BlobStats struct {
	Blobs int64 `json:"blobs"`
	Bytes int64 `json:"bytes"`
}

func (s *Store) stats(ctx context.Context, _ struct{}, o *out) error {
	return s.DB.View(ctx, func(r store.Reader) error {
		st, err := countAll(ctx, r, func(done int64) error { return o.step(Progress{Done: done, Of: max(done, s.Space().Tables)}) })
		if err != nil {
			return err
		}
		st.Space = s.Space()
		return o.value(st)
	})
}

func countAll(ctx context.Context, r store.Reader, step func(int64) error) (st Stats, err error) {
	kinds := map[string]*KindStats{}
	var done int64
	for i, err := range r.Scan(store.Range{}, false) {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return st, err
		}
		name := kindName(i.Key)
		if kinds[name] == nil {
			kinds[name] = &KindStats{Kind: name}
		}
		n := int64(len(i.Key) + len(i.Value))
		kinds[name].Rows++
		kinds[name].Bytes += n
		if done += n; kinds[name].Rows%256 == 0 {
			if err := step(done); err != nil {
				return st, err
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		st.Kinds = append(st.Kinds, *kinds[name])
	}
	for b, err := range store.BlobsOf(r) {
		if err != nil {
			return st, err
		}
		where := &st.Apart
		if b.Place == (store.Place{}) {
			where = &st.Inline
		}
		where.Blobs++
		where.Bytes += b.Size
	}
	st.Change, err = store.LastChange(r)
	return st, err
}

// kindName is the first element of a key as people read it; of the port's own
// keys the first two.
func kindName(k store.Key) string {
	parts, _ := k.Split()
	if len(parts) == 0 {
		return k.String()
	}
	if parts[0] == "store" && len(parts) > 1 {
		return store.K(parts[:2]...).String()
	}
	return store.K(parts[0]).String()
}

package ticketing

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// SchemaVersion is the version of the key layout and of every value. A store
// of a newer version is refused.
const SchemaVersion = 3

var versionPrefix = fmt.Appendf(nil, `{"v":%d`, SchemaVersion)

// encode writes a value as a JSON object whose first member is the version.
func encode(v any) ([]byte, error) {
	buf := bytes.NewBuffer(make([]byte, 0, 256))
	buf.Write(versionPrefix)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false) // nobody puts a value into a page as it stands
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	out := bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	n := len(versionPrefix) // where the value's own object begins
	switch {
	case len(out) < n+2 || out[n] != '{':
		return nil, fmt.Errorf("value of type %T is not an object", v)
	case out[n+1] == '}':
		out = append(out[:n], '}')
	default:
		out[n] = ','
	}
	return dropNUL(out), nil
}

// dropNUL replaces escaped NUL characters: text columns of SQL cannot hold
// them and nobody can read them.
func dropNUL(b []byte) []byte {
	if !bytes.Contains(b, []byte(`\u0000`)) {
		return b
	}
	for i := 0; i+1 < len(b); i++ {
		if b[i] != '\\' {
			continue
		}
		if bytes.HasPrefix(b[i:], []byte(`\u0000`)) {
			copy(b[i:], `\ufffd`)
		}
		i++ // the escaped character is no escape itself
	}
	return b
}

// errUndecodable is wrapped by errors of stored values that cannot be read.
var errUndecodable = errors.New("stored value")

func isUndecodable(err error) bool { return errors.Is(err, errUndecodable) }

func decode[T any](b []byte) (*T, error) {
	v := new(T)
	if err := json.Unmarshal(b, v); err != nil {
		return nil, fmt.Errorf("%w: %w", errUndecodable, err)
	}
	return v, nil
}

// load reads the value of a key, or store.ErrNotFound.
func load[T any](r store.Reader, k store.Key) (*T, error) {
	b, err := r.Get(k)
	if err != nil {
		return nil, err
	}
	return decode[T](b)
}

// find reads the value of a key; nil without error when there is none.
func find[T any](r store.Reader, k store.Key) (*T, error) {
	v, err := load[T](r, k)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return v, err
}

// loadAll reads the values of keys that must exist, in their order.
func loadAll[T any](r store.Reader, ks []store.Key) ([]*T, error) {
	bs, err := r.GetMulti(ks)
	if err != nil {
		return nil, err
	}
	out := make([]*T, 0, len(bs))
	for i, b := range bs {
		if b == nil {
			return nil, fmt.Errorf("an index names %s, which is missing", ks[i])
		}
		v, err := decode[T](b)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// scan decodes the values of a range in order; limit 0 = all.
func scan[T any](r store.Reader, rg store.Range, reverse bool, limit int) ([]*T, error) {
	var out []*T
	for it, err := range r.Scan(rg, reverse) {
		if err != nil {
			return nil, err
		}
		v, err := decode[T](it.Value)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
		if limit > 0 && len(out) == limit {
			break
		}
	}
	return out, nil
}

func save(tx store.Tx, k store.Key, v any) error {
	b, err := encode(v)
	if err != nil {
		return err
	}
	return tx.Put(k, b)
}

// ref is the value of an index row: there is nothing to say.
var ref = []byte("{}")

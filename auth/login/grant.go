package login

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// grant is what a secret stands for.
type grant struct {
	Version int       `json:"v"`
	Agent   string    `json:"agent"` // e-mail
	Until   time.Time `json:"until"`
	Used    time.Time `json:"used,omitzero"` // last use that was written down
}

// grantVersion is the version of a grant's value.
const grantVersion = 1

// ref is the value of an index row.
var ref = []byte("{}")

// grants are the secrets of one kind. docs/store.md has their keys.
type grants struct {
	name string
	max  int // of one agent; the one that would end first goes
}

var (
	links    = grants{name: "signin", max: maxLinks}
	sessions = grants{name: "session", max: maxSessions}
)

func (k grants) key(h store.Hash) store.Key { return store.K(k.name, h) }

func (k grants) byAgent(email string, h store.Hash) store.Key {
	return store.K(k.name+".agent", email, h)
}

// load returns the grant of a secret, nil when there is none.
func (k grants) load(r store.Reader, h store.Hash) (*grant, error) {
	b, err := r.Get(k.key(h))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	g := new(grant)
	if err := json.Unmarshal(b, g); err != nil {
		return nil, fmt.Errorf("stored %s: %w", k.name, err)
	}
	return g, nil
}

// find is load for grants that have not ended.
func (k grants) find(r store.Reader, h store.Hash, now time.Time) (*grant, error) {
	g, err := k.load(r, h)
	if err != nil || g == nil || !now.Before(g.Until) {
		return nil, err
	}
	return g, nil
}

func (k grants) save(tx store.Tx, h store.Hash, g grant) error {
	g.Version = grantVersion
	b, err := json.Marshal(g)
	if err != nil {
		return err
	}
	return tx.Put(k.key(h), b)
}

// add writes a grant, and removes those of the agent that have ended or are
// too many.
func (k grants) add(tx store.Tx, h store.Hash, g grant, now time.Time) error {
	old, err := k.of(tx, g.Agent)
	if err != nil {
		return err
	}
	for i, o := range old {
		if len(old)-i >= k.max || !now.Before(o.Until) {
			if err := k.remove(tx, o.hash, o.grant); err != nil {
				return err
			}
		}
	}
	if err := tx.Put(k.byAgent(g.Agent, h), ref); err != nil {
		return err
	}
	return k.save(tx, h, g)
}

func (k grants) remove(tx store.Tx, h store.Hash, g grant) error {
	if err := tx.Delete(k.byAgent(g.Agent, h)); err != nil {
		return err
	}
	return tx.Delete(k.key(h))
}

// owned is a grant with the digest of its secret.
type owned struct {
	grant
	hash store.Hash
}

// of lists an agent's grants, the one that ends first at the front.
func (k grants) of(r store.Reader, email string) ([]owned, error) {
	var out []owned
	for it, err := range r.Scan(store.Prefix(k.name+".agent", email), false) {
		if err != nil {
			return nil, err
		}
		parts, err := it.Key.Split()
		if err != nil {
			return nil, err
		}
		h, ok := lastHash(parts)
		if !ok {
			return nil, fmt.Errorf("key %s does not end in a hash", it.Key)
		}
		g, err := k.load(r, h)
		if err != nil {
			return nil, err
		}
		if g == nil {
			return nil, fmt.Errorf("an index names %s, which is missing", k.key(h))
		}
		out = append(out, owned{*g, h})
	}
	slices.SortFunc(out, func(a, b owned) int { return a.Until.Compare(b.Until) })
	return out, nil
}

// end removes all grants of an agent, and returns how many there were that had
// not ended by themselves.
func (k grants) end(tx store.Tx, email string, now time.Time) (n int, err error) {
	all, err := k.of(tx, email)
	if err != nil {
		return 0, err
	}
	for _, o := range all {
		if now.Before(o.Until) {
			n++
		}
		if err := k.remove(tx, o.hash, o.grant); err != nil {
			return 0, err
		}
	}
	return n, nil
}

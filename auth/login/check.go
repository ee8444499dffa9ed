package login

import (
	"encoding/json"
	"errors"

	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/store"
)

// Rules are what must hold of the rows of this package: see ticketing.Check.
func Rules() []ticketing.Rule {
	var list []ticketing.Rule
	for _, k := range []grants{links, sessions} {
		list = append(list, ticketing.Rule{Kind: k.name, Row: k.check}, ticketing.Rule{Kind: k.name + ".agent", Source: k.source})
	}
	return list
}

// check checks one grant.
func (k grants) check(c *ticketing.Checking, row ticketing.Row) error {
	var g grant
	if err := json.Unmarshal(row.Value, &g); err != nil || g.Version != grantVersion || g.Agent == "" {
		c.Bad(row.Key, "cannot be read")
		return nil
	}
	h, ok := lastHash(row.Parts)
	if !ok || row.Key != k.key(h) {
		c.Bad(row.Key, "does not end in a hash")
		return nil
	}
	return errors.Join(c.Owns(row.Key, store.Item{Key: k.byAgent(g.Agent, h), Value: ref}), c.OfAgent(row.Key, g.Agent))
}

// source is the grant that a row of the index by agent finds.
func (k grants) source(parts []any) (store.Key, bool) {
	h, ok := lastHash(parts)
	return k.key(h), ok
}

// lastHash is the hash that a key ends in.
func lastHash(parts []any) (store.Hash, bool) {
	b, _ := parts[len(parts)-1].([]byte)
	if len(b) != len(store.Hash{}) {
		return store.Hash{}, false
	}
	return store.Hash(b), true
}

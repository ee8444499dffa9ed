package ticketing

import (
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// maxRoutes bounds the addresses that are remembered.
const maxRoutes = 4096

// routes remembers where addresses lead, which every mail asks several times:
// as long as the rows that decide it stay as they are, which their version tells.
type routes struct {
	mu      sync.Mutex
	version uint64
	known   map[address]routed
}

// address is a recipient in lower case; without a local part it stands for all
// of a domain that is not served.
type address struct{ local, domain string }

// routed is a Route, or an *Error that says why there is none.
type routed struct {
	route Route
	err   error
}

// find is routeIn from memory, where it can be. What a transaction sees may
// never be committed, so it is not remembered; what it has changed is not of the
// version yet that it sees.
func (c *routes) find(r store.Reader, local, domain string) (Route, error) {
	if strings.Contains(local, "+") {
		return routeIn(r, local, domain) // tokens come and go with every ticket
	}
	if t, ok := r.(*routingTx); ok && t.changed {
		return routeIn(r, local, domain)
	}
	version, err := routingVersion(r)
	if err != nil {
		return Route{}, err
	}
	at := address{local, domain}
	if known, ok := c.get(version, at); ok {
		return known.route, known.err
	}
	route, err := routeIn(r, local, domain)
	if _, writes := r.(store.Tx); !writes {
		c.put(version, at, routed{route, err})
	}
	return route, err
}

// own tells whether an address is one of the desk's.
func (c *routes) own(r store.Reader, addr string) (bool, error) {
	local, domain, ok := splitAddress(addr)
	if !ok {
		return false, nil
	}
	_, err := c.find(r, local, domain)
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason == reasonRevoked, nil
	}
	return err == nil, err
}

func (c *routes) get(version uint64, at address) (routed, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if version != c.version {
		return routed{}, false
	}
	if all, ok := c.known[address{domain: at.domain}]; ok {
		return all, true
	}
	known, ok := c.known[at]
	return known, ok
}

func (c *routes) put(version uint64, at address, known routed) {
	if known.err != nil {
		e, ok := errors.AsType[*Error](known.err)
		if !ok {
			return
		}
		if e.Reason == reasonRelay {
			at.local = ""
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if version < c.version {
		return // of a snapshot that is older than what is known
	}
	if version > c.version || c.known == nil || len(c.known) >= maxRoutes {
		c.version, c.known = version, make(map[address]routed)
	}
	c.known[at] = known
}

// routingVersion counts the transactions that changed what [routeIn] reads,
// tokens aside.
func routingVersion(r store.Reader) (uint64, error) {
	c, err := find[counter](r, routingKey())
	if err != nil || c == nil {
		return 0, err
	}
	return c.Last, nil
}

// routingTx notes whether a transaction changes routing.
type routingTx struct {
	store.Tx
	changed bool
}

// Unwrap returns the transaction itself.
func (t *routingTx) Unwrap() store.Tx { return t.Tx }

// Put implements [store.Tx].
func (t *routingTx) Put(k store.Key, v []byte) error {
	t.note(k)
	return t.Tx.Put(k, v)
}

// Delete implements [store.Tx].
func (t *routingTx) Delete(k store.Key) error {
	t.note(k)
	return t.Tx.Delete(k)
}

func (t *routingTx) note(k store.Key) {
	t.changed = t.changed || decidesRoutes(k)
}

// routingRows are the beginnings of the rows that have a say in where addresses
// lead.
var routingRows = []store.Key{store.K("domain"), store.K("alias"), store.K("project"), store.K("project.name")}

func decidesRoutes(k store.Key) bool {
	return slices.ContainsFunc(routingRows, func(rows store.Key) bool { return strings.HasPrefix(string(k), string(rows)) })
}

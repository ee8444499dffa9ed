package ticketing

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// maxRoutes bounds the addresses that are remembered.
const maxRoutes = 4096

// routes remembers where addresses lead, which every mail asks several times:
// as long as no commit changes the rows that decide it.
type routes struct {
	commits *atomic.Uint64 // that changed them; nil where other processes may do so too

	mu    sync.Mutex
	count uint64 // of commits, before what is known was read
	row   string // of the version, when what is known was read
	known map[address]routed
}

// address is a recipient in lower case; without a local part it stands for all
// of a domain that is not served.
type address struct{ local, domain string }

// routed is a Route, or an *Error that says why there is none.
type routed struct {
	route Route
	err   error
}

// lookup is where an address leads now.
func (d *Desk) lookup(ctx context.Context, local, domain string) (route Route, err error) {
	count := d.routes.now()
	if known, ok := d.routes.since(count, address{local, domain}); ok {
		return known.route, storeError(known.err)
	}
	err = d.db.View(ctx, func(r store.Reader) (err error) {
		route, err = d.routes.find(r, count, address{local, domain})
		return err
	})
	return route, storeError(err)
}

// now is the count of commits; what a snapshot shows that begins afterwards is
// at least as new.
func (c *routes) now() uint64 {
	if c.commits == nil {
		return 0
	}
	return c.commits.Load()
}

// since returns what is known if no commit has changed it.
func (c *routes) since(count uint64, at address) (routed, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.commits == nil || count != c.count {
		return routed{}, false
	}
	return c.get(at)
}

// find is routeIn from memory, where it can be. What a transaction sees may
// never be committed, so it is not remembered; what it has changed is not of the
// version yet that it sees.
func (c *routes) find(r store.Reader, count uint64, at address) (Route, error) {
	if strings.Contains(at.local, "+") {
		return routeIn(r, at.local, at.domain) // tokens come and go with every ticket
	}
	if t, ok := r.(*routingTx); ok && t.changed {
		return routeIn(r, at.local, at.domain)
	}
	row, err := r.Get(routingKey())
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return Route{}, err
	}
	if known, ok := c.of(row, at); ok {
		return known.route, known.err
	}
	route, err := routeIn(r, at.local, at.domain)
	if _, writes := r.(store.Tx); !writes {
		c.put(count, string(row), at, routed{route, err})
	}
	return route, err
}

// ownIn is Owns as a transaction sees it.
func (c *routes) ownIn(tx store.Tx, addr string) (bool, error) {
	local, domain, ok := splitAddress(addr)
	if !ok {
		return false, nil
	}
	_, err := c.find(tx, 0, address{local, domain})
	return leadsHere(err)
}

// leadsHere tells from the error of a route whether its address is the desk's.
func leadsHere(err error) (bool, error) {
	if e, ok := errors.AsType[*Error](err); ok && !e.Temporary() {
		return e.Reason == reasonRevoked, nil
	}
	return err == nil, err
}

// of returns what is known of the version that a row tells.
func (c *routes) of(row []byte, at address) (routed, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if string(row) != c.row {
		return routed{}, false
	}
	return c.get(at)
}

func (c *routes) get(at address) (routed, bool) {
	if all, ok := c.known[address{domain: at.domain}]; ok {
		return all, true
	}
	known, ok := c.known[at]
	return known, ok
}

func (c *routes) put(count uint64, row string, at address, known routed) {
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
	if count < c.count {
		return // of a snapshot that is older than what is known
	}
	if count > c.count || row != c.row || c.known == nil || len(c.known) >= maxRoutes {
		c.count, c.row, c.known = count, row, make(map[address]routed)
	}
	c.known[at] = known
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

package ticketing

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// Desk has the use cases of the domain, each one store transaction. It is safe
// for concurrent use.
type Desk struct {
	db   *store.DB
	now  func() time.Time
	seed func() [32]byte
	text TextReader
	// defaultPolicy holds where neither project nor domain has one.
	defaultPolicy Policy
	copy          func(ctx context.Context, schema int) error
	layout        []Upgrade
	routes        routes
	hashBody      func(raw io.ReaderAt, size int64) (store.Hash, error)
}

// Options of a Desk. The zero value is ready for production.
type Options struct {
	Now  func() time.Time // default time.Now
	Seed func() [32]byte  // default NewSeed; tests give their own for stable ids
	// Text reads the text of a mail again, which is then not kept a second time.
	// Default: all texts are kept. It must not be taken away later.
	Text TextReader
	// HashBody hashes the body of a raw mail so that it stays the same whatever
	// relays do to white space; the identity of a mail that comes again depends
	// on it. Default: the hash of all octets.
	HashBody func(raw io.ReaderAt, size int64) (store.Hash, error)
	// Policy holds where neither the project nor the domain has one; default
	// PolicyEnforce.
	Policy Policy
	// Copy keeps a copy of the whole store, which is of the schema of this
	// number. Migrate calls it before it changes an older store. Default: none.
	Copy func(ctx context.Context, schema int) error
	// Upgrades lead from schema 1 to the newest. Default: those of this program.
	Upgrades []Upgrade
}

// New returns the desk of a store. [Desk.Migrate] is to be called once before
// anything else.
func New(db *store.DB, o Options) *Desk {
	d := &Desk{
		db: db, now: o.Now, seed: o.Seed, text: o.Text, defaultPolicy: cmp.Or(o.Policy, PolicyEnforce),
		copy: o.Copy, layout: o.Upgrades, hashBody: o.HashBody, routes: routes{commits: db.Watch(routingKey())},
	}
	if d.now == nil {
		d.now = time.Now
	}
	if d.seed == nil {
		d.seed = NewSeed
	}
	if d.hashBody == nil {
		d.hashBody = hashAll
	}
	if d.layout == nil {
		d.layout = upgrades
	}
	return d
}

// draw returns the source of ids for one use case at one moment.
func (d *Desk) draw() func() *Draw {
	seed, now := d.seed(), d.now().UTC().Round(0)
	return func() *Draw { return newDraw(seed, now) }
}

func (d *Desk) update(ctx context.Context, f func(store.Tx) error) error {
	return storeError(d.db.Update(ctx, func(tx store.Tx) error {
		t := &routingTx{Tx: tx}
		if err := f(t); err != nil || !t.changed {
			return err
		}
		_, err := next(tx, routingKey())
		return err
	}))
}

func view[T any](ctx context.Context, d *Desk, f func(store.Reader) (T, error)) (out T, err error) {
	err = d.db.View(ctx, func(r store.Reader) (err error) {
		out, err = f(r)
		return err
	})
	return out, storeError(err)
}

// counter is the value of a sequence row.
type counter struct {
	Last uint64 `json:"last"`
}

// next takes the next number of a sequence; the first is 1.
func next(tx store.Tx, k store.Key) (uint64, error) {
	c, err := find[counter](tx, k)
	if err != nil {
		return 0, err
	}
	if c == nil {
		c = &counter{}
	}
	c.Last++
	return c.Last, save(tx, k, c)
}

// lastString returns the last element of a key.
func lastString(k store.Key) (string, error) {
	parts, err := k.Split()
	if err != nil {
		return "", err
	}
	if s, ok := parts[len(parts)-1].(string); ok {
		return s, nil
	}
	return "", fmt.Errorf("key %s does not end in text", k)
}

// oneLine folds white space and controls of a text into single blanks and cuts
// it to max runes.
func oneLine(s string, max int) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if r := []rune(s); len(r) > max {
		return string(r[:max])
	}
	return s
}

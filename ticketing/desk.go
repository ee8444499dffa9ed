package ticketing

import (
	"cmp"
	"context"
	"fmt"
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
}

// Options of a Desk. The zero value is ready for production.
type Options struct {
	Now  func() time.Time // default time.Now
	Seed func() [32]byte  // default NewSeed; tests give their own for stable ids
	// Text reads the text of a mail again, which is then not kept a second time.
	// Default: all texts are kept. It must not be taken away later.
	Text TextReader
	// Policy holds where neither the project nor the domain has one; default
	// PolicyEnforce.
	Policy Policy
}

// New returns the desk of a store. [Desk.Migrate] is to be called once before
// anything else.
func New(db *store.DB, o Options) *Desk {
	d := &Desk{db: db, now: o.Now, seed: o.Seed, text: o.Text, defaultPolicy: cmp.Or(o.Policy, PolicyEnforce)}
	if d.now == nil {
		d.now = time.Now
	}
	if d.seed == nil {
		d.seed = NewSeed
	}
	return d
}

// schemaRow is what the store says of its own layout.
type schemaRow struct {
	Version int       `json:"version"`
	Since   time.Time `json:"since"`
}

// Migrate brings the store to SchemaVersion. fresh tells that the store was
// empty. A newer store is a KindConflict: this program must not touch it.
func (d *Desk) Migrate(ctx context.Context) (fresh bool, err error) {
	now := d.now()
	err = d.update(ctx, func(tx store.Tx) error {
		fresh = false
		row, err := find[schemaRow](tx, schemaKey())
		if err != nil {
			return err
		}
		if row != nil && row.Version > SchemaVersion {
			return errorf(KindConflict, "schema-newer",
				"the data is of schema %d, this program knows %d: use a newer mxdesk", row.Version, SchemaVersion)
		}
		if row != nil {
			return nil
		}
		fresh = true
		return save(tx, schemaKey(), schemaRow{Version: SchemaVersion, Since: now})
	})
	return fresh, err
}

// draw returns the source of ids for one use case at one moment.
func (d *Desk) draw() func() *Draw {
	seed, now := d.seed(), d.now().UTC().Round(0)
	return func() *Draw { return newDraw(seed, now) }
}

func (d *Desk) update(ctx context.Context, f func(store.Tx) error) error {
	return storeError(d.db.Update(ctx, f))
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

package ticketing

import (
	"context"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// Upgrade leads from one schema to the next.
type Upgrade struct {
	// Step does a part of it in one transaction, within store.MaxTxBytes. It
	// begins behind the key that the step before returned, "" at first, and
	// returns "" when nothing is left to do. It must not take what an earlier
	// step wrote for something old.
	Step func(tx store.Tx, after store.Key) (store.Key, error)
}

// upgrades of this program: the first leads from schema 1 to 2. SchemaVersion
// is one more than there are.
var upgrades = []Upgrade{
	// Schema 2 reads all that schema 1 wrote, not the reverse: changes share a
	// row of the feed, and long texts are left to the raw mail.
	{Step: func(store.Tx, store.Key) (store.Key, error) { return "", nil }},
	// Schema 3 knows a message by its Message-ID first.
	{Step: noteHashed},
}

// schemaRow is what the store says of its own layout.
type schemaRow struct {
	Version int       `json:"version"`
	Since   time.Time `json:"since"`
	// Upgrade is set from the first change of an upgrade to its last. Version is
	// that of its end, so that older programs leave the store alone.
	Upgrade *upgrading `json:"upgrade,omitempty"`
}

// upgrading tells how far an upgrade has come.
type upgrading struct {
	Reached int       `json:"reached"` // schema
	After   store.Key `json:"after"`   // done up to here on the way to the next
}

// Migrate brings the store to the newest schema, after a copy, or goes on with
// that where a crash has ended it. fresh tells that the store was empty. A
// newer store is a KindConflict: this program must not touch it.
func (d *Desk) Migrate(ctx context.Context) (fresh bool, err error) {
	row, err := view(ctx, d, func(r store.Reader) (*schemaRow, error) { return find[schemaRow](r, schemaKey()) })
	if err != nil {
		return false, err
	}
	newest := 1 + len(d.layout)
	switch {
	case row == nil:
		return true, d.setSchema(ctx, schemaRow{Version: newest})
	case row.Version > newest:
		return false, errorf(KindConflict, "schema-newer",
			"the data is of schema %d, this program knows %d: use a newer mxdesk", row.Version, newest)
	case row.Version == newest && row.Upgrade == nil:
		return false, nil
	}
	if row.Upgrade == nil {
		if d.copy != nil {
			if err := d.copy(ctx, row.Version); err != nil {
				return false, err
			}
		}
		row.Upgrade = &upgrading{Reached: row.Version}
	}
	row.Version = newest
	if err := d.setSchema(ctx, *row); err != nil {
		return false, err
	}
	return false, d.upgrade(ctx)
}

func (d *Desk) setSchema(ctx context.Context, row schemaRow) error {
	row.Since = d.now()
	return d.update(ctx, func(tx store.Tx) error { return save(tx, schemaKey(), row) })
}

// upgrade takes one step after the other until nothing is left to do.
func (d *Desk) upgrade(ctx context.Context) error {
	for done := false; !done; {
		now := d.now()
		err := d.update(ctx, func(tx store.Tx) error {
			row, err := load[schemaRow](tx, schemaKey())
			if err != nil {
				return err
			}
			if done = row.Upgrade == nil; done {
				return nil
			}
			if err := row.step(tx, d.layout); err != nil {
				return err
			}
			row.Since = now
			return save(tx, schemaKey(), row)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// step takes one step, and notes how far it led.
func (row *schemaRow) step(tx store.Tx, layout []Upgrade) error {
	u := row.Upgrade
	after, err := layout[u.Reached-1].Step(tx, u.After)
	if err != nil {
		return err
	}
	if u.After = after; after == "" {
		u.Reached++
	}
	if u.Reached == row.Version {
		row.Upgrade = nil
	}
	return nil
}

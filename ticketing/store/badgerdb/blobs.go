package badgerdb

import (
	"context"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// blobs is the engine's side that keeps blobs.
type blobs struct {
	db *DB
}

// Inline keeps the small blobs of a batch in Badger while they are few: one
// sync instead of two.
func (b blobs) Inline(_ int, total int64) bool { return total <= b.db.opt.InlineBytes }

// Write appends to the segments, unless that would use up the reserve.
func (b blobs) Write(ctx context.Context, sources []store.BlobSource) ([]store.Place, error) {
	var total int64
	for _, s := range sources {
		total += s.Size
	}
	if err := b.db.room(total); err != nil {
		return nil, err
	}
	return b.db.blobs.Write(ctx, sources)
}

// Open reads from the segments.
func (b blobs) Open(ctx context.Context, p store.Place, h store.Hash, size int64) (store.BlobReader, error) {
	return b.db.blobs.Open(ctx, p, h, size)
}

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

// Write appends to the segments.
func (b blobs) Write(ctx context.Context, sources []store.BlobSource) ([]store.Place, error) {
	return b.db.blobs.Write(ctx, sources)
}

// Open reads from the segments.
func (b blobs) Open(ctx context.Context, p store.Place, h store.Hash, size int64) (store.BlobReader, error) {
	return b.db.blobs.Open(ctx, p, h, size)
}

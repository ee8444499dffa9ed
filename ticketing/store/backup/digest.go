package backup

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// digester makes the digest of a state: of its blobs, then of its items, then
// of how many there were of each.
type digester struct {
	sum hash.Hash
	n   Counts
	buf []byte
}

func newDigester() *digester { return &digester{sum: sha256.New()} }

func (d *digester) blob(b Blob) {
	d.buf = appendBlob(d.buf[:0], b)
	d.sum.Write(d.buf)
	d.n.Blobs++
	d.n.BlobBytes += b.Size
}

func (d *digester) item(i store.Item) {
	d.buf = appendItem(d.buf[:0], i)
	d.sum.Write(d.buf)
	d.n.Keys++
	d.n.KeyBytes += int64(len(i.Key) + len(i.Value))
}

func (d *digester) digest() store.Hash {
	d.buf = binary.BigEndian.AppendUint64(d.buf[:0], uint64(d.n.Blobs))
	d.sum.Write(binary.BigEndian.AppendUint64(d.buf, uint64(d.n.Keys)))
	return store.Hash(d.sum.Sum(nil))
}

func appendBlob(b []byte, blob Blob) []byte {
	b = append(b, blob.Hash[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(blob.Size))
	return binary.BigEndian.AppendUint64(b, uint64(blob.Refs))
}

func appendItem(b []byte, i store.Item) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(i.Key))) // MaxKeyBytes are less
	b = append(b, i.Key...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(i.Value)))
	return append(b, i.Value...)
}

// Digest returns the digest of what r knows. It is the same for a store and for
// what was restored from its backup: where blobs lie does not count, which
// there are does.
func Digest(ctx context.Context, r store.Reader) (store.Hash, Counts, error) {
	d := newDigester()
	for b, err := range store.BlobsOf(r) {
		if err != nil {
			return store.Hash{}, d.n, err
		}
		d.blob(Blob{b.Hash, b.Size, b.Refs})
	}
	for i, err := range store.Contents(r) {
		if err != nil {
			return store.Hash{}, d.n, err
		}
		if d.n.Keys%1024 == 0 && ctx.Err() != nil {
			return store.Hash{}, d.n, context.Cause(ctx)
		}
		d.item(i)
	}
	return d.digest(), d.n, nil
}

// schemaOf reads the version of the data's layout, 0 when there is none yet.
func schemaOf(i store.Item) (int, error) {
	var row struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(i.Value, &row); err != nil {
		return 0, fmt.Errorf("key %v: %w", i.Key, err)
	}
	return row.Version, nil
}

// schemaKey is where the domain keeps the version of its layout.
var schemaKey = store.K("meta", "schema")

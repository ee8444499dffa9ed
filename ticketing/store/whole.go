package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
)

// What backups and checks need: everything there is, of one snapshot, and a way
// to put it into an empty store.

// Contents yields every item that r knows, in order, but for the records and
// the bytes of blobs: see [BlobsOf].
func Contents(r Reader) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		blobs, data := Prefix(reserved, "blob"), Prefix(reserved, "blobdata")
		for _, part := range []Range{{End: blobs.Start}, {blobs.End, data.Start}, {Start: data.End}} {
			for item, err := range r.Scan(part, false) {
				if !yield(item, err) || err != nil {
					return
				}
			}
		}
	}
}

// BlobKey is the key of a blob's record, for people to look it up by.
func BlobKey(h Hash) Key { return blobKey(h) }

// OfBlob tells whether a key is one that Contents leaves out.
func OfBlob(k Key) bool {
	for _, r := range []Range{Prefix(reserved, "blob"), Prefix(reserved, "blobdata")} {
		if k >= r.Start && k < r.End {
			return true
		}
	}
	return false
}

// BlobsOf yields what r knows about every stored blob, in the order of hashes.
func BlobsOf(r Reader) iter.Seq2[BlobInfo, error] {
	return func(yield func(BlobInfo, error) bool) {
		for item, err := range r.Scan(Prefix(reserved, "blob"), false) {
			var info BlobInfo
			if err == nil {
				info, err = decodeBlobInfo(item)
			}
			if !yield(info, err) || err != nil {
				return
			}
		}
	}
}

// OpenBlobOf opens a blob as the reader of a View that has not ended knows it,
// however long ago the blob was released. The reader of the blob stays good
// after the View.
func (db *DB) OpenBlobOf(ctx context.Context, r Reader, b BlobInfo) (BlobReader, error) {
	if b.Place != (Place{}) {
		return db.engine.Blobs().Open(ctx, b.Place, b.Hash, b.Size)
	}
	v, err := r.Get(blobDataKey(b.Hash))
	if err != nil {
		return nil, fmt.Errorf("bytes of blob %v: %w", b.Hash, err)
	}
	if int64(len(v)) != b.Size {
		return nil, fmt.Errorf("blob %v has %d bytes, not %d", b.Hash, len(v), b.Size)
	}
	return newInlineBlob(v), nil
}

// OpenChecked is OpenBlobOf for a blob whose bytes are to be compared with the
// hash first, which reads them all.
func (db *DB) OpenChecked(ctx context.Context, r Reader, b BlobInfo) (BlobReader, error) {
	blob, err := db.OpenBlobOf(ctx, r, b)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	_, err = io.Copy(sum, contextReader{ctx, io.NewSectionReader(blob, 0, b.Size)})
	if err == nil && Hash(sum.Sum(nil)) != b.Hash {
		err = errors.New("the bytes are not those of the hash")
	}
	if err != nil {
		return nil, errors.Join(err, blob.Close())
	}
	return blob, nil
}

// contextReader ends a long read with its context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.r.Read(p)
}

// Referenced is a blob with the references it is to have. Without Staged its
// bytes are lost, and opening it says so.
type Referenced struct {
	BlobInfo
	Staged *Staged
}

// Load writes a part of what another store held: items of any kind, the port's
// own among them, and blobs. It is for an empty store that nobody else uses
// yet, and takes as much as Update does.
func (db *DB) Load(ctx context.Context, items []Item, blobs []Referenced) error {
	return db.Update(ctx, func(x Tx) error {
		t := x.(*tx) // what Update gives
		for _, i := range items {
			if err := t.write(i.Key, append([]byte{}, i.Value...)); err != nil {
				return err
			}
		}
		for _, b := range blobs {
			if err := t.loadBlob(b); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *tx) loadBlob(b Referenced) error {
	if b.Staged == nil {
		return t.putBlobRecord(b.Hash, blobRecord{Size: b.Size, Refs: b.Refs})
	}
	if err := t.AddBlob(b.Staged); err != nil {
		return err
	}
	r, err := t.blobRecord(b.Hash)
	if err != nil {
		return err
	}
	r.Refs = b.Refs
	return t.putBlobRecord(b.Hash, r)
}

// Empty tells whether r has no key at all.
func Empty(r Reader) (bool, error) {
	for _, err := range r.Scan(Range{}, false) {
		return false, err
	}
	return true, nil
}

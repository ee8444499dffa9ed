package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"
)

// BlobInfo is what the store keeps about a blob.
type BlobInfo struct {
	Hash  Hash
	Size  int64
	Refs  int64 // from transactions; the blob goes with the last one
	Place Place
}

// BlobMove tells that an engine copied a blob's bytes from one place to another.
type BlobMove struct {
	Hash     Hash
	From, To Place
}

// blobRecord is the stored form of BlobInfo, under the blob's hash.
type blobRecord struct {
	Version int   `json:"v"`
	Size    int64 `json:"size"`
	Refs    int64 `json:"refs"`
	Place   Place `json:"place"`
}

// Staged is a blob on its way into the store, ready for [Tx.AddBlob]. It needs
// no release; one that no transaction takes within half of BlobGrace expires.
type Staged struct {
	Hash Hash
	Size int64

	data  []byte // of a small blob, which travels with its transaction
	place Place  // of a large one, whose bytes are durable already
	at    time.Time
}

func (t *tx) AddBlob(b *Staged) error {
	if age := t.db.opts.Now().Sub(b.at); age > BlobGrace/2 {
		return t.doom(fmt.Errorf("blob was staged %v ago and has expired", age))
	}
	r, err := t.blobRecord(b.Hash)
	switch {
	case err == nil && r.Size != b.Size:
		return t.doom(fmt.Errorf("blob %x has %d bytes, not %d", b.Hash, r.Size, b.Size))
	case err == nil:
		r.Refs++
		return t.putBlobRecord(b.Hash, r)
	case !errors.Is(err, ErrNotFound):
		return err
	}
	if b.data != nil {
		t.small = append(t.small, b)
		t.cost += len(b.data) + WriteOverhead
	}
	return t.putBlobRecord(b.Hash, blobRecord{Size: b.Size, Refs: 1, Place: b.place})
}

func (t *tx) RefBlob(h Hash) error {
	r, err := t.blobRecord(h)
	if err != nil {
		return err
	}
	r.Refs++
	return t.putBlobRecord(h, r)
}

func (t *tx) ReleaseBlob(h Hash) error {
	r, err := t.blobRecord(h)
	if err != nil {
		return err
	}
	if r.Refs--; r.Refs > 0 {
		return t.putBlobRecord(h, r)
	}
	if r.Place == (Place{}) {
		if err := t.write(blobDataKey(h), nil); err != nil {
			return err
		}
	}
	return t.write(blobKey(h), nil)
}

func (t *tx) blobRecord(h Hash) (blobRecord, error) {
	r, err := getBlobRecord(t, h)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return r, t.doom(err)
	}
	return r, err
}

func (t *tx) putBlobRecord(h Hash, r blobRecord) error {
	return t.write(blobKey(h), r.encode())
}

func (r blobRecord) encode() []byte {
	r.Version = 1
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // numbers and booleans always encode
	}
	return b
}

func getBlobRecord(r Reader, h Hash) (blobRecord, error) {
	var rec blobRecord
	v, err := r.Get(blobKey(h))
	if err != nil {
		return rec, err
	}
	if err := json.Unmarshal(v, &rec); err != nil {
		return rec, fmt.Errorf("record of blob %x: %w", h, err)
	}
	return rec, nil
}

// placeBlobs finds a place for the small blobs of the batch: as values in the
// batch itself when the engine wants them there and they fit, else in the blob
// engine, before the commit.
func (b *batch) placeBlobs(eb Batch) error {
	var records []blobRecord
	var blobs []*Staged
	var total int64
	over := &tx{db: b.db, below: eb, state: b.state}
	seen := map[Hash]bool{}
	for _, s := range b.small {
		if seen[s.Hash] {
			continue // added, released and added again
		}
		seen[s.Hash] = true
		r, err := getBlobRecord(over, s.Hash)
		if errors.Is(err, ErrNotFound) {
			continue // released again in the same batch
		}
		if err != nil {
			return err
		}
		records, blobs, total = append(records, r), append(blobs, s), total+s.Size
	}
	if len(blobs) == 0 {
		return nil
	}
	if total <= int64(b.db.opts.MaxBatchBytes/2) && b.db.engine.Blobs().Inline(len(blobs), total) {
		for _, s := range blobs {
			b.over = b.over.Put(string(blobDataKey(s.Hash)), s.data)
		}
		return nil
	}
	return b.writeBlobs(blobs, records)
}

func (b *batch) writeBlobs(blobs []*Staged, records []blobRecord) error {
	sources := make([]BlobSource, len(blobs))
	for i, s := range blobs {
		sources[i] = BlobSource{s.Hash, s.Size, bytes.NewReader(s.data)}
	}
	places, err := b.db.engine.Blobs().Write(context.Background(), sources)
	switch {
	case err == nil:
	case harmless(err):
		return fmt.Errorf("write blobs: %w", err)
	default:
		return b.db.fail("write blobs", err)
	}
	for i, s := range blobs {
		records[i].Place = places[i]
		b.over = b.over.Put(string(blobKey(s.Hash)), records[i].encode())
	}
	return nil
}

// OpenBlob opens a stored blob, or returns ErrNotFound. The reader stays good
// when the blob's last reference goes meanwhile.
func (db *DB) OpenBlob(ctx context.Context, h Hash) (BlobReader, error) {
	var blob BlobReader
	err := db.View(ctx, func(r Reader) error {
		rec, err := getBlobRecord(r, h)
		if err != nil {
			return err
		}
		blob, err = db.OpenBlobOf(ctx, r, BlobInfo{h, rec.Size, rec.Refs, rec.Place})
		return err
	})
	return blob, err
}

// inlineBlob reads a blob that was a value.
type inlineBlob struct {
	*bytes.Reader
}

func newInlineBlob(value []byte) inlineBlob { return inlineBlob{bytes.NewReader(bytes.Clone(value))} }

func (inlineBlob) Close() error { return nil }

var _ io.ReaderAt = inlineBlob{}

// Blobs yields what is known about every stored blob, in the order of hashes,
// from one snapshot. It serves engines that move or sweep blobs.
func (db *DB) Blobs(ctx context.Context) iter.Seq2[BlobInfo, error] {
	return func(yield func(BlobInfo, error) bool) {
		broke := false
		err := db.View(ctx, func(r Reader) error {
			for info, err := range BlobsOf(r) {
				if err != nil {
					return err
				}
				if broke = !yield(info, nil); broke {
					return nil
				}
			}
			return nil
		})
		if err != nil && !broke {
			yield(BlobInfo{}, err)
		}
	}
}

func decodeBlobInfo(item Item) (BlobInfo, error) {
	parts, err := item.Key.Split()
	if err != nil {
		return BlobInfo{}, err
	}
	hash, ok := parts[len(parts)-1].([]byte)
	if !ok || len(hash) != len(Hash{}) {
		return BlobInfo{}, fmt.Errorf("key %v is not that of a blob", item.Key)
	}
	var r blobRecord
	if err := json.Unmarshal(item.Value, &r); err != nil {
		return BlobInfo{}, fmt.Errorf("record %v: %w", item.Key, err)
	}
	return BlobInfo{Hash(hash), r.Size, r.Refs, r.Place}, nil
}

// MoveBlobs records the new places of blobs whose bytes an engine has copied,
// in transactions of at most 1000. A blob that is gone, or not at From any
// more, is passed over.
func (db *DB) MoveBlobs(ctx context.Context, moves []BlobMove) error {
	for chunk := range slices.Chunk(moves, 1000) {
		err := db.Update(ctx, func(x Tx) error {
			t := x.(*tx) // what Update gives
			for _, m := range chunk {
				if err := t.moveBlob(m); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) moveBlob(m BlobMove) error {
	r, err := t.blobRecord(m.Hash)
	if errors.Is(err, ErrNotFound) || err == nil && r.Place != m.From {
		return nil
	}
	if err != nil {
		return err
	}
	r.Place = m.To
	return t.putBlobRecord(m.Hash, r)
}

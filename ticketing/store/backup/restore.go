package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// ErrNotEmpty refuses to restore into a store that holds something.
var ErrNotEmpty = errors.New("the store is not empty")

// Bounds of a restore.
const (
	loadBytes  = store.MaxTxBytes / 2 // of one transaction
	memoryBlob = 1 << 20              // larger blobs go through a file on their way
)

// Restore fills an empty store with what a backup holds: read is told to read
// it. Files are given to file, which may be nil. It returns nil only when the
// whole of the backup is in the store, which it looks through once more to
// compare digests. Large blobs pass through an unnamed file in the folder temp.
func Restore(ctx context.Context, db *store.DB, temp string, file func(name string, data []byte) error, read func(Handler) (Manifest, error)) (Manifest, error) {
	if err := db.View(ctx, func(r store.Reader) error {
		empty, err := store.Empty(r)
		if err == nil && !empty {
			err = ErrNotEmpty
		}
		return err
	}); err != nil {
		return Manifest{}, err
	}
	l := &loader{ctx: ctx, db: db, temp: temp, file: file}
	defer l.close()
	m, err := read(l)
	if err == nil {
		err = l.flush()
	}
	if err != nil {
		return m, err
	}
	return m, db.View(ctx, func(r store.Reader) error {
		got, _, err := Digest(ctx, r)
		if err == nil && got != m.Digest {
			err = fmt.Errorf("%w: the backup has %v, what was restored %v", ErrDigest, m.Digest, got)
		}
		return err
	})
}

// loader is the handler that fills a store.
type loader struct {
	ctx  context.Context
	db   *store.DB
	temp string
	file func(string, []byte) error

	items []store.Item
	blobs []store.Referenced
	bytes int
	spool *os.File
}

func (l *loader) Header(Header) error { return nil }

func (l *loader) File(name string, data []byte) error {
	if l.file == nil {
		return nil
	}
	return l.file(name, data)
}

func (l *loader) Elsewhere(b Blob) error {
	return fmt.Errorf("the bytes of blob %v are not in this file: restore the folder that it belongs to", b.Hash)
}

func (l *loader) Blob(b Blob, data io.Reader) error {
	info := store.BlobInfo{Hash: b.Hash, Size: b.Size, Refs: b.Refs}
	if data == nil {
		l.blobs = append(l.blobs, store.Referenced{BlobInfo: info})
		return l.room(0)
	}
	bytes, err := l.gather(b.Size, data)
	if err != nil {
		return err
	}
	staged, err := l.db.Stage(l.ctx, b.Size, b.Hash, bytes)
	if err != nil {
		return err
	}
	l.blobs = append(l.blobs, store.Referenced{BlobInfo: info, Staged: staged})
	return l.room(int(min(b.Size, loadBytes/8))) // a large one is written already
}

// gather reads a blob to its end, which tells whether it is whole.
func (l *loader) gather(size int64, data io.Reader) (io.ReaderAt, error) {
	if size <= memoryBlob {
		b, err := io.ReadAll(data)
		return bytes.NewReader(b), err
	}
	if l.spool == nil {
		f, err := os.CreateTemp(l.temp, ".spool-*")
		if err != nil {
			return nil, err
		}
		l.spool = f
		if err := os.Remove(f.Name()); err != nil {
			return nil, err
		}
	}
	_, err := l.spool.Seek(0, io.SeekStart)
	if err == nil {
		_, err = io.Copy(l.spool, data)
	}
	return l.spool, err
}

func (l *loader) Items(items []store.Item) error {
	for _, i := range items {
		size := len(i.Key) + len(i.Value)
		if l.bytes+size > loadBytes {
			if err := l.flush(); err != nil {
				return err
			}
		}
		l.items = append(l.items, store.Item{Key: i.Key, Value: bytes.Clone(i.Value)})
		if err := l.room(size); err != nil {
			return err
		}
	}
	return nil
}

// room counts what was gathered, and loads it when it is enough for one
// transaction.
func (l *loader) room(size int) error {
	if l.bytes += size + 2*store.WriteOverhead; l.bytes < loadBytes {
		return nil
	}
	return l.flush()
}

func (l *loader) flush() error {
	if err := l.db.Load(l.ctx, l.items, l.blobs); err != nil {
		return err
	}
	l.items, l.blobs, l.bytes = l.items[:0], l.blobs[:0], 0
	return nil
}

func (l *loader) close() {
	if l.spool != nil {
		l.spool.Close()
	}
}

// Discard is a handler for backups that are only to be checked.
type Discard struct{}

// Header passes over the header.
func (Discard) Header(Header) error { return nil }

// File passes over a file.
func (Discard) File(string, []byte) error { return nil }

// Blob passes over a blob; its bytes are checked all the same.
func (Discard) Blob(Blob, io.Reader) error { return nil }

// Elsewhere passes over a blob.
func (Discard) Elsewhere(Blob) error { return nil }

// Items passes over keys.
func (Discard) Items([]store.Item) error { return nil }

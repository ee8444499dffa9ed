package backup_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"testing"

	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/backup"
	"github.com/mxdesk/mxdesk/ticketing/store/badgerdb"
)

// BenchmarkBadger saves and restores 10,000 mails of 16 KiB, each with ten rows
// of half a kilobyte.
func BenchmarkBadger(b *testing.B) {
	const mails, size, rows = 10_000, 16 << 10, 10
	open := func(dir string) *store.DB {
		e, err := badgerdb.Open(dir, badgerdb.Options{})
		if err != nil {
			b.Fatal(err)
		}
		db := store.Open(e, store.Options{})
		b.Cleanup(func() { db.Close(context.Background()) })
		return db
	}
	db := open(b.TempDir())
	var items []store.Item
	var blobs []store.Referenced
	for i := range mails {
		data := bytes.Repeat(fmt.Appendf(nil, "%015d\n", i), size/16)
		h := store.Hash(sha256.Sum256(data))
		staged, err := db.Stage(b.Context(), size, h, bytes.NewReader(data))
		if err != nil {
			b.Fatal(err)
		}
		blobs = append(blobs, store.Referenced{BlobInfo: store.BlobInfo{Hash: h, Size: size, Refs: 1}, Staged: staged})
		for n := range rows {
			items = append(items, store.Item{Key: store.K("row", i, n), Value: data[:512]})
		}
		if len(blobs) == 50 {
			if err := db.Load(b.Context(), items, blobs); err != nil {
				b.Fatal(err)
			}
			items, blobs = nil, nil
		}
	}
	const total = mails * (size + rows*512)
	var stream bytes.Buffer
	write := func(w io.Writer) {
		if _, err := backup.Write(b.Context(), w, backup.Source{DB: db}); err != nil {
			b.Fatal(err)
		}
	}
	write(&stream)
	b.Run("save", func(b *testing.B) {
		b.SetBytes(total)
		for b.Loop() {
			write(io.Discard)
		}
	})
	b.Run("restore", func(b *testing.B) {
		b.SetBytes(total)
		for b.Loop() {
			if _, err := backup.Restore(b.Context(), open(b.TempDir()), b.TempDir(), nil, reading(stream.Bytes())); err != nil {
				b.Fatal(err)
			}
		}
	})
}

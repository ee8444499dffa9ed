package backup

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// Source is what is saved.
type Source struct {
	DB *store.DB
	// Files are saved beside the store, all regular files of it. Nil: none.
	Files  fs.FS
	Mxdesk string    // version of the program
	Made   time.Time // now
	// Size is about how many bytes the keys have, for the progress of readers.
	Size int64
	// Have are the blobs whose bytes the reader has already, in the order of
	// the hashes. Nil: none.
	Have iter.Seq2[store.Hash, error]
}

// maxFile bounds a file beside the store.
const maxFile = 1 << 20

// Write writes a backup. The state is that of its start; what is committed
// while it runs is not in it, and is not held up by it either. It needs memory
// for a few records. When it fails after it has begun to write, the stream says
// so and ends without a manifest.
func Write(ctx context.Context, w io.Writer, s Source) (Manifest, error) {
	out := &writer{frames: frameWriter{w: w}, ctx: ctx, src: s, digest: newDigester(), buf: make([]byte, dataBytes)}
	out.manifest = Manifest{Made: s.Made.UTC().Round(0), Mxdesk: s.Mxdesk}
	if err := out.frames.line(streamLine); err != nil {
		return Manifest{}, err
	}
	err := s.DB.View(ctx, out.all)
	if err != nil {
		return Manifest{}, fmt.Errorf("backup: %w", out.fail(err))
	}
	return out.manifest, nil
}

type writer struct {
	frames   frameWriter
	ctx      context.Context
	src      Source
	manifest Manifest
	digest   *digester
	buf      []byte
}

// fail leaves word in the stream.
func (w *writer) fail(cause error) error {
	text := cause.Error()
	_ = w.frames.write(kindFailure, []byte(text[:min(len(text), 1000)])) // the cause counts
	return cause
}

func (w *writer) all(r store.Reader) error {
	for _, part := range []func(store.Reader) error{w.header, w.files, w.blobs, w.items, w.end} {
		if err := part(r); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) header(r store.Reader) error {
	h := Header{Made: w.manifest.Made, Mxdesk: w.manifest.Mxdesk, Bytes: w.src.Size}
	for b, err := range store.BlobsOf(r) {
		if err != nil {
			return err
		}
		h.Blobs++
		h.Bytes += b.Size
	}
	return w.json(kindHeader, h)
}

func (w *writer) json(kind byte, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return w.frames.write(kind, text)
}

func (w *writer) files(store.Reader) error {
	if w.src.Files == nil {
		return nil
	}
	return fs.WalkDir(w.src.Files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		// A link to a file that lies elsewhere counts as the file; one that has
		// gone meanwhile is none of the desk's any more.
		info, err := fs.Stat(w.src.Files, name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		data, err := readSmall(w.src.Files, name)
		if err != nil {
			return err
		}
		w.manifest.Files++
		return w.frames.write(kindFile, appendFile(nil, name, data))
	})
}

func appendFile(b []byte, name string, data []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(name)))
	return append(append(b, name...), data...)
}

func readSmall(files fs.FS, name string) ([]byte, error) {
	f, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxFile)
	}
	return data, err
}

func (w *writer) blobs(r store.Reader) error {
	have := newHashes(w.src.Have)
	defer have.stop()
	for info, err := range store.BlobsOf(r) {
		if err != nil {
			return err
		}
		there, err := have.contains(info.Hash)
		if err != nil {
			return fmt.Errorf("list of blobs that the reader has: %w", err)
		}
		if err := w.blob(r, info, there); err != nil {
			return fmt.Errorf("blob %v: %w", info.Hash, err)
		}
	}
	return nil
}

func (w *writer) blob(r store.Reader, info store.BlobInfo, there bool) error {
	b := Blob{info.Hash, info.Size, info.Refs}
	w.digest.blob(b)
	if there {
		return w.frames.write(kindBlob, append(appendBlob(nil, b), bytesElsewhere))
	}
	blob, err := w.src.DB.OpenChecked(w.ctx, r, info)
	if w.ctx.Err() != nil {
		return context.Cause(w.ctx)
	}
	if err != nil { // one rotten blob must not keep all others from being saved
		w.manifest.Lost++
		return w.frames.write(kindBlob, append(appendBlob(nil, b), bytesLost))
	}
	defer blob.Close()
	if err := w.frames.write(kindBlob, append(appendBlob(nil, b), bytesFollow)); err != nil {
		return err
	}
	return copyData(w.ctx, &w.frames, io.NewSectionReader(blob, 0, info.Size), w.buf)
}

// copyData writes bytes as data records.
func copyData(ctx context.Context, to *frameWriter, from io.Reader, buf []byte) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := io.ReadFull(from, buf)
		if n > 0 {
			if err := to.write(kindData, buf[:n]); err != nil {
				return err
			}
		}
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			return nil
		default:
			return err
		}
	}
}

func (w *writer) items(r store.Reader) error {
	chunk := make([]byte, 0, dataBytes)
	for item, err := range store.Contents(r) {
		if err != nil {
			return err
		}
		if item.Key == schemaKey {
			if w.manifest.Schema, err = schemaOf(item); err != nil {
				return err
			}
		}
		w.digest.item(item)
		size := len(item.Key) + len(item.Value) + 6
		if len(chunk) > 0 && len(chunk)+size > dataBytes {
			if err := w.chunk(chunk); err != nil {
				return err
			}
			chunk = chunk[:0]
		}
		chunk = appendItem(chunk, item)
	}
	if len(chunk) == 0 {
		return nil
	}
	return w.chunk(chunk)
}

func (w *writer) chunk(b []byte) error {
	if err := w.ctx.Err(); err != nil {
		return context.Cause(w.ctx)
	}
	return w.frames.write(kindItems, b)
}

func (w *writer) end(r store.Reader) (err error) {
	if w.manifest.Change, err = store.LastChange(r); err != nil {
		return err
	}
	w.manifest.Counts, w.manifest.Digest = w.digest.n, w.digest.digest()
	return w.json(kindManifest, w.manifest)
}

// hashes walks along a sorted list.
type hashes struct {
	next func() (store.Hash, error, bool)
	stop func()
	at   store.Hash
	more bool
	err  error
}

func newHashes(list iter.Seq2[store.Hash, error]) *hashes {
	if list == nil {
		return &hashes{stop: func() {}}
	}
	h := &hashes{more: true}
	h.next, h.stop = iter.Pull2(list)
	h.step()
	return h
}

func (h *hashes) step() {
	var ok bool
	h.at, h.err, ok = h.next()
	h.more = ok && h.err == nil
}

// contains is asked for one hash after the other, in order.
func (h *hashes) contains(want store.Hash) (bool, error) {
	for h.more && bytes.Compare(h.at[:], want[:]) < 0 {
		h.step()
	}
	return h.more && h.at == want, h.err
}

package backup

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// Result is what a run wrote.
type Result struct {
	Name string `json:"snapshot"`
	Manifest
	NewBlobs int64 `json:"new_blobs"`
	NewBytes int64 `json:"new_bytes"` // of those blobs
}

// Save reads a backup that was made for this folder (Source.Have is its Have)
// and keeps it. Until Save has succeeded nothing of what the folder held has
// changed, and there is no snapshot of the new name. tell may be nil.
func (f *Folder) Save(ctx context.Context, stream io.Reader, tell Tell) (Result, error) {
	s := &saver{ctx: ctx, f: f}
	m, err := Read(stream, Telling(s, tell))
	if err == nil {
		err = s.finish(m)
	}
	if err != nil {
		return Result{}, s.drop(err)
	}
	s.result.Manifest = m
	return s.result, f.reload()
}

func (f *Folder) reload() error {
	f.packs, f.index = nil, nil
	return f.load()
}

// saver is the handler that writes into a folder.
type saver struct {
	ctx    context.Context
	f      *Folder
	result Result

	snap    *newFile
	buf     *bufio.Writer
	frames  frameWriter
	pack    *packWriter
	packs   int
	scratch []byte
}

func (s *saver) Header(h Header) error {
	s.result.Name = h.Made.UTC().Format(nameLayout)
	if _, err := os.Lstat(s.f.snapshot(s.result.Name)); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("snapshot %s is there already", s.result.Name)
	}
	var err error
	if s.snap, err = createNew(s.f.snapshot(s.result.Name)); err != nil {
		return err
	}
	s.buf = bufio.NewWriterSize(s.snap, dataBytes)
	s.frames.w = s.buf
	if err := s.frames.line(streamLine); err != nil {
		return err
	}
	return s.json(kindHeader, h)
}

func (s *saver) json(kind byte, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.frames.write(kind, text)
}

func (s *saver) File(name string, data []byte) error {
	return s.frames.write(kindFile, appendFile(nil, name, data))
}

func (s *saver) Elsewhere(b Blob) error {
	if _, ok := s.f.find(b.Hash); !ok {
		return fmt.Errorf("the bytes of blob %v are not in the folder either", b.Hash)
	}
	return s.frames.write(kindBlob, append(appendBlob(nil, b), bytesElsewhere))
}

func (s *saver) Blob(b Blob, data io.Reader) error {
	if data == nil {
		return s.frames.write(kindBlob, append(appendBlob(nil, b), bytesLost))
	}
	if s.pack == nil {
		s.packs++
		var err error
		if s.pack, err = newPack(filepath.Join(s.f.dir, packsName), fmt.Sprintf("%s-%d%s", s.result.Name, s.packs, packSuffix)); err != nil {
			return err
		}
	}
	if err := s.pack.add(s.ctx, b, data); err != nil {
		return err
	}
	s.result.NewBlobs++
	s.result.NewBytes += b.Size
	if s.pack.frames.at >= packBytes {
		if err := s.endPack(); err != nil {
			return err
		}
	}
	return s.frames.write(kindBlob, append(appendBlob(nil, b), bytesElsewhere))
}

func (s *saver) endPack() error {
	p := s.pack
	s.pack = nil
	return p.finish()
}

func (s *saver) Items(items []store.Item) error {
	s.scratch = s.scratch[:0]
	for _, i := range items {
		s.scratch = appendItem(s.scratch, i)
	}
	return s.frames.write(kindItems, s.scratch)
}

// finish puts the last pack in its place, and then the snapshot.
func (s *saver) finish(m Manifest) error {
	if s.pack != nil {
		if err := s.endPack(); err != nil {
			return err
		}
	}
	if err := s.json(kindManifest, m); err != nil {
		return err
	}
	if err := s.buf.Flush(); err != nil {
		return err
	}
	snap := s.snap
	s.snap = nil
	return snap.keep()
}

// drop removes what is not whole, and returns why.
func (s *saver) drop(cause error) error {
	if s.pack != nil {
		cause = s.pack.drop(cause)
	}
	if s.snap != nil {
		cause = s.snap.drop(cause)
	}
	return cause
}

func (f *Folder) find(h store.Hash) (entry, bool) {
	i, ok := slices.BinarySearchFunc(f.index, entry{hash: h}, compareEntries)
	if !ok {
		return entry{}, false
	}
	return f.index[i], true
}

// Read reads one snapshot with its blobs and tells h, as [Read] does.
func (f *Folder) Read(name string, h Handler) (Manifest, error) {
	file, err := os.Open(f.snapshot(name))
	if err != nil {
		return Manifest{}, err
	}
	defer file.Close()
	m, err := Read(bufio.NewReaderSize(file, dataBytes), &unpacker{h, f})
	if _, ok := errors.AsType[*packError](err); err != nil && !ok {
		err = fmt.Errorf("snapshot %s: %w", f.snapshot(name), err)
	}
	return m, err
}

// packError is an error of a pack, not of the snapshot that led to it.
type packError struct {
	path string
	err  error
}

func (e *packError) Error() string { return fmt.Sprintf("pack %s: %v", e.path, e.err) }
func (e *packError) Unwrap() error { return e.err }

// unpacker is the handler that fetches blobs from the packs.
type unpacker struct {
	Handler
	f *Folder
}

func (u *unpacker) Elsewhere(b Blob) error {
	e, ok := u.f.find(b.Hash)
	if !ok {
		return fmt.Errorf("%w: none of its packs has blob %v, so one is missing", ErrDamaged, b.Hash)
	}
	path := u.f.pack(u.f.packs[e.pack])
	data, err := openPacked(path, e, b)
	if err != nil {
		return &packError{path, err}
	}
	defer data.Close()
	marked := &markedReader{Reader: data, path: path}
	if err := u.Handler.Blob(b, marked); err != nil {
		return cmpErr(marked.err, err)
	}
	_, err = io.Copy(io.Discard, marked)
	return err
}

// markedReader says of its errors which pack they are of.
type markedReader struct {
	io.Reader
	path string
	err  error
}

func (m *markedReader) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = &packError{m.path, err}
		m.err = err
	}
	return n, err
}

// Keep removes all snapshots but the newest n, and the packs that none of
// these needs. It returns how many of each are gone.
func (f *Folder) Keep(n int) (snapshots, packs int, err error) {
	names, err := f.Snapshots()
	if err != nil || n < 1 || len(names) <= n {
		return 0, 0, err
	}
	needed := make([]bool, len(f.packs))
	for _, name := range names[len(names)-n:] {
		if err := f.mark(name, needed); err != nil {
			return 0, 0, err
		}
	}
	for _, name := range names[:len(names)-n] {
		if err := os.Remove(f.snapshot(name)); err != nil {
			return snapshots, 0, err
		}
		snapshots++
	}
	if err := syncFolder(filepath.Join(f.dir, snapsName)); err != nil {
		return snapshots, 0, err
	}
	for i, name := range f.packs {
		if needed[i] {
			continue
		}
		if err := os.Remove(f.pack(name)); err != nil {
			return snapshots, packs, err
		}
		packs++
	}
	return snapshots, packs, f.reload()
}

// mark notes the packs that a snapshot needs.
func (f *Folder) mark(name string, needed []bool) error {
	file, err := os.Open(f.snapshot(name))
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = Read(bufio.NewReaderSize(file, dataBytes), &marker{Handler: Discard{}, f: f, needed: needed})
	return err
}

type marker struct {
	Handler
	f      *Folder
	needed []bool
}

func (m *marker) Elsewhere(b Blob) error {
	if e, ok := m.f.find(b.Hash); ok {
		m.needed[e.pack] = true
	}
	return nil
}

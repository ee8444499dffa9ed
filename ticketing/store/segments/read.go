package segments

import (
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// Open returns a reader of one blob. The record's header, hash and length are
// checked, its bytes are not (see Verify). The reader works until it is closed,
// even if the blob is moved or its segment removed meanwhile.
func (f *Folder) Open(_ context.Context, p store.Place, h store.Hash, size int64) (store.BlobReader, error) {
	b, err := f.open(p, h, size)
	if err != nil {
		return nil, fmt.Errorf("blob %x in segment %d at %d: %w", h[:6], p.Segment, p.Offset, err)
	}
	return b, nil
}

func (f *Folder) open(p store.Place, h store.Hash, size int64) (*blob, error) {
	if p.Segment == 0 || p.Offset < 0 || size < 0 {
		return nil, fmt.Errorf("%w: not a place in a segment", store.ErrCorrupt)
	}
	file, err := f.files.acquire(p.Segment)
	if err != nil {
		return nil, err
	}
	b := &blob{SectionReader: io.NewSectionReader(file.file, p.Offset+headerBytes, size),
		file: file, cache: f.files}
	if err := b.check(p.Offset, header{size: size, hash: h}); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// Verify reads a blob whole and compares both checksums, the record's and the
// hash. Damage gives store.ErrCorrupt.
func (f *Folder) Verify(ctx context.Context, p store.Place, h store.Hash, size int64) error {
	b, err := f.open(p, h, size)
	if err != nil {
		return err
	}
	defer b.Close()
	sum, hash := crc32.New(castagnoli), sha256.New()
	if _, err := io.Copy(io.MultiWriter(sum, hash), &ctxReader{ctx, b.SectionReader}); err != nil {
		return err
	}
	var trailer [trailerBytes]byte
	if _, err := b.file.file.ReadAt(trailer[:], p.Offset+headerBytes+size); err != nil {
		return fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	if sum.Sum32() != binary.BigEndian.Uint32(trailer[:]) || store.Hash(hash.Sum(nil)) != h {
		return fmt.Errorf("%w: blob %x in segment %d at %d: checksum of the bytes",
			store.ErrCorrupt, h[:6], p.Segment, p.Offset)
	}
	return nil
}

// blob is one open record. Only ReadAt, Size and Close are for the outside.
type blob struct {
	*io.SectionReader
	file  *sharedFile
	cache *fileCache

	mu     sync.RWMutex
	closed bool
}

// check compares the record's header and the file's length with what the
// record should be.
func (b *blob) check(offset int64, want header) error {
	var raw [headerBytes]byte
	if _, err := b.file.file.ReadAt(raw[:], offset); err != nil {
		return fmt.Errorf("%w: header: %w", store.ErrCorrupt, err)
	}
	got, err := parseHeader(raw[:])
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%w: another blob is stored there", store.ErrCorrupt)
	}
	info, err := b.file.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() < offset+recordBytes(want.size) {
		return fmt.Errorf("%w: segment is too short", store.ErrCorrupt)
	}
	return nil
}

// ReadAt reads from any offset of the blob.
func (b *blob) ReadAt(p []byte, at int64) (int, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.closed {
		return 0, fs.ErrClosed
	}
	return b.SectionReader.ReadAt(p, at)
}

// Close gives the segment's file back. It may be called more than once.
func (b *blob) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	return b.cache.release(b.file)
}

// ctxReader ends a long read with its context.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (r *ctxReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// fileCache shares open segment files between readers and keeps a bounded
// number of them open while nobody reads.
type fileCache struct {
	root *os.Root
	keep int

	mu     sync.Mutex
	open   map[uint64]*sharedFile
	idle   list.List // of *sharedFile, the longest unused first
	closed bool
}

// sharedFile is a file with the number of its readers. Once it has left the
// cache, the last reader closes it.
type sharedFile struct {
	number  uint64
	file    *os.File
	readers int
	inIdle  *list.Element
	evicted bool
}

func newFileCache(root *os.Root, keep int) *fileCache {
	return &fileCache{root: root, keep: keep, open: map[uint64]*sharedFile{}}
}

func (c *fileCache) acquire(number uint64) (*sharedFile, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, store.ErrClosed
	}
	s := c.open[number]
	if s == nil {
		file, err := c.root.Open(fileName(number))
		if err != nil {
			return nil, err
		}
		s = &sharedFile{number: number, file: file}
		c.open[number] = s
	}
	if s.inIdle != nil {
		c.idle.Remove(s.inIdle)
		s.inIdle = nil
	}
	s.readers++
	return s, nil
}

func (c *fileCache) release(s *sharedFile) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.readers--
	switch {
	case s.readers > 0:
		return nil
	case s.evicted:
		return s.file.Close()
	}
	s.inIdle = c.idle.PushBack(s)
	if c.idle.Len() > c.keep {
		return c.evict(c.idle.Front().Value.(*sharedFile))
	}
	return nil
}

// forget drops a segment that is about to be removed.
func (c *fileCache) forget(number uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.open[number]; s != nil {
		return c.evict(s)
	}
	return nil
}

// evict takes a file out of the cache, and closes it unless it is being read.
func (c *fileCache) evict(s *sharedFile) error {
	delete(c.open, s.number)
	s.evicted = true
	if s.inIdle == nil {
		return nil
	}
	c.idle.Remove(s.inIdle)
	s.inIdle = nil
	return s.file.Close()
}

func (c *fileCache) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	var first error
	for _, s := range c.open {
		if err := c.evict(s); err != nil && first == nil {
			first = err
		}
	}
	return first
}

package segments

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"syscall"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// bufferBytes is how much of a group is held in memory while it is written.
const bufferBytes = 512 << 10

// Write appends the blobs as one group and returns their places once the bytes
// are on stable storage. A group goes in whole or not at all, as far as the
// caller can see; a full disk gives an error that wraps store.ErrNoSpace, and
// later writes work again once there is room. After a failed sync every call
// returns an error that wraps store.ErrFailed.
func (f *Folder) Write(ctx context.Context, blobs []store.BlobSource) ([]store.Place, error) {
	if len(blobs) == 0 {
		return nil, nil
	}
	places, ticket, err := f.append(ctx, blobs)
	if err != nil {
		return nil, err
	}
	if err := f.syncTo(ticket); err != nil {
		return nil, err
	}
	return places, nil
}

// append writes a group without syncing it. The ticket is what syncTo wants.
func (f *Folder) append(ctx context.Context, blobs []store.BlobSource) ([]store.Place, uint64, error) {
	f.appendMu.Lock()
	defer f.appendMu.Unlock()
	var total int64
	for _, b := range blobs {
		total += recordBytes(b.Size)
	}
	if err := f.makeRoom(total); err != nil {
		return nil, 0, err
	}
	seg := f.active
	w := groupWriter{file: seg.file, offset: seg.size, buf: slices.Grow(f.buffer[:0], int(min(total, bufferBytes)))}
	defer func() { f.buffer = w.buf }()
	places := make([]store.Place, len(blobs))
	for i, b := range blobs {
		places[i] = store.Place{Segment: seg.number, Offset: w.offset + int64(len(w.buf))}
		if err := w.record(ctx, b); err != nil {
			return nil, 0, f.undo(err)
		}
	}
	if err := w.flush(); err != nil {
		return nil, 0, f.undo(err)
	}
	seg.size = w.offset
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sizes[seg.number] = seg.size
	f.written[seg.number] = f.opt.Now()
	f.appended++
	return places, f.appended, nil
}

// undo takes a half-written group away again. Offsets are kept here, not in the
// file, so the next group is right even where truncating does not work.
func (f *Folder) undo(cause error) error {
	if err := f.active.file.Truncate(f.active.size); err != nil {
		f.opt.Log.Warn("half-written blobs stay behind the end of a segment",
			"segment", f.active.number, "error", err)
	}
	return noSpace(cause)
}

// makeRoom checks that there is room, and starts a new segment when a group of total bytes would make the
// active one too long. The old one is synced first, so that only the active
// segment ever needs it.
func (f *Folder) makeRoom(total int64) error {
	if err := f.usable(); err != nil {
		return err
	}
	if err := f.opt.Room(total); err != nil {
		return err
	}
	old := f.active
	if old.size == 0 || old.size+total <= f.opt.SegmentBytes {
		return nil
	}
	f.mu.Lock()
	ticket := f.appended
	f.mu.Unlock()
	if err := f.syncTo(ticket); err != nil {
		return err
	}
	f.syncMu.Lock()
	defer f.syncMu.Unlock()
	next, err := f.create(old.number + 1)
	if err != nil {
		return f.fail(err)
	}
	f.mu.Lock()
	f.active = next
	f.mu.Unlock()
	return old.file.Close()
}

// syncTo returns once every group up to ticket is on stable storage. Callers
// that wait while a sync runs share the next one.
func (f *Folder) syncTo(ticket uint64) error {
	f.syncMu.Lock()
	defer f.syncMu.Unlock()
	if err := f.usable(); err != nil {
		return err
	}
	f.mu.Lock()
	file, upTo, done := f.active.file, f.appended, f.synced >= ticket
	f.mu.Unlock()
	if done {
		return nil
	}
	if err := f.sync(file); err != nil {
		return f.fail(fmt.Errorf("%w: sync of a segment: %w", store.ErrFailed, err))
	}
	f.mu.Lock()
	f.synced = upTo
	f.mu.Unlock()
	return nil
}

// usable tells whether the folder takes writes.
func (f *Folder) usable() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return store.ErrClosed
	}
	return f.failed
}

// fail remembers an error that wraps store.ErrFailed, and returns it.
func (f *Folder) fail(err error) error {
	if errors.Is(err, store.ErrFailed) {
		f.mu.Lock()
		f.failed = err
		f.mu.Unlock()
	}
	return err
}

// noSpace makes a full disk or quota recognisable to the port.
func noSpace(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", store.ErrNoSpace, err)
	}
	return err
}

// groupWriter gathers records and writes them in large pieces.
type groupWriter struct {
	file   io.WriterAt
	offset int64 // of buf in the file
	buf    []byte
}

func (w *groupWriter) record(ctx context.Context, b store.BlobSource) error {
	if err := w.reserve(headerBytes); err != nil {
		return err
	}
	w.buf = header{size: b.Size, hash: b.Hash}.append(w.buf)
	var sum uint32
	for at := int64(0); at < b.Size; {
		if err := errors.Join(ctx.Err(), w.reserve(1)); err != nil {
			return err
		}
		n := int(min(b.Size-at, int64(cap(w.buf)-len(w.buf))))
		part := w.buf[len(w.buf) : len(w.buf)+n]
		if n, err := b.Data.ReadAt(part, at); n < len(part) {
			return fmt.Errorf("%w: byte %d of %d: %w", ErrSource, at+int64(n), b.Size, err)
		}
		sum = crc32.Update(sum, castagnoli, part)
		w.buf = w.buf[:len(w.buf)+n]
		at += int64(n)
	}
	if err := w.reserve(trailerBytes); err != nil {
		return err
	}
	w.buf = binary.BigEndian.AppendUint32(w.buf, sum)
	return nil
}

// reserve makes sure that n more bytes fit the buffer.
func (w *groupWriter) reserve(n int) error {
	if len(w.buf)+n <= cap(w.buf) {
		return nil
	}
	return w.flush()
}

func (w *groupWriter) flush() error {
	n, err := w.file.WriteAt(w.buf, w.offset)
	w.offset += int64(n)
	w.buf = w.buf[:0]
	return err
}

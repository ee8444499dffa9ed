package segments

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"sync"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// Catalog knows which blobs are in use. A *store.DB is one.
type Catalog interface {
	// Blobs yields every blob in use, with its place, from one snapshot.
	Blobs(ctx context.Context) iter.Seq2[store.BlobInfo, error]
	// MoveBlobs durably replaces places; what has gone meanwhile it passes over.
	MoveBlobs(ctx context.Context, moves []store.BlobMove) error
}

// Compaction tells what one run of Compact did.
type Compaction struct {
	Segments int   // emptied, and removed or about to be
	Moved    int64 // bytes of records copied
	Freed    int64 // bytes of the emptied segments
	Damaged  int   // segments left alone because a record in use is damaged
}

const (
	victimsPerPass = 4       // segments whose records are held in memory together
	moveBytes      = 8 << 20 // copied between two syncs
	moveRecords    = 256
)

// doomed is a segment that nothing refers to since a generation of moves.
type doomed struct {
	number, generation uint64
}

// Compact copies the blobs in use out of segments whose live share is too
// small, records their new places with the catalog, and removes the segments
// once every pin taken before has been released. Segments written to within
// store.BlobGrace are spared, because a commit may still be on its way to refer
// to them. What a crash or an error leaves behind is found by the next run.
func (f *Folder) Compact(ctx context.Context, c Catalog) (Compaction, error) {
	f.compactMu.Lock()
	defer f.compactMu.Unlock()
	var done Compaction
	candidates := f.sealed()
	live, err := f.liveBytes(ctx, c)
	if err != nil {
		return done, err
	}
	victims := slices.DeleteFunc(candidates, func(s sealed) bool {
		return float64(live[s.number]) >= f.opt.LiveShare*float64(s.size)
	})
	slices.SortFunc(victims, func(a, b sealed) int {
		return cmp.Compare(live[a.number], live[b.number])
	})
	for part := range slices.Chunk(victims, victimsPerPass) {
		records, err := collect(ctx, c, part)
		if err != nil {
			return done, err
		}
		for _, s := range part {
			if err := f.empty(ctx, c, s, records[s.number], &done); err != nil {
				return done, fmt.Errorf("compact segment %d: %w", s.number, err)
			}
		}
	}
	return done, nil
}

// sealed is a segment that takes no more records.
type sealed struct {
	number uint64
	size   int64
}

// sealed lists the segments that may be compacted.
func (f *Folder) sealed() []sealed {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []sealed
	for n, size := range f.sizes {
		last, ours := f.written[n]
		switch {
		case n == f.active.number:
		case ours && f.opt.Now().Sub(last) < store.BlobGrace:
		case slices.ContainsFunc(f.doomed, func(d doomed) bool { return d.number == n }):
		default:
			list = append(list, sealed{n, size})
		}
	}
	return list
}

// liveBytes sums the records in use by segment.
func (f *Folder) liveBytes(ctx context.Context, c Catalog) (map[uint64]int64, error) {
	bySegment := map[uint64]int64{}
	var total int64
	for b, err := range c.Blobs(ctx) {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return nil, err
		}
		if b.Place.Segment > 0 {
			bySegment[b.Place.Segment] += recordBytes(b.Size)
			total += recordBytes(b.Size)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.live = total
	return bySegment, nil
}

// collect finds the records in use of some segments.
func collect(ctx context.Context, c Catalog, of []sealed) (map[uint64][]store.BlobInfo, error) {
	records := map[uint64][]store.BlobInfo{}
	for _, s := range of {
		records[s.number] = nil
	}
	for b, err := range c.Blobs(ctx) {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return nil, err
		}
		if list, ok := records[b.Place.Segment]; ok {
			records[b.Place.Segment] = append(list, b)
		}
	}
	return records, nil
}

// empty moves the records in use out of a segment and dooms it. A segment with
// a damaged record stays as it is, for people to look at.
func (f *Folder) empty(ctx context.Context, c Catalog, s sealed, records []store.BlobInfo, done *Compaction) error {
	slices.SortFunc(records, func(a, b store.BlobInfo) int {
		return cmp.Compare(a.Place.Offset, b.Place.Offset)
	})
	for _, r := range records {
		err := f.Verify(ctx, r.Place, r.Hash, r.Size)
		if errors.Is(err, store.ErrCorrupt) {
			f.opt.Log.Error("segment is not compacted", "segment", s.number, "error", err)
			done.Damaged++
			return nil
		}
		if err != nil {
			return err
		}
	}
	for len(records) > 0 {
		n := groupLen(records)
		moved, err := f.move(ctx, c, records[:n])
		if err != nil {
			return err
		}
		done.Moved += moved
		records = records[n:]
	}
	done.Segments++
	done.Freed += s.size
	f.opt.Log.Info("segment compacted", "segment", s.number, "bytes", s.size)
	f.doom(s.number)
	return nil
}

// groupLen is how many of the records are copied at once, at least one.
func groupLen(records []store.BlobInfo) int {
	var total int64
	for i, r := range records {
		total += r.Size
		if i > 0 && (total > moveBytes || i >= moveRecords) {
			return i
		}
	}
	return len(records)
}

// move copies some records to the active segment and tells the catalog.
func (f *Folder) move(ctx context.Context, c Catalog, records []store.BlobInfo) (int64, error) {
	var bytes int64
	sources := make([]store.BlobSource, len(records))
	for i, r := range records {
		b, err := f.Open(ctx, r.Place, r.Hash, r.Size)
		if err != nil {
			return 0, err
		}
		defer b.Close()
		sources[i] = store.BlobSource{Hash: r.Hash, Size: r.Size, Data: b}
		bytes += recordBytes(r.Size)
	}
	places, err := f.Write(ctx, sources)
	if err != nil {
		return 0, err
	}
	moves := make([]store.BlobMove, len(records))
	for i, r := range records {
		moves[i] = store.BlobMove{Hash: r.Hash, From: r.Place, To: places[i]}
	}
	return bytes, c.MoveBlobs(ctx, moves)
}

// Pin keeps every segment that exists now until release is called. Take it
// before the snapshot whose places are to stay readable. Release may be called
// more than once.
func (f *Folder) Pin() (release func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	generation := f.generation
	f.pins[generation]++
	return sync.OnceFunc(func() { f.unpin(generation) })
}

func (f *Folder) unpin(generation uint64) {
	f.mu.Lock()
	if f.pins[generation]--; f.pins[generation] == 0 {
		delete(f.pins, generation)
	}
	waiting := len(f.doomed) > 0
	f.mu.Unlock()
	if waiting {
		f.sweep()
	}
}

// doom marks a segment that nothing refers to any more. Pins taken from here on
// do not keep it.
func (f *Folder) doom(number uint64) {
	f.mu.Lock()
	f.doomed = append(f.doomed, doomed{number, f.generation})
	f.generation++
	f.mu.Unlock()
	f.sweep()
}

// sweep removes the doomed segments that no pin keeps. One that cannot be
// removed is found again by the next Compact.
func (f *Folder) sweep() {
	for _, n := range f.unkept() {
		err := errors.Join(f.files.forget(n), f.root.Remove(fileName(n)))
		if err != nil {
			f.opt.Log.Warn("segment is not removed", "segment", n, "error", err)
			continue
		}
		f.mu.Lock()
		delete(f.sizes, n)
		delete(f.written, n)
		f.mu.Unlock()
	}
}

// unkept takes the segments that may go out of the doomed ones.
func (f *Folder) unkept() []uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	oldest := uint64(math.MaxUint64)
	for generation := range f.pins {
		oldest = min(oldest, generation)
	}
	var free []uint64
	f.doomed = slices.DeleteFunc(f.doomed, func(d doomed) bool {
		if d.generation < oldest {
			free = append(free, d.number)
			return true
		}
		return false
	})
	return free
}

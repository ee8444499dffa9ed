package segments

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// clock is a time that tests move.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()) }
func (c *clock) advance(d time.Duration) { c.at.Add(int64(d)) }

// filled makes segments of four blobs each, with an empty active one behind.
func filled(t *testing.T, segments int) (*Folder, *catalog, []store.BlobInfo, *clock, string) {
	t.Helper()
	dir, clk := t.TempDir(), &clock{}
	f := open(t, dir, Options{SegmentBytes: 4 * recordBytes(1000), Now: clk.now})
	var blobs []store.BlobInfo
	for i := range segments * 4 {
		blobs = append(blobs, write(t, f, payload(uint64(i), 1000))...)
	}
	write(t, f, payload(1<<20, 1000)) // garbage that begins the active segment
	return f, newCatalog(blobs...), blobs, clk, dir
}

func exists(dir string, segment uint64) bool {
	_, err := os.Stat(filepath.Join(dir, fileName(segment)))
	return err == nil
}

func TestCompact(t *testing.T) {
	f, c, blobs, clk, dir := filled(t, 3)
	for _, i := range []int{0, 1, 2, 4, 5} { // 1 of 4 stays, 2 of 4 stay, all stay
		c.drop(blobs[i].Hash)
	}
	if done, err := f.Compact(t.Context(), c); err != nil || done.Segments != 0 {
		t.Fatalf("young segments: %+v, %v", done, err)
	}
	if live := f.Stats().LiveBytes; live != 7*recordBytes(1000) {
		t.Errorf("live bytes %d", live)
	}
	clk.advance(store.BlobGrace)
	done, err := f.Compact(t.Context(), c)
	want := Compaction{Segments: 1, Moved: recordBytes(1000), Freed: 4 * recordBytes(1000)}
	if err != nil || done != want {
		t.Fatalf("got %+v, %v, want %+v", done, err, want)
	}
	if exists(dir, 1) || !exists(dir, 2) || !exists(dir, 3) {
		t.Error("only segment 1 should be gone")
	}
	for _, b := range c.list() {
		wantBlob(t, f, b)
	}
	if _, err := read(t.Context(), f, blobs[0]); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("blob in a removed segment: %v", err)
	}
	f.Close()
	f = open(t, dir, Options{})
	for _, b := range c.list() {
		wantBlob(t, f, b)
	}
}

func TestCompactSparesPins(t *testing.T) {
	f, c, blobs, clk, dir := filled(t, 1)
	clk.advance(store.BlobGrace)
	old, older := f.Pin(), f.Pin()
	c.drop(blobs[0].Hash)
	c.drop(blobs[1].Hash)
	c.drop(blobs[2].Hash)
	if _, err := f.Compact(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	young := f.Pin()
	defer young()
	if s := f.Stats(); s.Removing != 1 || s.Segments != 1 {
		t.Errorf("stats %+v", s)
	}
	wantBlob(t, f, blobs[3]) // the place that the pinned snapshots know
	if done, err := f.Compact(t.Context(), c); err != nil || done.Segments != 0 {
		t.Errorf("second run: %+v, %v", done, err)
	}
	old()
	old()
	if !exists(dir, 1) {
		t.Error("removed while an older pin is held")
	}
	older()
	if exists(dir, 1) {
		t.Error("not removed after the last older pin")
	}
}

func TestCompactKeepsOpenReaders(t *testing.T) {
	f, c, blobs, clk, dir := filled(t, 1)
	clk.advance(store.BlobGrace)
	r, err := f.Open(t.Context(), blobs[3].Place, blobs[3].Hash, blobs[3].Size)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, b := range blobs {
		c.drop(b.Hash)
	}
	if _, err := f.Compact(t.Context(), c); err != nil || exists(dir, 1) {
		t.Fatalf("still there: %v", err)
	}
	if n, err := r.ReadAt(make([]byte, 1000), 0); n != 1000 || err != nil {
		t.Errorf("reader from before: %d, %v", n, err)
	}
}

// TestCompactAsksForRoom: moving needs room, dropping what is all garbage does not.
func TestCompactAsksForRoom(t *testing.T) {
	f, c, blobs, clk, dir := filled(t, 2)
	clk.advance(store.BlobGrace)
	for _, b := range blobs[1:] {
		c.drop(b.Hash)
	}
	f.opt.Room = func(int64) error { return store.ErrNoSpace }
	if _, err := f.Compact(t.Context(), c); !errors.Is(err, store.ErrNoSpace) {
		t.Errorf("got %v", err)
	}
	if !exists(dir, 1) || exists(dir, 2) {
		t.Error("only the segment without blobs should be gone")
	}
	wantBlob(t, f, blobs[0])
}

func TestCompactErrorKeepsSegment(t *testing.T) {
	f, c, blobs, clk, dir := filled(t, 1)
	clk.advance(store.BlobGrace)
	for _, b := range blobs[:3] {
		c.drop(b.Hash)
	}
	c.onMove = func() error { return store.ErrUnknownOutcome }
	if _, err := f.Compact(t.Context(), c); !errors.Is(err, store.ErrUnknownOutcome) || !exists(dir, 1) {
		t.Fatalf("got %v, segment kept: %t", err, exists(dir, 1))
	}
	c.onMove = nil
	if done, err := f.Compact(t.Context(), c); err != nil || done.Segments != 1 {
		t.Fatalf("second run: %+v, %v", done, err)
	}
	wantBlob(t, f, c.list()[0])
}

func TestCompactLeavesDamage(t *testing.T) {
	f, c, blobs, clk, dir := filled(t, 1)
	log := &logLines{}
	f.opt.Log = log.logger()
	clk.advance(store.BlobGrace)
	for _, b := range blobs[:3] {
		c.drop(b.Hash)
	}
	file, err := os.OpenFile(filepath.Join(dir, fileName(1)), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.WriteAt([]byte{0xff, 0xfe, 0xfd}, blobs[3].Place.Offset+headerBytes+5)
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	done, err := f.Compact(t.Context(), c)
	if err != nil || done.Damaged != 1 || done.Segments != 0 || !exists(dir, 1) {
		t.Errorf("got %+v, %v", done, err)
	}
	if !strings.Contains(log.String(), "not compacted") {
		t.Errorf("log: %q", log)
	}
}

// TestCompactUnderLoad writes, drops, reads and compacts at the same time.
// Readers do what a snapshot does: pin, look the place up, open, release.
func TestCompactUnderLoad(t *testing.T) {
	clk := &clock{}
	f := open(t, t.TempDir(), Options{SegmentBytes: 20 << 10, Now: clk.now, OpenFiles: 2})
	c := newCatalog()
	stop := make(chan struct{})
	var committing sync.RWMutex // no time passes between a write and its commit
	var readers, writers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				release := f.Pin()
				for _, b := range c.list() {
					if _, err := read(t.Context(), f, b); err != nil {
						t.Error(err)
					}
				}
				release()
			}
		})
	}
	for w := range 2 {
		writers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 0))
			for i := range 300 {
				committing.RLock()
				b := write(t, f, payload(uint64(w*1000+i), 500+rng.IntN(2000)))[0]
				c.mu.Lock()
				c.blobs[b.Hash] = b
				c.mu.Unlock()
				committing.RUnlock()
				if list := c.list(); len(list) > 20 {
					c.drop(list[rng.IntN(len(list))].Hash)
				}
			}
		})
	}
	var total Compaction
	writersDone := make(chan struct{})
	go func() { writers.Wait(); close(writersDone) }()
	for running := true; running; {
		select {
		case <-writersDone:
			running = false
			clk.advance(store.BlobGrace)
		default:
		}
		committing.Lock()
		clk.advance(store.BlobGrace / 20)
		committing.Unlock()
		done, err := f.Compact(t.Context(), c)
		if err != nil {
			t.Errorf("compact: %v", err)
			running = false
		}
		total.Segments += done.Segments
	}
	close(stop)
	readers.Wait()
	for _, b := range c.list() {
		wantBlob(t, f, b)
	}
	if total.Segments < 10 || c.moves == 0 {
		t.Errorf("%d segments compacted, %d blobs moved: too few to prove anything", total.Segments, c.moves)
	}
	if s := f.Stats(); s.Removing != 0 || s.Bytes > 4*s.LiveBytes {
		t.Errorf("stats at the end: %+v", s)
	}
}

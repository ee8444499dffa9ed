package segments

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// payload makes n bytes that differ by seed.
func payload(seed uint64, n int) []byte {
	b := make([]byte, n)
	rng := rand.New(rand.NewPCG(seed, 1))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func source(b []byte) store.BlobSource {
	return store.BlobSource{Hash: sha256.Sum256(b), Size: int64(len(b)), Data: bytes.NewReader(b)}
}

func open(t testing.TB, dir string, o Options) *Folder {
	t.Helper()
	f, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// write stores blobs as one group and returns them with their places.
func write(t testing.TB, f *Folder, bodies ...[]byte) []store.BlobInfo {
	t.Helper()
	var sources []store.BlobSource
	for _, b := range bodies {
		sources = append(sources, source(b))
	}
	places, err := f.Write(t.Context(), sources)
	if err != nil {
		t.Fatal(err)
	}
	var infos []store.BlobInfo
	for i, p := range places {
		infos = append(infos, store.BlobInfo{Hash: sources[i].Hash, Size: sources[i].Size, Place: p})
	}
	return infos
}

// read returns a blob's bytes, or the error that opening or reading gave.
func read(ctx context.Context, f *Folder, b store.BlobInfo) ([]byte, error) {
	r, err := f.Open(ctx, b.Place, b.Hash, b.Size)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
}

func wantBlob(t testing.TB, f *Folder, b store.BlobInfo) {
	t.Helper()
	got, err := read(t.Context(), f, b)
	if err != nil {
		t.Fatalf("read blob at %+v: %v", b.Place, err)
	}
	if store.Hash(sha256.Sum256(got)) != b.Hash {
		t.Fatalf("blob at %+v has other bytes", b.Place)
	}
	if err := f.Verify(t.Context(), b.Place, b.Hash, b.Size); err != nil {
		t.Fatalf("verify: %v", err)
	}
}

func TestWriteReadReopen(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, Options{SegmentBytes: 1 << 20})
	var all []store.BlobInfo
	for i, n := range []int{0, 1, 51, 52, 4095, 4096, bufferBytes - headerBytes, bufferBytes, bufferBytes + 1, 3 << 20, 7} {
		all = append(all, write(t, f, payload(uint64(i), n))...)
	}
	all = append(all, write(t, f, payload(90, 10), payload(91, 600<<10), payload(92, 0), payload(93, 3))...)
	for _, b := range all {
		wantBlob(t, f, b)
	}
	before := f.Stats()
	if before.Segments < 3 {
		t.Errorf("%d segments, want several of 1 MiB", before.Segments)
	}
	f.Close()

	f = open(t, dir, Options{SegmentBytes: 1 << 20})
	if after := f.Stats(); after != before {
		t.Errorf("stats after reopening %+v, before %+v", after, before)
	}
	all = append(all, write(t, f, payload(94, 100))...)
	for _, b := range all {
		wantBlob(t, f, b)
	}
}

func TestReadAtOffsets(t *testing.T) {
	f := open(t, t.TempDir(), Options{})
	body := payload(1, 1000)
	b := write(t, f, payload(2, 500), body, payload(3, 500))[1]
	r, err := f.Open(t.Context(), b.Place, b.Hash, b.Size)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	if n, err := r.ReadAt(buf, 300); n != 100 || err != nil || !bytes.Equal(buf, body[300:400]) {
		t.Errorf("read in the middle: %d, %v", n, err)
	}
	if n, err := r.ReadAt(buf, 950); n != 50 || err != io.EOF || !bytes.Equal(buf[:50], body[950:]) {
		t.Errorf("read over the end: %d, %v", n, err)
	}
	r.Close()
	r.Close()
	if _, err := r.ReadAt(buf, 0); !errors.Is(err, os.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
}

func TestOpenRefusesWrongPlaces(t *testing.T) {
	f := open(t, t.TempDir(), Options{})
	all := write(t, f, payload(1, 100), payload(2, 100))
	a, b := all[0], all[1]
	tests := []struct {
		name string
		info store.BlobInfo
	}{
		{"another blob's place", store.BlobInfo{Hash: a.Hash, Size: a.Size, Place: b.Place}},
		{"wrong size", store.BlobInfo{Hash: a.Hash, Size: 99, Place: a.Place}},
		{"negative size", store.BlobInfo{Hash: a.Hash, Size: -1, Place: a.Place}},
		{"inside a record", store.BlobInfo{Hash: a.Hash, Size: a.Size, Place: store.Place{Segment: 1, Offset: 7}}},
		{"behind the end", store.BlobInfo{Hash: a.Hash, Size: a.Size, Place: store.Place{Segment: 1, Offset: 1 << 30}}},
		{"negative offset", store.BlobInfo{Hash: a.Hash, Size: a.Size, Place: store.Place{Segment: 1, Offset: -1}}},
		{"inline", store.BlobInfo{Hash: a.Hash, Size: a.Size}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := read(t.Context(), f, tt.info); !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("got %v, want store.ErrCorrupt", err)
			}
		})
	}
	missing := store.BlobInfo{Hash: a.Hash, Size: a.Size, Place: store.Place{Segment: 9}}
	if _, err := read(t.Context(), f, missing); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing segment: %v", err)
	}
}

// brokenReader fails after some bytes.
type brokenReader struct{ good int64 }

func (r brokenReader) ReadAt(p []byte, at int64) (int, error) {
	if at+int64(len(p)) <= r.good {
		return len(p), nil
	}
	return int(max(0, r.good-at)), io.ErrUnexpectedEOF
}

func TestFailingSourceLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, Options{})
	first := write(t, f, payload(1, 5000))[0]
	_, err := f.Write(t.Context(), []store.BlobSource{
		source(payload(2, 900<<10)), {Size: 900 << 10, Data: brokenReader{700 << 10}},
	})
	if !errors.Is(err, ErrSource) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("got %v", err)
	}
	if info, _ := os.Stat(filepath.Join(dir, fileName(1))); info.Size() != recordBytes(5000) {
		t.Errorf("file has %d bytes, want only the first record", info.Size())
	}
	wantBlob(t, f, first)
	wantBlob(t, f, write(t, f, payload(3, 10))[0])

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Write(ctx, []store.BlobSource{source(payload(4, 10))}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestFailedSyncStopsWrites(t *testing.T) {
	f := open(t, t.TempDir(), Options{})
	good := write(t, f, payload(1, 100))[0]
	eio := errors.New("input/output error")
	f.sync = func(*os.File) error { return eio }
	if _, err := f.Write(t.Context(), []store.BlobSource{source(payload(2, 100))}); !errors.Is(err, store.ErrFailed) || !errors.Is(err, eio) {
		t.Fatalf("first write: %v", err)
	}
	f.sync = syncData
	if _, err := f.Write(t.Context(), []store.BlobSource{source(payload(3, 100))}); !errors.Is(err, store.ErrFailed) {
		t.Fatalf("write after the failure: %v", err)
	}
	wantBlob(t, f, good)
}

func TestFailedSyncWhenASegmentEnds(t *testing.T) {
	f := open(t, t.TempDir(), Options{SegmentBytes: 1000})
	if _, _, err := f.append(t.Context(), []store.BlobSource{source(payload(1, 900))}); err != nil {
		t.Fatal(err)
	}
	f.sync = func(*os.File) error { return errors.New("no") }
	if _, _, err := f.append(t.Context(), []store.BlobSource{source(payload(2, 900))}); !errors.Is(err, store.ErrFailed) {
		t.Fatalf("got %v: an unsynced segment must not be left behind", err)
	}
}

// TestSyncCoversGroup checks that no write returns before a sync that began
// after its bytes were in the file.
func TestSyncCoversGroup(t *testing.T) {
	f := open(t, t.TempDir(), Options{SegmentBytes: 64 << 10})
	var mu sync.Mutex
	durable := map[string]int64{}
	f.sync = func(file *os.File) error {
		info, err := file.Stat()
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		durable[filepath.Base(file.Name())] = info.Size()
		return nil
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 50 {
				b := source(payload(uint64(w*100+i), 1000+i))
				places, err := f.Write(t.Context(), []store.BlobSource{b})
				if err != nil {
					t.Error(err)
					return
				}
				p := places[0]
				mu.Lock()
				end := durable[fileName(p.Segment)]
				mu.Unlock()
				if end < p.Offset+recordBytes(b.Size) {
					t.Errorf("%+v returned, synced up to %d", p, end)
				}
			}
		})
	}
	wg.Wait()
}

func TestFileCacheBound(t *testing.T) {
	f := open(t, t.TempDir(), Options{SegmentBytes: 1, OpenFiles: 3})
	var all []store.BlobInfo
	for i := range 12 {
		all = append(all, write(t, f, payload(uint64(i), 10))...)
	}
	var readers []store.BlobReader
	for range 2 {
		for _, b := range all {
			r, err := f.Open(t.Context(), b.Place, b.Hash, b.Size)
			if err != nil {
				t.Fatal(err)
			}
			readers = append(readers, r)
		}
	}
	if n := len(f.files.open); n != 12 {
		t.Errorf("%d files open for 24 readers of 12 segments", n)
	}
	for _, r := range readers {
		r.Close()
	}
	if open, idle := len(f.files.open), f.files.idle.Len(); open != 3 || idle != 3 {
		t.Errorf("%d files open, %d idle, want 3", open, idle)
	}
	for _, b := range all {
		wantBlob(t, f, b)
	}
}

func TestClosed(t *testing.T) {
	f := open(t, t.TempDir(), Options{})
	b := write(t, f, payload(1, 100))[0]
	r, err := f.Open(t.Context(), b.Place, b.Hash, b.Size)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadAt(make([]byte, 100), 0); err != nil {
		t.Errorf("reader opened before: %v", err)
	}
	r.Close()
	if _, err := f.Write(t.Context(), []store.BlobSource{source(payload(2, 1))}); !errors.Is(err, store.ErrClosed) {
		t.Errorf("write: %v", err)
	}
	if _, err := read(t.Context(), f, b); !errors.Is(err, store.ErrClosed) {
		t.Errorf("open: %v", err)
	}
}

func TestForeignFilesAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"notes.txt", "0000000000.seg", "12.seg", "0000000003.seg.bak"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := open(t, dir, Options{})
	if b := write(t, f, payload(1, 1))[0]; b.Place.Segment != 1 {
		t.Errorf("first segment is %d", b.Place.Segment)
	}
}

// catalog is the part of a store that Compact uses.
type catalog struct {
	mu     sync.Mutex
	blobs  map[store.Hash]store.BlobInfo
	moves  int
	onMove func() error
}

func newCatalog(blobs ...store.BlobInfo) *catalog {
	c := &catalog{blobs: map[store.Hash]store.BlobInfo{}}
	for _, b := range blobs {
		c.blobs[b.Hash] = b
	}
	return c
}

func (c *catalog) Blobs(context.Context) iter.Seq2[store.BlobInfo, error] {
	return func(yield func(store.BlobInfo, error) bool) {
		for _, b := range c.list() {
			if !yield(b, nil) {
				return
			}
		}
	}
}

func (c *catalog) list() []store.BlobInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []store.BlobInfo
	for _, b := range c.blobs {
		all = append(all, b)
	}
	return all
}

func (c *catalog) drop(h store.Hash) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.blobs, h)
}

func (c *catalog) MoveBlobs(_ context.Context, moves []store.BlobMove) error {
	if c.onMove != nil {
		if err := c.onMove(); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range moves {
		if b, ok := c.blobs[m.Hash]; ok && b.Place == m.From {
			b.Place = m.To
			c.blobs[m.Hash] = b
			c.moves++
		}
	}
	return nil
}

// logLines gathers what is logged.
type logLines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logLines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func BenchmarkWrite(b *testing.B) {
	for _, bench := range []struct{ senders, size int }{{1, 10 << 10}, {8, 10 << 10}, {64, 10 << 10}, {4, 1 << 20}} {
		b.Run(fmt.Sprintf("senders=%d/size=%d", bench.senders, bench.size), func(b *testing.B) {
			f := open(b, b.TempDir(), Options{})
			src := source(payload(1, bench.size))
			b.SetBytes(int64(bench.size))
			var wg sync.WaitGroup
			for w := range bench.senders {
				wg.Go(func() {
					for i := w; i < b.N; i += bench.senders {
						if _, err := f.Write(b.Context(), []store.BlobSource{src}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "blobs/s")
		})
	}
}

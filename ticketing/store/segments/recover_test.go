package segments

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// image writes some groups and returns the segment file and its blobs.
func image(t testing.TB) ([]byte, []store.BlobInfo) {
	t.Helper()
	dir := t.TempDir()
	f := open(t, dir, Options{})
	blobs := write(t, f, payload(1, 300))
	blobs = append(blobs, write(t, f, payload(2, 0), payload(3, 1000), payload(4, 17))...)
	blobs = append(blobs, write(t, f, payload(5, 700))...)
	f.Close()
	raw, err := os.ReadFile(filepath.Join(dir, fileName(1)))
	if err != nil {
		t.Fatal(err)
	}
	return raw, blobs
}

// reopen opens a folder whose only segment has these bytes.
func reopen(t testing.TB, raw []byte) (*Folder, *logLines) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, fileName(1)), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	log := &logLines{}
	return open(t, dir, Options{Log: log.logger()}), log
}

func end(b store.BlobInfo) int64 { return b.Place.Offset + recordBytes(b.Size) }

func abs(n int64) int64 { return max(n, -n) }

func TestRecoverCut(t *testing.T) {
	raw, blobs := image(t)
	for n := range len(raw) + 1 {
		near := func(b store.BlobInfo) bool {
			return abs(int64(n)-b.Place.Offset) < 3 || abs(int64(n)-b.Place.Offset-headerBytes) < 3 || abs(int64(n)-end(b)) < 6
		}
		if n%17 != 0 && !slices.ContainsFunc(blobs, near) {
			continue
		}
		f, log := reopen(t, raw[:n])
		var kept int64
		for _, b := range blobs {
			if end(b) <= int64(n) {
				wantBlob(t, f, b)
				kept = end(b)
			} else if _, err := read(t.Context(), f, b); !errors.Is(err, store.ErrCorrupt) {
				t.Fatalf("cut at %d: blob at %d: %v", n, b.Place.Offset, err)
			}
		}
		if got := f.Stats().Bytes; got != kept {
			t.Fatalf("cut at %d: %d bytes kept, want %d", n, got, kept)
		}
		if torn := strings.Contains(log.String(), "torn end"); torn != (kept < int64(n)) {
			t.Fatalf("cut at %d: log says %q", n, log)
		}
		wantBlob(t, f, write(t, f, payload(9, 50))[0])
		f.Close()
	}
}

func TestRecoverFlip(t *testing.T) {
	raw, blobs := image(t)
	last := blobs[len(blobs)-1]
	rng := rand.New(rand.NewPCG(1, 2))
	offsets := make([]int64, 0, 400)
	for _, b := range blobs {
		for _, at := range []int64{0, 4, 6, 8, 15, 16, 47, 48, 51, 52} {
			offsets = append(offsets, b.Place.Offset+at)
		}
		offsets = append(offsets, end(b)-1, end(b)-trailerBytes)
	}
	for range 200 {
		offsets = append(offsets, rng.Int64N(int64(len(raw))))
	}
	for _, at := range offsets {
		if at >= int64(len(raw)) {
			continue
		}
		bad := bytes.Clone(raw)
		bad[at] ^= 1 << rng.IntN(8)
		f, log := reopen(t, bad)
		size, words := int64(len(raw)), "good records follow"
		if at >= last.Place.Offset {
			size, words = last.Place.Offset, "torn end"
		}
		if got := f.Stats().Bytes; got != size {
			t.Fatalf("flip at %d: %d bytes kept, want %d", at, got, size)
		}
		if !strings.Contains(log.String(), words) {
			t.Fatalf("flip at %d: log says %q", at, log)
		}
		for _, b := range blobs {
			if at < b.Place.Offset || at >= end(b) {
				wantBlob(t, f, b)
			} else if err := f.Verify(t.Context(), b.Place, b.Hash, b.Size); !errors.Is(err, store.ErrCorrupt) {
				t.Fatalf("flip at %d: verify: %v", at, err)
			}
		}
		wantBlob(t, f, write(t, f, payload(9, 50))[0])
		f.Close()
	}
}

func TestRecoverZeroTail(t *testing.T) {
	raw, blobs := image(t)
	f, _ := reopen(t, append(bytes.Clone(raw), make([]byte, 10000)...))
	if got := f.Stats().Bytes; got != int64(len(raw)) {
		t.Errorf("%d bytes kept, want %d", got, len(raw))
	}
	wantBlob(t, f, blobs[len(blobs)-1])
}

// TestRecoverBlobThatHoldsRecords: what a sender put into a mail must not pass
// for a record that follows a damaged one.
func TestRecoverBlobThatHoldsRecords(t *testing.T) {
	raw, _ := image(t)
	dir := t.TempDir()
	f := open(t, dir, Options{})
	first := write(t, f, payload(7, 10))[0]
	evil := write(t, f, bytes.Repeat(raw, 3))[0]
	f.Close()
	whole, err := os.ReadFile(filepath.Join(dir, fileName(1)))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int64{end(evil) - 1, end(evil) - int64(len(raw)), evil.Place.Offset + headerBytes} {
		f, _ := reopen(t, whole[:n])
		if got := f.Stats().Bytes; got != end(first) {
			t.Errorf("cut at %d: %d bytes kept, want %d", n, got, end(first))
		}
		f.Close()
	}
	whole[evil.Place.Offset+headerBytes] ^= 1
	f, _ = reopen(t, whole)
	if got := f.Stats().Bytes; got != end(first) {
		t.Errorf("flipped: %d bytes kept, want %d", got, end(first))
	}
}

// TestRecoverManyFakes: a damaged header before a blob made of headers must not
// take quadratic time, and nothing may be cut where the search gave up.
func TestRecoverManyFakes(t *testing.T) {
	var body []byte
	for range 40000 {
		body = header{size: 1 << 20}.append(body)
	}
	body = append(body, make([]byte, 1<<20)...)
	dir := t.TempDir()
	f := open(t, dir, Options{})
	b := write(t, f, body)[0]
	f.Close()
	whole, err := os.ReadFile(filepath.Join(dir, fileName(b.Place.Segment)))
	if err != nil {
		t.Fatal(err)
	}
	whole[0] ^= 1
	f, log := reopen(t, whole)
	if got := f.Stats().Bytes; got != int64(len(whole)) {
		t.Errorf("%d bytes kept of %d: %s", got, len(whole), log)
	}
	wantBlob(t, f, write(t, f, payload(1, 5))[0])
}

func TestOnlyLastSegmentIsCut(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, Options{SegmentBytes: 1})
	var blobs []store.BlobInfo
	for i := range 3 {
		blobs = append(blobs, write(t, f, payload(uint64(i), 100))...)
	}
	f.Close()
	for i := range 3 {
		name := filepath.Join(dir, fileName(uint64(i+1)))
		if err := os.Truncate(name, end(blobs[i])-1); err != nil {
			t.Fatal(err)
		}
	}
	open(t, dir, Options{SegmentBytes: 1})
	for i, want := range []int64{end(blobs[0]) - 1, end(blobs[1]) - 1, 0} {
		info, err := os.Stat(filepath.Join(dir, fileName(uint64(i+1))))
		if err != nil || info.Size() != want {
			t.Errorf("segment %d: %v, %v, want %d bytes", i+1, info.Size(), err, want)
		}
	}
}

func FuzzScan(f *testing.F) {
	raw, _ := image(f)
	f.Add(raw, 0)
	f.Add(raw[:len(raw)-3], 10)
	f.Add(append(header{size: 1 << 40}.append(nil), raw...), 3)
	f.Add(append(raw[:100:100], raw...), 4)
	f.Add([]byte{}, 0)
	f.Fuzz(func(t *testing.T, raw []byte, at int) {
		scan := func(raw []byte) (end int64, damaged bool) {
			s := scanner{r: bytes.NewReader(raw), size: int64(len(raw)), damage: func(from, to int64) {
				if damaged = true; from < 0 || from >= to || to > int64(len(raw)) {
					t.Fatalf("damage from %d to %d", from, to)
				}
			}}
			end, err := s.end()
			if err != nil {
				t.Fatal(err)
			}
			return end, damaged
		}
		end, damaged := scan(raw)
		if end < 0 || end > int64(len(raw)) || damaged && end < int64(len(raw)) {
			t.Fatalf("end %d of %d, damaged: %t", end, len(raw), damaged)
		}
		// What is written after recovery survives the next one.
		w := groupWriter{file: discard{}, buf: make([]byte, 0, 1000)}
		if err := w.record(t.Context(), source(payload(1, 20))); err != nil {
			t.Fatal(err)
		}
		more := append(raw[:end:end], w.buf...)
		if end, again := scan(more); end != int64(len(more)) || again && !damaged {
			t.Fatalf("with another record: end %d of %d, damaged: %t, before: %t", end, len(more), again, damaged)
		}
		if at >= 0 && at+headerBytes <= len(raw) {
			_, _ = parseHeader(raw[at:])
		}
	})
}

type discard struct{}

func (discard) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

// TestRecoverTwoDamages: after damage in the middle the end is never cut.
func TestRecoverTwoDamages(t *testing.T) {
	raw, blobs := image(t)
	raw[blobs[1].Place.Offset] ^= 1
	f, log := reopen(t, raw[:len(raw)-1])
	if got := f.Stats().Bytes; got != int64(len(raw)-1) || strings.Count(log.String(), "is damaged") != 2 {
		t.Errorf("%d bytes of %d kept: %s", got, len(raw)-1, log)
	}
	wantBlob(t, f, blobs[0])
	wantBlob(t, f, blobs[3])
	wantBlob(t, f, write(t, f, payload(9, 50))[0])
}

func TestHeaderRoundTrip(t *testing.T) {
	want := header{size: 1<<40 + 5, hash: store.Hash{1, 2, 31: 9}}
	raw := want.append([]byte("before"))[6:]
	if len(raw) != headerBytes {
		t.Fatalf("%d bytes", len(raw))
	}
	got, err := parseHeader(raw)
	if err != nil || got != want {
		t.Fatalf("got %+v, %v", got, err)
	}
	for i := range raw {
		bad := bytes.Clone(raw)
		bad[i] ^= 0x40
		if _, err := parseHeader(bad); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	if got := fmt.Sprint(parseName(fileName(12))); got != "12 true" {
		t.Errorf("file name: %s", got)
	}
}

//go:build linux

package segments

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// smallDisk mounts a file system of a few megabytes.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("a small file system cannot be mounted here (needs root): %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestFullDisk(t *testing.T) {
	dir := smallDisk(t, "4m")
	f := open(t, filepath.Join(dir, "blobs"), Options{})
	first := write(t, f, payload(1, 1<<20))[0]
	before := f.Stats()
	for i := range 3 {
		_, err := f.Write(t.Context(), []store.BlobSource{source(payload(2, 100)), source(payload(3, 5<<20))})
		if !errors.Is(err, store.ErrNoSpace) || errors.Is(err, store.ErrFailed) {
			t.Fatalf("attempt %d: %v", i, err)
		}
		info, err := os.Stat(filepath.Join(dir, "blobs", fileName(1)))
		if err != nil || info.Size() != before.Bytes {
			t.Fatalf("file has %d bytes, want %d: the half-written group must go", info.Size(), before.Bytes)
		}
	}
	wantBlob(t, f, first)
	second := write(t, f, payload(4, 1<<20))[0] // there is room for this much
	if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 1500<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(t.Context(), []store.BlobSource{source(payload(5, 1<<20))}); !errors.Is(err, store.ErrNoSpace) {
		t.Fatalf("full again: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "filler")); err != nil {
		t.Fatal(err)
	}
	third := write(t, f, payload(5, 1<<20))[0]
	f.Close()
	f = open(t, filepath.Join(dir, "blobs"), Options{})
	for _, b := range []store.BlobInfo{first, second, third} {
		wantBlob(t, f, b)
	}
}

// TestFullDiskAtSegmentEnd: no room for a new file's name or its first bytes.
func TestFullDiskAtSegmentEnd(t *testing.T) {
	dir := smallDisk(t, "1m,nr_inodes=3")
	f := open(t, filepath.Join(dir, "blobs"), Options{SegmentBytes: 2000})
	first := write(t, f, payload(1, 900))[0]
	if _, err := f.Write(t.Context(), []store.BlobSource{source(payload(2, 1500))}); !errors.Is(err, store.ErrNoSpace) {
		t.Fatalf("no inode left: %v", err)
	}
	wantBlob(t, f, first)
	wantBlob(t, f, write(t, f, payload(3, 10))[0])
}

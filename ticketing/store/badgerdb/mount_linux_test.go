package badgerdb

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

func mount(t *testing.T, flags uintptr, data string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", flags, data); err != nil {
		t.Skipf("a file system cannot be mounted here (needs root): %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func readOnlyDir(t *testing.T) string { return mount(t, unix.MS_RDONLY, "size=1m") }

// TestFullDisk commits until the disk is full, makes room, and goes on.
func TestFullDisk(t *testing.T) {
	dir := filepath.Join(mount(t, 0, "size=160m"), "data")
	db := open(t, dir, Options{})
	var acked int
	var err error
	for ; err == nil && acked < 400; acked++ {
		err = tryCommit(t.Context(), db, store.Item{Key: store.K(acked), Value: bytes.Repeat([]byte{byte(acked)}, 500<<10)})
	}
	acked--
	if !errors.Is(err, store.ErrNoSpace) || acked < 10 {
		t.Fatalf("after %d commits: %v", acked, err)
	}
	if _, err := get(t, db, store.K(acked)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the refused commit is there: %v", err)
	}
	closed(t, db)
	if err := unix.Mount("tmpfs", filepath.Dir(dir), "tmpfs", unix.MS_REMOUNT, "size=300m"); err != nil {
		t.Fatal(err)
	}
	db = open(t, dir, Options{})
	defer closed(t, db)
	commit(t, db, store.Item{Key: store.K(acked), Value: []byte("now there is room")})
	for i := range acked {
		if v, err := get(t, db, store.K(i)); err != nil || len(v) != 500<<10 || v[0] != byte(i) {
			t.Fatalf("commit %d: %d bytes, %v", i, len(v), err)
		}
	}
}

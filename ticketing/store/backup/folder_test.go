package backup_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/backup"
)

// files lists a folder's files by a pattern.
func files(t *testing.T, dir, pattern string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestDamagedFolderIsNamed(t *testing.T) {
	for _, sub := range []string{"packs", "snapshots"} {
		h, dir := newHouse(t, "memdb"), filepath.Join(t.TempDir(), "b")
		h.live(5)
		name := h.mustSave(dir).Name
		path := files(t, dir, sub+"/*")[0]
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(good); i += 1 + len(good)/300 {
			bad := bytes.Clone(good)
			bad[i] ^= 0x10
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := backup.OpenFolder(dir)
			if err == nil {
				_, err = f.Read(name, backup.Discard{})
			}
			// The first line of a pack is for people; nothing reads it.
			if sub == "packs" && i < len("mxdesk pack 1\n") {
				continue
			}
			if !errors.Is(err, backup.ErrDamaged) || !strings.Contains(err.Error(), path) {
				t.Errorf("byte %d of %s: %v", i, path, err)
			}
		}
	}
}

// cutReader fails after n bytes.
type cutReader struct {
	r io.Reader
	n int
}

func (c *cutReader) Read(p []byte) (int, error) {
	if c.n <= 0 {
		return 0, errors.New("connection lost")
	}
	n, err := c.r.Read(p[:min(len(p), c.n)])
	c.n -= n
	return n, err
}

// A run that is cut short anywhere leaves the earlier ones as they were, and
// the next run good.
func TestRunCutShort(t *testing.T) {
	h, dir := newHouse(t, "memdb"), filepath.Join(t.TempDir(), "b")
	h.live(10)
	first, want := h.mustSave(dir), h.digest()
	h.live(10)
	stream := h.stream()
	for n := 0; n < len(stream); n += 1 + len(stream)/50 {
		f, err := backup.CreateFolder(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Save(t.Context(), &cutReader{bytes.NewReader(stream), n}, nil); err == nil {
			t.Fatalf("cut after %d bytes: no error", n)
		}
		if names, err := f.Snapshots(); err != nil || len(names) != 1 {
			t.Fatalf("cut after %d bytes: snapshots %v, %v", n, names, err)
		}
		f.Close()
	}
	if got, fs, err := restore(t, "memdb", reopening(t, dir, first.Name)); err != nil {
		t.Error(err)
	} else {
		same(t, h, got, fs, want)
	}
	h.mustSave(dir)
	if left := files(t, dir, "*/.new-*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestKeep(t *testing.T) {
	h, dir := newHouse(t, "memdb"), filepath.Join(t.TempDir(), "b")
	h.live(3)
	h.mustSave(dir)
	for _, r := range h.refs { // all gone: nothing needs the first pack any more
		if err := h.Update(t.Context(), func(tx store.Tx) error { return tx.ReleaseBlob(r) }); err != nil {
			t.Fatal(err)
		}
	}
	h.refs = nil
	h.live(3)
	h.mustSave(dir)
	h.live(2)
	last := h.mustSave(dir)
	f, err := backup.CreateFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if s, p, err := f.Keep(5); s != 0 || p != 0 || err != nil {
		t.Errorf("Keep(5) of 3 = %d, %d, %v", s, p, err)
	}
	if s, p, err := f.Keep(1); s != 2 || p != 1 || err != nil {
		t.Errorf("Keep(1) of 3 = %d, %d, %v", s, p, err)
	}
	if _, err := f.Read(last.Name, backup.Discard{}); err != nil {
		t.Error(err)
	}
}

func TestFoldersOfOthers(t *testing.T) {
	h, dir := newHouse(t, "memdb"), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "letter"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := h.save(dir); !errors.Is(err, backup.ErrNoFolder) {
		t.Errorf("somebody's folder: %v", err)
	}
	if _, err := backup.OpenFolder(dir); !errors.Is(err, backup.ErrNoFolder) {
		t.Errorf("somebody's folder: %v", err)
	}
	dir = t.TempDir()
	f, err := backup.CreateFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.save(dir); !errors.Is(err, backup.ErrBusy) {
		t.Errorf("two at once: %v", err)
	}
	f.Close()
	h.live(1)
	h.mustSave(dir)
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		info, _ := d.Info()
		if mode := info.Mode().Perm(); path != dir && (d.IsDir() && mode != 0o700 || !d.IsDir() && mode != 0o600) {
			t.Errorf("%s has mode %o", path, mode)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

package backup_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/backup"
	"github.com/mxdesk/mxdesk/ticketing/store/badgerdb"
	"github.com/mxdesk/mxdesk/ticketing/store/memdb"
)

// engines are what every test runs over.
var engines = map[string]func(t *testing.T, dir string) store.Engine{
	"memdb": func(*testing.T, string) store.Engine { return memdb.New(memdb.Options{}) },
	"badgerdb": func(t *testing.T, dir string) store.Engine {
		e, err := badgerdb.Open(dir, badgerdb.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return e
	},
}

// house is a store with something in it.
type house struct {
	*store.DB
	t    *testing.T
	dir  string
	rnd  *rand.Rand
	made time.Time
	n    int
	refs []store.Hash
}

func newHouse(t *testing.T, engine string) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), rnd: rand.New(rand.NewPCG(1, 2)), made: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	h.DB = store.Open(engines[engine](t, h.dir), store.Options{RunTwice: true})
	t.Cleanup(func() { h.Close(context.Background()) })
	return h
}

// live adds n things and takes some away.
func (h *house) live(n int) {
	h.t.Helper()
	for range n {
		h.n++
		size := []int{0, 10, 3000, 40_000, 70_000, 1_500_000}[min(h.rnd.IntN(40), 5)]
		if h.n%20 != 0 {
			size = min(size, 40_000)
		}
		data := bytes.Repeat(fmt.Appendf(nil, "%d ", h.n), size/3+1)
		hash := store.Hash(sha256.Sum256(data))
		staged, err := h.Stage(h.t.Context(), int64(len(data)), hash, bytes.NewReader(data))
		if err != nil {
			h.t.Fatal(err)
		}
		gone := h.rnd.IntN(5) == 0 && len(h.refs) > 0
		err = h.Update(h.t.Context(), func(tx store.Tx) error {
			k := store.K("thing", h.n)
			if gone {
				if err := tx.ReleaseBlob(h.refs[0]); err != nil {
					return err
				}
			}
			if h.n%16 == 0 {
				if err := tx.Put(store.K("large", h.n), bytes.Repeat([]byte("v"), 600_000)); err != nil {
					return err
				}
			}
			return errors.Join(tx.Put(k, []byte(hash.String())), tx.Put(store.K("empty", h.n%3), nil),
				tx.AddBlob(staged), tx.Emit(store.Change{Kind: "thing", Key: k}), h.Cursor("reader").Advance(tx, uint64(h.n/2)))
		})
		if err != nil {
			h.t.Fatal(err)
		}
		if gone {
			h.refs = h.refs[1:]
		}
		h.refs = append(h.refs, hash)
	}
}

var deskFiles = fstest.MapFS{"dkim/desk.test/ed.pem": {Data: []byte("secret")}, "first-start": {}}

func (h *house) source() backup.Source {
	h.made = h.made.Add(time.Second)
	return backup.Source{DB: h.DB, Files: deskFiles, Mxdesk: "test", Made: h.made}
}

func (h *house) stream() []byte {
	h.t.Helper()
	var b bytes.Buffer
	if _, err := backup.Write(h.t.Context(), &b, h.source()); err != nil {
		h.t.Fatal(err)
	}
	return b.Bytes()
}

func (h *house) digest() store.Hash {
	h.t.Helper()
	var d store.Hash
	if err := h.View(h.t.Context(), func(r store.Reader) (err error) {
		d, _, err = backup.Digest(h.t.Context(), r)
		return err
	}); err != nil {
		h.t.Fatal(err)
	}
	return d
}

// save backs up into a folder.
func (h *house) save(dir string) (backup.Result, error) {
	f, err := backup.CreateFolder(dir)
	if err != nil {
		return backup.Result{}, err
	}
	defer f.Close()
	s := h.source()
	s.Have = f.Have()
	pr, pw := io.Pipe()
	go func() {
		_, err := backup.Write(h.t.Context(), pw, s)
		pw.CloseWithError(err)
	}()
	return f.Save(h.t.Context(), pr, nil)
}

// mustSave is save that must succeed.
func (h *house) mustSave(dir string) backup.Result {
	h.t.Helper()
	r, err := h.save(dir)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// restore fills a new store and returns it with the files beside it.
func restore(t *testing.T, engine string, read func(backup.Handler) (backup.Manifest, error)) (*house, map[string]string, error) {
	t.Helper()
	to, files := newHouse(t, engine), map[string]string{}
	_, err := backup.Restore(t.Context(), to.DB, t.TempDir(), func(name string, data []byte) error {
		files[name] = string(data)
		return nil
	}, read)
	return to, files, err
}

func reading(b []byte) func(backup.Handler) (backup.Manifest, error) {
	return func(h backup.Handler) (backup.Manifest, error) { return backup.Read(bytes.NewReader(b), h) }
}

func reopening(t *testing.T, dir, name string) func(backup.Handler) (backup.Manifest, error) {
	t.Helper()
	f, err := backup.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	return func(h backup.Handler) (backup.Manifest, error) { return f.Read(name, h) }
}

// same fails the test unless every blob that is referred to can be read, and
// the files are those of the desk.
func same(t *testing.T, from, to *house, files map[string]string, want store.Hash) {
	t.Helper()
	if got := to.digest(); got != want {
		t.Errorf("digest %v, want %v", got, want)
	}
	if !maps.Equal(files, map[string]string{"dkim/desk.test/ed.pem": "secret", "first-start": ""}) {
		t.Errorf("files %v", files)
	}
	n := 0
	for info, err := range to.Blobs(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		b, err := to.OpenBlob(t.Context(), info.Hash)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
		if b.Close(); err != nil || sha256.Sum256(data) != info.Hash {
			t.Errorf("blob %v: other bytes, %v", info.Hash, err)
		}
		n++
	}
	if n == 0 {
		t.Error("no blobs")
	}
}

// everywhere runs a test over all pairs of engines.
func everywhere(t *testing.T, test func(t *testing.T, from, to string)) {
	for from := range engines {
		for to := range engines {
			t.Run(from+" to "+to, func(t *testing.T) { test(t, from, to) })
		}
	}
}

func TestStreamAndBack(t *testing.T) {
	everywhere(t, func(t *testing.T, from, to string) {
		h := newHouse(t, from)
		h.live(32)
		want := h.digest()
		got, files, err := restore(t, to, reading(h.stream()))
		if err != nil {
			t.Fatal(err)
		}
		same(t, h, got, files, want)
		// The restored store goes on where the other was.
		h.live(3)
		got.n, got.refs, got.rnd = h.n, h.refs, h.rnd
		got.live(3)
	})
}

func TestFolderGrowsByWhatIsNew(t *testing.T) {
	everywhere(t, func(t *testing.T, from, to string) {
		h, dir := newHouse(t, from), filepath.Join(t.TempDir(), "b")
		h.live(20)
		first, one := h.digest(), h.mustSave(dir)
		h.live(10)
		second, two := h.digest(), h.mustSave(dir)
		three := h.mustSave(dir)
		if one.NewBlobs != one.Blobs || two.NewBlobs == 0 || two.NewBlobs > 10 || three.NewBlobs != 0 {
			t.Errorf("%d, %d and %d blobs written", one.NewBlobs, two.NewBlobs, three.NewBlobs)
		}
		if one.Digest != first || two.Digest != second || three.Digest != second || two.Change != 30 {
			t.Errorf("manifests %+v %+v %+v", one, two, three)
		}
		for name, want := range map[string]store.Hash{one.Name: first, two.Name: second, three.Name: second} {
			got, files, err := restore(t, to, reopening(t, dir, name))
			if err != nil {
				t.Fatal(err)
			}
			same(t, h, got, files, want)
		}
	})
}

// The state is that of the start, although mail comes in and blobs go
// meanwhile.
func TestStateIsThatOfTheStart(t *testing.T) {
	h := newHouse(t, "badgerdb")
	h.live(40)
	want := h.digest()
	pr, pw := io.Pipe()
	go func() {
		_, err := backup.Write(t.Context(), pw, h.source())
		pw.CloseWithError(err)
	}()
	begun := make([]byte, 20_000)
	if _, err := io.ReadFull(pr, begun); err != nil {
		t.Fatal(err)
	}
	for range 20 { // takes what the backup still has to read
		if err := h.Update(t.Context(), func(tx store.Tx) error { return tx.ReleaseBlob(h.refs[0]) }); err != nil {
			t.Fatal(err)
		}
		h.refs = h.refs[1:]
	}
	h.live(20)
	rest, err := io.ReadAll(pr)
	if err != nil {
		t.Fatal(err)
	}
	got, files, err := restore(t, "memdb", reading(append(begun, rest...)))
	if err != nil {
		t.Fatal(err)
	}
	same(t, h, got, files, want)
}

// tiny is a stream with one of everything, short enough to try every byte.
func tiny(t *testing.T) []byte {
	h := newHouse(t, "memdb")
	for _, data := range []string{"", "one", "two"} {
		staged, err := h.Stage(t.Context(), int64(len(data)), sha256.Sum256([]byte(data)), strings.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Update(t.Context(), func(tx store.Tx) error {
			return errors.Join(tx.AddBlob(staged), tx.Put(store.K("k", data), []byte(data)), tx.Emit(store.Change{Kind: "k"}))
		}); err != nil {
			t.Fatal(err)
		}
	}
	return h.stream()
}

func TestEveryDamageIsFound(t *testing.T) {
	good := tiny(t)
	check := func(what string, b []byte) {
		t.Helper()
		m, err := backup.Read(bytes.NewReader(b), backup.Discard{})
		if !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("%s: %v, manifest %+v", what, err, m)
		}
	}
	for i := range good {
		flipped := bytes.Clone(good)
		flipped[i] ^= 1 << (i % 8)
		check(fmt.Sprintf("bit of byte %d flipped", i), flipped)
		check(fmt.Sprintf("cut to %d bytes", i), good[:i])
		check(fmt.Sprintf("byte %d left out", i), append(bytes.Clone(good[:i]), good[i+1:]...))
	}
	check("something behind", append(bytes.Clone(good), 0))
	check("twice", append(bytes.Clone(good), good...))
	if _, err := backup.Read(bytes.NewReader(good), backup.Discard{}); err != nil {
		t.Error(err)
	}
}

// A damaged backup is not restored, and what was restored of it is not taken
// for a desk.
func TestRestoreOfDamagedStream(t *testing.T) {
	good := tiny(t)
	good[len(good)-40] ^= 1
	if _, _, err := restore(t, "memdb", reading(good)); !errors.Is(err, backup.ErrDamaged) {
		t.Errorf("%v", err)
	}
}

func TestRestoreIntoWhatIsNotEmpty(t *testing.T) {
	h := newHouse(t, "memdb")
	h.live(1)
	if _, err := backup.Restore(t.Context(), h.DB, t.TempDir(), nil, reading(tiny(t))); !errors.Is(err, backup.ErrNotEmpty) {
		t.Errorf("%v", err)
	}
}

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

// A rotten blob is told of, and all others are saved.
func TestRottenBlob(t *testing.T) {
	h := newHouse(t, "badgerdb")
	h.live(19)
	data := bytes.Repeat([]byte("bytes that rot "), 10_000)
	staged, err := h.Stage(t.Context(), int64(len(data)), sha256.Sum256(data), bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Update(t.Context(), func(tx store.Tx) error { return tx.AddBlob(staged) }); err != nil {
		t.Fatal(err)
	}
	seg := files(t, h.dir, "blobs/*.seg")[0]
	text, err := os.ReadFile(seg)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(text, []byte("bytes that rot"))
	f, err := os.OpenFile(seg, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("B"), int64(at)); err != nil {
		t.Fatal(err)
	}
	f.Close()
	dir := filepath.Join(t.TempDir(), "b")
	r := h.mustSave(dir)
	if r.Lost != 1 || r.NewBlobs != r.Blobs-1 {
		t.Errorf("%+v", r)
	}
	got, _, err := restore(t, "memdb", reopening(t, dir, r.Name))
	if err != nil || got.digest() != h.digest() {
		t.Errorf("%v", err)
	}
	if _, err := got.OpenBlob(t.Context(), staged.Hash); err == nil {
		t.Error("the rotten blob can be opened")
	}
}

// What the writer cannot go on with is said in the stream.
func TestWriterGivesUp(t *testing.T) {
	h := newHouse(t, "memdb")
	h.live(3)
	s := h.source()
	s.Files = fstest.MapFS{"large": {Data: make([]byte, 2<<20)}}
	var b bytes.Buffer
	if _, err := backup.Write(t.Context(), &b, s); err == nil {
		t.Fatal("no error")
	}
	_, err := backup.Read(&b, backup.Discard{})
	if !errors.Is(err, backup.ErrCut) || !strings.Contains(err.Error(), "large is larger") {
		t.Errorf("%v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("mxdesk backup 1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		db := store.Open(memdb.New(memdb.Options{}), store.Options{})
		defer db.Close(context.Background())
		m, err := backup.Restore(t.Context(), db, t.TempDir(), nil, reading(b))
		if err == nil && m.Digest == (store.Hash{}) {
			t.Error("restored without a manifest")
		}
	})
}

// FuzzReadSealed puts right checksums on what it is given, to get behind them.
func FuzzReadSealed(f *testing.F) {
	f.Add([]byte("HFBDDKE"), []byte("{}"))
	f.Fuzz(func(t *testing.T, kinds, payload []byte) {
		b := backup.Seal(kinds, payload)
		if _, err := backup.Read(bytes.NewReader(b), backup.Discard{}); err != nil && !errors.Is(err, backup.ErrDamaged) {
			t.Error(err)
		}
	})
}

package backup_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
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

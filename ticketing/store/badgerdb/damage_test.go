package badgerdb

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// The numbers of writeNumber that damage is done to: those below tabled are in
// tables, the others in the write-ahead log, as a killed process leaves it.
const (
	tabled  = 9
	written = 14
)

// damageable makes a data directory as a killed process leaves it.
func damageable(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, upTo := range []int{3, 6, tabled} { // each close makes a table
		db := store.Open(open(t, dir, Options{}), store.Options{})
		for i := upTo - 3; i < upTo; i++ {
			if err := writeNumber(t.Context(), db, i); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	db := store.Open(open(t, dir, Options{}), store.Options{})
	defer db.Close(context.Background())
	for i := tabled; i < written; i++ {
		if err := writeNumber(t.Context(), db, i); err != nil {
			t.Fatal(err)
		}
	}
	return copyDir(t, dir)
}

// damage is one thing done to one file.
type damage struct {
	name string
	do   func(t *testing.T, file string)
}

func cutTo(size int64) damage {
	return damage{fmt.Sprintf("cut to %d", size), func(t *testing.T, file string) {
		if err := os.Truncate(file, size); err != nil {
			t.Fatal(err)
		}
	}}
}

func flip(at int64, bit int) damage {
	return damage{fmt.Sprintf("bit %d of octet %d", bit, at), func(t *testing.T, file string) {
		f, err := os.OpenFile(file, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var b [1]byte
		_, err = f.ReadAt(b[:], at)
		b[0] ^= 1 << bit
		if _, werr := f.WriteAt(b[:], at); err != nil || werr != nil {
			t.Fatal(err, werr)
		}
	}}
}

var removed = damage{"removed", func(t *testing.T, file string) {
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
}}

// damages are what is done to a file: it is removed, cut to nothing, at each of
// its records and at random, and loses single bits, at its ends and at random.
func damages(t *testing.T, file string, random int) []damage {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	used := int64(len(withoutZeros(raw)))
	list := []damage{removed, cutTo(0)}
	if used == 0 {
		return list
	}
	for _, at := range records(raw[:used]) {
		list = append(list, cutTo(at), flip(min(at, used-1), 0))
	}
	for at := range min(8, used) {
		list = append(list, flip(at, int(at)), flip(used-1-at, int(at)))
	}
	for range random {
		list = append(list, cutTo(rand.Int64N(used)), flip(rand.Int64N(used), rand.IntN(8)))
	}
	return list
}

// records tells where the records of a log or a segment end.
func records(raw []byte) (ends []int64) {
	for at := logHeaderBytes; at < len(raw); {
		_, n := parseEntry(raw[at:])
		if n == 0 {
			break
		}
		at += n
		ends = append(ends, int64(at))
	}
	for at := 0; ; at++ {
		next := bytes.Index(raw[at:], []byte("MXBL"))
		if next < 0 {
			return ends
		}
		at += next
		ends = append(ends, int64(at))
	}
}

// TestDamage does damage to every kind of file and wants it refused or
// harmless: what was acknowledged is there whole, or the store says that it is
// not.
func TestDamage(t *testing.T) {
	dir := damageable(t)
	outcomes := map[string]map[string]int{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.EqualFold(e.Name(), "lock") {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		kind := strings.TrimLeft(filepath.Base(rel), "0123456789")
		list := damages(t, path, 6)
		if testing.Short() {
			rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			list = list[:min(3, len(list))]
		}
		for _, d := range list {
			if outcomes[kind] == nil {
				outcomes[kind] = map[string]int{}
			}
			outcomes[kind][suffer(t, dir, rel, d)]++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for kind, n := range outcomes {
		t.Logf("%-12s %v", kind, n)
	}
	for _, kind := range []string{".mem", ".sst", ".seg", "MANIFEST"} {
		if outcomes[kind]["refused"]+outcomes[kind]["told"] == 0 {
			t.Errorf("no damage to %s was noticed: %v", kind, outcomes[kind])
		}
	}
}

// suffer opens a damaged copy of a data directory and tells what came of it.
func suffer(t *testing.T, dir, rel string, d damage) string {
	t.Helper()
	to := copyDir(t, dir)
	defer os.RemoveAll(to)
	d.do(t, filepath.Join(to, rel))
	before := names(t, to)
	engine, err := Open(to, Options{})
	if err != nil {
		if !strings.Contains(err.Error(), filepath.Join(to, "kv")) {
			t.Errorf("%s, %s: refused without the name of a file: %v", rel, d.name, err)
		}
		if after := names(t, to); errors.Is(err, ErrDamaged) && !slices.Equal(before, after) {
			t.Errorf("%s, %s: refused, but there were %q and are %q", rel, d.name, before, after)
		}
		return "refused"
	}
	db := store.Open(engine, store.Options{})
	defer db.Close(context.Background())
	told := false
	for i := range written {
		body := numberBody(i)
		v, err := get(t, engine, store.K("n", i))
		if err != nil || string(v) != fmt.Sprint(i) {
			t.Errorf("%s, %s: number %d is silently %q, %v", rel, d.name, i, v, err)
		}
		switch got, err := readWhole(t.Context(), db, sha256.Sum256(body)); {
		case errors.Is(err, store.ErrCorrupt) || errors.Is(err, fs.ErrNotExist):
			told = true
		case err != nil:
			t.Errorf("%s, %s: blob %d: %v", rel, d.name, i, err)
		case !bytes.Equal(got, body):
			told = true // by its hash
		}
	}
	if told {
		return "told"
	}
	return "harmless"
}

func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && !slices.Contains([]string{"lock", committedFile}, e.Name()) {
			list = append(list, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func readWhole(ctx context.Context, db *store.DB, h store.Hash) ([]byte, error) {
	f, err := db.OpenBlob(ctx, h)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, f.Size())
	_, err = f.ReadAt(b, 0)
	return b, err
}

// TestUnfinishedTable wants a table that was made when the process ended, and
// that the manifest does not name yet, to be no reason to refuse.
func TestUnfinishedTable(t *testing.T) {
	dir := damageable(t)
	later := copyDir(t, dir)
	closed(t, open(t, later, Options{})) // makes a table of the log
	before, err := filepath.Glob(filepath.Join(dir, "kv", "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	after, err := filepath.Glob(filepath.Join(later, "kv", "*.sst"))
	if err != nil || len(after) <= len(before) {
		t.Fatalf("tables %q, then %q, %v", before, after, err)
	}
	raw, err := os.ReadFile(after[len(after)-1])
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{len(raw), len(raw) / 2} {
		if err := os.WriteFile(filepath.Join(dir, "kv", filepath.Base(after[len(after)-1])), raw[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		checkNumbers(t, copyDir(t, dir), written)
	}
}

// TestOnlyDeletes wants batches that only delete to be counted, unseen.
func TestOnlyDeletes(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir, Options{})
	commit(t, db, store.Item{Key: store.K("n"), Value: []byte("1")})
	for range 3 {
		commit(t, db, store.Item{Key: store.K("n")})
		noted, err := db.done.noted()
		if err != nil {
			t.Fatal(err)
		}
		if noted != db.kv.MaxVersion() {
			t.Errorf("noted %d, the newest is %d", noted, db.kv.MaxVersion())
		}
		s, err := db.View(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for item, err := range s.Scan(store.Range{}, false) {
			t.Errorf("there is %q, %v", item.Key, err)
		}
		s.Close()
		if err := db.kv.Flatten(1); err != nil {
			t.Fatal(err)
		}
		closed(t, db)
		db = open(t, dir, Options{})
	}
	closed(t, db)
}

// TestEmptyLog opens what a process leaves that ended just after it had made
// the name of a log.
func TestEmptyLog(t *testing.T) {
	dir := damageable(t)
	for _, name := range []string{"00099.mem", "000099.vlog"} {
		if err := os.WriteFile(filepath.Join(dir, "kv", name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		checkNumbers(t, copyDir(t, dir), written)
	}
}

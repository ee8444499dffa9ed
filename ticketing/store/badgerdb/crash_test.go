package badgerdb

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/segments"
)

// copyDir copies a directory as it is now, holes as holes.
func copyDir(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(from, path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // a log that was just flushed
		case err != nil:
			return err
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		return copySparse(filepath.Join(to, rel), path)
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func copySparse(to, from string) error {
	raw, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(int64(len(raw))); err != nil {
		return err
	}
	_, err = f.WriteAt(withoutZeros(raw), 0)
	return err
}

// withoutZeros is b without the zeros at its end, found block by block first:
// logs are made of little else.
func withoutZeros(b []byte) []byte {
	block := make([]byte, 64<<10)
	for len(b) > len(block) && bytes.Equal(b[len(b)-len(block):], block) {
		b = b[:len(b)-len(block)]
	}
	return bytes.TrimRight(b, "\x00")
}

// writeNumber commits number i: a key, a counter, and a blob that is inline for
// even numbers and in a segment for odd ones.
func writeNumber(ctx context.Context, db *store.DB, i int) error {
	body := numberBody(i)
	s, err := db.Stage(ctx, int64(len(body)), sha256.Sum256(body), bytes.NewReader(body))
	if err != nil {
		return err
	}
	return db.Update(ctx, func(tx store.Tx) error {
		return errors.Join(
			tx.Put(store.K("n", i), fmt.Append(nil, i)),
			tx.Put(store.K("last"), fmt.Append(nil, i)),
			tx.AddBlob(s),
		)
	})
}

func numberBody(i int) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "%8d", i), 500+i%2*10000)
}

// checkNumbers opens a data directory and wants the numbers below n, and
// nothing or all of the one after.
func checkNumbers(t *testing.T, dir string, n int) {
	t.Helper()
	db := store.Open(open(t, dir, Options{}), store.Options{})
	defer func() {
		if err := db.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	var last int
	found := 0
	err := db.View(t.Context(), func(r store.Reader) error {
		for _, err := range r.Scan(store.Prefix("n"), false) {
			if err != nil {
				return err
			}
			found++
		}
		if found == 0 {
			return nil
		}
		v, err := r.Get(store.K("last"))
		if err == nil {
			_, err = fmt.Sscan(string(v), &last)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < n || found > n+1 || found > 0 && last != found-1 {
		t.Fatalf("%d numbers, the last is %d; %d were acknowledged", found, last, n)
	}
	for i := range found {
		body := numberBody(i)
		if got := readBlob(t, db, sha256.Sum256(body)); !bytes.Equal(got, body) {
			t.Fatalf("blob %d has changed", i)
		}
	}
	if err := writeNumber(t.Context(), db, found); err != nil {
		t.Fatalf("write after recovery: %v", err)
	}
}

// TestCopyAfterEachCommit opens what was on disk after each acknowledged
// commit, as a machine would after the process was killed then.
func TestCopyAfterEachCommit(t *testing.T) {
	dir := t.TempDir()
	db := store.Open(open(t, dir, Options{}), store.Options{})
	defer db.Close(context.Background())
	for i := range 8 {
		if err := writeNumber(t.Context(), db, i); err != nil {
			t.Fatal(err)
		}
		checkNumbers(t, copyDir(t, dir), i+1)
	}
}

const childDir = "BADGERDB_TEST_CHILD_DIR"

// TestKilledChild is the process that TestKill kills.
func TestKilledChild(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		t.Skip("runs only as a child of TestKill")
	}
	db := store.Open(open(t, dir, Options{}), store.Options{})
	for i := 0; ; i++ {
		if err := writeNumber(t.Context(), db, i); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("acknowledged %d\n", i)
	}
}

// TestKill kills a writing process and wants everything back that it had
// acknowledged, and nothing by halves.
func TestKill(t *testing.T) {
	for round, after := range []int{1, 20, 150, 700} {
		dir := t.TempDir()
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledChild$")
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		acked := 0
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var i int
			if _, err := fmt.Sscanf(lines.Text(), "acknowledged %d", &i); err != nil {
				t.Fatalf("child says %q", lines.Text())
			}
			if acked = i + 1; acked == after {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil || acked < after {
			t.Fatalf("round %d: child ended by itself after %d: %v", round, acked, err)
		}
		checkNumbers(t, dir, acked)
	}
}

// TestCollectedChild is the process that TestKillCollection kills: half of what
// it writes is garbage, which it collects all the time.
func TestCollectedChild(t *testing.T) {
	dir := os.Getenv(collectDir)
	if dir == "" {
		t.Skip("runs only as a child of TestKillCollection")
	}
	day := 0
	o := Options{Segments: segments.Options{SegmentBytes: 256 << 10}, Now: func() time.Time {
		day++ // what was written before is old
		return time.Now().AddDate(0, 0, day)
	}}
	engine := open(t, dir, o)
	db := store.Open(engine, store.Options{})
	for i := 0; ; i++ {
		if err := writeNumber(t.Context(), db, i); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("acknowledged %d\n", i)
		for n := range 3 {
			garbage := bytes.Repeat(fmt.Appendf(nil, "%8d", -4*i-n), 20000)
			if _, err := db.Stage(t.Context(), int64(len(garbage)), sha256.Sum256(garbage), bytes.NewReader(garbage)); err != nil {
				t.Fatal(err)
			}
		}
		if done, err := engine.GC(t.Context(), db); err != nil {
			t.Fatal(err)
		} else if done.Segments > 0 {
			fmt.Println("collected", done.Moved)
		}
	}
}

const collectDir = "BADGERDB_TEST_COLLECT_DIR"

// TestKillCollection kills a process that collects garbage, ROUNDS times.
func TestKillCollection(t *testing.T) {
	rounds, _ := strconv.Atoi(os.Getenv("ROUNDS"))
	numbers, collected := 0, 0
	for range max(rounds, 2) {
		dir := t.TempDir()
		cmd := exec.Command(os.Args[0], "-test.run=^TestCollectedChild$")
		cmd.Env = append(os.Environ(), collectDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		acked := 0
		var kill *time.Timer
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if kill == nil {
				kill = time.AfterFunc(200*time.Millisecond+rand.N(800*time.Millisecond), func() { cmd.Process.Kill() })
			}
			var i int
			if _, err := fmt.Sscanf(lines.Text(), "acknowledged %d", &i); err == nil {
				acked = i + 1
			} else if strings.HasPrefix(lines.Text(), "collected") {
				collected++
			} else {
				t.Fatalf("child says %q", lines.Text())
			}
		}
		if err := cmd.Wait(); err == nil || acked == 0 {
			t.Fatalf("child ended by itself after %d: %v", acked, err)
		}
		checkNumbers(t, dir, acked)
		numbers += acked
	}
	t.Logf("%d kills: %d numbers acknowledged and there, %d collections", max(rounds, 2), numbers, collected)
	if collected == 0 {
		t.Error("nothing was collected")
	}
}

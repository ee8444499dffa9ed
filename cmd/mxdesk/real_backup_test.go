package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/server/api"
	"github.com/mxdesk/mxdesk/ticketing/store/backup"
)

// backup saves the desk into a folder.
func (d *desk) backup(dir string) backup.Result {
	d.t.Helper()
	return decode[backup.Result](d, "backup", dir)[0]
}

// verify checks the store of a data folder, which must be right.
func (d *desk) verify(data string) api.Sum {
	d.t.Helper()
	vs := decode[api.Verified](d, "store", "verify", "--data", data)
	if len(vs) != 1 || vs[0].Sum == nil || vs[0].Sum.Wrong != 0 {
		d.t.Fatalf("store verify of %s: %+v", data, vs)
	}
	return *vs[0].Sum
}

// restored restores a backup into a new data folder, and checks that it is the
// desk that the manifest speaks of.
func (d *desk) restored(from, snapshot string, want backup.Manifest) string {
	d.t.Helper()
	data := filepath.Join(d.t.TempDir(), "data")
	args := []string{"restore", from, "--data", data}
	if snapshot != "" {
		args = append(args, "--snapshot", snapshot)
	}
	m := decode[backup.Manifest](d, args...)[0]
	if s := d.verify(data); s.Digest != want.Digest || m.Digest != want.Digest || s.Counts != want.Counts {
		d.t.Errorf("%s %s: restored %v (%+v), the backup has %v (%+v)", from, snapshot, s.Digest, s.Counts, want.Digest, want.Counts)
	}
	for _, name := range keptFiles {
		if got, want := readTree(d.t, filepath.Join(data, name)), readTree(d.t, filepath.Join(d.Data, name)); got != want {
			d.t.Errorf("%s of %s: %q, want %q", name, data, got, want)
		}
	}
	return data
}

// readTree is the names, modes and contents of all files of a folder.
func readTree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if os.IsNotExist(err) || err == nil && e.IsDir() {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := e.Info()
		name, _ := filepath.Rel(dir, path)
		fmt.Fprintf(&b, "%s %v %s\n", name, info.Mode(), readFile(t, path))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Backups of a desk under load, whole and cut short, and what is made of them.
func TestRealBackup(t *testing.T) {
	d := loadedDesk(t, "")
	l := newLoad(d, 0, false)
	l.start()
	t.Cleanup(l.end)
	l.more(t, 60)
	dir := filepath.Join(d.dir, "backups")
	first := d.backup(dir)
	l.more(t, 60)
	second := d.backup(dir)
	stream, said, code := d.try("backup", "-")
	if code != 0 {
		t.Fatalf("backup -: %s", said)
	}
	if second.Change <= first.Change || second.NewBlobs == 0 || second.NewBlobs >= second.Blobs || first.NewBlobs != first.Blobs {
		t.Errorf("the second run is no increment of the first: %+v, %+v", first, second)
	}
	d.backupsKilled(dir)
	l.end()
	l.check(t, d.threads())
	d.settled()
	last := d.backup(dir)
	if left := unfinished(t, dir); len(left) > 0 {
		t.Errorf("left by killed runs: %v", left)
	}
	if got := d.verify(d.Data); got.Digest != last.Digest {
		t.Errorf("digest of the server %v, of its backup %v", got.Digest, last.Digest)
	}
	d.restored(dir, first.Name, first.Manifest)
	file := writeText(t, filepath.Join(d.dir, "stream"), stream)
	m, err := backup.Read(strings.NewReader(stream), backup.Discard{})
	if err != nil || !strings.Contains(said, m.Digest.String()) {
		t.Errorf("%v; the command said %s", err, said)
	}
	d.restored(file, "", m)
	d.damaged(dir, file)

	// The restored desk takes over, and has all that the senders were promised.
	data := d.restored(dir, "", last.Manifest)
	d.stop(syscall.SIGTERM)
	if got := d.verify(d.Data); got.Wrong != 0 {
		t.Errorf("the store of the stopped server: %+v", got)
	}
	if err := errors.Join(os.Rename(d.Data, d.Data+".old"), os.Rename(data, d.Data)); err != nil {
		t.Fatal(err)
	}
	d.start()
	l.check(t, d.threads())
	t.Logf("%d messages promised; %d keys, %d blobs in the last of the backups", l.count(), last.Keys, last.Blobs)
}

// settled waits until the queue has nothing left to do.
func (d *desk) settled() {
	d.t.Helper()
	eventually(d.t, 30*time.Second, "an empty queue", func() error {
		if out := d.do("queue", "list", "--state", "pending", "--limit", "1"); !strings.Contains(out, "no outgoing mail") {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
}

// backupsKilled kills runs at any moment. What was there stays good, and no run
// leaves a snapshot that is not whole.
func (d *desk) backupsKilled(dir string) {
	d.t.Helper()
	inMidst := 0
	for try := 0; try < 20 && inMidst < rounds(); try++ {
		cmd := exec.Command(d.bin, "--config", d.config(), "backup", dir)
		if err := cmd.Start(); err != nil {
			d.t.Fatal(err)
		}
		began := func() bool { return len(unfinished(d.t, dir)) > 0 }
		for end := time.Now().Add(5 * time.Second); !began() && time.Now().Before(end); {
			time.Sleep(100 * time.Microsecond)
		}
		time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()
		if began() {
			inMidst++
		}
	}
	if inMidst == 0 {
		d.t.Error("no run was killed in its midst")
	}
	for name := range strings.FieldsSeq(d.do("restore", dir, "--list")) {
		d.do("restore", dir, "--check", "--snapshot", name)
	}
}

// unfinished are files of a backup folder that are not whole yet.
func unfinished(t *testing.T, dir string) []string {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, "*", ".new-*"))
	if err != nil {
		t.Fatal(err)
	}
	return left
}

// damaged flips and cuts what backups are made of: it is found, named, and
// nothing is left of the attempt.
func (d *desk) damaged(dir, file string) {
	d.t.Helper()
	packs, _ := filepath.Glob(filepath.Join(dir, "packs", "*"))
	snaps, _ := filepath.Glob(filepath.Join(dir, "snapshots", "*"))
	slices.Sort(snaps)
	for _, path := range []string{packs[0], snaps[len(snaps)-1], file} {
		from := dir
		if path == file {
			from = file
		}
		good := []byte(readFile(d.t, path))
		flipped, cut := bytes.Clone(good), good[:len(good)*2/3]
		flipped[len(flipped)/3] ^= 4
		for _, bad := range [][]byte{flipped, cut, good[:len(good)-1]} {
			writeText(d.t, path, string(bad))
			data := filepath.Join(d.t.TempDir(), "data")
			_, said, code := d.try("restore", from, "--data", data)
			if code != exitIO || !strings.Contains(said, path) || !strings.Contains(said, "damaged") {
				d.t.Errorf("%s damaged: exit %d: %s", path, code, said)
			}
			if left, _ := os.ReadDir(data); len(left) > 0 {
				d.t.Errorf("left behind in %s: %v", data, left)
			}
		}
		writeText(d.t, path, string(good))
	}
}

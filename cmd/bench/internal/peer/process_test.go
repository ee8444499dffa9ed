package peer

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	s, err := parseStat(7, []byte("7 (a) S) (x y) S 3 7 7 0 -1 4194560 100 200 0 0 11 12 13 14 20 0 1 0 5555 1000 50 1"))
	if err != nil {
		t.Fatal(err)
	}
	if z, err := parseStat(7, []byte("7 (x) Z 3 7 7 0 -1 4194560 100 200 0 0 11 12 13 14 20 0 1 0 5555 0 0")); err != nil || !z.zombie {
		t.Errorf("a zombie is %+v, %v", z, err)
	}
	if want := (stat{pid: 7, parent: 3, started: 5555, cpu: 11 + 12 + 13 + 14}); s != want {
		t.Errorf("stat = %+v, want %+v", s, want)
	}
	for _, bad := range []string{"", "7 (x", "7 (x) S 3", "7 (x) S a 7 7 0 -1 4194560 100 200 0 0 11 12 13 14 20 0 1 0 5555 1"} {
		if _, err := parseStat(7, []byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// A server is stopped with its children, also those that left its process
// group.
func TestStopEndsChildren(t *testing.T) {
	dir := t.TempDir()
	p, err := start("parent", dir, nil, "sh", "-c", "setsid sleep 60 & echo $! > child; wait")
	if err != nil {
		t.Fatal(err)
	}
	child := 0
	err = p.ready(t.Context(), func() error {
		b, err := os.ReadFile(filepath.Join(dir, "child"))
		if err != nil {
			return err
		}
		if child, err = strconv.Atoi(strings.TrimSpace(string(b))); err != nil {
			return err
		}
		if len(descendants(p.cmd.Process.Pid)) < 2 {
			return fmt.Errorf("no child")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if m := MemoryOf([]int{p.cmd.Process.Pid}); m.RSS == 0 || m.PSS == 0 || m.Peak < m.RSS {
		t.Errorf("memory = %+v", m)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	for _, pid := range []int{p.cmd.Process.Pid, child} {
		if stays(pid) {
			t.Errorf("process %d is still there", pid)
		}
	}
}

// stays tells whether a killed process runs for longer than the kernel takes
// to end it.
func stays(pid int) bool {
	for range 500 {
		if _, known := startOf(pid); !known {
			return false
		}
		time.Sleep(10 * time.Millisecond)
	}
	return true
}

func TestReadyTellsWhyAServerEnded(t *testing.T) {
	p, err := start("broken", t.TempDir(), nil, "sh", "-c", "echo bad configuration >&2; exit 1")
	if err != nil {
		t.Fatal(err)
	}
	err = p.ready(t.Context(), func() error { return fmt.Errorf("not yet") })
	if err == nil || !strings.Contains(err.Error(), "bad configuration") {
		t.Errorf("error = %v", err)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}

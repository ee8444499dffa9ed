package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// smallDisk mounts a file system of 192 MiB at the place of the desk's data.
func smallDisk(t *testing.T, dir string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("mounting a small file system needs root: run the tests as root")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	// Room for what each round leaves behind, beside the reserve.
	size := fmt.Sprintf("size=%dm,mode=0700", 192+8*min(rounds(), trialRounds))
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, size); err != nil {
		t.Fatalf("mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// fill takes space until so many octets are left, and returns the file.
func fill(t *testing.T, dir string, left int64) string {
	t.Helper()
	name := filepath.Join(dir, "filler")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 64<<10)
	for space(t, dir) > left {
		if n, err := f.Write(block); err != nil || n < len(block) {
			return name // no space left
		}
	}
	return name
}

func space(t *testing.T, dir string) int64 {
	t.Helper()
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	return int64(st.Bavail) * st.Bsize
}

// probe sends one message and returns the reply.
func (d *desk) probe(id string) string {
	d.t.Helper()
	c, err := dial(d.SMTP, false)
	if err != nil {
		return err.Error()
	}
	defer c.close()
	got, err := c.deliver("ann@customer.test", "support@desk.test",
		letter("ann@customer.test", "support@desk.test", "Probe", id, "words of message "+id))
	if err != nil {
		return err.Error()
	}
	return got
}

// readyz is the status of the readiness check.
func (d *desk) readyz() int {
	d.t.Helper()
	resp, err := http.Get("http://" + d.Metrics + "/readyz")
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestRealDiskNearlyFull(t *testing.T) {
	d := diskDesk(t)
	if got := d.probe("1@customer.test"); !strings.HasPrefix(got, "250 ") {
		t.Fatal(got)
	}
	filler := fill(t, d.Data, 4<<20) // below 5 % of 192 MiB
	eventually(t, 30*time.Second, "a refusal", func() error {
		if got := d.probe("2@customer.test"); !strings.HasPrefix(got, "452 4.3.1 ") {
			return fmt.Errorf("reply %q", got)
		}
		return nil
	})
	if got := d.readyz(); got != http.StatusServiceUnavailable {
		t.Errorf("/readyz says %d", got)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "mail again", func() error {
		if got := d.probe("3@customer.test"); !strings.HasPrefix(got, "250 ") {
			return fmt.Errorf("reply %q", got)
		}
		return nil
	})
	if have := messages(d.threads()); len(have["1@customer.test"]) != 1 || len(have["3@customer.test"]) != 1 {
		t.Errorf("messages = %v", have)
	}
}

// diskDesk is a desk on a small disk.
func diskDesk(t *testing.T) *desk {
	t.Helper()
	bin := needs(t)
	server, _ := nameServer(t, customerZone)
	d := newDesk(t, bin, fmt.Sprintf("dns.servers = [%q]\nlog.level = \"warn\"\nsmtp.max_size = 1048576\n", server))
	smallDisk(t, d.Data)
	// The mount is undone after the server has ended.
	t.Cleanup(func() { d.stop(syscall.SIGKILL) })
	d.start()
	d.project("support", "support@desk.test")
	return d
}

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// TestRealOtherArchitecture builds the program for the other one of the released
// architectures, and runs it in an emulator: it serves, and what it has written
// is the same for both.
func TestRealOtherArchitecture(t *testing.T) {
	other := map[string][2]string{"amd64": {"arm64", "qemu-aarch64"}, "arm64": {"amd64", "qemu-x86_64"}}[runtime.GOARCH]
	if other[0] == "" {
		t.Fatalf("%s is not released", runtime.GOARCH)
	}
	bin := needs(t, other[1])
	foreign := filepath.Join(t.TempDir(), "mxdesk")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", foreign, ".")
	build.Env = append(os.Environ(), "GOARCH="+other[0], "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	emulator, err := exec.LookPath(other[1])
	if err != nil {
		t.Fatal(err)
	}
	emulated := filepath.Join(t.TempDir(), "mxdesk")
	writeText(t, emulated, fmt.Sprintf("#!/bin/sh\nexec %s %s \"$@\"\n", emulator, foreign))
	if err := os.Chmod(emulated, 0o755); err != nil {
		t.Fatal(err)
	}

	d := newDesk(t, emulated, "log.level = \"warn\"")
	d.start()
	d.project("support", "support@desk.test")
	if got := d.probe("emulated@customer.test"); !strings.HasPrefix(got, "250 ") {
		t.Fatal(got)
	}
	d.quiet(1)
	d.stop(syscall.SIGTERM)
	digest := soundDigest(t, d.Data)
	d.bin = bin
	d.start()
	if got := d.probe("native@customer.test"); !strings.HasPrefix(got, "250 ") {
		t.Fatal(got)
	}
	d.quiet(2)
	d.stop(syscall.SIGTERM)
	if now := soundDigest(t, d.Data); now == digest {
		t.Error("a second mail changes nothing")
	}
	d.bin = emulated
	d.start()
	if have := d.threads(); len(have) != 2 {
		t.Errorf("%d tickets", len(have))
	}
}

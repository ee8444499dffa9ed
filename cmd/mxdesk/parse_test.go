package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A pipe among the files is said to be none; nobody waits for its writer.
func TestParsePipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	e := &Env{Ctx: t.Context(), Stdout: &stdout, Stderr: &stderr, Getenv: func(string) string { return "" }}
	if code := run(e, []string{"parse", "--json", pipe}); code != exitIO || !strings.Contains(stderr.String(), "not a regular file") {
		t.Errorf("exit %d: %s%s", code, &stdout, &stderr)
	}
}

package main

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
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

// Standard input is a file like others, among others, once.
func TestStandardInput(t *testing.T) {
	letter := "From: Ann <ann@customer.test>\r\nSubject: Printer on fire\r\n\r\nIt burns.\r\n"
	file := tempFile(t, "letter.eml", letter)
	for _, tt := range []struct {
		args []string
		code int
		want []string // per line of standard output
		said string
	}{
		{[]string{"parse", "-"}, exitOK, []string{`"file":"-","subject":"Printer on fire"`}, ""},
		{[]string{"parse", file, "-"}, exitOK, []string{`"subject":"Printer on fire"`, `"file":"-","subject":"Printer on fire"`}, ""},
		{[]string{"verify", "--dns-zone", tempFile(t, "zone.json", "{}"), "-"}, exitOK, []string{`"file":"-"`}, ""},
		{[]string{"parse", "-", "-"}, exitUsage, nil, "once only"},
	} {
		var stdout, stderr bytes.Buffer
		e := &Env{Ctx: t.Context(), Stdin: strings.NewReader(letter), Stdout: &stdout, Stderr: &stderr, Getenv: func(string) string { return "" }}
		code := run(e, append(tt.args, "--json"))
		if code != tt.code || !strings.Contains(stderr.String(), tt.said) {
			t.Errorf("%q: exit %d: %s", tt.args, code, &stderr)
		}
		lines := slices.Collect(strings.Lines(stdout.String()))
		if len(lines) != len(tt.want) {
			t.Fatalf("%q: %q", tt.args, lines)
		}
		for i, want := range tt.want {
			if !strings.Contains(lines[i], want) {
				t.Errorf("%q: %q lacks %q", tt.args, lines[i], want)
			}
		}
	}
}

// What standard input does not give is told.
func TestStandardInputFails(t *testing.T) {
	var stdout, stderr bytes.Buffer
	in := io.MultiReader(strings.NewReader("Subject: half"), iotest.ErrReader(errors.New("gone")))
	e := &Env{Ctx: t.Context(), Stdin: in, Stdout: &stdout, Stderr: &stderr, Getenv: func(string) string { return "" }}
	if code := run(e, []string{"parse", "-"}); code != exitIO || stderr.String() != "mxdesk: standard input: gone\n" || stdout.Len() > 0 {
		t.Errorf("exit %d: %s%s", code, &stdout, &stderr)
	}
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/cmd/internal/ports"
	"github.com/mxdesk/mxdesk/server/api"
)

// The tests named TestReal… drive the built binary with real neighbours on
// loopback: see .ci/install for the packages they need.

// TestMain removes the binary that the tests built.
func TestMain(m *testing.M) {
	code := m.Run()
	if buildTried.Load() {
		if bin, err := binary(); err == nil {
			os.RemoveAll(filepath.Dir(bin))
		}
	}
	os.Exit(code)
}

// needs skips a test of the third ring under -short, and fails it when a part
// is missing. It returns the binary.
func needs(t *testing.T, parts ...string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("drives the built binary: not run with -short")
	}
	for _, p := range parts {
		if _, err := exec.LookPath(p); err != nil {
			t.Fatalf("%s is not installed: run .ci/install", p)
		}
	}
	buildTried.Store(true)
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// desk is one mxdesk process, its settings and its data.
type desk struct {
	t       *testing.T
	bin     string
	dir     string // of the settings, the data and the sockets
	Data    string
	SMTP    string
	LMTP    string
	Socket  string // of LMTP
	HTTP    string
	Metrics string
	Flags   []string // of serve

	out, log *syncBuffer
	cmd      *exec.Cmd
	ended    chan struct{}
}

// newDesk writes settings for a desk on free ports; extra is TOML that comes
// after them.
func newDesk(t *testing.T, bin, extra string) *desk {
	t.Helper()
	dir := t.TempDir()
	for _, folder := range []string{filepath.Dir(dir), dir} { // neighbours run as users of their own
		if err := os.Chmod(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	d := &desk{
		t: t, bin: bin, dir: dir, Data: filepath.Join(dir, "data"), Socket: filepath.Join(dir, "lmtp.sock"),
		SMTP: freeAddr(t), LMTP: freeAddr(t), HTTP: freeAddr(t), Metrics: freeAddr(t), log: &syncBuffer{},
	}
	text := fmt.Sprintf("hostname = \"desk.test\"\ndata = %q\nsmtp.listen = [%q]\nlmtp.listen = [%q, %q]\nhttp.listen = %q\nmetrics.listen = %q\n%s\n",
		d.Data, d.SMTP, d.LMTP, d.Socket, d.HTTP, d.Metrics, extra)
	if err := os.WriteFile(d.config(), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.stop(syscall.SIGKILL)
		if t.Failed() {
			t.Logf("standard error of mxdesk:\n%s", tail(d.log.String(), 8000))
		}
	})
	return d
}

func (d *desk) config() string { return filepath.Join(d.dir, "mxdesk.toml") }

// start runs the server and waits until it is ready.
func (d *desk) start() {
	d.t.Helper()
	d.run(d.bin, append([]string{"serve", "--config", d.config()}, d.Flags...))
	d.waitReady()
}

// run starts a process that belongs to the test.
func (d *desk) run(name string, args []string) {
	d.t.Helper()
	d.cmd = exec.Command(name, args...)
	d.cmd.Dir, d.cmd.Env = d.dir, []string{"PATH=" + os.Getenv("PATH")}
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	d.out = &syncBuffer{}
	d.cmd.Stdout, d.cmd.Stderr = d.out, d.log
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	cmd, ended := d.cmd, make(chan struct{})
	d.ended = ended
	go func() {
		cmd.Wait()
		close(ended)
	}()
}

func (d *desk) waitReady() {
	d.t.Helper()
	eventually(d.t, time.Minute, "the line \"ready\"", func() error {
		if strings.HasSuffix(d.out.String(), "\nready\n") {
			return nil
		}
		select {
		case <-d.ended:
			d.t.Fatalf("mxdesk ended with code %d:\n%s", d.cmd.ProcessState.ExitCode(), tail(d.log.String(), 4000))
		default:
		}
		return errors.New(d.out.String())
	})
}

// stop sends a signal to the server, waits, and returns its exit code.
func (d *desk) stop(sig syscall.Signal) int {
	if d.cmd == nil || d.cmd.Process == nil {
		return 0
	}
	select {
	case <-d.ended:
	default:
		syscall.Kill(-d.cmd.Process.Pid, sig)
	}
	select {
	case <-d.ended:
	case <-time.After(30 * time.Second):
		syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL)
		<-d.ended
		d.t.Errorf("mxdesk did not end within 30 s of %s", sig)
	}
	return d.cmd.ProcessState.ExitCode()
}

// do runs a command against the desk and returns its standard output.
func (d *desk) do(args ...string) string {
	d.t.Helper()
	stdout, stderr, code := d.try(args...)
	if code != 0 {
		d.t.Fatalf("mxdesk %s: exit %d: %s", strings.Join(args, " "), code, stderr)
	}
	return stdout
}

// try runs a command and returns what came of it.
func (d *desk) try(args ...string) (stdout, stderr string, code int) {
	d.t.Helper()
	return execute(d.t, d.dir, d.bin, append([]string{"--config", d.config()}, args...)...)
}

// project makes a project.
func (d *desk) project(name, alias string) {
	d.t.Helper()
	d.do("project", "create", name, "--alias", alias)
}

// decode runs a command with --json and reads its lines.
func decode[T any](d *desk, args ...string) []T {
	d.t.Helper()
	return decodeLines[T](d.t, d.do(append(args, "--json")...))
}

// trace is what is known of a mail, nothing if nothing is.
func (d *desk) trace(key string) []api.Transaction {
	d.t.Helper()
	stdout, stderr, code := d.try("trace", key, "--json")
	if code != exitOK && !(code == exitRefused && strings.Contains(stderr, "mail-not-found")) {
		d.t.Fatalf("trace %s: exit %d: %s", key, code, stderr)
	}
	return decodeLines[api.Transaction](d.t, stdout)
}

func decodeLines[T any](t *testing.T, text string) []T {
	t.Helper()
	var out []T
	dec := json.NewDecoder(strings.NewReader(text))
	for dec.More() {
		var v T
		if err := dec.Decode(&v); err != nil {
			t.Fatalf("%v:\n%s", err, text)
		}
		out = append(out, v)
	}
	return out
}

// execute runs a program to its end.
func execute(t *testing.T, dir, name string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return executeWith(t, dir, nil, name, args...)
}

func executeWith(t *testing.T, dir string, stdin []byte, name string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin:" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt is for the test
	var o, e bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &o, &e
	err := cmd.Run()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		t.Fatalf("%s: %v", name, err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// freeAddr is an address on loopback for a server of this test.
func freeAddr(t *testing.T) string {
	t.Helper()
	addr, release, err := ports.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return addr
}

// eventually asks until there is no error.
func eventually(t *testing.T, within time.Duration, what string, ask func() error) {
	t.Helper()
	end := time.Now().Add(within)
	for {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: not within %s: %v", what, within, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func writeText(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// pid is the server's process id as text.
func (d *desk) pid() string { return strconv.Itoa(d.cmd.Process.Pid) }

// serveAs runs a program that is expected to end by itself as another user.
func serveAs(t *testing.T, dir string, uid int, name string, args ...string) (stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH")}
	if uid != os.Getuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	var e bytes.Buffer
	cmd.Stderr = &e
	err := cmd.Run()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		t.Fatalf("%s: %v", name, err)
	}
	return e.String(), cmd.ProcessState.ExitCode()
}

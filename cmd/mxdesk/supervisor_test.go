package main

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/memdb"
)

// manager listens as a service manager does.
func manager(t *testing.T) (socket string, next func() []string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return socket, func() []string {
		t.Helper()
		b := make([]byte, 4096)
		conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(string(b[:n]), "\n")
	}
}

// await reads until a line comes.
func await(t *testing.T, next func() []string, line string) {
	t.Helper()
	for range 1000 {
		if slices.Contains(next(), line) {
			return
		}
	}
	t.Fatalf("%s did not come", line)
}

// The service manager hears when the server is ready, that it lives, and when
// it stops.
func TestServeTellsItsSupervisor(t *testing.T) {
	socket, next := manager(t)
	env := map[string]string{"NOTIFY_SOCKET": socket, "WATCHDOG_USEC": "90000"}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out, errs bytes.Buffer
	e := &Env{Ctx: ctx, Stdout: &out, Stderr: &errs, Getenv: func(name string) string { return env[name] }}
	code := make(chan int, 1)
	go func() {
		code <- run(e, []string{"serve", "--data", filepath.Join(t.TempDir(), "data"), "--set", "smtp.listen=127.0.0.1:0",
			"--set", "lmtp.listen=127.0.0.1:0", "--set", "http.listen=127.0.0.1:0", "--set", "metrics.listen=127.0.0.1:0"})
	}()
	if got := next(); !slices.Equal(got, []string{"READY=1"}) {
		t.Errorf("first %q", got)
	}
	if got := next(); !slices.Equal(got, []string{"STATUS=mail is taken", "WATCHDOG=1"}) {
		t.Errorf("then %q", got)
	}
	await(t, next, "WATCHDOG=1")
	stop()
	await(t, next, "STOPPING=1")
	if got := <-code; got != exitOK {
		t.Errorf("exit %d: %s", got, &errs)
	}
}

// The status line says why no mail is taken; a failed store is alive, a stuck
// one is not.
func TestSupervisorHearsTheTruth(t *testing.T) {
	engine := &broken{Engine: memdb.New(memdb.Options{}), free: 500 << 20}
	app, err := NewApp(t.Context(), localConfig(t), Parts{Engine: engine})
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close(t.Context())
	hear := func() (lines []string) {
		socket, next := manager(t)
		ctx, stop := context.WithCancel(t.Context())
		var reporting sync.WaitGroup
		reporting.Go(func() {
			supervisor{socket: socket, alive: 15 * time.Second, log: slog.New(slog.DiscardHandler)}.report(ctx, app)
		})
		defer reporting.Wait()
		defer stop()
		return next()
	}
	if got := hear(); !slices.Equal(got, []string{"STATUS=mail is taken", "WATCHDOG=1"}) {
		t.Errorf("well: %q", got)
	}
	engine.free = 1 << 20
	if got := hear(); !strings.HasPrefix(got[0], "STATUS=no mail is taken: disk-full (") || got[1] != "WATCHDOG=1" {
		t.Errorf("disk full: %q", got)
	}
	engine.stuck = make(chan struct{})
	go app.Desk.CreateProject(t.Context(), "x", nil)
	<-engine.stuck // it is in the engine now
	if app.answers(t.Context(), 50*time.Millisecond) {
		t.Error("a store that is stuck answers")
	}
	engine.failing = true
	engine.stuck <- struct{}{}
	eventually(t, 10*time.Second, "failure", func() error {
		if app.db.Err() == nil {
			return store.ErrRetry
		}
		return nil
	})
	if !app.answers(t.Context(), 50*time.Millisecond) {
		t.Error("a store that has failed does not answer")
	}
}

func TestWatchdogIsForOurProcess(t *testing.T) {
	for pid, want := range map[string]time.Duration{"": 3 * time.Second, "1": 0} {
		env := map[string]string{"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": pid}
		if got := newSupervisor(func(name string) string { return env[name] }, nil); got.alive != want {
			t.Errorf("pid %q: %v", pid, got.alive)
		}
	}
}

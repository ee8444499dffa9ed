package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/store"
)

// localConfig is the default configuration with free ports in a new folder.
func localConfig(t *testing.T) Config {
	c := DefaultConfig()
	c.Data = filepath.Join(t.TempDir(), "data")
	c.SMTP.Listen, c.LMTP.Listen = []string{"127.0.0.1:0"}, []string{"127.0.0.1:0"}
	c.HTTP.Listen, c.Metrics.Listen = "127.0.0.1:0", "127.0.0.1:0"
	return c
}

// startApp starts a server, which is to be stopped.
func startApp(t *testing.T, c Config, p Parts) (app *App, stop func()) {
	t.Helper()
	app, err := NewApp(t.Context(), c, p)
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return app, func() {
		ctx, cancel := context.WithTimeout(context.Background(), drainTime)
		defer cancel()
		if err := app.Drain(ctx); err != nil {
			t.Error(err)
		}
	}
}

// startOnce starts and stops an App and returns what it tells a person.
func startOnce(t *testing.T, c Config, p Parts) (string, error) {
	t.Helper()
	app, err := NewApp(t.Context(), c, p)
	if err != nil {
		return "", err
	}
	if err := app.Start(t.Context()); err != nil {
		return "", err
	}
	var told bytes.Buffer
	greeted := app.greet(t.Context(), &told)
	ctx, cancel := context.WithTimeout(t.Context(), drainTime)
	defer cancel()
	return told.String(), errors.Join(greeted, app.Drain(ctx))
}

// A first start that fails has told nobody the way in, so that the next start
// does.
func TestFirstStartThatFailedIsMadeUpFor(t *testing.T) {
	c := localConfig(t)
	failing := Parts{Admin: func(string) (net.Listener, error) { return nil, errors.New("no room") }}
	if _, err := startOnce(t, c, failing); err == nil {
		t.Fatal("started without an admin socket")
	}
	for i, want := range []int{1, 0} {
		told, err := startOnce(t, c, Parts{})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(told, "/sign-in/"); got != want {
			t.Errorf("start %d tells %d sign-in links, want %d:\n%s", i+2, got, want, told)
		}
	}
}

// A port that cannot be had leaves nothing behind, in the folder or open.
func TestPortTakenMakesNothing(t *testing.T) {
	c := localConfig(t)
	taken, err := net.Listen("tcp", c.HTTP.Listen)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	socket := filepath.Join(t.TempDir(), "lmtp.sock")
	c.LMTP.Listen, c.HTTP.Listen = []string{socket}, taken.Addr().String()
	if _, err := NewApp(t.Context(), c, Parts{}); !isListen(err) {
		t.Errorf("got %v", err)
	}
	for _, path := range []string{c.Data, socket} {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A second server with the same settings says whose the folder is, and not only
// that the ports are taken.
func TestSecondServerNamesTheFirst(t *testing.T) {
	c := localConfig(t)
	first, err := NewApp(t.Context(), c, Parts{})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close(t.Context())
	c.HTTP.Listen = first.ports["http"][0].Addr().String()
	_, err = NewApp(t.Context(), c, Parts{})
	if told := startError(c, err).Error(); !strings.Contains(told, fmt.Sprintf("in use by another mxdesk (pid %d)", os.Getpid())) {
		t.Errorf("told: %s", told)
	}
	other := c
	other.Data += "-other"
	if _, err := NewApp(t.Context(), other, Parts{}); !isListen(err) {
		t.Errorf("with a folder of its own: %v", err)
	}
}

// A unix socket that is taken is told like a port.
func TestSocketTaken(t *testing.T) {
	c := localConfig(t)
	socket := filepath.Join(t.TempDir(), "lmtp.sock")
	taken, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	c.LMTP.Listen = []string{socket}
	_, err = NewApp(t.Context(), c, Parts{})
	if told := startError(c, err).Error(); !strings.Contains(told, socket) || !strings.Contains(told, "address already in use: free that address") {
		t.Errorf("told: %s", told)
	}
}

// A socket may be in the data folder, which the first start has yet to make,
// and a client that comes before the server accepts is served.
func TestSocketInTheDataFolder(t *testing.T) {
	c := localConfig(t)
	socket := filepath.Join(c.Data, "lmtp.sock")
	c.LMTP.Listen = []string{socket}
	app, err := NewApp(t.Context(), c, Parts{})
	if err != nil {
		t.Fatal(err)
	}
	early, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, greeting, err := textproto.NewConn(early).ReadResponse(220); err != nil {
		t.Errorf("%q, %v", greeting, err)
	}
	early.Close()
	ctx, cancel := context.WithTimeout(t.Context(), drainTime)
	defer cancel()
	if err := app.Drain(ctx); err != nil {
		t.Error(err)
	}
}

// No relay is capture, and is said so.
func TestGreetingTellsOfCapture(t *testing.T) {
	for _, relay := range []string{"capture", ""} {
		c := localConfig(t)
		c.Queue.Relay = relay
		if told, err := startOnce(t, c, Parts{}); err != nil || !strings.Contains(told, "never sent") {
			t.Errorf("relay %q: %v\n%s", relay, err, told)
		}
	}
}

// A start that is told to stop ends well, whatever it has made by then, and
// the next one finds a whole desk.
func TestStopDuringStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	ctx, stop := context.WithCancel(t.Context())
	stop()
	var out, errs bytes.Buffer
	e := &Env{Ctx: ctx, Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }}
	args := []string{"serve", "--data", dir, "--set", "smtp.listen=127.0.0.1:0", "--set", "lmtp.listen=127.0.0.1:0",
		"--set", "http.listen=127.0.0.1:0", "--set", "metrics.listen=127.0.0.1:0"}
	if code := run(e, args); code != exitOK || errs.Len() > 0 {
		t.Errorf("exit %d: %s", code, &errs)
	}
	c := localConfig(t)
	c.Data = dir
	told, err := startOnce(t, c, Parts{})
	if err != nil || !strings.Contains(told, "/sign-in/") {
		t.Errorf("second start: %v\n%s", err, told)
	}
	if _, err := os.Stat(filepath.Join(dir, firstMark)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the mark of the first start is still there: %v", err)
	}
}

// A sender that stalls within its message does not make a stop late or wrong.
func TestStoryDrainWithStalledSender(t *testing.T) {
	tell(t, func(s *story) {
		conn, err := s.net.dial(s.cfg.SMTP.Listen[0], "192.0.2.1")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		c := textproto.NewConn(conn)
		for _, step := range []string{"EHLO mx.customer.test", "MAIL FROM:<ann@customer.test>", "RCPT TO:<support@desk.test>", "DATA"} {
			if _, _, err := c.ReadResponse(2); err != nil {
				t.Fatal(err)
			}
			c.PrintfLine("%s", step)
		}
		c.ReadResponse(3)
		c.PrintfLine("Subject: never whole")
		begun := time.Now()
		s.stop()
		if took := time.Since(begun); took > drainTime {
			t.Errorf("drain took %v", took)
		}
		// What came of the mail is in the journal although the server was stopping.
		db := store.Open(s.engine, store.Options{})
		defer db.Close(context.Background())
		found, err := ticketing.New(db, ticketing.Options{}).Trace(t.Context(), "ann@customer.test")
		if err != nil || len(found) != 1 || found[0].Reason != "connection-lost" {
			t.Errorf("journal: %v, %v", found, err)
		}
	})
}

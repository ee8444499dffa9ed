package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/store"
)

// supervisor started the server and wants to hear how it is: systemd, or
// whatever else speaks sd_notify(3). The zero value is nobody.
type supervisor struct {
	socket string        // of datagrams; "" = nobody
	alive  time.Duration // it restarts a server that says nothing for so long; 0 = never
	log    *slog.Logger
}

func newSupervisor(getenv func(string) string, log *slog.Logger) supervisor {
	s := supervisor{socket: getenv("NOTIFY_SOCKET"), log: log}
	pid := getenv("WATCHDOG_PID")
	if us, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64); err == nil && us > 0 && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		s.alive = time.Duration(us) * time.Microsecond
	}
	return s
}

// tell sends lines such as READY=1.
func (s supervisor) tell(lines ...string) {
	if s.socket == "" {
		return
	}
	conn, err := net.Dial("unixgram", s.socket) // a name that begins with @ is abstract
	if err != nil {
		s.log.Warn("supervisor not told", "error", err)
		return
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(strings.Join(lines, "\n"))); err != nil {
		s.log.Warn("supervisor not told", "error", err)
	}
}

// statusEvery is how often the status line is looked at.
const statusEvery = 10 * time.Second

// report keeps the supervisor's status line true, and gives a sign of life as
// long as the store answers, until ctx ends. A store that has failed does
// answer: a restart does not mend a disk, and a person is to look first.
func (s supervisor) report(ctx context.Context, a *App) {
	if s.socket == "" {
		return
	}
	every := statusEvery
	if s.alive > 0 {
		every = min(every, s.alive/3)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	said := ""
	for {
		var lines []string
		if status := "STATUS=" + a.status(ctx); status != said {
			said = status
			lines = append(lines, status)
		}
		if s.alive > 0 && a.answers(ctx, every) {
			lines = append(lines, "WATCHDOG=1")
		}
		if len(lines) > 0 && ctx.Err() == nil {
			s.tell(lines...)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// status is one line on how the server is.
func (a *App) status(ctx context.Context) string {
	if err := a.ready(ctx); err != nil {
		e := ticketing.AsError(err)
		return fmt.Sprintf("no mail is taken: %s (%s)", e.Reason, e.Message)
	}
	return "mail is taken"
}

// answers tells whether the store's committer comes back within d, whatever
// it says.
func (a *App) answers(ctx context.Context, d time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	err := a.db.Update(ctx, func(store.Tx) error { return nil })
	return err == nil || !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, store.ErrUnknownOutcome)
}

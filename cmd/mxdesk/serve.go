package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/store/badgerdb"
)

// ServeCmd runs the server.
type ServeCmd struct{}

// drainTime is how long a stopping server waits for what is in progress.
const drainTime = 15 * time.Second

// Run serves until a signal comes.
func (ServeCmd) Run(e *Env) error {
	cfg, err := e.settings()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(e.Ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	tuneMemory(e.Getenv)
	log := logger(cfg, e.Stderr)
	for _, name := range cfg.misspelt(e.Environ) {
		log.Warn("no such setting, it is passed over", "variable", name)
	}
	boss := newSupervisor(e.Getenv, log)
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	handed, err := inherited(e.Getenv)
	if err != nil {
		return &exitError{code: exitUsage, err: err}
	}
	app, err := NewApp(ctx, cfg, Parts{Log: log, Inherited: handed})
	if err == nil {
		err = app.Start(ctx)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return nil // told to stop while it started
	case err != nil:
		return startError(cfg, err)
	}
	if err := app.greet(ctx, e.Stdout); err != nil {
		app.log.Error("greeting", "error", err)
	}
	fmt.Fprintln(e.Stdout, "ready")
	app.log.Info("started", "version", version(), "data", cfg.Data)
	if cfg.File != "" { // without one it is a trial
		for _, w := range cfg.advise(os.Stat) {
			log.Warn("setting is meant for a trial only", "setting", w.Key, "advice", w.Text)
		}
	}
	boss.tell("READY=1")
	serving, stopReport := context.WithCancel(ctx)
	app.work.Go(func() { boss.report(serving, app) })
	failed := app.wait(ctx, hangup)
	stopReport()
	boss.tell("STOPPING=1", "STATUS=mail in progress is finished")
	app.log.Info("stopping", failure(failed))
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	// What could not be finished in time was not answered 250 either: senders
	// come again. A stop that was asked for is no failure.
	if err := app.Drain(end); err != nil {
		app.log.Error("drain", "error", err)
	}
	app.log.Info("stopped")
	return failed
}

// failure is the log attribute of an error, nothing without one.
func failure(err error) slog.Attr {
	if err == nil {
		return slog.Attr{}
	}
	return slog.Any("error", err)
}

// wait returns when ctx ends, or when a listener does, with its error. On a
// hangup the certificate is read again.
func (a *App) wait(ctx context.Context, hangup <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-a.failed:
			return err
		case <-hangup:
			a.cert.reload()
		}
	}
}

// Memory settings for a live heap that is tiny beside what passes through it.
const (
	gcPercent   = 400
	memoryLimit = 384 << 20
)

// tuneMemory keeps the garbage collector from running all the time, and within
// a limit. GOGC and GOMEMLIMIT go before.
func tuneMemory(getenv func(string) string) {
	if getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
}

// startError says what to do about the reasons for which a start fails.
func startError(cfg Config, err error) error {
	cure := ""
	switch e, known := errors.AsType[*ticketing.Error](err); {
	case isListen(err):
		cure = "free that address, take another one in the settings (mxdesk config print shows them), or for a port below 1024 give the program CAP_NET_BIND_SERVICE"
	case errors.Is(err, badgerdb.ErrInUse):
		cure = "stop the other one, or choose another folder with --data"
	case errors.Is(err, errCertificate) && cfg.TLS.Certificate == "":
		cure = "take both files from a backup, or remove both: they are made anew"
	case errors.Is(err, errCertificate):
		cure = "name a certificate and its key in tls.certificate and tls.key, as files that the user who runs mxdesk can read"
	case errors.Is(err, badgerdb.ErrDamaged):
		cure = "nothing was changed; keep a copy of the folder, look for a failing disk, and restore a backup"
	case errors.Is(err, badgerdb.ErrNotWritable), errors.Is(err, os.ErrPermission):
		cure = fmt.Sprintf("let the user that runs mxdesk write to %s, or choose another folder with --data", cfg.Data)
	case known && e.Reason == "schema-newer":
		return exitf(exitIO, "%s: %s", cfg.Data, e.Message)
	}
	if cure != "" {
		return exitf(exitIO, "%w: %s", err, cure)
	}
	return &exitError{code: exitIO, err: err}
}

// isListen tells whether a listener could not be opened.
func isListen(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "listen"
}

func logger(cfg Config, w io.Writer) *slog.Logger {
	var level slog.Level
	level.UnmarshalText([]byte(cfg.Log.Level)) // checked when the settings were loaded
	o := &slog.HandlerOptions{Level: level}
	if cfg.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

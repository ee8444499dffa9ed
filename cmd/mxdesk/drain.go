package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// What the end of a drain keeps of its time: for the background work, which
// may be in the middle of a delivery, and for the store.
const (
	workTime  = 2 * time.Second
	closeTime = 2 * time.Second
)

// Drain takes no new connections, lets what is in progress finish, and closes
// the store, all before ctx ends.
func (a *App) Drain(ctx context.Context) error {
	a.draining.Store(true)
	sessions, cancel := sooner(ctx, workTime+closeTime)
	defer cancel()
	var servers sync.WaitGroup
	for _, s := range a.smtpd {
		servers.Go(func() { s.Shutdown(sessions) })
	}
	for _, s := range a.https {
		servers.Go(func() {
			if s.Shutdown(sessions) != nil {
				s.Close()
			}
		})
	}
	a.stopWork()
	servers.Wait()
	a.stopJournal()
	work, cancel := sooner(ctx, closeTime)
	defer cancel()
	if !within(work, a.work.Wait) {
		a.log.Error("work in the background has not ended in time")
	}
	return a.Close(ctx)
}

// Close closes the listeners and the store, or gives up when ctx ends.
func (a *App) Close(ctx context.Context) (err error) {
	a.unbind()
	closed := make(chan error, 1)
	if !within(ctx, func() { closed <- a.db.Close(ctx) }) {
		return fmt.Errorf("store not closed: %w", context.Cause(ctx))
	}
	return <-closed
}

// sooner returns a context that ends d before ctx does.
func sooner(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, end.Add(-d))
}

// within tells whether f has returned before ctx ended.
func within(ctx context.Context, f func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

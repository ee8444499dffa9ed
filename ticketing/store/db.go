package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Options configure a [DB]. The zero value means the defaults.
type Options struct {
	// Now is the clock; time.Now by default.
	Now func() time.Time
	// Observe is told about each batch, from the committer's goroutine.
	Observe func(BatchStats)
	// Log hears of panics and failures; silent by default.
	Log *slog.Logger
	// RunTwice runs every closure twice and discards the first run. For tests:
	// a closure that is not pure shows.
	RunTwice bool
	// MaxBatch bounds the closures of one batch; 200 by default.
	MaxBatch int
	// MaxBatchBytes bounds what they write, counted as for MaxTxBytes, small
	// blobs included; 2 MiB by default, at least MaxTxBytes.
	MaxBatchBytes int
	// InlineBlobs is the size up to which a blob travels with its transaction;
	// larger ones are written beforehand. 64 KiB by default, which is also the
	// most.
	InlineBlobs int64
}

// BatchStats describes one batch after its end.
type BatchStats struct {
	Closures int           // run, the failed ones included
	Writes   int           // keys written or deleted
	Bytes    int64         // of keys and values
	Duration time.Duration // from the engine's Begin to the results
	Err      error         // of the batch as a whole
}

// Bounds that nothing needs to change.
const (
	queueLen      = 1024 // closures waiting for the committer
	maxInline     = 64 << 10
	maxBatchTries = 8 // runs of one batch that meets ErrRetry
)

// DB is an open store: an engine with the committer in front of it. Its
// methods may be called from any goroutine.
type DB struct {
	engine Engine
	opts   Options
	ctx    context.Context // of the engine's Begin; ends when Close gives up
	cancel context.CancelFunc

	gate      gate
	queue     chan *job
	staging   chan *stageJob
	workers   sync.WaitGroup // committer and stager
	closeOnce sync.Once
	closeErr  error

	failure atomic.Pointer[error]
	changed broadcast
	watched sync.Map // Key to *atomic.Uint64
}

// Open starts the committer over an engine, which the DB owns from now on.
func Open(e Engine, o Options) *DB {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxBatch <= 0 {
		o.MaxBatch = 200
	}
	if o.MaxBatchBytes <= 0 {
		o.MaxBatchBytes = 2 << 20
	}
	o.MaxBatchBytes = max(o.MaxBatchBytes, MaxTxBytes)
	if o.InlineBlobs <= 0 || o.InlineBlobs > maxInline {
		o.InlineBlobs = maxInline
	}
	db := &DB{
		engine:  e,
		opts:    o,
		queue:   make(chan *job, queueLen),
		staging: make(chan *stageJob, queueLen),
	}
	db.ctx, db.cancel = context.WithCancel(context.Background())
	db.gate.idle = make(chan struct{})
	db.workers.Go(db.commitAll)
	db.workers.Go(db.stageAll)
	return db
}

// Update runs fn in a serialisable transaction and returns nil only when it is
// durable. An error of fn, or a panic, undoes fn's writes and is returned.
//
// fn must be pure, because it may run more than once and in another goroutine:
// it does no input or output, takes time and random numbers from outside and
// gives its results by assigning them anew in each run. It must not end its
// goroutine, as Fatal of package testing does. After an error that
// wraps ErrUnknownOutcome fn may still be running, and what it assigns must not
// be looked at. Any other error means that nothing was written and fn will not
// run any more.
//
// The end of ctx gives up a transaction that still waits; one that runs goes
// on, and Update returns ErrUnknownOutcome at once.
func (db *DB) Update(ctx context.Context, fn func(Tx) error) error {
	if err := db.gate.enter(); err != nil {
		return err
	}
	defer db.gate.leave()
	if err := db.Err(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	j := &job{fn: fn, done: make(chan error, 1), keys: db.speculate(ctx, fn)}
	select {
	case db.queue <- j:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return j.wait(ctx)
}

// View calls fn with a snapshot. Nothing that fn gets from it may be used after
// fn has returned, unless copied.
func (db *DB) View(ctx context.Context, fn func(Reader) error) error {
	if err := db.gate.enter(); err != nil {
		return err
	}
	defer db.gate.leave()
	s, err := db.engine.View(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	return fn(s)
}

// Watch returns a count that goes up with each commit that writes k, after that
// commit can be seen and before its result is told: whoever has read something
// in a View that began after a look at the count has what is right until it
// goes up. It is nil where other processes may write too. There are to be few
// such keys, as each batch is searched for all of them.
func (db *DB) Watch(k Key) *atomic.Uint64 {
	if _, remote := db.engine.(Speculator); remote {
		return nil
	}
	n, _ := db.watched.LoadOrStore(k, new(atomic.Uint64))
	return n.(*atomic.Uint64)
}

// Err returns nil while the store takes writes, and afterwards an error that
// wraps ErrFailed and the reason.
func (db *DB) Err() error {
	if err := db.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// fail stops all further writes and returns the error for those under way.
func (db *DB) fail(doing string, cause error) error {
	err := fmt.Errorf("%w: %s: %w", ErrFailed, doing, cause)
	if db.failure.CompareAndSwap(nil, &err) {
		db.opts.Log.Error("store takes no more writes", "doing", doing, "error", cause)
	}
	return err
}

// harmless tells whether an engine's error left nothing written, and the
// engine fit for more.
func harmless(err error) bool {
	return errors.Is(err, ErrRetry) || errors.Is(err, ErrNoSpace) || errors.Is(err, ErrTooLarge)
}

// Waiting returns how many transactions wait for the committer.
func (db *DB) Waiting() int {
	return len(db.queue)
}

// FreeBytes tells how much room is left and how much there is in all; total 0
// means unknown, no limit.
func (db *DB) FreeBytes() (free, total uint64, err error) {
	return db.engine.FreeBytes()
}

// Close refuses new calls, lets those under way end, and closes the engine.
// When ctx ends first, transactions that have not begun are given up, and it
// returns with the engine still open; it may be called again.
func (db *DB) Close(ctx context.Context) error {
	db.gate.shut()
	select {
	case <-db.gate.idle:
	case <-ctx.Done():
		db.cancel()
		return fmt.Errorf("close: calls still under way: %w", context.Cause(ctx))
	}
	db.closeOnce.Do(func() {
		close(db.queue)
		close(db.staging)
		db.workers.Wait()
		db.cancel()
		db.closeErr = db.engine.Close()
	})
	return db.closeErr
}

// gate counts the calls under way, and refuses new ones once shut.
type gate struct {
	mu     sync.Mutex
	inside int
	closed bool
	idle   chan struct{} // closed when shut and nobody is inside
}

func (g *gate) enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return ErrClosed
	}
	g.inside++
	return nil
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.closed && g.inside == 0 {
		close(g.idle)
	}
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return
	}
	g.closed = true
	if g.inside == 0 {
		close(g.idle)
	}
}

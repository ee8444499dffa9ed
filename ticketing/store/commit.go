package store

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"

	"github.com/mxdesk/mxdesk/ticketing/store/internal/treap"
)

// job is one closure on its way through the committer.
type job struct {
	fn     func(Tx) error
	keys   []Key // to prefetch
	state  atomic.Int32
	result error      // of the latest run
	done   chan error // takes the one final result
}

// States of a job. Only one of committer and caller can take it from queued.
const (
	queued int32 = iota
	picked
	abandoned
)

// pick claims a job for a batch; false when its caller has given up.
func (j *job) pick() bool {
	return j.state.CompareAndSwap(queued, picked) || j.state.Load() == picked
}

// wait returns the job's result, or gives it up with ctx.
func (j *job) wait(ctx context.Context) error {
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
	}
	if j.state.CompareAndSwap(queued, abandoned) {
		return context.Cause(ctx)
	}
	select {
	case err := <-j.done:
		return err
	default:
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, context.Cause(ctx))
	}
}

// commitAll is the committer: it takes whatever waits through one batch after
// the other until the queue is closed and empty.
func (db *DB) commitAll() {
	var waiting []*job
	for {
		if len(waiting) == 0 {
			j, open := <-db.queue
			if !open {
				return
			}
			waiting = append(waiting, j)
		}
		waiting = db.commitBatch(waiting)
	}
}

// commitBatch commits one batch and returns the jobs that did not fit.
func (db *DB) commitBatch(waiting []*job) []*job {
	start := db.opts.Now()
	b := &batch{db: db, waiting: waiting}
	var err error
	for range maxBatchTries {
		b.again()
		if err = b.try(); !errors.Is(err, ErrRetry) {
			break
		}
	}
	db.watched.Range(func(k, n any) bool { // also where the commit failed, maybe
		if _, written := b.over.Get(string(k.(Key))); written {
			n.(*atomic.Uint64).Add(1)
		}
		return true
	})
	if err == nil && b.seq > 0 {
		db.changed.send()
	}
	if db.opts.Observe != nil {
		db.opts.Observe(BatchStats{
			Closures: len(b.ran), Writes: b.writes, Bytes: b.bytes,
			Duration: db.opts.Now().Sub(start), Err: err,
		})
	}
	for _, j := range b.ran {
		if err != nil {
			j.result = err
		}
		j.done <- j.result
	}
	return b.waiting
}

// batch is one engine transaction in the making.
type batch struct {
	db      *DB
	waiting []*job // gathered, not yet run
	ran     []*job // run, or to be told the batch's error

	state        // what the closures wrote so far
	writes int   // handed to the engine
	bytes  int64 // of their keys and values
	seq    uint64
}

// state is what closures have written. Copying it makes a savepoint.
type state struct {
	over    treap.Map // key to value, nil for a deleted key
	changes []Change
	small   []*Staged // blobs that need a place
	cost    int       // of it all, in the measure of MaxBatchBytes
}

// again puts the batch back to before its first closure.
func (b *batch) again() {
	b.waiting = append(b.ran, b.waiting...)
	*b = batch{db: b.db, waiting: b.waiting}
}

// try takes the batch from Begin to Commit. An error concerns all its jobs.
func (b *batch) try() error {
	if err := b.db.Err(); err != nil {
		b.takeAll()
		return err
	}
	eb, err := b.db.engine.Begin(b.db.ctx)
	if err != nil {
		b.takeAll()
		return fmt.Errorf("begin: %w", err)
	}
	defer eb.Close()
	if err := b.runAll(eb); err != nil {
		return err
	}
	return b.commit(eb)
}

// takeAll claims everything that waits, to be told of an error.
func (b *batch) takeAll() {
	b.gather()
	for _, j := range b.waiting {
		if j.pick() {
			b.ran = append(b.ran, j)
		}
	}
	b.waiting = nil
}

// gather adds the queue's jobs to the waiting ones, up to the cap, without
// waiting for more.
func (b *batch) gather() {
	for len(b.ran)+len(b.waiting) < b.db.opts.MaxBatch {
		select {
		case j, open := <-b.db.queue:
			if !open {
				return
			}
			b.waiting = append(b.waiting, j)
		default:
			return
		}
	}
}

// runAll gathers and runs jobs until none waits or the batch is full. Where
// reads are round trips it gathers once, to prefetch in a single one.
func (b *batch) runAll(eb Batch) error {
	_, remote := b.db.engine.(Speculator)
	below := newMemo(eb)
	for b.gather(); len(b.waiting) > 0; b.gather() {
		if err := b.prefetch(eb); err != nil {
			return err
		}
		for len(b.waiting) > 0 {
			fits, err := b.run(below, b.waiting[0])
			if err != nil || !fits {
				return err
			}
			b.waiting = b.waiting[1:]
		}
		if remote {
			return nil
		}
	}
	return nil
}

func (b *batch) prefetch(eb Batch) error {
	var keys []Key
	for _, j := range b.waiting {
		keys = append(keys, j.keys...)
	}
	if len(keys) == 0 {
		return nil
	}
	if err := eb.Prefetch(append(keys, seqKey())); err != nil {
		b.takeAll()
		return fmt.Errorf("prefetch: %w", err)
	}
	return nil
}

// run runs one job on top of the batch, and keeps its writes when it succeeds.
// It reports false when they do not fit any more, and an error when the whole
// batch must run again.
func (b *batch) run(below Reader, j *job) (fits bool, err error) {
	if !j.pick() {
		return true, nil
	}
	if b.db.opts.RunTwice {
		b.db.runOnce(below, b.state, j.fn)
	}
	after, err := b.db.runOnce(below, b.state, j.fn)
	if errors.Is(err, ErrRetry) {
		b.takeAll()
		return false, err
	}
	if err == nil && after.cost > b.db.opts.MaxBatchBytes && len(b.ran) > 0 {
		return false, nil
	}
	j.result = err
	b.ran = append(b.ran, j)
	if err == nil {
		b.state = after
	}
	return true, nil
}

// runOnce runs a closure and returns the state with its writes.
func (db *DB) runOnce(r Reader, before state, fn func(Tx) error) (state, error) {
	t := &tx{db: db, below: r, state: before}
	t.over = t.over.Own()
	err := db.call(fn, t)
	t.ended = true
	if t.err != nil {
		err = t.err
	}
	return t.state, err
}

// call turns a panic of the closure into an error.
func (db *DB) call(fn func(Tx) error, t *tx) (err error) {
	defer func() {
		if r := recover(); r != nil {
			db.opts.Log.Error("transaction panicked", "panic", r, "stack", string(debug.Stack()))
			err = fmt.Errorf("transaction panicked: %v", r)
		}
	}()
	return fn(t)
}

// commit adds what the port itself writes, and hands everything to the engine.
func (b *batch) commit(eb Batch) error {
	if b.over.Len() == 0 && len(b.changes) == 0 {
		return nil
	}
	if err := b.placeBlobs(eb); err != nil {
		return err
	}
	if err := b.numberChanges(eb); err != nil {
		return err
	}
	writes := make([]Item, 0, b.over.Len())
	for k, v := range b.over.Scan("", "", false).All() {
		writes = append(writes, Item{Key(k), v})
		b.bytes += int64(len(k) + len(v))
	}
	b.writes = len(writes)
	err := eb.Commit(context.Background(), writes)
	switch {
	case err == nil:
		return nil
	case harmless(err):
		return fmt.Errorf("commit: %w", err)
	}
	return fmt.Errorf("%w: %w", ErrUnknownOutcome, b.db.fail("commit", err))
}

// speculate finds the keys that a closure will read, where that helps.
func (db *DB) speculate(ctx context.Context, fn func(Tx) error) []Key {
	engine, ok := db.engine.(Speculator)
	if !ok {
		return nil
	}
	s, err := engine.Speculate(ctx)
	if err != nil {
		return nil
	}
	defer s.Close()
	seen := &recorder{Reader: s}
	// Its result is that of a state that may never have been; only the keys count.
	_, _ = db.runOnce(seen, state{}, fn)
	return seen.keys
}

// recorder notes the keys read through it.
type recorder struct {
	Reader
	keys []Key
}

func (r *recorder) Get(k Key) ([]byte, error) {
	r.keys = append(r.keys, k)
	return r.Reader.Get(k)
}

func (r *recorder) GetMulti(ks []Key) ([][]byte, error) {
	r.keys = append(r.keys, ks...)
	return r.Reader.GetMulti(ks)
}

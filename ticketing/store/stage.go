package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
)

// Bounds of one group of large blobs that are written and synced together.
const (
	maxStageGroup = 32
	maxStageBytes = 64 << 20
)

// Stage prepares a blob of size bytes with SHA-256 h, both of which it takes on
// trust, for [Tx.AddBlob]. A small one (up to Options.InlineBlobs) is read into
// memory. A larger one is written and synced, together with others that come
// at the same time, so that the transaction itself is short. data is not used
// after the return. The end of ctx counts only while the blob waits.
func (db *DB) Stage(ctx context.Context, size int64, h Hash, data io.ReaderAt) (*Staged, error) {
	if err := db.gate.enter(); err != nil {
		return nil, err
	}
	defer db.gate.leave()
	if err := db.Err(); err != nil {
		return nil, err
	}
	s := &Staged{Hash: h, Size: size, at: db.opts.Now()}
	if size <= db.opts.InlineBlobs {
		s.data = make([]byte, size)
		if _, err := io.ReadFull(io.NewSectionReader(data, 0, size), s.data); err != nil {
			return nil, fmt.Errorf("read blob: %w", err)
		}
		return s, nil
	}
	j := &stageJob{source: &source{ReaderAt: data, size: size}, staged: s, done: make(chan error, 1)}
	select {
	case db.staging <- j:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if err := j.wait(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// stageJob is a large blob on its way through the stager.
type stageJob struct {
	source *source
	staged *Staged
	state  atomic.Int32 // as of a job
	done   chan error
}

// wait waits for the blob to be written. Once picked it outlasts ctx, because
// the data must stay readable that long.
func (j *stageJob) wait(ctx context.Context) error {
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
		if j.state.CompareAndSwap(queued, abandoned) {
			return context.Cause(ctx)
		}
		return <-j.done
	}
}

// source remembers that reading failed, which is not the engine's fault.
type source struct {
	io.ReaderAt
	size int64
	err  error
}

func (s *source) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.ReaderAt.ReadAt(p, off)
	if err == io.EOF && off+int64(n) < s.size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && err != io.EOF && s.err == nil {
		s.err = err
	}
	return n, err
}

// stageAll is the stager: it writes whatever large blobs wait as one group
// after the other, until the channel is closed and empty.
func (db *DB) stageAll() {
	for j := range db.staging {
		group := db.gatherStaged(j)
		var err error
		for tries := 0; len(group) > 0 && tries < maxStageGroup+maxBatchTries; tries++ {
			if group, err = db.writeStaged(group); err != nil && !errors.Is(err, ErrRetry) {
				break
			}
		}
		for _, j := range group {
			j.done <- err
		}
	}
}

func (db *DB) gatherStaged(first *stageJob) []*stageJob {
	var group []*stageJob
	var total int64
	for j := first; ; {
		if j.state.CompareAndSwap(queued, picked) {
			group = append(group, j)
			total += j.staged.Size
		}
		if len(group) >= maxStageGroup || total >= maxStageBytes {
			return group
		}
		select {
		case next, open := <-db.staging:
			if !open {
				return group
			}
			j = next
		default:
			return group
		}
	}
}

// writeStaged writes a group. It returns those that must be written again: all
// of them after ErrRetry, the others after one turned out to be unreadable.
func (db *DB) writeStaged(group []*stageJob) ([]*stageJob, error) {
	if len(group) == 0 {
		return nil, nil
	}
	sources := make([]BlobSource, len(group))
	for i, j := range group {
		sources[i] = BlobSource{j.staged.Hash, j.staged.Size, j.source}
	}
	if err := db.Err(); err != nil {
		return group, err
	}
	places, err := db.engine.Blobs().Write(context.Background(), sources)
	if err == nil {
		for i, j := range group {
			j.staged.place = places[i]
			j.done <- nil
		}
		return nil, nil
	}
	if harmless(err) {
		return group, fmt.Errorf("write blobs: %w", err)
	}
	readable := dropUnreadable(group)
	if len(readable) < len(group) {
		return readable, nil
	}
	return group, db.fail("write blobs", err)
}

// dropUnreadable ends the jobs whose data could not be read, and returns the rest.
func dropUnreadable(group []*stageJob) []*stageJob {
	var rest []*stageJob
	for _, j := range group {
		if j.source.err != nil {
			j.done <- fmt.Errorf("read blob: %w", j.source.err)
			continue
		}
		rest = append(rest, j)
	}
	return rest
}

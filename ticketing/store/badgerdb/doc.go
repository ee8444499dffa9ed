// Package badgerdb is the store's engine for one node: Badger for the keys and
// small values, segment files for blobs, in one data directory that one process
// owns.
//
//	lock       flock of the owner, with its process id
//	kv/        Badger: tables and write-ahead logs; its value log stays empty
//	blobs/     segment files
//	committed  number of the newest batch that is on stable storage
//
// Badger appends to files that it maps into memory. On a full disk such a write
// kills the process instead of returning an error, so this package looks at the
// free space before every commit and refuses with store.ErrNoSpace while less
// than Options.ReserveBytes is left. The reserve is also what Badger's
// compactions live on.
package badgerdb

import (
	"errors"
	"log/slog"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store/segments"
)

var (
	// ErrInUse tells that another process has the data directory open.
	ErrInUse = errors.New("data directory is in use")
	// ErrNotWritable tells that the data directory cannot be written to with
	// this process's rights, or lies on a read-only file system.
	ErrNotWritable = errors.New("data directory is not writable")
	// ErrDamaged tells that files of the data directory are not what was written
	// to them, or that some are missing. Nothing was changed.
	ErrDamaged = errors.New("damaged")
	// ErrOpenSnapshots is returned by Close when snapshots were not closed in time.
	ErrOpenSnapshots = errors.New("snapshots are still open")
)

// Defaults of [Options].
const (
	DefaultReserveBytes    = 64 << 20
	DefaultInlineBytes     = 32 << 10
	DefaultIndexCacheBytes = 64 << 20
	DefaultCloseTimeout    = 10 * time.Second
)

// Options tune an engine. Zero values are the defaults.
type Options struct {
	// Log receives Badger's and the segments' messages. Default: discarded.
	Log *slog.Logger
	// Now is the clock of segment compaction. Default: time.Now.
	Now func() time.Time
	// ReserveBytes of free space below which nothing is written any more.
	ReserveBytes uint64
	// InlineBytes is how many bytes of small blobs one batch may carry as
	// values. More go to a segment, which costs a second sync but spares
	// Badger's tables.
	InlineBytes int64
	// IndexCacheBytes bounds what Badger keeps of its tables' indexes.
	IndexCacheBytes int64
	// CloseTimeout is how long Close waits for open snapshots.
	CloseTimeout time.Duration
	// Segments are the options of the blob files; Log, Now and Room are set from here.
	Segments segments.Options
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.ReserveBytes == 0 {
		o.ReserveBytes = DefaultReserveBytes
	}
	if o.InlineBytes == 0 {
		o.InlineBytes = DefaultInlineBytes
	}
	if o.IndexCacheBytes == 0 {
		o.IndexCacheBytes = DefaultIndexCacheBytes
	}
	if o.CloseTimeout == 0 {
		o.CloseTimeout = DefaultCloseTimeout
	}
	o.Segments.Log, o.Segments.Now = o.Log, o.Now
	return o
}

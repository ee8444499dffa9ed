// Package segments keeps blobs in append-only files of one folder, for engines
// whose own place for large values is slow or not safe enough.
//
// A segment file is a sequence of records: a header with its own checksum, the
// blob's bytes, a checksum of the bytes. Records are appended in groups, and a
// group's place is handed out only after fdatasync returned without an error;
// concurrent groups share one sync. After a failed sync nothing is known about
// the file's pages any more, so the folder refuses all further writes.
//
// What nobody refers to is garbage. [Folder.Compact] copies what is left of
// segments that are mostly garbage and removes them, once no snapshot that was
// pinned before the copy can still look for the old places.
package segments

import (
	"errors"
	"log/slog"
	"time"
)

var (
	// ErrSource is returned by Write when a source delivers fewer bytes than
	// its size, or fails. Nothing of the group is kept.
	ErrSource = errors.New("blob source")
)

// Defaults of [Options].
const (
	DefaultSegmentBytes = 256 << 20
	DefaultOpenFiles    = 64
	DefaultLiveShare    = 0.5
)

// Options tune a folder. Zero values are the defaults.
type Options struct {
	// SegmentBytes ends a segment: a group that would make it longer starts a
	// new one. One group is never split, so a segment may be longer by one group.
	SegmentBytes int64
	// OpenFiles bounds the segment files kept open while nobody reads them.
	OpenFiles int
	// LiveShare is the share of live bytes below which a segment is compacted.
	LiveShare float64
	// Room is asked before a group of n bytes is written, by Compact too; its
	// error is returned. Default: there is always room.
	Room func(n int64) error
	// Log receives torn tails, damaged records and compactions.
	// Default: discarded.
	Log *slog.Logger
	// Now is the clock that store.BlobGrace is measured with. Default: time.Now.
	Now func() time.Time
}

func (o Options) withDefaults() Options {
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = DefaultSegmentBytes
	}
	if o.OpenFiles <= 0 {
		o.OpenFiles = DefaultOpenFiles
	}
	if o.LiveShare <= 0 {
		o.LiveShare = DefaultLiveShare
	}
	if o.Room == nil {
		o.Room = func(int64) error { return nil }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Package backup writes everything a store holds as one stream, reads it back,
// and keeps such streams in a folder that grows only by what is new. It knows
// no engine: a backup of one is restored into any other.
//
// docs/backup.md has the format.
package backup

import (
	"errors"
	"fmt"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

var (
	// ErrDamaged is wrapped by every error that a backup's own bytes cause.
	ErrDamaged = errors.New("the backup is damaged")
	// ErrCut tells that a backup ends before its manifest.
	ErrCut = fmt.Errorf("%w: it ends before its manifest", ErrDamaged)
	// ErrDigest tells that what was restored is not what was saved.
	ErrDigest = errors.New("digests differ")
)

// Header is what a backup says at its start.
type Header struct {
	Made   time.Time `json:"made"`
	Mxdesk string    `json:"mxdesk"` // version of the program
	Blobs  int64     `json:"blobs"`
	Bytes  int64     `json:"bytes"` // about how many will come, those elsewhere included
}

// Manifest is what a backup says at its end.
type Manifest struct {
	Made   time.Time `json:"made"`
	Mxdesk string    `json:"mxdesk"`
	Schema int       `json:"schema"`
	Change uint64    `json:"change"` // number of the newest change
	Counts
	Digest store.Hash `json:"digest"`
	Files  int        `json:"files"`
	// Lost is how many blobs could not be read, or not as their hash says.
	Lost int64 `json:"lost"`
}

// Counts tells how much a store holds.
type Counts struct {
	Keys      int64 `json:"keys"` // without those of blobs
	KeyBytes  int64 `json:"key_bytes"`
	Blobs     int64 `json:"blobs"`
	BlobBytes int64 `json:"blob_bytes"`
}

// Blob is a blob in a backup.
type Blob struct {
	Hash store.Hash
	Size int64
	Refs int64
}

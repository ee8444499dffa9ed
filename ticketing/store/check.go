package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
)

// Finding is something that is wrong with what a store holds.
type Finding struct {
	Key  Key
	What string
}

// CheckOwn looks through the port's own rows of one snapshot: the feed is dense
// and ends at the newest change, no cursor is where it cannot be, every blob
// can be read and has the bytes of its hash. Each thing that is wrong goes to
// found. read, which may be nil, is told how many bytes of blobs were read.
// Whether blobs have as many references as the domain knows is for the domain
// to check.
func (db *DB) CheckOwn(ctx context.Context, r Reader, found func(Finding), read func(n int64)) error {
	c := &ownCheck{ctx: ctx, db: db, r: r, found: found, read: read}
	for _, part := range []func() error{c.feed, c.cursors, c.strangers, c.blobs, c.blobData} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

type ownCheck struct {
	ctx         context.Context
	db          *DB
	r           Reader
	found       func(Finding)
	read        func(int64)
	first, last uint64 // changes in the feed, 0 if there are none
	seq         uint64
}

func (c *ownCheck) bad(k Key, format string, args ...any) {
	c.found(Finding{k, fmt.Sprintf(format, args...)})
}

// number reads a number in decimal.
func (c *ownCheck) number(k Key, v []byte) (uint64, bool) {
	n, err := strconv.ParseUint(string(v), 10, 64)
	if err != nil {
		c.bad(k, "is no number")
	}
	return n, err == nil
}

func (c *ownCheck) feed() error {
	v, err := c.r.Get(seqKey())
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if err == nil {
		c.seq, _ = c.number(seqKey(), v)
	}
	for i, err := range c.r.Scan(Prefix(reserved, "feed"), false) {
		if err != nil {
			return err
		}
		first, changes, err := decodeFeedRow(i)
		if err != nil || len(changes) == 0 {
			c.bad(i.Key, "cannot be read as changes")
			continue
		}
		if c.first == 0 {
			c.first = first
		} else if first != c.last+1 {
			c.bad(i.Key, "follows change %d: there is a gap or an overlap", c.last)
		}
		c.last = first + uint64(len(changes)) - 1
	}
	if c.last != 0 && c.last != c.seq {
		c.bad(seqKey(), "is %d, the newest change is %d", c.seq, c.last)
	}
	return nil
}

func (c *ownCheck) cursors() error {
	for i, err := range c.r.Scan(Prefix(reserved, "cursor"), false) {
		if err != nil {
			return err
		}
		at, ok := c.number(i.Key, i.Value)
		switch {
		case !ok:
		case at > c.seq:
			c.bad(i.Key, "is at %d, behind the newest change %d", at, c.seq)
		case c.first > 0 && at+1 < c.first, c.first == 0 && at < c.seq:
			c.bad(i.Key, "is at %d, and the changes that follow have been trimmed", at)
		}
	}
	return nil
}

// strangers are rows that are none of the port's.
func (c *ownCheck) strangers() error {
	known := []string{"blob", "blobdata", "cursor", "feed", "seq"}
	own := Prefix(reserved)
	for start := own.Start; ; {
		next := own.End
		if len(known) > 0 {
			next = Prefix(reserved, known[0]).Start
		}
		for i, err := range c.r.Scan(Range{start, next}, false) {
			if err != nil {
				return err
			}
			c.bad(i.Key, "is of no known kind")
		}
		if len(known) == 0 {
			return nil
		}
		start, known = Prefix(reserved, known[0]).End, known[1:]
	}
}

func (c *ownCheck) blobs() error {
	for i, err := range c.r.Scan(Prefix(reserved, "blob"), false) {
		if err != nil {
			return err
		}
		info, err := decodeBlobInfo(i)
		if err != nil || info.Refs < 1 || info.Size < 0 {
			c.bad(i.Key, "is no record of a blob in use")
			continue
		}
		b, err := c.db.OpenChecked(c.ctx, c.r, info)
		switch {
		case c.ctx.Err() != nil:
			return context.Cause(c.ctx)
		case err != nil:
			c.bad(i.Key, "the blob cannot be read: %v", err)
		default:
			b.Close()
		}
		if c.read != nil {
			c.read(info.Size)
		}
	}
	return nil
}

// blobData finds bytes that no record leads to.
func (c *ownCheck) blobData() error {
	for i, err := range c.r.Scan(Prefix(reserved, "blobdata"), false) {
		if err != nil {
			return err
		}
		parts, _ := i.Key.Split()
		hash, ok := parts[len(parts)-1].([]byte)
		if !ok || len(hash) != len(Hash{}) || !bytes.Equal([]byte(i.Key), []byte(blobDataKey(Hash(hash)))) {
			c.bad(i.Key, "is no blob")
			continue
		}
		rec, err := getBlobRecord(c.r, Hash(hash))
		if err != nil && !errors.Is(err, ErrNotFound) {
			continue // told already
		}
		if err != nil || rec.Place != (Place{}) {
			c.bad(i.Key, "has bytes of a blob that lies elsewhere, or nowhere")
		}
	}
	return nil
}

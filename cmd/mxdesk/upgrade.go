package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/backup"
)

// copyBefore keeps a backup of the desk in the data folder before an upgrade
// changes anything. mxdesk restore of the older program takes it back.
func (a *App) copyBefore(ctx context.Context, schema int) error {
	if err := a.roomForCopy(); err != nil {
		return err
	}
	name := fmt.Sprintf("schema-%d-%s.mxdesk", schema, a.parts.Now().UTC().Format("20060102T150405Z"))
	path := filepath.Join(a.cfg.Data, name)
	a.log.Info("upgrade of the data: a copy is made first", "schema", schema, "file", path)
	f, err := os.CreateTemp(a.cfg.Data, ".new-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	buf := bufio.NewWriterSize(f, 512<<10)
	m, err := backup.Write(ctx, buf, backup.Source{DB: a.db, Files: filesOf(a.cfg.Data), Mxdesk: version(), Made: a.parts.Now()})
	if err == nil && m.Lost > 0 {
		err = fmt.Errorf("%d blobs cannot be read: run mxdesk store verify of the older program", m.Lost)
	}
	if err := errors.Join(err, buf.Flush(), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("copy of the data before the upgrade: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncTree(a.cfg.Data)
}

// roomForCopy tells whether the disk takes a copy of everything and leaves
// what mail needs.
func (a *App) roomForCopy() error {
	if a.badger == nil {
		return nil
	}
	s := a.badger.Stats()
	need := uint64(s.TableBytes + s.Blobs.Bytes + 2*a.cfg.SMTP.MaxSize)
	free, total, err := a.db.FreeBytes()
	if err == nil && total > 0 && free < need+total/20 {
		err = fmt.Errorf("%w: the data is of an older schema, and a copy of it needs %s, %s are free: make room, then start again",
			store.ErrNoSpace, octets(int64(need+total/20)), octets(int64(free)))
	}
	return err
}

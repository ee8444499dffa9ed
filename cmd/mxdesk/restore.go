package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mxdesk/mxdesk/auth/keyring"
	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/backup"
	"github.com/mxdesk/mxdesk/ticketing/store/badgerdb"
)

// RestoreCmd makes a desk of a backup.
type RestoreCmd struct {
	From     string `arg:"" help:"Folder of backups, file with one, or - for standard input." placeholder:"DIR|FILE|-"`
	Snapshot string `help:"This one of the folder; the newest if not given." placeholder:"NAME"`
	List     bool   `help:"List the snapshots of the folder, and restore nothing."`
	Check    bool   `help:"Read and check all of the backup, and restore nothing."`
}

// reading reads a backup and tells a handler.
type reading func(backup.Handler) (backup.Manifest, error)

// Run makes a desk of a backup.
func (c RestoreCmd) Run(e *Env) error {
	if c.List {
		return c.list(e)
	}
	read, done, err := c.source(e)
	if err != nil {
		return err
	}
	defer done()
	bar := e.progress("restore")
	told := func(h backup.Handler) (backup.Manifest, error) { return read(backup.Telling(h, bar.tell)) }
	var m backup.Manifest
	if c.Check {
		m, err = told(backup.Discard{})
	} else {
		m, err = c.restore(e, told)
	}
	bar.end()
	if err != nil {
		return c.explain(err)
	}
	if e.Global.JSON {
		return errors.Join(json.NewEncoder(e.Stdout).Encode(m), lostBefore(m))
	}
	did := map[bool]string{true: "checked ", false: "restored"}[c.Check]
	fmt.Fprintf(e.Stdout, "%s the backup of %s: %d keys, %d blobs (%s), %d files\ndigest   %s\n", did, when(m.Made), m.Keys, m.Blobs, octets(m.BlobBytes), m.Files, m.Digest)
	return lostBefore(m)
}

func lostBefore(m backup.Manifest) error {
	if m.Lost == 0 {
		return nil
	}
	return exitf(exitRefused, "%d blobs could not be read when the backup was made, and are missing", m.Lost)
}

func (c RestoreCmd) list(e *Env) error {
	f, err := backup.OpenFolder(c.From)
	if err != nil {
		return &exitError{code: exitIO, err: err}
	}
	names, err := f.Snapshots()
	if err != nil {
		return &exitError{code: exitIO, err: err}
	}
	for _, n := range names {
		if e.Global.JSON {
			n = fmt.Sprintf(`{"snapshot":%q}`, n)
		}
		fmt.Fprintln(e.Stdout, clean(n))
	}
	return nil
}

// source opens what is to be read.
func (c RestoreCmd) source(e *Env) (read reading, done func() error, err error) {
	if c.From == "-" {
		return func(h backup.Handler) (backup.Manifest, error) {
			return backup.Read(bufio.NewReaderSize(e.Stdin, 512<<10), h)
		}, func() error { return nil }, nil
	}
	info, err := os.Stat(c.From)
	if err != nil {
		return nil, nil, &exitError{code: exitIO, err: err}
	}
	if info.IsDir() {
		read, err := c.folder()
		return read, func() error { return nil }, err
	}
	f, err := os.Open(c.From)
	if err != nil {
		return nil, nil, &exitError{code: exitIO, err: err}
	}
	return func(h backup.Handler) (backup.Manifest, error) {
		m, err := backup.Read(bufio.NewReaderSize(f, 512<<10), h)
		if errors.Is(err, backup.ErrDamaged) {
			err = fmt.Errorf("%s: %w", c.From, err)
		}
		return m, err
	}, f.Close, nil
}

func (c RestoreCmd) folder() (reading, error) {
	f, err := backup.OpenFolder(c.From)
	if err != nil {
		return nil, c.explain(err)
	}
	name := c.Snapshot
	if name == "" {
		names, err := f.Snapshots()
		if err != nil {
			return nil, &exitError{code: exitIO, err: err}
		}
		if len(names) == 0 {
			return nil, exitf(exitIO, "%s has no snapshot: no run has finished", c.From)
		}
		name = names[len(names)-1]
	}
	return func(h backup.Handler) (backup.Manifest, error) {
		m, err := f.Read(name, h)
		if errors.Is(err, os.ErrNotExist) && c.Snapshot != "" {
			err = exitf(exitIO, "%s has no snapshot %s: mxdesk restore %s --list shows those it has", c.From, c.Snapshot, c.From)
		}
		return m, err
	}, nil
}

// explain says what can be done about a damaged backup.
func (c RestoreCmd) explain(err error) error {
	if !errors.Is(err, backup.ErrDamaged) {
		if _, known := errors.AsType[*exitError](err); known {
			return err
		}
		return &exitError{code: exitIO, err: err}
	}
	if backup.IsFolder(c.From) {
		return exitf(exitIO, "%w\nTry another one (mxdesk restore %s --list, then --snapshot NAME). If it is a pack that is damaged, move it away and run mxdesk backup again while the desk still has its data", err, c.From)
	}
	return exitf(exitIO, "%w\nNothing can be restored from it: take another backup", err)
}

// restore fills the data folder.
func (c RestoreCmd) restore(e *Env, read reading) (m backup.Manifest, err error) {
	cfg, err := e.settings()
	if err != nil {
		return m, err
	}
	if err := emptyFolder(cfg.Data); err != nil {
		return m, err
	}
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return m, err
	}
	tuneMemory(e.Getenv)
	m, err = fillStore(e.Ctx, cfg, read)
	if err != nil {
		return m, errors.Join(err, removeRestored(cfg.Data))
	}
	return m, nil
}

// emptyFolder refuses a folder that holds something.
func emptyFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		switch entry.Name() {
		case "lost+found":
		case restoreFolder:
			return exitf(exitRefused, "a restore into %s was cut short: remove what is in it, then try again", dir)
		default:
			return exitf(exitRefused, "%s is not empty: restore into a new folder with --data", dir)
		}
	}
	return nil
}

// fillStore restores under another name, so that nobody takes half a desk for one.
func fillStore(ctx context.Context, cfg Config, read reading) (m backup.Manifest, err error) {
	restoring := filepath.Join(cfg.Data, restoreFolder)
	engine, err := badgerdb.Open(restoring, badgerdb.Options{})
	if err != nil {
		return m, err
	}
	db := store.Open(engine, store.Options{})
	m, err = backup.Restore(ctx, db, cfg.Data, func(name string, data []byte) error {
		if !isKept(name) {
			return fmt.Errorf("file %q of the backup does not belong to a desk", name)
		}
		return keyring.WriteSecret(filepath.Join(cfg.Data, filepath.FromSlash(name)), data)
	}, read)
	if err := errors.Join(err, db.Close(ctx)); err != nil {
		return m, err
	}
	if err := os.Rename(restoring, filepath.Join(cfg.Data, storeFolder)); err != nil {
		return m, err
	}
	return m, syncTree(cfg.Data)
}

// syncTree puts the names in a folder and in those below it, but for the
// store's, on stable storage.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if path == filepath.Join(dir, storeFolder) {
			return filepath.SkipDir
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}

// removeRestored takes away what a restore that failed has made in a folder
// that was empty.
func removeRestored(dir string) error {
	var errs []error
	for _, name := range append([]string{restoreFolder}, keptFiles...) {
		errs = append(errs, os.RemoveAll(filepath.Join(dir, name)))
	}
	return errors.Join(errs...)
}

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/mxdesk/mxdesk/ticketing/store/backup"
)

// BackupCmd saves the desk.
type BackupCmd struct {
	To   string `arg:"" help:"Folder, which each run adds to; or - for one stream on standard output." placeholder:"DIR|-"`
	Keep int    `help:"Remove all but this many snapshots of the folder afterwards; 0 = none." placeholder:"N"`
}

// Run saves the desk.
func (c BackupCmd) Run(e *Env) error {
	cfg, err := e.settings()
	if err != nil {
		return err
	}
	if c.Keep < 0 {
		return exitf(exitUsage, "--keep is 0 or more")
	}
	if c.To == "-" {
		return c.stream(e, cfg)
	}
	if inside(c.To, filepath.Join(cfg.Data, storeFolder)) {
		return exitf(exitUsage, "%s is inside the store: choose another folder, best on another disk", c.To)
	}
	server, err := e.reach(cfg) // first, so that nothing looks like a backup of nothing
	if err != nil {
		return err
	}
	folder, err := backup.CreateFolder(c.To)
	if err != nil {
		return errors.Join(&exitError{code: exitIO, err: err}, server.close())
	}
	defer folder.Close()
	have := new(bytes.Buffer) // 32 octets for each blob
	for h := range folder.Have() {
		have.Write(h[:])
	}
	var result backup.Result
	bar := e.progress("backup")
	err = server.call(e, "backup", have, func(stream io.Reader) (err error) {
		result, err = folder.Save(e.Ctx, bufio.NewReaderSize(stream, 512<<10), bar.tell)
		return err
	})
	bar.end()
	if err := errors.Join(err, server.close()); err != nil {
		return exitf(exitIO, "no backup was made, earlier ones are as they were: %w", err)
	}
	snapshots, packs, err := folder.Keep(c.Keep)
	if err != nil {
		return exitf(exitIO, "the backup is made, removing older ones failed: %w", err)
	}
	return c.tell(e, result, snapshots, packs)
}

// inside tells whether a path lies in a folder.
func inside(path, folder string) bool {
	p, err1 := filepath.Abs(path)
	f, err2 := filepath.Abs(folder)
	return err1 == nil && err2 == nil && (p == f || strings.HasPrefix(p, f+string(filepath.Separator)))
}

func (c BackupCmd) tell(e *Env, r backup.Result, snapshots, packs int) error {
	if e.Global.JSON {
		err := json.NewEncoder(e.Stdout).Encode(r)
		return errors.Join(err, lost(e, r.Manifest))
	}
	fmt.Fprintf(e.Stdout, "snapshot %s: %d keys, %d blobs (%d new, %s)\ndigest   %s\n", r.Name, r.Keys, r.Blobs, r.NewBlobs, octets(r.NewBytes), r.Digest)
	if snapshots+packs > 0 {
		fmt.Fprintf(e.Stdout, "removed  %d snapshots, %d packs\n", snapshots, packs)
	}
	return lost(e, r.Manifest)
}

// lost is the error of a backup that is made, but not of everything.
func lost(e *Env, m backup.Manifest) error {
	if m.Lost == 0 {
		return nil
	}
	return exitf(exitRefused, "%d blobs cannot be read any more and are not in this backup: mxdesk store verify names them, an earlier backup may have them", m.Lost)
}

// stream writes the backup to standard output, and checks it on the way.
func (c BackupCmd) stream(e *Env, cfg Config) error {
	if c.Keep != 0 {
		return exitf(exitUsage, "--keep is for folders")
	}
	if f, ok := e.Stdout.(*os.File); ok && isTerminal(f) {
		return exitf(exitUsage, "a backup is no text: send it to a file or a program")
	}
	server, err := e.reach(cfg)
	if err != nil {
		return err
	}
	var m backup.Manifest
	out := bufio.NewWriterSize(e.Stdout, 512<<10)
	bar := e.progress("backup")
	err = server.call(e, "backup", nil, func(stream io.Reader) (err error) {
		m, err = backup.Read(bufio.NewReaderSize(io.TeeReader(stream, out), 512<<10), backup.Telling(backup.Discard{}, bar.tell))
		if full := out.Flush(); full != nil {
			return full // the reading ends of it, too
		}
		return err
	})
	bar.end()
	if err := errors.Join(err, server.close()); err != nil {
		return exitf(exitIO, "the backup is not whole: %w", err)
	}
	if e.Global.JSON {
		err := json.NewEncoder(e.Stderr).Encode(m)
		return errors.Join(err, lost(e, m))
	}
	fmt.Fprintf(e.Stderr, "%d keys, %d blobs, digest %s\n", m.Keys, m.Blobs, m.Digest)
	return lost(e, m)
}

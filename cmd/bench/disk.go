package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// syncRate appends 4 KiB and syncs (fdatasync) for some time, and returns how
// often a second that was done.
func syncRate(dir string, d time.Duration) (rate float64, err error) {
	f, err := os.Create(filepath.Join(dir, "sync"))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	block := make([]byte, 4096)
	start, n := time.Now(), 0
	for ; time.Since(start) < d; n++ {
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(start).Seconds(), nil
}

// onDisk is an error when the folder lies in memory, where syncing costs
// nothing.
func onDisk(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	if st.Type == unix.TMPFS_MAGIC || st.Type == unix.RAMFS_MAGIC {
		return fmt.Errorf("%s is kept in memory: name a folder on a disk with --scratch", dir)
	}
	return nil
}

// scratch makes a folder for one run that every user can enter. done removes
// it.
func scratch(parent string) (dir string, done func() error, err error) {
	if err := onDisk(parent); err != nil {
		return "", nil, err
	}
	dir, err = os.MkdirTemp(parent, "mxdesk-bench-")
	if err != nil {
		return "", nil, err
	}
	return dir, func() error { return os.RemoveAll(dir) }, os.Chmod(dir, 0o755)
}

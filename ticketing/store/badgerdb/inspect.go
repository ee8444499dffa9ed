package badgerdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/ristretto/v2/z"
)

// Badger takes much for granted of its files: a damaged block reads as if its
// keys had never been, and the next compaction makes that true; a log or a
// manifest is cut at the first record that is not whole, whatever follows, and
// tables that the manifest does not name are deleted. inspect looks first, and
// changes nothing.

// inspect reads every table and log of a folder of Badger's. It returns the
// number of the newest batch in it; its errors wrap ErrDamaged and name a file.
func inspect(dir string) (newest uint64, err error) {
	listed, homeless, err := tableFiles(dir)
	if err != nil {
		return 0, err
	}
	logs, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	if err != nil {
		return 0, err
	}
	newest, err = inspectAll(listed, logs)
	if err == nil && len(homeless) > 0 {
		err = checkHomeless(homeless, listed, logs)
	}
	return newest, err
}

func inspectAll(tables, logs []string) (newest uint64, err error) {
	numbers, errs := make([]uint64, len(tables)+len(logs)), make([]error, len(tables)+len(logs))
	var readers sync.WaitGroup
	var next atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		readers.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(errs); i = int(next.Add(1)) - 1 {
				if i < len(tables) {
					numbers[i], errs[i] = inspectTable(tables[i])
				} else {
					numbers[i], errs[i] = inspectLog(logs[i-len(tables)], nil)
				}
			}
		})
	}
	readers.Wait()
	return slices.Max(append(numbers, 0)), errors.Join(errs...)
}

func damaged(file string, err error) error {
	return fmt.Errorf("%s is %w: %w", file, ErrDamaged, err)
}

// removeEmpty removes logs without a single octet. They are left by a process
// that ended just after it had made their names, and Badger would never open
// the folder again.
func removeEmpty(dir string) error {
	for _, pattern := range []string{"*.mem", "*.vlog"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		for _, file := range files {
			if info, err := os.Stat(file); err != nil || info.Size() > 0 {
				continue
			}
			if err := os.Remove(file); err != nil {
				return err
			}
		}
	}
	return nil
}

// tableFiles tells which tables the manifest names, and which newer ones it
// does not.
func tableFiles(dir string) (listed, homeless []string, err error) {
	name := filepath.Join(dir, badger.ManifestFilename)
	there, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		return nil, nil, err
	}
	f, err := os.Open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && len(there) == 0:
		return nil, nil, nil
	case errors.Is(err, fs.ErrNotExist): // Badger would begin anew
		return nil, nil, damaged(name, errors.New("it is missing"))
	case err != nil:
		return nil, nil, err
	}
	defer f.Close()
	m, _, err := badger.ReplayManifestFile(f, 0, badgerOptions(dir, Options{}.withDefaults()))
	if err != nil {
		return nil, nil, damaged(name, err)
	}
	newest := uint64(0)
	for id := range m.Tables {
		listed = append(listed, table.NewFilename(id, dir))
		newest = max(newest, id)
	}
	for _, file := range there {
		if id, ok := table.ParseFileID(file); ok && id > newest {
			homeless = append(homeless, file)
		}
	}
	return listed, homeless, nil
}

// inspectTable compares all checksums of a table and finds the newest batch in it.
func inspectTable(file string) (newest uint64, err error) {
	err = readTable(file, func(t *table.Table) error {
		newest = t.MaxVersion()
		return nil
	})
	return newest, err
}

// readTable opens a table whose checksums are right.
func readTable(file string, read func(*table.Table) error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // a disk that cannot read what is mapped
	defer func() {                                           // what is damaged may lead Badger anywhere
		if r := recover(); r != nil {
			err = damaged(file, fmt.Errorf("it cannot be read: %.200v", r))
		}
	}()
	if err := checkFooter(file); err != nil {
		return damaged(file, err)
	}
	mapped, err := z.OpenMmapFile(file, os.O_RDONLY, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	t, err := table.OpenTable(mapped, table.Options{ReadOnly: true, ChkMode: options.OnTableRead, Compression: options.None})
	if err != nil {
		return damaged(file, err)
	}
	defer t.Close(-1)
	return read(t)
}

// checkFooter looks at the lengths at the end of a table, in which Badger
// trusts so much that it ends the process.
func checkFooter(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	at := info.Size()
	for range 2 { // length of the checksum, then of the index, each behind what it tells
		var b [4]byte
		if at -= int64(len(b)); at < 0 {
			return errors.New("it is too short")
		}
		if _, err := f.ReadAt(b[:], at); err != nil {
			return err
		}
		if at -= int64(binary.BigEndian.Uint32(b[:])); at < 0 {
			return errors.New("a length at its end is wrong")
		}
	}
	return nil
}

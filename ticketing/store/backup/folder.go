package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

var (
	// ErrNoFolder tells that a folder is none of backups.
	ErrNoFolder = errors.New("is no backup folder")
	// ErrBusy tells that another run works in the folder.
	ErrBusy = errors.New("another backup runs in this folder")
)

const (
	markName     = "mxdesk-backup"
	markText     = "Backups of mxdesk, format 1. Restore one with: mxdesk restore FOLDER\n"
	packsName    = "packs"
	snapsName    = "snapshots"
	packSuffix   = ".pack"
	snapSuffix   = ".mxdesk"
	nameLayout   = "20060102T150405.000Z" // sorts by time
	newPrefix    = ".new-"
	secretFile   = 0o600
	secretFolder = 0o700
)

// Folder is a folder of backups.
type Folder struct {
	dir   string
	lock  *os.File
	packs []string // names, the oldest first
	index []entry  // of all packs, by hash
}

// IsFolder tells whether a path is a folder of backups.
func IsFolder(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, markName))
	return err == nil && info.Mode().IsRegular()
}

// CreateFolder opens a folder for a run, and makes it first where it is absent
// or empty. One that holds anything else is refused with ErrNoFolder, one in
// which a run is under way with ErrBusy. What a run left that was cut short is
// removed.
func CreateFolder(dir string) (*Folder, error) {
	if err := os.MkdirAll(dir, secretFolder); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	strange := slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		return e.Name() != "lock" && e.Name() != "lost+found" && !strings.HasPrefix(e.Name(), newPrefix)
	})
	if strange && !IsFolder(dir) {
		return nil, fmt.Errorf("%s holds something else and %w", dir, ErrNoFolder)
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	f := &Folder{dir: dir, lock: lock}
	if err := f.prepare(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return f, nil
}

func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, secretFile)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w", dir, ErrBusy)
		}
		return nil, err
	}
	return f, nil
}

func (f *Folder) prepare() error {
	for _, name := range []string{packsName, snapsName} {
		sub := filepath.Join(f.dir, name)
		if err := os.MkdirAll(sub, secretFolder); err != nil {
			return err
		}
		left, err := filepath.Glob(filepath.Join(sub, newPrefix+"*"))
		if err != nil {
			return err
		}
		for _, path := range left {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	if !IsFolder(f.dir) {
		mark, err := createNew(filepath.Join(f.dir, markName))
		if err != nil {
			return err
		}
		if _, err := mark.WriteString(markText); err != nil {
			return mark.drop(err)
		}
		if err := mark.keep(); err != nil {
			return err
		}
	}
	return f.load()
}

// OpenFolder opens a folder for reading.
func OpenFolder(dir string) (*Folder, error) {
	if !IsFolder(dir) {
		return nil, fmt.Errorf("%s %w", dir, ErrNoFolder)
	}
	f := &Folder{dir: dir}
	return f, f.load()
}

// Close lets the next run in.
func (f *Folder) Close() error {
	if f.lock == nil {
		return nil
	}
	return f.lock.Close()
}

// load reads the index of every pack.
func (f *Folder) load() error {
	names, err := f.names(packsName, packSuffix)
	if err != nil {
		return err
	}
	for _, name := range names {
		list, err := readIndex(f.pack(name))
		if err != nil {
			return fmt.Errorf("pack %s: %w", f.pack(name), err)
		}
		for _, e := range list {
			e.pack = int32(len(f.packs))
			f.index = append(f.index, e)
		}
		f.packs = append(f.packs, name)
	}
	slices.SortStableFunc(f.index, compareEntries)
	return nil
}

func (f *Folder) names(sub, suffix string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(f.dir, sub))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() && strings.HasSuffix(e.Name(), suffix) && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (f *Folder) pack(name string) string { return filepath.Join(f.dir, packsName, name) }
func (f *Folder) snapshot(name string) string {
	return filepath.Join(f.dir, snapsName, name+snapSuffix)
}

// Have yields the blobs that are in the folder, in the order of their hashes:
// see Source.Have.
func (f *Folder) Have() iter.Seq2[store.Hash, error] {
	return func(yield func(store.Hash, error) bool) {
		for _, e := range f.index {
			if !yield(e.hash, nil) {
				return
			}
		}
	}
}

// Snapshots lists the names of the backups, the oldest first.
func (f *Folder) Snapshots() ([]string, error) {
	names, err := f.names(snapsName, snapSuffix)
	for i, n := range names {
		names[i] = strings.TrimSuffix(n, snapSuffix)
	}
	return names, err
}

// newFile is a file that has its name only when it is whole.
type newFile struct {
	*os.File
	path string
}

func createNew(path string) (*newFile, error) {
	f, err := os.OpenFile(filepath.Join(filepath.Dir(path), newPrefix+filepath.Base(path)), os.O_RDWR|os.O_CREATE|os.O_TRUNC, secretFile)
	return &newFile{f, path}, err
}

// keep syncs the file and gives it its name. A file of that name is an error.
func (n *newFile) keep() error {
	if err := errors.Join(n.Sync(), n.Close()); err != nil {
		return errors.Join(err, os.Remove(n.Name()))
	}
	if _, err := os.Lstat(n.path); !errors.Is(err, os.ErrNotExist) {
		return errors.Join(fmt.Errorf("%s: %w", n.path, os.ErrExist), os.Remove(n.Name()))
	}
	if err := os.Rename(n.Name(), n.path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(n.path))
}

// drop removes the file, and returns why.
func (n *newFile) drop(cause error) error {
	return errors.Join(cause, n.Close(), os.Remove(n.Name()))
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

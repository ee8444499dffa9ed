package segments

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// Folder is one folder of segment files. The caller holds whatever lock keeps
// other processes out. All methods are safe for concurrent use.
type Folder struct {
	opt   Options
	root  *os.Root
	files *fileCache

	sync func(*os.File) error // syncData, or a test's

	// Held in this order where more than one is needed.
	appendMu  sync.Mutex // one writer at a time, held while it writes; buffer is its
	syncMu    sync.Mutex // one sync at a time, held while it runs
	compactMu sync.Mutex // one compaction at a time; never taken inside the others
	mu        sync.Mutex // the fields below, never held over input or output

	buffer []byte // of the next group

	active   *segment
	sizes    map[uint64]int64     // bytes of every segment, the active one included
	written  map[uint64]time.Time // last append since Open, by segment
	appended uint64               // groups written to the active segment or an older one
	synced   uint64               // groups known to be on stable storage
	failed   error                // set by a failed sync, for good
	closed   bool

	generation uint64         // moves made so far
	pins       map[uint64]int // open pins by the generation they were taken in
	doomed     []doomed       // segments waiting for pins to be released
	live       int64          // live bytes found by the last Compact, -1 = unknown
}

// segment is the one that is written to. size changes under appendMu.
type segment struct {
	number uint64
	file   *os.File
	size   int64
}

// Stats describes a folder.
type Stats struct {
	Segments  int   // files that hold records, the active one included
	Bytes     int64 // their total length
	LiveBytes int64 // bytes of records in use, as the last Compact found; -1 = not yet known
	Removing  int   // segments that only wait for an old snapshot to be closed
}

// Open opens or creates a folder. The last segment is read whole: a torn record
// at its end is cut off, damage with good records behind it is left and logged.
func Open(dir string, o Options) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	o = o.withDefaults()
	f := &Folder{
		opt: o, root: root, files: newFileCache(root, o.OpenFiles), sync: syncData,
		sizes: map[uint64]int64{}, written: map[uint64]time.Time{}, pins: map[uint64]int{}, live: -1,
	}
	if err := f.load(); err != nil {
		root.Close()
		return nil, fmt.Errorf("open segments in %s: %w", dir, err)
	}
	return f, nil
}

// load lists the segments and readies the last one for writing.
func (f *Folder) load() error {
	entries, err := fs.ReadDir(f.root.FS(), ".")
	if err != nil {
		return err
	}
	var last uint64
	for _, e := range entries {
		n, ok := parseName(e.Name())
		if !ok || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		f.sizes[n] = info.Size()
		last = max(last, n)
	}
	if last == 0 {
		f.active, err = f.create(1)
		return err
	}
	file, err := f.root.OpenFile(fileName(last), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	size, err := f.recover(file, last)
	if err != nil {
		file.Close()
		return err
	}
	f.sizes[last] = size
	f.active = &segment{number: last, file: file, size: size}
	return nil
}

// create makes an empty segment file and puts its name on stable storage.
func (f *Folder) create(number uint64) (*segment, error) {
	file, err := f.root.OpenFile(fileName(number), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, noSpace(err)
	}
	if err := f.syncDir(); err != nil {
		file.Close()
		return nil, fmt.Errorf("%w: %w", store.ErrFailed, err)
	}
	f.mu.Lock()
	f.sizes[number] = 0
	f.mu.Unlock()
	return &segment{number: number, file: file}, nil
}

func (f *Folder) syncDir() error {
	d, err := f.root.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Stats tells how many segments there are and what they hold.
func (f *Folder) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := Stats{LiveBytes: f.live, Removing: len(f.doomed)}
	for n, size := range f.sizes {
		if !slices.ContainsFunc(f.doomed, func(d doomed) bool { return d.number == n }) {
			s.Segments++
			s.Bytes += size
		}
	}
	return s
}

// Close waits for a running write or sync and closes the folder. Blobs that are
// still open stay readable until they are closed. Doomed segments that a pin
// kept are left to the next Compact.
func (f *Folder) Close() error {
	f.appendMu.Lock()
	defer f.appendMu.Unlock()
	f.syncMu.Lock()
	defer f.syncMu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	return errors.Join(f.active.file.Close(), f.files.close(), f.root.Close())
}

func fileName(number uint64) string { return fmt.Sprintf("%010d.seg", number) }

func parseName(name string) (uint64, bool) {
	var n uint64
	if _, err := fmt.Sscanf(name, "%d.seg", &n); err != nil {
		return 0, false
	}
	return n, n > 0 && name == fileName(n)
}

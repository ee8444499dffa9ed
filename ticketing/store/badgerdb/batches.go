package badgerdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// Badger numbers its transactions, each of which is one batch. When a batch is
// on stable storage its number is noted in a file beside Badger's folder. The
// file is not synced: it may lag behind when the machine loses its power, but it
// is never ahead of what was synced, and the end of the process does not harm
// it. At the next start it tells whether batches are missing.

// committedFile is in the data directory: the number and its CRC-32C.
const committedFile = "committed"

// onlyDeletes is written by a batch that writes nothing else: of deletes a
// compaction leaves no trace, and the batch would seem to be missing. Nobody
// sees this key.
const onlyDeletes store.Key = "\x00deletes"

func crc32c(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// batches counts what was committed.
type batches struct {
	file *os.File
	log  *slog.Logger
	lame bool // the file cannot be written to; told once
}

// openBatches compares the newest batch in Badger's files with the newest that
// was committed. Its error wraps ErrDamaged when some are missing.
func openBatches(dir string, newest uint64, log *slog.Logger) (*batches, error) {
	name := filepath.Join(dir, committedFile)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, notWritable(err)
	}
	b := &batches{file: f, log: log}
	noted, err := b.noted()
	switch {
	case errors.Is(err, fs.ErrInvalid):
		log.Warn("the number of the newest batch cannot be read, missing batches would not be noticed", "file", name)
	case err != nil:
		f.Close()
		return nil, err
	case noted > newest:
		f.Close()
		return nil, fmt.Errorf("%s is %w: its newest batch is number %d, number %d was committed (remove %s to go on without what is missing)",
			filepath.Join(dir, "kv"), ErrDamaged, newest, noted, name)
	}
	return b, nil
}

// noted reads the file: 0 when it is empty, fs.ErrInvalid when it is damaged.
func (b *batches) noted() (uint64, error) {
	var raw [12]byte
	switch n, err := b.file.ReadAt(raw[:], 0); {
	case n == 0:
		return 0, nil
	case n < len(raw):
		return 0, fs.ErrInvalid
	case err != nil:
		return 0, err
	}
	if crc32c(raw[:8]) != binary.BigEndian.Uint32(raw[8:]) {
		return 0, fs.ErrInvalid
	}
	return binary.BigEndian.Uint64(raw[:]), nil
}

// committed notes that a batch is on stable storage. A note that cannot be
// written leaves the older one, which is no reason to stop.
func (b *batches) committed(number uint64) {
	raw := binary.BigEndian.AppendUint64(nil, number)
	raw = binary.BigEndian.AppendUint32(raw, crc32c(raw))
	if _, err := b.file.WriteAt(raw, 0); err != nil && !b.lame {
		b.lame = true
		b.log.Warn("the number of the newest batch cannot be noted", "file", b.file.Name(), "error", err)
	}
}

func (b *batches) close() error { return errors.Join(b.file.Sync(), b.file.Close()) }

package segments

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// recover reads a segment whole, cuts a torn tail off, and returns the length
// that is left.
func (f *Folder) recover(file *os.File, number uint64) (int64, error) {
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	s := scanner{r: file, size: info.Size(), damage: func(from, to int64) {
		f.opt.Log.Error("segment is damaged, good records follow",
			"segment", number, "offset", from, "bytes", to-from)
	}}
	end, err := s.end()
	if err != nil {
		return 0, fmt.Errorf("segment %d: %w", number, err)
	}
	if end == s.size {
		return end, nil
	}
	f.opt.Log.Warn("torn end of a segment is cut off",
		"segment", number, "offset", end, "bytes", s.size-end)
	return end, cut(file, end)
}

// cut shortens a file and puts the new length on stable storage.
func cut(file *os.File, size int64) error {
	if err := file.Truncate(size); err != nil {
		return err
	}
	return file.Sync()
}

// scanner walks over the records of a segment.
type scanner struct {
	r    io.ReaderAt
	size int64
	at   int64
	buf  []byte

	damage func(from, to int64) // told what lies between good records
}

// end returns where the good records end. It is less than the size only when
// nothing but good records lies before and none behind: once the scan has had
// to search for a record, what it takes for one may be a sender's invention,
// and no reason to cut anything.
func (s *scanner) end() (int64, error) {
	clean := true
	for s.at < s.size {
		start := s.at
		err := s.next()
		if err == nil {
			continue
		}
		if !errors.Is(err, store.ErrCorrupt) {
			return 0, err
		}
		found, err := s.resync(start)
		if err != nil {
			return 0, err
		}
		if !found && clean {
			return start, nil
		}
		if !found {
			s.at = s.size
		}
		clean = false
		s.damage(start, s.at)
	}
	return s.size, nil
}

// next checks the record at the scanner's position and steps behind it.
func (s *scanner) next() error {
	h, err := s.header(s.at)
	if err != nil {
		return err
	}
	sum := crc32.New(castagnoli)
	if s.buf == nil {
		s.buf = make([]byte, min(256<<10, s.size))
	}
	payload := io.NewSectionReader(s.r, s.at+headerBytes, h.size)
	if _, err := io.CopyBuffer(struct{ io.Writer }{sum}, struct{ io.Reader }{payload}, s.buf); err != nil {
		return err
	}
	var trailer [trailerBytes]byte
	if _, err := s.r.ReadAt(trailer[:], s.at+headerBytes+h.size); err != nil {
		return err
	}
	if sum.Sum32() != binary.BigEndian.Uint32(trailer[:]) {
		return fmt.Errorf("%w: checksum of the bytes", store.ErrCorrupt)
	}
	s.at += recordBytes(h.size)
	return nil
}

// header reads a header whose whole record lies inside the file.
func (s *scanner) header(at int64) (header, error) {
	h, err := s.rawHeader(at)
	if err == nil && recordBytes(h.size) > s.size-at {
		err = fmt.Errorf("%w: longer than the file", store.ErrCorrupt)
	}
	return h, err
}

// rawHeader reads a header, whatever length it claims.
func (s *scanner) rawHeader(at int64) (header, error) {
	var raw [headerBytes]byte
	if s.size-at < headerBytes {
		return header{}, fmt.Errorf("%w: end of the file", store.ErrCorrupt)
	}
	if _, err := s.r.ReadAt(raw[:], at); err != nil {
		return header{}, err
	}
	return parseHeader(raw[:])
}

// maxFakes bounds what resync checks before it gives up: a blob may be made of
// nothing but headers, each of which claims a long record.
const maxFakes = 256

// resync looks behind a bad record for the next good one and puts the scanner
// there; false when none follows. A blob may hold what looks like a record, so
// where the bad record's own header can be believed the search starts behind
// it. When it gives up it puts the scanner at the end: keep all, cut nothing.
func (s *scanner) resync(bad int64) (found bool, err error) {
	at := bad + 1
	if h, err := s.rawHeader(bad); err == nil {
		at = bad + recordBytes(h.size)
	}
	for fakes := 0; ; fakes++ {
		at, err = s.find(at)
		if err != nil || at < 0 {
			return false, err
		}
		if fakes == maxFakes {
			s.at = s.size
			return true, nil
		}
		s.at = at
		switch err := s.next(); {
		case err == nil:
			s.at = at
			return true, nil
		case !errors.Is(err, store.ErrCorrupt):
			return false, err
		}
		at++
	}
}

// find returns the offset, from at on, of the next good header whose record
// fits the file, or -1.
func (s *scanner) find(at int64) (int64, error) {
	buf := make([]byte, min(256<<10, s.size))
	for s.size-at >= recordBytes(0) {
		part := buf[:min(int64(len(buf)), s.size-at)]
		if _, err := s.r.ReadAt(part, at); err != nil {
			return 0, err
		}
		i := bytes.Index(part, magic)
		if i < 0 {
			at += int64(len(part) - len(magic) + 1)
			continue
		}
		at += int64(i)
		_, err := s.header(at)
		if err == nil {
			return at, nil
		}
		if !errors.Is(err, store.ErrCorrupt) {
			return 0, err
		}
		at++
	}
	return -1, nil
}

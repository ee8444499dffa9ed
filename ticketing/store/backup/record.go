package backup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// First lines of the two kinds of file.
const (
	streamLine = "mxdesk backup 1\n"
	packLine   = "mxdesk pack 1\n"
)

// Kinds of record.
const (
	kindHeader   = 'H'
	kindFile     = 'F'
	kindBlob     = 'B'
	kindData     = 'D'
	kindItems    = 'K'
	kindManifest = 'E'
	kindFailure  = 'X'
	kindIndex    = 'I'
	kindTail     = 'T'
)

// Where the bytes of a blob are, the last byte of its record.
const (
	bytesFollow    = 0
	bytesElsewhere = 1
	bytesLost      = 2
)

// maxPayload bounds a record: the largest value of the store and its key.
const maxPayload = 2 << 20

// dataBytes is how much of a blob goes into one record.
const dataBytes = 256 << 10

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frameHeader is kind and length.
const frameHeader = 5

// frameBytes is the length of a record with a payload of n bytes.
func frameBytes(n int) int64 { return frameHeader + int64(n) + 4 }

func checksum(at int64, head, payload []byte) uint32 {
	sum := crc32.Checksum(binary.BigEndian.AppendUint64(nil, uint64(at)), castagnoli)
	return crc32.Update(crc32.Update(sum, castagnoli, head), castagnoli, payload)
}

// frameWriter writes records.
type frameWriter struct {
	w   io.Writer
	at  int64 // where the next record begins
	buf []byte
}

func (f *frameWriter) line(s string) error {
	n, err := io.WriteString(f.w, s)
	f.at += int64(n)
	return err
}

func (f *frameWriter) write(kind byte, payload []byte) error {
	if len(payload) > maxPayload {
		return fmt.Errorf("record of %d bytes is too long for a backup", len(payload))
	}
	f.buf = binary.BigEndian.AppendUint32(append(f.buf[:0], kind), uint32(len(payload)))
	sum := checksum(f.at, f.buf, payload)
	f.buf = binary.BigEndian.AppendUint32(append(f.buf, payload...), sum)
	n, err := f.w.Write(f.buf)
	f.at += int64(n)
	return err
}

// frameReader reads records.
type frameReader struct {
	r   io.Reader
	at  int64  // where the next record begins
	buf []byte // of the latest record
}

// damaged names the place of what is wrong.
func (f *frameReader) damaged(format string, args ...any) error {
	return fmt.Errorf("%w at byte %d: %s", ErrDamaged, f.at, fmt.Sprintf(format, args...))
}

func (f *frameReader) line(want string) error {
	got := make([]byte, len(want))
	if _, err := io.ReadFull(f.r, got); err != nil || string(got) != want {
		return f.damaged("it does not begin with %q", want[:len(want)-1])
	}
	f.at += int64(len(want))
	return nil
}

// next reads a record. Its payload is good until the next call. The end before
// a record is io.EOF.
func (f *frameReader) next() (kind byte, payload []byte, err error) {
	var head [frameHeader]byte
	if n, err := io.ReadFull(f.r, head[:]); err != nil {
		if n == 0 && errors.Is(err, io.EOF) {
			return 0, nil, io.EOF
		}
		return 0, nil, f.short(err)
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxPayload {
		return 0, nil, f.damaged("no record begins here")
	}
	if cap(f.buf) < int(n)+4 {
		f.buf = make([]byte, max(int(n)+4, 64<<10))
	}
	f.buf = f.buf[:n+4]
	if _, err := io.ReadFull(f.r, f.buf); err != nil {
		return 0, nil, f.short(err)
	}
	payload = f.buf[:n]
	if checksum(f.at, head[:], payload) != binary.BigEndian.Uint32(f.buf[n:]) {
		return 0, nil, f.damaged("the checksum of the record is wrong")
	}
	f.at += frameBytes(len(payload))
	return head[0], payload, nil
}

// short tells an end inside a record from a failure to read.
func (f *frameReader) short(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w, inside the record at byte %d", ErrCut, f.at)
	}
	return fmt.Errorf("read the backup at byte %d: %w", f.at, err)
}

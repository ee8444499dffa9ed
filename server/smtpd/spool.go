package smtpd

import (
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/mxdesk/mxdesk/ticketing"
)

// SpoolOptions configure a Spooler. The zero value of a field is its default;
// a negative number of octets keeps nothing in memory.
type SpoolOptions struct {
	Dir          string // for large messages; default os.TempDir()
	MessageInRAM int64  // octets of one message held in memory; default 4 MiB
	AllInRAM     int64  // octets of all messages held in memory; default 128 MiB
}

// Spooler keeps messages while they come in and are delivered: in memory while
// they are small and there is room, else in files that have no name.
type Spooler struct {
	o      SpoolOptions
	inRAM  atomic.Int64 // octets of the chunks in use
	chunks sync.Pool    // of *[chunkSize]byte
}

const chunkSize = 32 << 10

// NewSpooler returns a Spooler; it creates no file yet.
func NewSpooler(o SpoolOptions) *Spooler {
	or(&o.Dir, os.TempDir())
	or(&o.MessageInRAM, 4<<20)
	or(&o.AllInRAM, 128<<20)
	return &Spooler{o: o, chunks: sync.Pool{New: func() any { return new([chunkSize]byte) }}}
}

// spool is one message. It is written by one goroutine, then read by any.
type spool struct {
	from   *Spooler
	hash   hash.Hash
	sum    [sha256.Size]byte
	size   int64
	chunks []*[chunkSize]byte
	file   *os.File
}

var _ ticketing.Raw = (*spool)(nil)

// create begins a message. The caller releases it.
func (s *Spooler) create() *spool { return &spool{from: s, hash: sha256.New()} }

// Write appends p. Its errors are *ticketing.Error.
func (m *spool) Write(p []byte) (int, error) {
	_, _ = m.hash.Write(p)
	for rest := p; len(rest) > 0; {
		if m.file == nil && !m.room() {
			if err := m.spill(); err != nil {
				return 0, err
			}
		}
		if m.file != nil {
			if _, err := m.file.WriteAt(rest, m.size); err != nil {
				return 0, spoolError(err)
			}
			m.size += int64(len(rest))
			break
		}
		n := copy(m.chunks[len(m.chunks)-1][m.size%chunkSize:], rest)
		m.size += int64(n)
		rest = rest[n:]
	}
	return len(p), nil
}

// room tells whether the last chunk has room, after adding one if there may be
// one more.
func (m *spool) room() bool {
	if m.size < int64(len(m.chunks))*chunkSize {
		return true
	}
	if m.size+chunkSize > m.from.o.MessageInRAM {
		return false
	}
	if m.from.inRAM.Add(chunkSize) > m.from.o.AllInRAM {
		m.from.inRAM.Add(-chunkSize)
		return false
	}
	m.chunks = append(m.chunks, m.from.chunks.Get().(*[chunkSize]byte))
	return true
}

// spill moves the message from memory into a file without a name.
func (m *spool) spill() error {
	f, err := os.CreateTemp(m.from.o.Dir, "incoming-*")
	if err != nil {
		return spoolError(err)
	}
	m.file = f
	if err := os.Remove(f.Name()); err != nil {
		return spoolError(err)
	}
	for i, c := range m.chunks {
		begin := int64(i) * chunkSize
		if _, err := f.WriteAt(c[:min(chunkSize, m.size-begin)], begin); err != nil {
			return spoolError(err)
		}
	}
	m.freeChunks()
	return nil
}

func (m *spool) freeChunks() {
	for _, c := range m.chunks {
		m.from.chunks.Put(c)
	}
	m.from.inRAM.Add(-chunkSize * int64(len(m.chunks)))
	m.chunks = nil
}

// close ends the writing.
func (m *spool) close() { m.hash.Sum(m.sum[:0]) }

// release gives back memory and file. Nobody may read afterwards.
func (m *spool) release() {
	m.freeChunks()
	if m.file != nil {
		_ = m.file.Close()
	}
}

// ReadAt reads from the message as io.ReaderAt says.
func (m *spool) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("negative offset")
	}
	if m.file != nil {
		return m.file.ReadAt(p, off)
	}
	n := 0
	for n < len(p) && off < m.size {
		i := off / chunkSize
		c := m.chunks[i][off%chunkSize : min(chunkSize, m.size-i*chunkSize)]
		k := copy(p[n:], c)
		n, off = n+k, off+int64(k)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Size returns the number of octets.
func (m *spool) Size() int64 { return m.size }

// SHA256 returns the hash of the whole message.
func (m *spool) SHA256() [sha256.Size]byte { return m.sum }

// spoolError makes an error for the client: it may come again.
func spoolError(err error) error {
	e := &ticketing.Error{Kind: ticketing.KindUnavailable, Reason: "store-failed",
		Message: "message could not be stored, try again later", Cause: err}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		e.Reason, e.Message = "disk-full", "not enough storage, try again later"
	}
	return e
}

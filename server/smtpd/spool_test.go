package smtpd

import (
	"bytes"
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mxdesk/mxdesk/ticketing"
)

// write spools p in odd pieces.
func write(t testing.TB, s *Spooler, p []byte) *spool {
	t.Helper()
	m := s.create()
	for rest := p; len(rest) > 0; {
		n := min(len(rest), 10_007)
		if _, err := m.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	m.close()
	return m
}

// pattern is n octets that do not repeat where chunks end.
func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i * 7 / 251)
	}
	return p
}

func TestSpool(t *testing.T) {
	dir := t.TempDir()
	s := NewSpooler(SpoolOptions{Dir: dir, MessageInRAM: 4 * chunkSize, AllInRAM: 6 * chunkSize})
	for _, size := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 4 * chunkSize, 4*chunkSize + 1, 9*chunkSize + 5} {
		p := pattern(size)
		m := write(t, s, p)
		if m.Size() != int64(size) || m.SHA256() != sha256.Sum256(p) {
			t.Errorf("%d: size %d", size, m.Size())
		}
		if inFile := m.file != nil; inFile != (size > 4*chunkSize) {
			t.Errorf("%d: in a file: %v", size, inFile)
		}
		got, err := io.ReadAll(io.NewSectionReader(m, 0, m.Size()))
		if err != nil || !bytes.Equal(got, p) {
			t.Errorf("%d: read %d octets, %v", size, len(got), err)
		}
		for _, off := range []int{0, size / 2, size - 1, size, size + 1} {
			if off < 0 {
				continue
			}
			buf := make([]byte, 10)
			n, err := m.ReadAt(buf, int64(off))
			want := p[min(off, size):min(off+10, size)]
			if !bytes.Equal(buf[:n], want) || (n < 10) != (err == io.EOF) {
				t.Errorf("%d at %d: %d octets, %v", size, off, n, err)
			}
		}
		m.release()
		if s.inRAM.Load() != 0 {
			t.Errorf("%d: %d octets left in memory", size, s.inRAM.Load())
		}
	}
	if _, err := write(t, s, nil).ReadAt(nil, -1); err == nil {
		t.Error("negative offset was read")
	}
}

// TestSpoolAll: when the memory for all messages is used up, the next one goes
// into a file, which has no name.
func TestSpoolAll(t *testing.T) {
	dir := t.TempDir()
	s := NewSpooler(SpoolOptions{Dir: dir, MessageInRAM: 4 * chunkSize, AllInRAM: 6 * chunkSize})
	first, second, third := write(t, s, pattern(4*chunkSize)), write(t, s, pattern(2*chunkSize)), write(t, s, pattern(10))
	if first.file != nil || second.file != nil || third.file == nil {
		t.Errorf("in files: %v %v %v", first.file, second.file, third.file)
	}
	if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) != 0 {
		t.Errorf("left behind: %v", names)
	}
	first.release()
	if m := write(t, s, pattern(10)); m.file != nil {
		t.Error("room is not used again")
	}
	second.release()
	third.release()
}

// TestSpoolFails: a spool that cannot be written to is our fault.
func TestSpoolFails(t *testing.T) {
	s := NewSpooler(SpoolOptions{Dir: filepath.Join(t.TempDir(), "gone"), MessageInRAM: -1})
	m := s.create()
	_, err := m.Write([]byte("x"))
	if e := ticketing.AsError(err); e.Reason != "store-failed" || !e.Temporary() {
		t.Errorf("error %v", err)
	}
	m.release()
	if e := ticketing.AsError(spoolError(&os.PathError{Op: "write", Err: syscall.ENOSPC})); e.Reason != "disk-full" || !e.Temporary() {
		t.Errorf("error %v", e)
	}
}

// A full spool is answered 4xx and the session goes on.
func TestSpoolFailsInSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := quick()
		o.Spool = NewSpooler(SpoolOptions{Dir: filepath.Join(t.TempDir(), "gone"), MessageInRAM: -1})
		_, c := open(t, o)
		c.data()
		c.send("Subject: x\r\n\r\n.\r\n")
		c.want("451 4.3.0 message could not be stored")
		c.do("NOOP", "250 ")
	})
}

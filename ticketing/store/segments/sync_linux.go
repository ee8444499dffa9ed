package segments

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncData puts a file's bytes and its length on stable storage.
func syncData(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err != unix.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}

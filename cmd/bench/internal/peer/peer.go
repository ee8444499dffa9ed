package peer

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Server is a running server that keeps mails.
type Server interface {
	// Kept counts the mails that it has on disk.
	Kept(ctx context.Context) (int, error)
	// Clear forgets them where that can be done from outside.
	Clear() error
	// Roots are the ids of its processes without their children.
	Roots() []int
	// Stop ends it.
	Stop() error
}

// Authenticator counts the mails that a server found to pass SPF, DKIM and
// DMARC, all three.
type Authenticator interface {
	Passed(ctx context.Context) (int, error)
}

// Domain is the domain that all servers take mail for.
const Domain = "desk.test"

// files calls each for the ordinary files below a folder.
func files(dir string, each func(path string) error) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		return each(path)
	})
}

// DiskUsage is what the files below a folder take up on the disk, in octets;
// holes in them do not count.
func DiskUsage(dir string) (sum int64, err error) {
	err = files(dir, func(path string) error {
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		sum += st.Blocks * 512
		return nil
	})
	return sum, err
}

func countFiles(dir string) (n int, err error) {
	err = files(dir, func(string) error { n++; return nil })
	return n, err
}

func removeFiles(dir string) error { return files(dir, os.Remove) }

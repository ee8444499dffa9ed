package api

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// SocketName is the socket's file in its folder.
const SocketName = "admin.sock"

// Listen opens the admin socket in a folder that only its owner can enter. The
// socket is named through the folder's descriptor, because the path of a unix
// socket is at most 108 octets and a data directory may lie deeper.
func Listen(dir string) (net.Listener, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, err
	}
	path, done, err := short(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	// The data directory is locked by now: a socket that is left over has no
	// server behind it.
	if err := os.Remove(filepath.Join(dir, SocketName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // the short path ends with this function
	if err := os.Chmod(filepath.Join(dir, SocketName), 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return ownerOnly{l, filepath.Join(dir, SocketName)}, nil
}

// Dial connects to the admin socket in a folder.
func Dial(dir string) (net.Conn, error) {
	path, done, err := short(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	return net.Dial("unix", path)
}

// short returns a path of bounded length to the socket of a folder, valid
// until done is called.
func short(dir string) (path string, done func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", f.Fd(), SocketName), func() { f.Close() }, nil
}

// ownerOnly drops connections of anybody but the owner of the process and
// root.
type ownerOnly struct {
	*net.UnixListener
	path string
}

// Close closes the socket and removes its file.
func (l ownerOnly) Close() error {
	return errors.Join(l.UnixListener.Close(), os.Remove(l.path))
}

// Accept returns the next connection of somebody who may.
func (l ownerOnly) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if uid, err := peerUID(c); err == nil && (uid == 0 || uid == uint32(os.Geteuid())) {
			return c, nil
		}
		c.Close()
	}
}

func peerUID(c *net.UnixConn) (uint32, error) {
	sc, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := sc.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if credErr != nil {
		return 0, credErr
	}
	return cred.Uid, nil
}

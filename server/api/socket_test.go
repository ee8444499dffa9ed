package api

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSocketIsForTheOwnerOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 40), "run") // longer than a socket's path may be
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second finds the socket of the first
		l, err := Listen(dir)
		if err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, SocketName): 0o600} {
			fi, err := os.Stat(path)
			if err != nil || fi.Mode().Perm() != want {
				t.Errorf("%s has mode %v, %v; want %v", path, fi.Mode(), err, want)
			}
		}
		accepted := make(chan error, 1)
		go func() {
			c, err := l.Accept()
			if err == nil {
				uid, err2 := peerUID(c.(*net.UnixConn))
				if err = err2; err == nil && uid != uint32(os.Getuid()) {
					t.Errorf("peer is %d", uid)
				}
				c.Close()
			}
			accepted <- err
		}()
		c, err := Dial(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := <-accepted; err != nil {
			t.Error(err)
		}
		c.Close()
		l.Close()
		if _, err := Dial(dir); err == nil {
			t.Error("a closed socket can be connected to")
		}
	}
	if _, err := Dial(filepath.Join(dir, "none")); !os.IsNotExist(err) {
		t.Errorf("folder that is not there: %v", err)
	}
}

package main

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// open returns the listeners of one kind: those that were handed to us, else
// those that the settings name.
func (a *App) open(name string, addresses []string) ([]net.Listener, error) {
	if handed := a.parts.Inherited[name]; len(handed) > 0 {
		return handed, nil
	}
	var out []net.Listener
	for _, address := range addresses {
		l, err := a.parts.Listen(network(address), address)
		if err != nil {
			for _, l := range out {
				l.Close()
			}
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

func network(address string) string {
	if strings.Contains(address, "/") {
		return "unix"
	}
	return "tcp"
}

// listen opens a listener; the file of a unix socket that nobody listens on is
// removed first.
func listen(network, address string) (net.Listener, error) {
	if network == "unix" {
		if c, err := net.DialTimeout(network, address, time.Second); err == nil {
			c.Close()
			return nil, fmt.Errorf("listen unix %s: somebody listens there already", address)
		}
		if fi, err := os.Lstat(address); err == nil && fi.Mode()&os.ModeSocket != 0 {
			os.Remove(address)
		}
	}
	l, err := net.Listen(network, address)
	if err == nil && network == "unix" {
		// Mail servers run as users of their own. Who may come in is a matter of
		// the folder's permissions, as with any other LMTP socket.
		err = os.Chmod(address, 0o666)
	}
	return l, err
}

// firstInherited is the first descriptor that a supervisor hands over.
const firstInherited = 3

// socketNames are what listeners that are handed over may be called.
var socketNames = [...]string{"smtp", "lmtp", "http", "metrics"}

// inherited takes the listeners that the supervisor has opened for us, by
// their name: sd_listen_fds(3). They take the place of the addresses in the
// settings.
func inherited(getenv func(string) string) (map[string][]net.Listener, error) {
	if getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	n, err := strconv.Atoi(getenv("LISTEN_FDS"))
	if err != nil || n < 0 || n > 100 {
		return nil, fmt.Errorf("LISTEN_FDS=%q is no number of sockets", getenv("LISTEN_FDS"))
	}
	names := strings.Split(getenv("LISTEN_FDNAMES"), ":")
	out := map[string][]net.Listener{}
	for i := range n {
		name := ""
		if i < len(names) {
			name = names[i]
		}
		if !slices.Contains(socketNames[:], name) {
			return nil, fmt.Errorf("an inherited socket is called %q: FileDescriptorName= in its unit is one of %s", name, strings.Join(socketNames[:], ", "))
		}
		l, err := adopt(firstInherited+i, name)
		if err != nil {
			return nil, fmt.Errorf("inherited socket %d, %s: %w", firstInherited+i, name, err)
		}
		out[name] = append(out[name], l)
	}
	return out, nil
}

// adopt makes a listener of a descriptor.
func adopt(fd int, name string) (net.Listener, error) {
	syscall.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), name)
	defer f.Close() // the listener has its own copy
	l, err := net.FileListener(f)
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // the file is the supervisor's
	}
	return l, err
}

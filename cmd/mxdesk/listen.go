package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store/badgerdb"
)

// openAll opens the listeners and the store. Sockets in the data folder have to
// wait until it is there.
func (a *App) openAll(ctx context.Context) error {
	if err := a.bind(outsideData); err != nil {
		if taken := badgerdb.InUse(filepath.Join(a.cfg.Data, storeFolder)); taken != nil {
			return taken // by a server that has the ports as well
		}
		return err
	}
	if err := os.MkdirAll(a.cfg.Data, 0o700); err != nil {
		return err
	}
	if err := a.openStore(ctx); err != nil {
		return err
	}
	if err := a.bind(insideData); err != nil {
		return errors.Join(err, a.db.Close(ctx))
	}
	return nil
}

// addresses are those that the settings name for one kind of listener.
func (c Config) addresses(name string) []string {
	switch name {
	case "smtp":
		return c.SMTP.Listen
	case "lmtp":
		return c.LMTP.Listen
	case "http":
		return nonEmpty(c.HTTP.Listen)
	default:
		return nonEmpty(c.Metrics.Listen)
	}
}

// Where a listener is: one in the data folder needs the folder, and is ours
// alone once the store is open.
const (
	outsideData = false
	insideData  = true
)

// bind opens the listeners that are in the data folder, or those that are not.
// What was handed to us takes the place of what the settings name.
func (a *App) bind(inside bool) error {
	if a.ports == nil {
		a.ports = make(map[string][]net.Listener)
		maps.Copy(a.ports, a.parts.Inherited)
	}
	for _, name := range socketNames {
		if len(a.parts.Inherited[name]) > 0 {
			continue
		}
		for _, address := range a.cfg.addresses(name) {
			if inFolder(a.cfg.Data, address) != inside {
				continue
			}
			l, err := a.parts.Listen(network(address), address)
			if err != nil {
				return err
			}
			a.ports[name] = append(a.ports[name], l)
		}
	}
	return nil
}

// unbind closes the listeners. It does no harm to those that are served.
func (a *App) unbind() {
	for _, listeners := range a.ports {
		for _, l := range listeners {
			l.Close()
		}
	}
}

// inFolder tells whether an address is a unix socket within a folder.
func inFolder(dir, address string) bool {
	if network(address) != "unix" {
		return false
	}
	from, err := filepath.Abs(dir)
	to, err2 := filepath.Abs(address)
	if err != nil || err2 != nil {
		return false
	}
	rel, err := filepath.Rel(from, to)
	return err == nil && filepath.IsLocal(rel)
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
			return nil, &net.OpError{Op: "listen", Net: network, Addr: &net.UnixAddr{Name: address, Net: network}, Err: syscall.EADDRINUSE}
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

package main

import (
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/mxdesk/mxdesk/queue"
)

// advice is what is said of a setting that is right as such, and fine for a
// trial, but hardly what a desk in service wants.
type advice struct {
	Key  string `json:"key"`
	Text string `json:"warning"`
}

// advise lists what speaks against the settings. An error is only what no server
// could start with.
func (c *Config) advise(stat func(string) (fs.FileInfo, error)) []advice {
	var out []advice
	say := func(key, format string, args ...any) {
		out = append(out, advice{key, fmt.Sprintf(format, args...)})
	}
	if _, err := netip.ParseAddr(c.Hostname); err == nil || !strings.Contains(c.Hostname, ".") {
		say("hostname", "%s is no name that other mail servers can look up, and many refuse mail from such: set the full name of this machine, for example desk.example.org", c.Hostname)
	}
	if c.Store == "memory" {
		say("store", "everything is gone when the server ends: fine for a trial")
	}
	if folder := openToAll(c.Data, stat); folder != "" {
		say("data", "everybody on this machine can write to %s, which %s is in, and such folders are emptied by many systems: choose a folder of your own, for example /var/lib/mxdesk", folder, c.Data)
	}
	for _, a := range c.LMTP.Listen {
		if reachable(a) {
			say("lmtp.listen", "%s is open to other networks, and LMTP takes its clients for a mail server of your own: listen on 127.0.0.1, a private address or a unix socket", a)
		}
	}
	for _, n := range c.SMTP.Trusted {
		if p, err := netip.ParsePrefix(n); err == nil && p.Bits() == 0 {
			say("smtp.trusted", "%s is everybody, whom neither the greeting delay nor the limits per client hold up then: name networks of your own", n)
		}
	}
	if reachable(c.HTTP.Listen) && strings.HasPrefix(c.HTTP.PublicURL, "http:") {
		say("http.public_url", "%s is without TLS, and %s is open to other networks, which can read sign-in links and sessions on their way: set an https address", c.HTTP.PublicURL, c.HTTP.Listen)
	}
	if c.Queue.Relay == "capture" {
		say("queue.relay", "capture: answers are kept and shown, and never sent: fine for a trial; set mx, or smtp://host:port of your mail server")
	}
	return out
}

// reachable tells whether an address to listen on can be reached from outside of
// this machine and the private networks it is in.
func reachable(address string) bool {
	if network(address) != "tcp" {
		return false
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false // checked when the settings were loaded
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host == ""
	}
	return !ip.IsLoopback() && !ip.IsPrivate() && !ip.IsLinkLocalUnicast()
}

// openToAll is the folder among dir and those it lies in that everybody may write
// to, "" for none. What is not there yet is open to nobody.
func openToAll(dir string, stat func(string) (fs.FileInfo, error)) string {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	for {
		if fi, err := stat(dir); err == nil && fi.IsDir() && fi.Mode().Perm()&0o002 != 0 {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}

// checkApart finds the listener that would be in the way of an earlier one, and a
// relay that is one of them.
func (c *Config) checkApart() (key string, err error) {
	type place struct{ key, address string }
	var taken []place
	for _, name := range socketNames {
		key := name + ".listen"
		for _, a := range c.addresses(name) {
			for _, t := range taken {
				if collide(a, t.address) {
					return key, fmt.Errorf("%s is taken by %s = %s", a, t.key, t.address)
				}
			}
			taken = append(taken, place{key, a})
		}
	}
	route, err := queue.ParseRoute(c.Queue.Relay)
	if err != nil || route.Address == "" {
		return "", nil // checked before
	}
	for _, t := range taken {
		if c.isOurs(route.Address) && collide(route.Address, t.address) {
			return "queue.relay", fmt.Errorf("it leads back to this server, %s = %s: name the mail server that is to deliver, or mx", t.key, t.address)
		}
	}
	return "", nil
}

// isOurs tells whether an address is surely one of this machine.
func (c *Config) isOurs(address string) bool {
	if network(address) != "tcp" {
		return true
	}
	host, _, _ := net.SplitHostPort(address)
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || strings.EqualFold(host, c.Hostname) || err == nil && (ip.IsLoopback() || ip.IsUnspecified())
}

// collide tells whether only one of two addresses can be listened on.
func collide(a, b string) bool {
	if network(a) != "tcp" || network(b) != "tcp" {
		return network(a) == network(b) && filepath.Clean(a) == filepath.Clean(b)
	}
	hostA, portA, err := net.SplitHostPort(a)
	hostB, portB, err2 := net.SplitHostPort(b)
	if err != nil || err2 != nil || portA != portB || strings.Trim(portA, "0") == "" {
		return false // 0 is any free port
	}
	return hostA == hostB || everyHost(hostA) || everyHost(hostB)
}

// everyHost tells whether a host to listen on stands for all addresses; Go means
// those of both families.
func everyHost(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

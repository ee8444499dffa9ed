// Package ports finds addresses on loopback for servers that tests and
// measurements start.
package ports

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// Reserve finds a port of 127.0.0.1 that nobody listens on, TCP and UDP,
// outside the range from which the system takes ports for clients. Nobody else
// on this machine who asks Reserve gets it before release: without that two
// servers of one run now and then get the same one, since each asks before
// either listens.
func Reserve() (addr string, release func(), err error) {
	for range 200 {
		port := 10000 + rand.IntN(20000)
		// An abstract name is free again when its process ends in any way.
		held, err := net.Listen("unix", fmt.Sprintf("@mxdesk-port-%d", port))
		if err != nil {
			continue
		}
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		if unused(addr) {
			return addr, func() { held.Close() }, nil
		}
		held.Close()
	}
	return "", nil, errors.New("no free port on 127.0.0.1")
}

func unused(addr string) bool {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	l.Close()
	p, err := net.ListenPacket("udp", addr)
	if err != nil {
		return false
	}
	p.Close()
	return true
}

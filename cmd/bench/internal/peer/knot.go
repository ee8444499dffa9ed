package peer

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/miekg/dns"

	"github.com/mxdesk/mxdesk/cmd/internal/ports"
)

// Knot is a name server that knows everything below the root: what is not in
// its records does not exist.
type Knot struct {
	*process
	Addr string
}

// StartKnot runs Knot DNS with these records, in a folder of its own below dir.
func StartKnot(ctx context.Context, dir, records string) (*Knot, error) {
	dir = filepath.Join(dir, "knot")
	if err := folder(dir, "root"); err != nil {
		return nil, err
	}
	addr, release, err := ports.Reserve()
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	zone, err := write(dir, "root.zone", "$ORIGIN .\n$TTL 600\n. SOA ns.test. admin.test. 1 60 60 60 60\n. NS ns.test.\nns.test. A 127.0.0.1\n"+records)
	if err != nil {
		return nil, err
	}
	conf, err := write(dir, "knot.conf", fmt.Sprintf(
		"server:\n  rundir: %[1]s\n  user: root\n  listen: %[2]s@%[3]s\ncontrol:\n  listen: %[1]s/control.sock\nlog:\n  - target: stderr\n    any: warning\n"+
			"database:\n  storage: %[1]s\nzone:\n  - domain: .\n    file: %[4]s\n    zonefile-sync: -1\n", dir, host, port, zone))
	if err != nil {
		return nil, err
	}
	p, err := start("knotd", dir, nil, "knotd", "-c", conf)
	if err != nil {
		return nil, err
	}
	p.ports = append(p.ports, release)
	k := &Knot{process: p, Addr: addr}
	return k, k.ready(ctx, func() error {
		m := new(dns.Msg).SetQuestion("ns.test.", dns.TypeA)
		r, _, err := (&dns.Client{Timeout: time.Second}).Exchange(m, addr)
		if err == nil && len(r.Answer) == 0 {
			err = fmt.Errorf("no answer: %s", dns.RcodeToString[r.Rcode])
		}
		return err
	})
}

// Stop ends it.
func (k *Knot) Stop() error { return k.stop() }

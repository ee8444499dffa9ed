package main

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// nameServer runs Knot DNS on loopback with everything below the root, so that
// what is not in records does not exist. It returns the address and a function
// that replaces the records.
func nameServer(t *testing.T, records string) (addr string, replace func(records string)) {
	t.Helper()
	addr = freeAddr(t)
	return addr, startKnot(t, nil, addr, records, nil, func() error {
		if got := lookup(addr, "ns.test.", dns.TypeA); got != "127.0.0.1" {
			return fmt.Errorf("%q", got)
		}
		return nil
	})
}

// startKnot runs Knot DNS at an address, behind the words of a command, and
// waits until ready has no error. It has lost some zones: questions about names
// in them end in SERVFAIL.
func startKnot(t *testing.T, command []string, addr, records string, lost []string, ready func() error) (replace func(records string)) {
	t.Helper()
	needs(t, "knotd", "knotc")
	dir := t.TempDir()
	host, port, _ := net.SplitHostPort(addr)
	zone := filepath.Join(dir, "root.zone")
	serial := 0
	write := func(records string) {
		serial++
		writeText(t, zone, fmt.Sprintf("$ORIGIN .\n$TTL 60\n. SOA ns.test. admin.test. %d 60 60 60 1\n. NS ns.test.\nns.test. A 127.0.0.1\n%s\n", serial, records))
	}
	write(records)
	var zones strings.Builder
	for _, name := range lost {
		fmt.Fprintf(&zones, "  - domain: %s\n    file: %s\n", name, filepath.Join(dir, "lost.zone"))
	}
	conf := writeText(t, filepath.Join(dir, "knot.conf"), fmt.Sprintf(
		"server:\n  rundir: %[1]s\n  user: root\n  listen: %[2]s@%[3]s\ncontrol:\n  listen: %[1]s/control.sock\nlog:\n  - target: stderr\n    any: warning\n"+
			"database:\n  storage: %[1]s\nzone:\n  - domain: .\n    file: %[4]s\n    zonefile-sync: -1\n%[5]s", dir, host, port, zone, zones.String()))
	words := append(slices.Clone(command), "knotd", "-c", conf)
	log := background(t, words[0], words[1:]...)
	eventually(t, 20*time.Second, "an answer of knotd", func() error {
		if err := ready(); err != nil {
			return fmt.Errorf("%w, log: %s", err, tail(log.String(), 2000))
		}
		return nil
	})
	return func(records string) {
		t.Helper()
		write(records)
		if stdout, stderr, code := execute(t, dir, "knotc", "-c", conf, "-b", "zone-reload"); code != 0 {
			t.Fatalf("knotc: exit %d: %s%s", code, stdout, stderr)
		}
	}
}

// lookup asks for one record and returns its last field.
func lookup(server, name string, kind uint16) string {
	m := new(dns.Msg).SetQuestion(name, kind)
	r, _, err := (&dns.Client{Timeout: time.Second}).Exchange(m, server)
	if err != nil {
		return err.Error()
	}
	if len(r.Answer) == 0 {
		return ""
	}
	text := r.Answer[0].String()
	return text[strings.LastIndexByte(text, '\t')+1:]
}

// background runs a program that dies with the test.
func background(t *testing.T, name string, args ...string) *syncBuffer {
	t.Helper()
	log := &syncBuffer{}
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", name, tail(log.String(), 3000))
		}
	})
	return log
}

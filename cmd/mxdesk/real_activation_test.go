package main

import (
	"crypto/tls"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestRealSocketActivation has systemd's own tool open the sockets and hand
// them over, and renews the certificate of the server on a SIGHUP.
func TestRealSocketActivation(t *testing.T) {
	d := newDesk(t, needs(t, "systemd-socket-activate"), "")
	cfg := DefaultConfig()
	cfg.TLS.Certificate, cfg.TLS.Key = filepath.Join(d.dir, "fullchain.pem"), filepath.Join(d.dir, "privkey.pem")
	renew := func(name string) {
		if err := selfSign(name, cfg.TLS.Certificate, cfg.TLS.Key, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	renew("first.test")
	handed := freeAddr(t)
	d.run("systemd-socket-activate", []string{
		"-l", handed, "-l", d.Socket, "--fdname=smtp:lmtp", d.bin, "serve", "--config", d.config(),
		"--set", "tls.certificate=" + cfg.TLS.Certificate, "--set", "tls.key=" + cfg.TLS.Key, "--set", "lmtp.listen=",
	})
	// The first client starts the server.
	eventually(t, 10*time.Second, "a socket", func() error {
		c, err := dial(handed, false)
		if err == nil {
			c.close()
		}
		return err
	})
	d.waitReady()
	if _, err := dial(d.SMTP, false); err == nil {
		t.Error("the server listens where the settings say as well")
	}
	if got := d.do("ready"); got != "mail is taken\n" {
		t.Errorf("ready says %q", got)
	}
	d.project("support", "support@desk.test")
	for i, addr := range []string{handed, d.Socket} {
		c, err := dial(addr, i == 1)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.deliver("ann@customer.test", "support@desk.test", letter("ann@customer.test", "support@desk.test", "Hello", fmt.Sprintf("%d@customer.test", i), "Words."))
		c.close()
		if err != nil || !strings.HasPrefix(got, "250 ") {
			t.Errorf("%s: %q, %v", addr, got, err)
		}
	}
	expect := func(want string) error {
		if got, err := certificateOf(handed); err != nil || got != want {
			return fmt.Errorf("the certificate is of %q, want %q, %v", got, want, err)
		}
		return nil
	}
	if err := expect("first.test"); err != nil {
		t.Error(err)
	}
	renew("second.test")
	if err := syscall.Kill(d.cmd.Process.Pid, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "the new certificate", func() error { return expect("second.test") })
	if code := d.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit %d after SIGTERM", code)
	}
	if _, stderr, code := d.try("ready"); code != exitNoDesk {
		t.Errorf("ready without a server: exit %d: %s", code, stderr)
	}
}

// certificateOf is the name that a server shows after STARTTLS.
func certificateOf(addr string) (string, error) {
	c, err := dial(addr, false)
	if err != nil {
		return "", err
	}
	defer c.close()
	if err := c.startTLS(); err != nil {
		return "", err
	}
	return c.conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

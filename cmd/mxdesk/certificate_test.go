package main

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// shown is the name in the certificate that a client sees.
func shown(t *testing.T, c *tls.Config) string {
	t.Helper()
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	go tls.Server(server, c).Handshake()
	conn := tls.Client(client, &tls.Config{InsecureSkipVerify: true})
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
}

// A renewed certificate is shown without a restart, and a half-renewed one
// does not take the old one away.
func TestCertificateFollowsItsFiles(t *testing.T) {
	dir := t.TempDir()
	cfg := DefaultConfig()
	cfg.TLS.Certificate, cfg.TLS.Key = filepath.Join(dir, "fullchain.pem"), filepath.Join(dir, "privkey.pem")
	now := time.Now()
	write := func(name string) {
		if err := selfSign(name, cfg.TLS.Certificate, cfg.TLS.Key, now); err != nil {
			t.Fatal(err)
		}
	}
	write("first.test")
	var logs bytes.Buffer
	c, err := openCertificate(cfg, func() time.Time { return now }, slog.New(slog.NewTextHandler(&logs, nil)))
	if err != nil {
		t.Fatal(err)
	}
	expect := func(when, want string) {
		t.Helper()
		if got := shown(t, c.config()); got != want {
			t.Errorf("%s: %s is shown, want %s", when, got, want)
		}
	}
	expect("at first", "first.test")

	write("second.test")
	expect("within the minute", "first.test")
	now = now.Add(lookEvery)
	expect("after a minute", "second.test")

	write("third.test")
	c.reload()
	expect("after a reload", "third.test")

	key, err := os.ReadFile(cfg.TLS.Key)
	if err != nil {
		t.Fatal(err)
	}
	write("fourth.test")
	whole, err := os.ReadFile(cfg.TLS.Key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cfg.TLS.Key, key, 0o600); err != nil { // as if it had not been written yet
		t.Fatal(err)
	}
	c.reload()
	expect("half renewed", "third.test")
	if !strings.Contains(logs.String(), "the old one is kept") {
		t.Errorf("logs:\n%s", &logs)
	}
	if err := os.WriteFile(cfg.TLS.Key, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	c.reload()
	expect("wholly renewed", "fourth.test")

	if err := os.Remove(cfg.TLS.Certificate); err != nil {
		t.Fatal(err)
	}
	c.reload()
	expect("removed", "fourth.test")
	if n := strings.Count(logs.String(), "certificate renewed"); n != 3 {
		t.Errorf("renewed %d times, want 3:\n%s", n, &logs)
	}
}
func TestCertificateOfOurOwn(t *testing.T) {
	c := DefaultConfig()
	c.Data, c.Hostname = t.TempDir(), "mx.desk.test"
	now := time.Now()
	first, err := openCertificate(c, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	again, err := openCertificate(c, func() time.Time { return now.Add(time.Hour) }, slog.New(slog.DiscardHandler))
	if err != nil || !bytes.Equal(first.current().Certificate[0], again.current().Certificate[0]) {
		t.Errorf("the certificate changed: %v", err)
	}
	leaf := first.current().Leaf
	if leaf.VerifyHostname("mx.desk.test") != nil || !leaf.NotAfter.After(now.AddDate(9, 0, 0)) || !first.config().SessionTicketsDisabled {
		t.Errorf("certificate for %v until %v", leaf.DNSNames, leaf.NotAfter)
	}
	for _, name := range []string{"cert.pem", "key.pem"} {
		if fi, err := os.Stat(filepath.Join(c.Data, "tls", name)); err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, fi.Mode(), err)
		}
	}
}

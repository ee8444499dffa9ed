package main

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

func TestKeysAreMadeOnce(t *testing.T) {
	dir := t.TempDir()
	now := func() time.Time { return time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC) }
	k := newKeyring(dir, now)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if err := k.Ensure(t.Context(), "desk.test"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	read := func() map[string][]byte {
		files, err := filepath.Glob(filepath.Join(dir, "desk.test", "*"))
		if err != nil || len(files) != 2 {
			t.Fatalf("files = %v, %v", files, err)
		}
		texts := make(map[string][]byte)
		for _, f := range files {
			fi, err := os.Stat(f)
			if err != nil || fi.Mode().Perm() != 0o600 {
				t.Errorf("%s: mode %v, %v", f, fi.Mode(), err)
			}
			if texts[filepath.Base(f)], err = os.ReadFile(f); err != nil {
				t.Fatal(err)
			}
		}
		return texts
	}
	first := read()
	for _, name := range []string{"rsa202611.pem", "ed202611.pem"} {
		if len(first[name]) == 0 {
			t.Errorf("no %s", name)
		}
	}
	if err := newKeyring(dir, func() time.Time { return time.Now().AddDate(1, 0, 0) }).Ensure(t.Context(), "desk.test"); err != nil {
		t.Fatal(err)
	}
	for name, text := range read() {
		if !bytes.Equal(text, first[name]) {
			t.Errorf("%s was made anew", name)
		}
	}
	if fi, err := os.Stat(filepath.Join(dir, "desk.test")); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v, %v", fi.Mode(), err)
	}
}

func TestSignedWithBothKeysRSAFirst(t *testing.T) {
	k := newKeyring(t.TempDir(), time.Now)
	raw := []byte("From: a@desk.test\r\nTo: b@x.test\r\nSubject: s\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@desk.test>\r\n\r\ntext\r\n")
	out, err := k.Sign(t.Context(), "desk.test", raw)
	if err != nil || !bytes.HasSuffix(out, raw) {
		t.Fatalf("signed %q, %v", out, err)
	}
	if !bytes.Contains(out, []byte("a=rsa-sha256")) || !bytes.Contains(out, []byte("a=ed25519-sha256")) || bytes.Count(out, []byte("DKIM-Signature:")) != 2 {
		t.Errorf("signatures:\n%s", out)
	}
}

func TestBrokenKeysAreToldAndKept(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "desk.test", "rsa202611.pem")
	if err := writeFile(file, []byte("rubbish")); err != nil {
		t.Fatal(err)
	}
	k := newKeyring(dir, time.Now)
	if err := k.Ensure(t.Context(), "desk.test"); err == nil {
		t.Error("a broken key passes")
	}
	if b, _ := os.ReadFile(file); string(b) != "rubbish" {
		t.Error("a broken key was written over")
	}
}

func TestDomainsStayInTheirFolder(t *testing.T) {
	dir := t.TempDir()
	k := newKeyring(filepath.Join(dir, "dkim"), time.Now)
	for _, d := range []string{"", ".", "..", "../x", "a/b", "a*", "/etc", "a\x00"} {
		if err := k.Ensure(t.Context(), d); err == nil {
			t.Errorf("keys for %q", d)
		}
	}
}

func TestCertificateOfOurOwn(t *testing.T) {
	c := DefaultConfig()
	c.Data, c.Hostname = t.TempDir(), "mx.desk.test"
	now := time.Now()
	first, err := certificates(c, now)
	if err != nil {
		t.Fatal(err)
	}
	again, err := certificates(c, now.Add(time.Hour))
	if err != nil || !bytes.Equal(first.Certificates[0].Certificate[0], again.Certificates[0].Certificate[0]) {
		t.Errorf("the certificate changed: %v", err)
	}
	leaf := first.Certificates[0].Leaf
	if leaf.VerifyHostname("mx.desk.test") != nil || !leaf.NotAfter.After(now.AddDate(9, 0, 0)) || !first.SessionTicketsDisabled {
		t.Errorf("certificate for %v until %v", leaf.DNSNames, leaf.NotAfter)
	}
	for _, name := range []string{"cert.pem", "key.pem"} {
		if fi, err := os.Stat(filepath.Join(c.Data, "tls", name)); err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, fi.Mode(), err)
		}
	}
}

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

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

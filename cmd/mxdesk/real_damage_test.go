package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestRealDamage damages each kind of file beside the store's, and one of the
// store's, while the server is stopped. The next start refuses with the file's
// name and a cure, or mail is taken and what was promised is there.
func TestRealDamage(t *testing.T) {
	needs(t)
	const before = "before@customer.test"
	for _, kind := range []struct {
		files, cure string // cure of a refusal, "" = it must start
	}{
		{"store/kv/*.sst", "restore a backup"},
		{"store/kv/MANIFEST", "restore a backup"},
		{"tls/cert.pem", "from a backup"},
		{"tls/key.pem", "from a backup"},
		{"dkim/desk.test/rsa*.pem", ""},
		{"run/admin.sock", ""},
		{"store/lock", ""},
		{"store/committed", ""},
		{"first-start", ""},
	} {
		t.Run(strings.ReplaceAll(kind.files, "/", " "), func(t *testing.T) {
			d := loadedDesk(t, "")
			if got := d.probe(before); !strings.HasPrefix(got, "250 ") {
				t.Fatal(got)
			}
			d.quiet(1)
			d.stop(syscall.SIGTERM)
			file := filepath.Join(d.Data, kind.files)
			if found, err := filepath.Glob(file); err == nil && len(found) > 0 {
				file = found[0]
			}
			spoil(t, file)
			if kind.cure != "" {
				_, stderr, code := d.try("serve")
				if code != exitIO || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, file) || !strings.Contains(stderr, kind.cure) {
					t.Errorf("exit %d: %s", code, stderr)
				}
				return
			}
			d.start()
			if got := d.probe("after@customer.test"); !strings.HasPrefix(got, "250 ") {
				t.Error(got)
			}
			if have := messages(d.threads()); len(have[before]) != 1 || len(have["after@customer.test"]) != 1 {
				t.Errorf("messages = %v", have)
			}
		})
	}
}

// spoil writes garbage into the middle of a file, or makes it.
func spoil(t *testing.T, file string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		raw = nil // absent, or a socket
	}
	os.Remove(file)
	at := len(raw) / 2
	raw = fmt.Appendf(raw[:at:at], "garbage%s", raw[min(at+7, len(raw)):])
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

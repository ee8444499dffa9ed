package dkim

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/auth/dns"
	"github.com/mxdesk/mxdesk/auth/message"
)

// fakeDNS answers TXT lookups from a map and counts them.
type fakeDNS struct {
	dns.Resolver
	txt map[string][]string

	mu      sync.Mutex
	lookups int
	running int
	peak    int
}

func (f *fakeDNS) TXT(ctx context.Context, name string) ([]string, bool, error) {
	f.mu.Lock()
	f.lookups++
	f.running++
	f.peak = max(f.peak, f.running)
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.running--
		f.mu.Unlock()
	}()
	records, ok := f.txt[name]
	switch {
	case !ok:
		return nil, false, dns.ErrNotFound
	case len(records) == 1 && records[0] == "TEMPERROR":
		return nil, false, dns.ErrTemporary
	case len(records) == 1 && records[0] == "NODATA":
		return nil, false, dns.ErrNoData
	case len(records) == 1 && records[0] == "HANG":
		<-ctx.Done()
		return nil, false, ctx.Err()
	}
	return records, false, nil
}

// Keys that tests share, made once because RSA keys take long.
var (
	rsa2048 = sync.OnceValue(func() crypto.Signer { return newRSA(2048) })
	rsa1024 = sync.OnceValue(func() crypto.Signer { return newRSA(1024) })
	edKey   = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
)

func newRSA(bits int) crypto.Signer {
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return k
}

func publish(t testing.TB, key crypto.Signer) string {
	t.Helper()
	record, err := DNSRecord(key)
	if err != nil {
		t.Fatal(err)
	}
	return record
}

func read(t testing.TB, raw string) *message.Message {
	t.Helper()
	m, err := message.Read(strings.NewReader(raw), int64(len(raw)), message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The clock of the tests.
var testTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func testNow() time.Time { return testTime }

const plainMail = "From: Ann <ann@example.org>\r\nTo: desk@example.net\r\nSubject: hello\r\n there\r\n\r\nFirst line \r\nsecond  line\r\n\r\n"

// forge puts a signature field with the given tags above a message. In the
// tags, BH stands for the hash of the relaxed body. A b= is added.
func forge(t testing.TB, key crypto.Signer, tags, raw string) string {
	t.Helper()
	bh, err := read(t, raw).RelaxedBodyHash()
	if err != nil {
		t.Fatal(err)
	}
	tags = strings.ReplaceAll(tags, "BH", base64.StdEncoding.EncodeToString(bh[:]))
	return sign(t, key, tags, raw)
}

// sign is forge for tags that are complete but for b=.
func sign(t testing.TB, key crypto.Signer, tags, raw string) string {
	t.Helper()
	signed := "DKIM-Signature: " + tags + "; b=AAAA\r\n" + raw
	m := read(t, signed)
	field := m.Fields[0]
	parsed, err := message.ParseTags(field.RawValue())
	if err != nil {
		return signed
	}
	content, err := ReadContent(parsed)
	if err != nil {
		return signed
	}
	hash := HeaderHash(m, content, field, parsed)
	b, err := SignHash(key, hash[:])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(signed, "; b=AAAA", "; b="+base64.StdEncoding.EncodeToString(b), 1)
}

func verify(t testing.TB, txt map[string][]string, raw string) []Result {
	t.Helper()
	v := New(&fakeDNS{txt: txt}, Options{Now: testNow})
	return v.Verify(t.Context(), read(t, raw))
}

// corpora returns a folder of shared test data or skips the test.
func corpora(t testing.TB, path string) string {
	t.Helper()
	root := os.Getenv("CORPORA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "corpora")
	}
	dir := filepath.Join(root, filepath.FromSlash(path))
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("test data %s is not here (set CORPORA): suite not run", path)
	}
	return dir
}

func readFile(t testing.TB, name ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(name...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func bodySum(body string) string {
	sum := sha256.Sum256([]byte(body))
	return base64.StdEncoding.EncodeToString(sum[:])
}

package main

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mxdesk/mxdesk/auth/dkim"
	"github.com/mxdesk/mxdesk/server/api"
)

// keyring keeps the DKIM keys of the served domains, one folder for each
// domain and one file for each selector, readable by the owner only.
type keyring struct {
	dir      string
	now      func() time.Time
	hostname string // the mail exchanger that Records names

	mu      sync.Mutex
	signers map[string]*dkim.Signer
}

func newKeyring(dir string, now func() time.Time) *keyring {
	return &keyring{dir: dir, now: now, signers: make(map[string]*dkim.Signer)}
}

// Ensure makes the keys of a domain unless there are some.
func (k *keyring) Ensure(_ context.Context, domain string) error {
	if err := checkHost(domain); err != nil || strings.HasPrefix(domain, ".") {
		return fmt.Errorf("no DKIM keys for %q: not a domain", domain)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.signers[domain] != nil {
		return nil
	}
	if _, err := k.load(domain); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return k.make(domain)
}

// make writes the keys of a domain; both are there, or neither.
func (k *keyring) make(domain string) error {
	rsaKey, edKey, err := dkim.GenerateKeys(2048)
	if err != nil {
		return err
	}
	making := filepath.Join(k.dir, ".new-"+domain)
	if err := os.RemoveAll(making); err != nil {
		return err
	}
	stamp := k.now().UTC().Format("200601")
	for selector, key := range map[string]crypto.Signer{"rsa" + stamp: rsaKey, "ed" + stamp: edKey} {
		text, err := dkim.EncodePEM(key)
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(making, selector+".pem"), text); err != nil {
			return err
		}
	}
	return os.Rename(making, filepath.Join(k.dir, domain))
}

// writeFile writes a secret so that it is there whole or not at all.
func writeFile(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// load reads the keys of a domain, RSA first: some verifiers look at the first
// signature only, and all of them know RSA.
func (k *keyring) load(domain string) ([]dkim.Key, error) {
	files, err := filepath.Glob(filepath.Join(k.dir, domain, "*.pem"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no DKIM keys of %s: %w", domain, os.ErrNotExist)
	}
	slices.Sort(files)
	slices.Reverse(files)
	keys := make([]dkim.Key, 0, len(files))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		key, err := dkim.ParsePEM(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		keys = append(keys, dkim.Key{Selector: strings.TrimSuffix(filepath.Base(file), ".pem"), Private: key})
	}
	return keys, nil
}

// Sign signs a message with the keys of a domain, which are made when they are
// missing.
func (k *keyring) Sign(ctx context.Context, domain string, raw []byte) ([]byte, error) {
	if err := k.Ensure(ctx, domain); err != nil {
		return nil, err
	}
	s, err := k.signer(domain)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	out.Grow(len(raw) + 2048)
	if err := s.Sign(&out, bytes.NewReader(raw)); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (k *keyring) signer(domain string) (*dkim.Signer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s := k.signers[domain]; s != nil {
		return s, nil
	}
	keys, err := k.load(domain)
	if err != nil {
		return nil, err
	}
	s := dkim.NewSigner(domain, keys)
	k.signers[domain] = s
	return s, nil
}

// Records lists what a domain is to publish: where its mail goes, who may send
// for it, and its keys.
func (k *keyring) Records(_ context.Context, domain string) ([]api.Record, error) {
	k.mu.Lock()
	keys, err := k.load(domain)
	k.mu.Unlock()
	if err != nil {
		return nil, err
	}
	out := []api.Record{
		{Domain: domain, Name: domain, Type: "MX", Value: "10 " + k.hostname + "."},
		{Domain: domain, Name: domain, Type: "TXT", Value: "v=spf1 mx -all"},
		{Domain: domain, Name: "_dmarc." + domain, Type: "TXT", Value: "v=DMARC1; p=reject"},
	}
	for _, key := range keys {
		value, err := dkim.DNSRecord(key.Private)
		if err != nil {
			return nil, err
		}
		out = append(out, api.Record{Domain: domain, Name: key.Selector + "._domainkey." + domain, Type: "TXT", Value: value})
	}
	return out, nil
}

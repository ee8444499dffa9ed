package keyring

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mxdesk/mxdesk/auth/dkim"
	"github.com/mxdesk/mxdesk/ticketing"
)

// folder keeps the keys of each domain in a folder of its own: a PEM file for
// each private key, and keys.json, which says what each of them is for. Without
// keys.json all keys are active.
type folder struct {
	dir string
	log *slog.Logger
}

// secrets are private keys by selector.
type secrets map[string]crypto.Signer

const (
	pemEnding  = ".pem"
	maxPEMFile = 64 << 10 // octets
	revoked    = "v=DKIM1; p="
	making     = ".new-"         // begins the name of what is not whole yet
	unfinished = making + "keys" // there while the first keys are made: without keys.json, none count
)

// errNoKeys says that a domain has no keys, as opposed to some that cannot be
// read.
var errNoKeys = errors.New("no keys")

func (f folder) path(domain, name string) string { return filepath.Join(f.dir, domain, name) }

// domains lists the domains that have keys.
func (f folder) domains() ([]string, error) {
	entries, err := os.ReadDir(f.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() && isName(e.Name()) && f.holdsKeys(e.Name()) {
			out = append(out, e.Name())
		}
	}
	return out, err
}

// holdsKeys tells whether there is something, if only something broken.
func (f folder) holdsKeys(domain string) bool {
	files, err := f.selectors(domain)
	if err == nil {
		_, err = f.state(domain, files)
	}
	return !errors.Is(err, errNoKeys)
}

// selectors lists the key files of a domain.
func (f folder) selectors(domain string) ([]string, error) {
	entries, err := os.ReadDir(f.path(domain, ""))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var out []string
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), pemEnding)
		if ok && isName(name) {
			out = append(out, name)
		}
	}
	return out, err
}

// load reads the keys of a domain. The error is errNoKeys when nothing was
// ever made there.
func (f folder) load(domain string) (ring, secrets, error) {
	files, err := f.selectors(domain)
	if err != nil {
		return nil, nil, broken(domain, "", err, "let the server's user read it")
	}
	r, err := f.state(domain, files)
	if err != nil {
		return nil, nil, err
	}
	s := make(secrets)
	for i, k := range r {
		r[i].Domain = domain
		if k.State == Gone {
			r[i].Record = revoked
			continue
		}
		key, err := f.read(domain, k.Selector)
		if err != nil {
			return nil, nil, err
		}
		s[k.Selector] = key
		if err := r[i].describe(key); err != nil {
			return nil, nil, err
		}
	}
	f.warn(domain, r, files)
	return r, s, nil
}

// state reads keys.json, or makes up what it would say.
func (f folder) state(domain string, files []string) (ring, error) {
	text, err := readFile(f.path(domain, stateName), maxStateFile)
	switch {
	case err == nil:
		r, err := parseState(text)
		if err != nil {
			return nil, broken(domain, stateName, err,
				"mend it or take it from a backup; without the file, every key in the folder signs")
		}
		return r, nil
	case !errors.Is(err, os.ErrNotExist):
		return nil, broken(domain, stateName, err, "let the server's user read it")
	case len(files) == 0 || f.isUnfinished(domain):
		return nil, errNoKeys
	}
	r := make(ring, len(files))
	for i, selector := range files {
		r[i] = Key{Selector: selector, State: Active}
		if fi, err := os.Stat(f.path(domain, selector+pemEnding)); err == nil {
			r[i].Since = fi.ModTime().UTC()
		}
	}
	return r, nil
}

func (f folder) isUnfinished(domain string) bool {
	_, err := os.Stat(f.path(domain, unfinished))
	return err == nil
}

// read reads a private key. One that others can read is used all the same:
// what has been seen is not unseen when mail stops to leave, and folders that
// are mounted or restored often have such modes.
func (f folder) read(domain, selector string) (crypto.Signer, error) {
	path := f.path(domain, selector+pemEnding)
	text, err := readFile(path, maxPEMFile)
	if err != nil {
		return nil, broken(domain, selector+pemEnding, err, "take it from a backup, or take its entry out of "+stateName)
	}
	key, err := dkim.ParsePEM(text)
	if err != nil {
		return nil, broken(domain, selector+pemEnding, err, "take it from a backup")
	}
	if fi, err := os.Stat(path); err == nil && fi.Mode().Perm()&0o077 != 0 {
		f.log.Warn("others can read a private key", "file", path, "mode", fi.Mode().Perm().String(),
			"cure", "chmod 600, and mxdesk dkim rotate "+domain+" if anybody may have read it")
	}
	return key, nil
}

// warn names key files that the state does not: of keys that were being made
// when the server stopped, or put there by hand.
func (f folder) warn(domain string, r ring, files []string) {
	for _, selector := range files {
		if !slices.ContainsFunc(r, func(k Key) bool { return k.Selector == selector }) {
			f.log.Warn("a key that is not in "+stateName+" is not used", "file", f.path(domain, selector+pemEnding))
		}
	}
}

// create writes the first keys of a domain; all count, or none. Other files
// in its folder stay.
func (f folder) create(domain string, r ring, s secrets) error {
	if err := f.tellStrays(domain); err != nil {
		return err
	}
	if err := WriteSecret(f.path(domain, unfinished), nil); err != nil {
		return err
	}
	if err := f.add(domain, s); err != nil {
		return err
	}
	if err := f.save(domain, r); err != nil {
		return err
	}
	return errors.Join(os.Remove(f.path(domain, unfinished)), syncDir(f.dir), syncDir(filepath.Dir(f.dir)))
}

// tellStrays names what is in the folder of a domain that has no keys.
func (f folder) tellStrays(domain string) error {
	entries, err := os.ReadDir(f.path(domain, ""))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), making) {
			f.log.Warn("a file that is no key in use is passed over", "file", f.path(domain, e.Name()))
		}
	}
	return err
}

// add writes private keys, which count once the state names them.
func (f folder) add(domain string, s secrets) error {
	for _, selector := range slices.Sorted(maps.Keys(s)) {
		text, err := dkim.EncodePEM(s[selector])
		if err != nil {
			return err
		}
		if err := WriteSecret(f.path(domain, selector+pemEnding), text); err != nil {
			return err
		}
	}
	return nil
}

// save writes the state.
func (f folder) save(domain string, r ring) error {
	text, err := formatState(r)
	if err != nil {
		return err
	}
	return WriteSecret(f.path(domain, stateName), text)
}

// remove deletes the private keys that are gone, and tells which were there.
// What a write left behind that was cut short goes as well.
func (f folder) remove(domain string, r ring) (removed ring, err error) {
	var errs []error
	for _, k := range r.in(Gone) {
		err := os.Remove(f.path(domain, k.Selector+pemEnding))
		switch {
		case err == nil:
			removed = append(removed, k)
		case !errors.Is(err, os.ErrNotExist):
			errs = append(errs, err)
		}
	}
	left, err := filepath.Glob(f.path(domain, making+"*"))
	errs = append(errs, err)
	for _, file := range left {
		errs = append(errs, os.Remove(file))
	}
	if len(removed)+len(left) > 0 {
		errs = append(errs, syncDir(f.path(domain, "")))
	}
	return removed, errors.Join(errs...)
}

// WriteSecret writes a file that its owner alone may read, so that it is there
// whole or not at all, after a loss of power too. Folders that are missing are
// made for the owner alone.
func WriteSecret(path string, text []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, making+"*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readFile reads a file of at most limit octets.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("larger than %d octets", limit)
	}
	return text, err
}

// broken is a file that is there and cannot be used. It is ours to mend, so mail
// waits for it.
func broken(domain, name string, err error, cure string) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		err = e.Err // the path is said already, without what is above the data folder
	}
	return &ticketing.Error{Kind: ticketing.KindInternal, Reason: "keys-broken",
		Message: fmt.Sprintf("the DKIM keys of %s cannot be used: dkim/%[1]s/%s in the data folder: %v: %s", domain, name, err, cure)}
}

// describe fills in what a private key says of itself.
func (k *Key) describe(key crypto.Signer) (err error) {
	switch public := key.Public().(type) {
	case *rsa.PublicKey:
		k.Algorithm, k.Bits = RSA, public.N.BitLen()
	case ed25519.PublicKey:
		k.Algorithm, k.Bits = Ed25519, 256
	}
	k.Record, err = dkim.DNSRecord(key)
	return err
}

// Package keyring keeps the DKIM keys of the served domains and signs and seals
// with them. Each domain has a pair, RSA and Ed25519, made on first need, and
// goes over to a new pair in steps, so that at any time the key of every mail on
// its road is in the DNS: the next pair is made and published, then it signs,
// and the one before is removed when its mail has arrived.
package keyring

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mxdesk/mxdesk/auth/arc"
	"github.com/mxdesk/mxdesk/auth/dkim"
	"github.com/mxdesk/mxdesk/auth/dns"
	"github.com/mxdesk/mxdesk/auth/message"
	"github.com/mxdesk/mxdesk/ticketing"
)

// KeepRetired is how long the record of a key has to stay when it signs no
// more: a copy is signed at its first attempt, tried for five days, and may
// wait at the next hop after that.
const KeepRetired = 7 * 24 * time.Hour

// Sizes of RSA keys in bits.
const (
	DefaultBits = 2048
	maxBits     = 4096
)

// Options of a Keyring. Zero fields are the defaults.
type Options struct {
	Dir string // folder of the keys; required
	// Resolver tells what is published. One that remembers that there was
	// nothing delays the change of keys. Required by Check, Rotate and Sweep.
	Resolver dns.Resolver
	Now      func() time.Time // default time.Now
	Log      *slog.Logger     // default discards
	Keep     time.Duration    // default KeepRetired
}

// Keyring has the keys of the domains. It is safe for concurrent use: keys are
// made and changed for one domain at a time, and while that goes on the domain
// signs with the keys it had. No other process may change its folder, other
// than by hand: what a person changes there is seen at the next change or
// Sweep.
type Keyring struct {
	o      Options
	folder folder

	mu      sync.Mutex
	domains map[string]*owner
}

// owner is a domain that has keys or is to have some.
type owner struct {
	change  sync.Mutex // held while keys are loaded, made or changed
	current atomic.Pointer[set]
}

// set are the keys of a domain as they are on disk. It never changes.
type set struct {
	domain  string
	keys    ring
	secrets secrets
	signer  *dkim.Signer
	sealer  dkim.Key
}

// New returns the keyring of a folder, which need not exist.
func New(o Options) *Keyring {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Keep <= 0 {
		o.Keep = KeepRetired
	}
	return &Keyring{o: o, folder: folder{o.Dir, o.Log}, domains: make(map[string]*owner)}
}

// newSet prepares keys for use. RSA comes first: some verifiers look at the
// first signature only, and all of them know RSA.
//
// https://www.rfc-editor.org/rfc/rfc8463#section-3
func newSet(domain string, r ring, s secrets) *set {
	active := r.in(Active)
	slices.SortStableFunc(active, func(a, b Key) int { return rank(a) - rank(b) })
	keys := make([]dkim.Key, len(active))
	for i, k := range active {
		keys[i] = dkim.Key{Selector: k.Selector, Private: s[k.Selector]}
	}
	return &set{domain: domain, keys: r, secrets: s, signer: dkim.NewSigner(domain, keys), sealer: keys[0]}
}

func rank(k Key) int { return slices.Index([]string{RSA, Ed25519}, k.Algorithm) }

// Ensure makes the keys of a domain unless there are some.
func (k *Keyring) Ensure(_ context.Context, domain string) error {
	_, err := k.ready(domain)
	return err
}

// Sign signs a mail with the active keys of a domain, which are made when there
// are none, RSA on top.
func (k *Keyring) Sign(_ context.Context, domain string, raw []byte) ([]byte, error) {
	s, err := k.ready(domain)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	out.Grow(len(raw) + 2048)
	if err := s.signer.Sign(&out, bytes.NewReader(raw)); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Seal puts an ARC set above a mail that is passed on, as arc.Seal does, with
// the first active key of a domain. A chain that takes no further set leaves
// the mail as it is. Nothing calls it yet: mail for relay domains will.
func (k *Keyring) Seal(_ context.Context, domain string, raw []byte, chain arc.Result, results string) ([]byte, error) {
	s, err := k.ready(domain)
	if err != nil {
		return nil, err
	}
	m, err := message.Read(bytes.NewReader(raw), int64(len(raw)), message.Limits{})
	if err != nil {
		return nil, err
	}
	fields, err := arc.Seal(m, chain, results, arc.SealOptions{
		Domain: s.domain, Selector: s.sealer.Selector, Key: s.sealer.Private, Now: k.o.Now,
	})
	if err != nil {
		return nil, err
	}
	return slices.Concat(fields, raw), nil
}

// owner finds the place of a domain.
func (k *Keyring) owner(domain string) (*owner, string, error) {
	name, err := dns.ASCII(domain)
	if err != nil || !isName(name) {
		return nil, "", &ticketing.Error{Kind: ticketing.KindInvalid, Reason: "bad-domain", Message: fmt.Sprintf("%.100q is not a domain", domain)}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	o := k.domains[name]
	if o == nil {
		o = &owner{}
		k.domains[name] = o
	}
	return o, name, nil
}

// ready returns the keys of a domain to use, and makes them when there are
// none.
func (k *Keyring) ready(domain string) (*set, error) {
	o, domain, err := k.owner(domain)
	if err != nil {
		return nil, err
	}
	if s := o.current.Load(); s != nil {
		return s, nil
	}
	o.change.Lock()
	defer o.change.Unlock()
	if s := o.current.Load(); s != nil {
		return s, nil
	}
	s, err := k.load(domain)
	if errors.Is(err, errNoKeys) {
		s, err = k.make(domain, DefaultBits)
	}
	if err != nil {
		return nil, err
	}
	o.current.Store(s)
	return s, nil
}

// change gives f the keys of a domain as they are on disk, and uses from then
// on what it returns.
func (k *Keyring) change(domain string, f func(domain string, s *set) (*set, error)) error {
	o, domain, err := k.owner(domain)
	if err != nil {
		return err
	}
	o.change.Lock()
	defer o.change.Unlock()
	s, err := k.load(domain)
	if errors.Is(err, errNoKeys) {
		return &ticketing.Error{Kind: ticketing.KindNotFound, Reason: "keys-not-found",
			Message: fmt.Sprintf("there are no DKIM keys of %s: make them with mxdesk dkim keygen %[1]s", domain)}
	}
	if err != nil {
		return err
	}
	o.current.Store(s) // to sign with while f goes on
	changed, err := f(domain, s)
	if changed != nil {
		o.current.Store(changed)
	}
	return err
}

func (k *Keyring) load(domain string) (*set, error) {
	r, s, err := k.folder.load(domain)
	if err != nil {
		return nil, err
	}
	return newSet(domain, r, s), nil
}

// make makes the first keys of a domain.
func (k *Keyring) make(domain string, bits int) (*set, error) {
	pair, s, err := k.pair(domain, nil, bits)
	if err != nil {
		return nil, err
	}
	r := pair.into(Active, k.o.Now())
	if err := k.folder.create(domain, r, s); err != nil {
		return nil, err
	}
	k.o.Log.Info("dkim keys made", "domain", domain, "keys", r.String())
	return newSet(domain, r, s), nil
}

// pair makes two keys with selectors of their own.
func (k *Keyring) pair(domain string, r ring, bits int) (ring, secrets, error) {
	files, err := k.folder.selectors(domain)
	if err != nil {
		return nil, nil, err
	}
	rsa, ed := selectors(k.o.Now(), func(selector string) bool {
		return slices.Contains(files, selector) || slices.ContainsFunc(r, func(k Key) bool { return k.Selector == selector })
	})
	rsaKey, edKey, err := dkim.GenerateKeys(bits)
	if err != nil {
		return nil, nil, err
	}
	s := secrets{rsa: rsaKey, ed: edKey}
	pair := ring{{Domain: domain, Selector: rsa}, {Domain: domain, Selector: ed}}
	for i := range pair {
		if err := pair[i].describe(s[pair[i].Selector]); err != nil {
			return nil, nil, err
		}
	}
	return pair, s, nil
}

package dkim

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/mxdesk/mxdesk/auth/dns"
)

const (
	maxRecords  = 2             // records looked at for one selector: an old and a new one
	parallelism = maxSignatures // lookups at a time for one message: no key waits for a slow one of another signer

	maxRemembered = 1000    // records whose meaning is remembered
	maxText       = 2 << 10 // octets of one of them
)

// KeyName returns the name under which the key of a signature is published.
//
// https://www.rfc-editor.org/rfc/rfc6376#section-3.6.2.1
func (b Base) KeyName() string {
	return b.Selector + "._domainkey." + b.Domain
}

// KeyFetcher looks keys up, and remembers what their records mean. It is safe
// for concurrent use.
type KeyFetcher struct {
	resolver dns.Resolver

	mu      sync.Mutex
	records map[string]*Record // by their texts
}

// NewKeyFetcher returns a KeyFetcher that asks r.
func NewKeyFetcher(r dns.Resolver) *KeyFetcher {
	return &KeyFetcher{resolver: r, records: make(map[string]*Record)}
}

// Keys is what the DNS has at one key name.
type Keys struct {
	fetcher *KeyFetcher
	records []string
	err     error
}

// Fetch looks each of the names up once, a few at a time, and returns what is
// there in the order of the names when all have an answer or ctx has ended. An
// empty name stands for nothing to look up.
func (f *KeyFetcher) Fetch(ctx context.Context, names []string) []Keys {
	answers := make([]Keys, len(names))
	if len(names) == 1 {
		answers[0] = f.fetch(ctx, names[0])
		return answers
	}
	var others struct {
		sync.WaitGroup
		crash atomic.Pointer[any] // the value of a panic
	}
	slots := make(chan struct{}, parallelism-1)
	mine := -1 // the first name is looked up here, each other one beside it
	for i, name := range names {
		switch {
		case slices.Index(names, name) < i:
		case mine < 0:
			mine = i
		default:
			slots <- struct{}{}
			others.Go(func() {
				defer func() {
					if p := recover(); p != nil {
						others.crash.Store(new(p))
					}
					<-slots
				}()
				answers[i] = f.fetch(ctx, name)
			})
		}
	}
	if mine >= 0 {
		answers[mine] = f.fetch(ctx, names[mine])
	}
	others.Wait()
	if p := others.crash.Load(); p != nil {
		panic(*p) // where somebody is ready for it
	}
	for i, name := range names {
		answers[i] = answers[slices.Index(names, name)]
	}
	return answers
}

func (f *KeyFetcher) fetch(ctx context.Context, name string) Keys {
	switch {
	case name == "":
		return Keys{}
	case len(name) > maxDomain:
		return Keys{err: permanent("key name too long")}
	case ctx.Err() != nil:
		return Keys{err: &Error{TempError, "key lookup timed out"}}
	}
	records, _, err := f.resolver.TXT(ctx, name)
	switch {
	case errors.Is(err, dns.ErrNotFound), errors.Is(err, dns.ErrNoData), err == nil && len(records) == 0:
		return Keys{err: permanent("no key for signature")}
	case err != nil:
		return Keys{err: &Error{TempError, "key lookup failed"}}
	}
	return Keys{fetcher: f, records: records[:min(len(records), maxRecords)]}
}

// parse is ParseRecord for a record that may have been seen before: signers use
// one key for long.
func (f *KeyFetcher) parse(text string) (*Record, error) {
	f.mu.Lock()
	known := f.records[text]
	f.mu.Unlock()
	if known != nil {
		return known, nil
	}
	record, err := ParseRecord(text)
	if err != nil || len(text) > maxText {
		return record, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.records) >= maxRemembered {
		clear(f.records) // it fills again with those in use
	}
	f.records[text] = record
	return record, nil
}

// Check tries the keys one after another until one of them verifies the
// signature over the hash. The key is the one that verified or, with an error,
// the one that came closest, if any. subdomain tells that the identity of the
// signature lies in a subdomain of its domain, which a strict key forbids.
func (k Keys) Check(b Base, hash [sha256.Size]byte, subdomain bool) (*Record, error) {
	if k.err != nil {
		return nil, k.err
	}
	var closest *Record
	var reason error
	for _, record := range k.records {
		key, err := k.fetcher.parse(record)
		if err == nil {
			err = key.check(b, hash)
		}
		if err == nil && key.Strict && subdomain {
			err = permanent("identity is not in the signing domain itself")
		}
		if err == nil {
			return key, nil
		}
		if reason == nil || closest == nil && key != nil || isMismatch(err) {
			closest, reason = key, err
		}
	}
	return closest, reason
}

// isMismatch tells that a key did fit and the signature is not made with it.
func isMismatch(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Result == Fail
}

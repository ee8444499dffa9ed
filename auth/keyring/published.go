package keyring

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/mxdesk/mxdesk/auth/dkim"
	"github.com/mxdesk/mxdesk/auth/dns"
)

// Publication is what the DNS has of a key.
type Publication string

// What the DNS can have of a key.
const (
	Published Publication = "published" // its record and no other
	Missing   Publication = "missing"   // no record
	Revoked   Publication = "revoked"   // a record with an empty p=
	Differs   Publication = "differs"   // a record that is broken or of another key, or several
	Unknown   Publication = "unknown"   // the name server could not tell
)

const (
	checkTime   = 20 * time.Second // for all lookups of one check
	parallelism = 8                // lookups at a time
)

// Check asks the DNS about keys, in their order.
func (k *Keyring) Check(ctx context.Context, keys []Key) []Publication {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	out := make([]Publication, len(keys))
	slots := make(chan struct{}, parallelism)
	var all sync.WaitGroup
	for i, key := range keys {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			texts, _, err := k.o.Resolver.TXT(ctx, key.Name())
			out[i] = compare(key, texts, err)
		})
	}
	all.Wait()
	return out
}

// compare tells what an answer says of a key. How the record is written does
// not matter, only whether verifiers find the key in it. With several records
// they may find any.
//
// https://www.rfc-editor.org/rfc/rfc6376#section-3.6.2.2
func compare(key Key, texts []string, err error) Publication {
	switch {
	case errors.Is(err, dns.ErrNotFound), errors.Is(err, dns.ErrNoData):
		return Missing
	case err != nil:
		return Unknown
	case len(texts) == 0:
		return Missing
	case len(texts) > 1:
		return Differs
	}
	have, err := dkim.ParseRecord(texts[0])
	switch {
	case errors.Is(err, dkim.ErrRevoked):
		return Revoked
	case err != nil:
		return Differs
	case key.State == Gone:
		return Published // whatever it is, it can go
	}
	if want, err := dkim.ParseRecord(key.Record); err != nil || !want.SameKey(have) {
		return Differs
	}
	return Published
}

package keyring

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
)

// State is where a key is on its way.
type State string

// The states, in their order.
const (
	Next    State = "next"    // made, its record is to be published; signs nothing
	Active  State = "active"  // signs
	Retired State = "retired" // signs no more; its record stays published for mail on the road
	Gone    State = "gone"    // its private key is removed; its record may be, too
)

// Algorithms of keys.
const (
	RSA     = "rsa"
	Ed25519 = "ed25519"
)

// Key is what may be known of a key: all but its secret.
type Key struct {
	Domain    string    `json:"-"`
	Selector  string    `json:"selector"`
	Algorithm string    `json:"algorithm"` // RSA or Ed25519
	Bits      int       `json:"bits"`
	State     State     `json:"state"`
	Since     time.Time `json:"since"`          // when it came into its state
	Until     time.Time `json:"until,omitzero"` // until when the record of a retired key has to stay
	Record    string    `json:"-"`              // text of the TXT record; of a key that is gone one that revokes it
}

// Name is where the record of the key is published.
//
// https://www.rfc-editor.org/rfc/rfc6376#section-3.6.2.1
func (k Key) Name() string { return k.Selector + "._domainkey." + k.Domain }

// Strings are the record as a zone file has to have it: cut where one string of
// a TXT record ends, at 255 octets, which the record of an RSA key is longer
// than. Readers join them again.
//
// https://www.rfc-editor.org/rfc/rfc6376#section-3.6.2.2
// https://www.rfc-editor.org/rfc/rfc1035#section-3.3
func (k Key) Strings() []string {
	var out []string
	for part := range slices.Chunk([]byte(k.Record), 255) {
		out = append(out, string(part))
	}
	return out
}

const (
	// maxKeys bounds the keys of a domain, those that are gone included.
	maxKeys = 1000
	// forgetAfter is how long a key that is gone is remembered. Selectors have
	// the month in which they were made in them, so that none is used again.
	forgetAfter = 90 * 24 * time.Hour
)

// ring are the keys of one domain in the order in which they were made. Its
// methods change copies.
type ring []Key

// in lists the keys in one of the states.
func (r ring) in(states ...State) ring {
	var out ring
	for _, k := range r {
		if slices.Contains(states, k.State) {
			out = append(out, k)
		}
	}
	return out
}

// begin adds the pair that is to sign next.
func (r ring) begin(pair ring, now time.Time) (ring, error) {
	if next := r.in(Next); len(next) > 0 {
		return nil, refuse("keys-waiting", "the next keys are made already: %s", next)
	}
	if len(r)+len(pair) > maxKeys {
		return nil, refuse("too-many-keys", "%d keys in %d days are too many", len(r), int(forgetAfter.Hours()/24))
	}
	return append(slices.Clone(r), pair.into(Next, now)...), nil
}

// turn lets the next keys sign. The records of the ones that did have to stay
// for the given time.
func (r ring) turn(now time.Time, keep time.Duration) (ring, error) {
	if len(r.in(Next)) == 0 {
		return nil, errNoNext
	}
	return r.each(func(k Key) Key {
		switch k.State {
		case Next:
			return k.into(Active, now)
		case Active:
			k = k.into(Retired, now)
			k.Until = now.Add(keep).UTC().Truncate(time.Second)
		}
		return k
	}), nil
}

// drop throws the next keys away.
func (r ring) drop(now time.Time) (ring, error) {
	if len(r.in(Next)) == 0 {
		return nil, refuse("no-next-keys", "there are no next keys that could be thrown away")
	}
	return r.each(func(k Key) Key {
		if k.State == Next {
			return k.into(Gone, now)
		}
		return k
	}), nil
}

// expire ends the keys whose time is over, and forgets those that ended long
// ago.
func (r ring) expire(now time.Time) ring {
	out := r.each(func(k Key) Key {
		if k.State == Retired && !now.Before(k.Until) {
			return k.into(Gone, now)
		}
		return k
	})
	return slices.DeleteFunc(out, func(k Key) bool { return k.State == Gone && now.Sub(k.Since) >= forgetAfter })
}

func (r ring) each(f func(Key) Key) ring {
	out := make(ring, len(r))
	for i, k := range r {
		out[i] = f(k)
	}
	return out
}

func (r ring) into(s State, now time.Time) ring {
	return r.each(func(k Key) Key { return k.into(s, now) })
}

func (k Key) into(s State, now time.Time) Key {
	k.State, k.Since, k.Until = s, now.UTC().Truncate(time.Second), time.Time{}
	if s == Gone {
		k.Record = revoked
	}
	return k
}

// String lists the selectors.
func (r ring) String() string {
	names := make([]string, len(r))
	for i, k := range r {
		names[i] = k.Selector
	}
	return strings.Join(names, ", ")
}

// bits is the size for the next RSA key: that of the one which signs now, at
// least 2048 and at most 4096 bits.
func (r ring) bits() int {
	n := DefaultBits
	for _, k := range r.in(Active) {
		if k.Algorithm == RSA {
			n = max(n, k.Bits)
		}
	}
	return min(n, maxBits)
}

// selectors names a pair of keys by the month it is made in, with a letter
// behind it from the second pair of a month on: rsa202611 and ed202611, then
// rsa202611b and ed202611b.
func selectors(now time.Time, taken func(selector string) bool) (rsa, ed string) {
	for n := 0; ; n++ {
		stamp := now.UTC().Format("200601") + suffix(n)
		rsa, ed = "rsa"+stamp, "ed"+stamp
		if !taken(rsa) && !taken(ed) {
			return rsa, ed
		}
	}
}

// suffix is "", b, c, … z, za, zb, … zz, zza, …
func suffix(n int) string {
	if n == 0 {
		return ""
	}
	return strings.Repeat("z", n/26) + string(rune('a'+n%26))
}

// refuse is what the desk says when a step does not fit the state of the keys.
func refuse(reason, format string, args ...any) error {
	return &ticketing.Error{Kind: ticketing.KindConflict, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

var errNoNext = refuse("no-next-keys", "there are no next keys: make them first with mxdesk dkim rotate")

package keyring

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/mxdesk/mxdesk/ticketing"
)

// Step is what a rotation came to.
type Step string

// The steps of a rotation.
const (
	Made    Step = "made"    // the next keys are made, their records are to be published
	Waiting Step = "waiting" // the DNS does not have the next keys yet
	Turned  Step = "turned"  // the next keys sign, the ones before are retired
	Dropped Step = "dropped" // the next keys are thrown away
)

// Rotation is a step and the keys it is about.
type Rotation struct {
	Step      Step
	Next      []Key         // made, waited for, signing now, or dropped
	Published []Publication // with Waiting: what the DNS has of Next
	Retired   []Key         // with Turned: the ones that signed before
}

// RotateOptions adjust Rotate.
type RotateOptions struct {
	Unasked bool // let the next keys sign without asking the DNS
	Bits    int  // of the next RSA key; 0 = as the one that signs now, from 2048 to 4096
}

// Domains lists the domains that have keys, also those whose keys are broken.
func (k *Keyring) Domains(context.Context) ([]string, error) { return k.folder.domains() }

// Keys lists the keys of a domain in the order in which they were made.
func (k *Keyring) Keys(_ context.Context, domain string) (keys []Key, err error) {
	err = k.change(domain, func(_ string, s *set) (*set, error) {
		keys = s.keys
		return nil, nil
	})
	return keys, err
}

// Generate makes the first keys of a domain, which need not be served yet. A
// domain that has keys is a KindConflict, a size that is not 2048, 3072 or 4096
// bits a KindInvalid.
func (k *Keyring) Generate(_ context.Context, domain string, bits int) ([]Key, error) {
	if err := checkBits(bits); err != nil {
		return nil, err
	}
	o, domain, err := k.owner(domain)
	if err != nil {
		return nil, err
	}
	o.change.Lock()
	defer o.change.Unlock()
	switch _, err := k.load(domain); {
	case err == nil:
		return nil, refuse("keys-exist", "%s has keys: change them with mxdesk dkim rotate %[1]s", domain)
	case !errors.Is(err, errNoKeys):
		return nil, err
	}
	s, err := k.make(domain, bits)
	if err != nil {
		return nil, err
	}
	o.current.Store(s)
	return s.keys, nil
}

func checkBits(bits int) error {
	if slices.Contains([]int{DefaultBits, 3072, maxBits}, bits) {
		return nil
	}
	return &ticketing.Error{Kind: ticketing.KindInvalid, Reason: "bad-bits", Message: fmt.Sprintf("RSA keys have 2048, 3072 or 4096 bits, not %d", bits)}
}

// Rotate takes the next step from the keys that sign to new ones: it makes
// them, or lets them sign once the DNS has both. Errors are of KindNotFound
// where there are no keys, of KindConflict where the step does not fit, and of
// KindInvalid for a wrong size.
func (k *Keyring) Rotate(ctx context.Context, domain string, o RotateOptions) (Rotation, error) {
	if o.Bits != 0 {
		if err := checkBits(o.Bits); err != nil {
			return Rotation{}, err
		}
	}
	var out Rotation
	err := k.change(domain, func(domain string, s *set) (changed *set, err error) {
		if o.Bits != 0 || len(s.keys.in(Next)) == 0 && !o.Unasked {
			out, changed, err = k.begin(domain, s, o.Bits)
		} else {
			out, changed, err = k.turn(ctx, domain, s, o.Unasked)
		}
		return changed, err
	})
	return out, err
}

// begin makes the next keys.
func (k *Keyring) begin(domain string, s *set, bits int) (Rotation, *set, error) {
	if bits == 0 {
		bits = s.keys.bits()
	}
	if _, err := s.keys.begin(nil, k.o.Now()); err != nil {
		return Rotation{}, nil, err
	}
	pair, made, err := k.pair(domain, s.keys, bits)
	if err != nil {
		return Rotation{}, nil, err
	}
	r, err := s.keys.begin(pair, k.o.Now())
	if err != nil {
		return Rotation{}, nil, err
	}
	if err := k.folder.add(domain, made); err != nil {
		return Rotation{}, nil, err
	}
	changed, err := k.commit(domain, s, r, made)
	if err != nil {
		return Rotation{}, nil, err
	}
	k.o.Log.Info("next dkim keys made", "domain", domain, "keys", pair.String())
	return Rotation{Step: Made, Next: r.in(Next)}, changed, nil
}

// turn lets the next keys sign, unless the DNS is to be asked and does not have
// them.
func (k *Keyring) turn(ctx context.Context, domain string, s *set, unasked bool) (Rotation, *set, error) {
	next, before := s.keys.in(Next), s.keys.in(Active)
	r, err := s.keys.turn(k.o.Now(), k.o.Keep)
	if err != nil {
		return Rotation{}, nil, err
	}
	if !unasked {
		found := k.Check(ctx, next)
		if slices.ContainsFunc(found, func(p Publication) bool { return p != Published }) {
			return Rotation{Step: Waiting, Next: next, Published: found}, nil, nil
		}
	}
	changed, err := k.commit(domain, s, r, nil)
	if err != nil {
		return Rotation{}, nil, err
	}
	k.o.Log.Info("dkim keys changed", "domain", domain, "sign", next.String(), "retired", before.String(), "keep_records", k.o.Keep)
	return Rotation{Step: Turned, Next: same(r, next), Retired: same(r, before)}, changed, nil
}

// Abort throws the next keys of a domain away.
func (k *Keyring) Abort(_ context.Context, domain string) (Rotation, error) {
	var out Rotation
	err := k.change(domain, func(domain string, s *set) (*set, error) {
		next := s.keys.in(Next)
		r, err := s.keys.drop(k.o.Now())
		if err != nil {
			return nil, err
		}
		out = Rotation{Step: Dropped, Next: same(r, next)}
		changed, err := k.commit(domain, s, r, nil)
		if err != nil {
			return nil, err
		}
		return changed, k.clear(domain, r)
	})
	return out, err
}

// Sweep takes what steps are due in all domains: next keys that are published
// sign, and retired ones are removed when their time is over. It tells of both
// in the log, and goes on after errors.
func (k *Keyring) Sweep(ctx context.Context) error {
	domains, err := k.folder.domains()
	errs := []error{err}
	for _, d := range domains {
		errs = append(errs, k.change(d, func(domain string, s *set) (*set, error) { return k.sweep(ctx, domain, s) }))
	}
	return errors.Join(errs...)
}

func (k *Keyring) sweep(ctx context.Context, domain string, s *set) (*set, error) {
	if len(s.keys.in(Next)) > 0 {
		_, changed, err := k.turn(ctx, domain, s, false)
		if err != nil {
			return nil, err
		}
		if changed != nil {
			s = changed
		}
	}
	if r := s.keys.expire(k.o.Now()); !slices.Equal(r, s.keys) {
		changed, err := k.commit(domain, s, r, nil)
		if err != nil {
			return s, err
		}
		s = changed
	}
	return s, k.clear(domain, s.keys)
}

// clear removes the private keys that are gone.
func (k *Keyring) clear(domain string, r ring) error {
	removed, err := k.folder.remove(domain, r)
	for _, key := range removed {
		k.o.Log.Info("dkim key removed", "domain", domain, "key", key.Selector, "advice", "remove the record "+key.Name()+" or publish it with an empty p=")
	}
	return err
}

// commit writes the state and returns the set that goes with it.
func (k *Keyring) commit(domain string, s *set, r ring, made secrets) (*set, error) {
	if err := k.folder.save(domain, r); err != nil {
		return nil, err
	}
	all := make(secrets)
	for _, key := range r {
		if key.State == Gone {
			continue
		}
		all[key.Selector] = s.secrets[key.Selector]
		if private, ok := made[key.Selector]; ok {
			all[key.Selector] = private
		}
	}
	return newSet(domain, r, all), nil
}

// same lists the keys of r that have the selectors of others.
func same(r, others ring) ring {
	return slices.DeleteFunc(slices.Clone(r), func(k Key) bool {
		return !slices.ContainsFunc(others, func(o Key) bool { return o.Selector == k.Selector })
	})
}

// Package arc verifies the chain of ARC sets on a message and seals messages
// that are relayed (RFC 8617). Canonicalisation comes from auth/message; tags,
// keys and the check of signatures are those of auth/dkim.
package arc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mxdesk/mxdesk/auth/dkim"
	"github.com/mxdesk/mxdesk/auth/dns"
	"github.com/mxdesk/mxdesk/auth/message"
)

// The states of a chain. The first three are those of RFC 8617; TempError
// tells that a key could not be had and asking later may give Pass or Fail.
//
// https://www.rfc-editor.org/rfc/rfc8617#section-4.4
const (
	None      = "none"
	Pass      = "pass"
	Fail      = "fail"
	TempError = "temperror"
)

// maxInstance is the largest instance there can be.
//
// https://www.rfc-editor.org/rfc/rfc8617#section-4.2.1
const maxInstance = 50

// Result is the state of a chain and who took part in it. Only with Pass are
// sealers and payloads vouched for.
type Result struct {
	Result string // one of the constants of this package
	// Sealers are the d= of the seals in lower case and A-label form, that of
	// the first instance first. Empty when the chain is malformed.
	Sealers []string
	// OldestPass is the lowest instance whose message signature still
	// verifies with all later ones: 0 means all, n that what set n-1 signed
	// was changed later. It is set with Pass only.
	OldestPass int
	Reason     string // why it does not pass, a few lower-case words
	// AAR are the authentication results each sealer saw, as one line without
	// the instance, that of the first instance first.
	AAR []string
	// Partial tells that the latest message signature leaves out what people
	// see: the end of the body (l=) or the whole header (an empty h=, which the
	// public test suite has pass). Such a chain is sound and vouches for nothing.
	Partial bool
}

// Options adjusts a Verifier. Zero values mean the defaults.
type Options struct {
	Now     func() time.Time // default time.Now
	MaxSets int              // sets a chain may have; default and most 50
	Timeout time.Duration    // for all key lookups of a message; default 10 s
}

// Verifier checks the ARC chains of messages. It is safe for concurrent use.
type Verifier struct {
	keys    *dkim.KeyFetcher
	options Options
}

// New returns a Verifier that finds keys through r.
func New(r dns.Resolver, o Options) *Verifier {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxSets <= 0 || o.MaxSets > maxInstance {
		o.MaxSets = maxInstance
	}
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	return &Verifier{keys: dkim.NewKeyFetcher(r), options: o}
}

// Verify checks the chain of a message.
//
// https://www.rfc-editor.org/rfc/rfc8617#section-5.2
func (v *Verifier) Verify(ctx context.Context, m *message.Message) Result {
	sets, err := collect(m, v.options.MaxSets)
	if err != nil {
		return Result{Result: Fail, Reason: err.Error()}
	}
	if len(sets) == 0 {
		return Result{Result: None}
	}
	r := describe(sets)
	if err := checkStates(sets); err != nil {
		r.Result, r.Reason = Fail, err.Error()
		return r
	}
	ctx, cancel := dns.Within(ctx, v.options.Timeout)
	defer cancel()
	r.OldestPass, err = v.checkSignatures(ctx, m, sets)
	r.Result, r.Reason = outcome(err)
	return r
}

func describe(sets []set) Result {
	n := len(sets)
	room := make([]string, 2*n)
	latest := sets[n-1].signature
	r := Result{
		Sealers: room[:0:n], AAR: room[n:n],
		Partial: latest.Body.Limit != message.WholeBody || latest.Headers == "",
	}
	for _, s := range sets {
		r.Sealers = append(r.Sealers, s.seal.Domain)
		r.AAR = append(r.AAR, s.payload)
	}
	return r
}

// outcome maps what stopped the check to a state.
func outcome(err error) (result, reason string) {
	if err == nil {
		return Pass, ""
	}
	if e, ok := errors.AsType[*dkim.Error](err); ok && e.Result == dkim.TempError {
		return TempError, err.Error()
	}
	return Fail, err.Error()
}

// checkStates checks what each sealer said about the chain it found.
func checkStates(sets []set) error {
	if sets[len(sets)-1].state == Fail {
		return errors.New("chain was sealed as failed")
	}
	for i, s := range sets {
		want := Pass
		if i == 0 {
			want = None
		}
		if s.state != want {
			return fmt.Errorf("seal %d has a wrong cv", i+1)
		}
	}
	return nil
}

// checkSignatures checks the latest message signature, all seals from the
// latest to the first, and how far back message signatures verify. A failure
// counts more than a key that could not be had.
func (v *Verifier) checkSignatures(ctx context.Context, m *message.Message, sets []set) (oldestPass int, err error) {
	unchanged, err := v.checkContents(m, sets)
	if err != nil {
		return 0, err
	}
	v.fetchKeys(ctx, sets, unchanged)
	latest := len(sets)
	if err := checkSound(m, sets); err != nil {
		return 0, err
	}
	for i := latest - 1; i >= unchanged; i-- {
		if sets[i-1].checkMessage(m) != nil {
			return i + 1, nil
		}
	}
	if unchanged > 1 {
		return unchanged, nil
	}
	return 0, nil
}

// checkSound checks the latest message signature and all seals.
func checkSound(m *message.Message, sets []set) error {
	unknown := sets[len(sets)-1].checkMessage(m)
	if result, _ := outcome(unknown); result == Fail {
		return unknown
	}
	hashes := sealHashes(sets)
	for i := len(sets) - 1; i >= 0; i-- {
		err := sets[i].checkSeal(hashes[i])
		if result, _ := outcome(err); result == Fail {
			return err
		}
		if unknown == nil {
			unknown = err
		}
	}
	return unknown
}

// checkContents compares body hashes and times, and wants From to be signed, as
// the rules of DKIM hold. The latest set must be right; unchanged is the lowest
// instance down to which the others are as well.
//
// https://www.rfc-editor.org/rfc/rfc8617#section-4.1.2
func (v *Verifier) checkContents(m *message.Message, sets []set) (unchanged int, err error) {
	var room [10]message.BodySpec
	specs := room[:0]
	for i := range sets {
		specs = append(specs, sets[i].signature.Body)
	}
	hashed := m.HashBody(specs...)
	for i := len(sets); i >= 1; i-- {
		s := &sets[i-1]
		err := s.checkFrom()
		if err == nil {
			err = s.signature.CheckBody(m, hashed)
		}
		if err == nil {
			err = s.signature.CheckTime(v.options.Now())
		}
		if err != nil && i == len(sets) {
			return 0, fmt.Errorf("message signature %d: %w", i, err)
		}
		if err != nil {
			return i + 1, nil
		}
	}
	return 1, nil
}

// fetchKeys gets the keys of all seals and of the message signatures that have
// a chance.
func (v *Verifier) fetchKeys(ctx context.Context, sets []set, unchanged int) {
	names := make([]string, 2*len(sets))
	for i := range sets {
		s := &sets[i]
		names[2*i] = s.seal.KeyName()
		switch {
		case i+1 < unchanged:
		case s.signature.Selector == s.seal.Selector && s.signature.Domain == s.seal.Domain:
			names[2*i+1] = names[2*i]
		default:
			names[2*i+1] = s.signature.KeyName()
		}
	}
	keys := v.keys.Fetch(ctx, names)
	for i := range sets {
		sets[i].sealKeys, sets[i].signatureKeys = keys[2*i], keys[2*i+1]
	}
}

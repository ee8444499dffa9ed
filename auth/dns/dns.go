// Package dns looks names up for the authentication mechanisms and for
// outgoing mail, and keeps the four ways a lookup can end apart: an answer, a
// name without records of the type, a name that does not exist, and a server
// that could not tell.
package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
)

// The ways a lookup can end without records. Errors returned by a Resolver
// wrap exactly one of the first three.
var (
	// ErrNotFound is an authoritative "no such name" (NXDOMAIN).
	ErrNotFound = errors.New("no such name")
	// ErrNoData is a name that exists and has no record of the type.
	ErrNoData = errors.New("no record of that type")
	// ErrTemporary is a time-out, SERVFAIL, refusal or network failure: asking
	// later may give another answer.
	ErrTemporary = errors.New("name server failure")
	// ErrTimeout is the ErrTemporary of a server that gave no answer in time.
	ErrTimeout = fmt.Errorf("%w: time-out", ErrTemporary)
	// ErrBusy is the ErrTemporary of a lookup that we did not make: too many were
	// under way. Nobody's name servers are to blame.
	ErrBusy = fmt.Errorf("%w: not asked", ErrTemporary)
)

// MX is one mail exchanger of a domain.
type MX struct {
	Preference uint16
	Host       string // without trailing dot; "" is the null MX of RFC 7505
}

// Resolver answers the lookups of one deployment. Names are given in A-label
// or plain ASCII form, with or without trailing dot, in any case. A Resolver is
// safe for concurrent use, honours ctx and adds a deadline of its own.
// Authentic tells that the answer was validated by DNSSEC and came over a
// trusted path.
type Resolver interface {
	// TXT returns each record's strings joined without separator. The slice may
	// be shared: nobody writes to it.
	TXT(ctx context.Context, name string) (records []string, authentic bool, err error)
	// A returns IPv4 addresses only.
	A(ctx context.Context, name string) (addrs []netip.Addr, authentic bool, err error)
	// AAAA returns IPv6 addresses only.
	AAAA(ctx context.Context, name string) (addrs []netip.Addr, authentic bool, err error)
	// MX returns the exchangers in the order of the answer.
	MX(ctx context.Context, name string) (hosts []MX, authentic bool, err error)
	// PTR returns the names of an address, without trailing dots.
	PTR(ctx context.Context, addr netip.Addr) (names []string, authentic bool, err error)
}

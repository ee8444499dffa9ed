package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// maxChain is the number of CNAME records followed for one answer.
const maxChain = 10

// kind is the type of the records asked for.
type kind string

const (
	kindTXT  kind = "TXT"
	kindA    kind = "A"
	kindAAAA kind = "AAAA"
	kindMX   kind = "MX"
	kindPTR  kind = "PTR"
)

// question is what one lookup asks; name is canonical.
type question struct {
	name string
	kind kind
}

func (q question) String() string { return fmt.Sprintf("%s %q", q.kind, clip(q.name)) }

// fail returns an error that wraps the sentinel and says why in words.
func (q question) fail(sentinel error, why string) error {
	if why == "" {
		return fmt.Errorf("lookup of %v: %w", q, sentinel)
	}
	return fmt.Errorf("lookup of %v: %w: %s", q, sentinel, why)
}

// ttlUnknown stands for a time to live that the source did not tell.
const ttlUnknown time.Duration = -1

// reply is an answer with what only the cache wants to know. With an error,
// only ttl counts.
type reply struct {
	texts     []string
	addrs     []netip.Addr
	mx        []MX
	names     []string
	authentic bool
	ttl       time.Duration
}

func (r reply) empty() bool {
	return len(r.texts)+len(r.addrs)+len(r.mx)+len(r.names) == 0
}

// methods makes a Resolver of one find function: Client, Cache and Zone embed
// it. The slices it returns belong to the caller.
type methods struct {
	lookup func(ctx context.Context, q question) (reply, error)
}

// find checks what no source can answer, so that the sources need not.
func (m methods) find(ctx context.Context, q question) (reply, error) {
	q.name = canonical(q.name)
	if err := checkLengths(q.name); err != nil {
		return reply{ttl: ttlUnknown}, q.fail(ErrNotFound, err.Error())
	}
	if err := context.Cause(ctx); err != nil {
		return reply{ttl: ttlUnknown}, q.fail(temporary(err), err.Error())
	}
	return m.lookup(ctx, q)
}

// TXT returns each record's strings joined without separator, in a slice that is
// not to be written to.
func (m methods) TXT(ctx context.Context, name string) ([]string, bool, error) {
	r, err := m.find(ctx, question{name, kindTXT})
	return r.texts, r.authentic, err
}

// A returns IPv4 addresses only.
func (m methods) A(ctx context.Context, name string) ([]netip.Addr, bool, error) {
	r, err := m.find(ctx, question{name, kindA})
	return slices.Clone(r.addrs), r.authentic, err
}

// AAAA returns IPv6 addresses only.
func (m methods) AAAA(ctx context.Context, name string) ([]netip.Addr, bool, error) {
	r, err := m.find(ctx, question{name, kindAAAA})
	return slices.Clone(r.addrs), r.authentic, err
}

// MX returns the exchangers in the order of the answer.
func (m methods) MX(ctx context.Context, name string) ([]MX, bool, error) {
	r, err := m.find(ctx, question{name, kindMX})
	return slices.Clone(r.mx), r.authentic, err
}

// PTR returns the names of an address, without trailing dots. An invalid
// address has none.
func (m methods) PTR(ctx context.Context, addr netip.Addr) ([]string, bool, error) {
	if !addr.IsValid() {
		return nil, false, question{"", kindPTR}.fail(ErrNotFound, "no address")
	}
	r, err := m.find(ctx, question{reverseName(addr), kindPTR})
	return slices.Clone(r.names), r.authentic, err
}

// isNegative tells whether an error is the DNS saying that there is nothing.
func isNegative(err error) bool {
	return errors.Is(err, ErrNotFound) || errors.Is(err, ErrNoData)
}

// temporary returns ErrTimeout for a deadline that has passed, else ErrTemporary.
func temporary(err error) error {
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return ErrTimeout
	}
	return ErrTemporary
}

// result names how a lookup ended, for metrics.
func result(err error) string {
	switch {
	case err == nil:
		return "answer"
	case errors.Is(err, ErrNoData):
		return "no-data"
	case errors.Is(err, ErrNotFound):
		return "no-name"
	case errors.Is(err, ErrTimeout):
		return "time-out"
	}
	return "failure"
}

// source returns the find function of a Client, or for any other Resolver one
// that does not know how long answers live.
func source(r Resolver) func(ctx context.Context, q question) (reply, error) {
	if c, ok := r.(*Client); ok {
		return c.find
	}
	return func(ctx context.Context, q question) (reply, error) {
		out := reply{ttl: ttlUnknown}
		var err error
		switch q.kind {
		case kindTXT:
			out.texts, out.authentic, err = r.TXT(ctx, q.name)
		case kindA:
			out.addrs, out.authentic, err = r.A(ctx, q.name)
		case kindAAAA:
			out.addrs, out.authentic, err = r.AAAA(ctx, q.name)
		case kindMX:
			out.mx, out.authentic, err = r.MX(ctx, q.name)
		case kindPTR:
			out.names, out.authentic, err = r.PTR(ctx, addrOf(q.name))
		}
		return out, err
	}
}

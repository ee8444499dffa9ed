package dns

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// maxChain is the number of CNAME records followed for one answer.
const maxChain = 10

// kind is the type of the records asked for.
type kind string

const (
	kindTXT   kind = "TXT"
	kindA     kind = "A"
	kindAAAA  kind = "AAAA"
	kindMX    kind = "MX"
	kindPTR   kind = "PTR"
	kindNS    kind = "NS"
	kindCNAME kind = "CNAME"
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

// finder is a Resolver that tells the time to live too.
type finder interface {
	find(ctx context.Context, q question) (reply, error)
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
		return reply{ttl: ttlUnknown}, q.fail(ErrTemporary, err.Error())
	}
	return m.lookup(ctx, q)
}

// TXT returns each record's strings joined without separator.
func (m methods) TXT(ctx context.Context, name string) ([]string, bool, error) {
	r, err := m.find(ctx, question{name, kindTXT})
	return slices.Clone(r.texts), r.authentic, err
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

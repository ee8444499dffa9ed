// Package iprev tells whether the address of a client and the names it goes by
// belong together: the names of its address in the DNS (iprev of RFC 8601, also
// known as FCrDNS) and the name it gives in HELO or EHLO.
package iprev

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/mxdesk/mxdesk/auth/dns"
)

// The results of Check. There is no none: every client has an address.
//
// https://www.rfc-editor.org/rfc/rfc8601#section-2.7.3
const (
	Pass      = "pass"      // a name of the address has the address
	Fail      = "fail"      // the address has names, and none of them has the address
	TempError = "temperror" // the DNS could not tell; later may be different
	PermError = "permerror" // the address has no name
)

// The limits of one check. Large hosts have more names than anybody needs to
// look at.
const (
	maxNames = 10 // names whose addresses are asked, one lookup each
	timeout  = 10 * time.Second
)

// Result is the outcome of Check.
type Result struct {
	// Result is one of the four constants.
	Result string
	// Name is the first of Names that has the client's address; "" unless the
	// result is pass.
	Name string
	// Names are the names of the address that were looked at, at most 10: host
	// names as A-labels in lower case without trailing dot, in the order of the
	// answer and without repetition.
	Names []string
}

// Check asks for the names of the client's address, and for the addresses of
// each of them side by side. It takes 10 seconds at most, and never fails
// otherwise than by its result: what is not known by then is temperror, unless
// another name passes. An IPv4-mapped client counts as IPv4. Names that no host
// can have count as not published, and so does a client without an address.
//
// https://www.rfc-editor.org/rfc/rfc8601#section-3
func Check(ctx context.Context, r dns.Resolver, client netip.Addr) Result {
	client = plain(client)
	if !client.IsValid() {
		return Result{Result: PermError}
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	published, _, err := r.PTR(ctx, client)
	if err != nil && !isVoid(err) {
		return Result{Result: TempError}
	}
	names := usable(published)
	if len(names) == 0 {
		return Result{Result: PermError}
	}
	results := make([]string, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() { results[i] = forward(ctx, r, name, client) })
	}
	wg.Wait()
	if i := slices.Index(results, Pass); i >= 0 {
		return Result{Result: Pass, Name: names[i], Names: names}
	}
	if slices.Contains(results, TempError) {
		return Result{Result: TempError, Names: names}
	}
	return Result{Result: Fail, Names: names}
}

// usable returns the first names that a host can have.
func usable(published []string) []string {
	var names []string
	for _, name := range published {
		host, err := dns.Hostname(name)
		if err == nil && !slices.Contains(names, host) {
			names = append(names, host)
		}
		if len(names) == maxNames {
			break
		}
	}
	return names
}

// forward tells whether one name has the client's address.
func forward(ctx context.Context, r dns.Resolver, name string, client netip.Addr) string {
	addrs, err := addresses(ctx, r, name, client.Is4())
	switch {
	case slices.Contains(addrs, client):
		return Pass
	case err != nil && !isVoid(err):
		return TempError
	}
	return Fail
}

// addresses asks for the addresses of one family.
func addresses(ctx context.Context, r dns.Resolver, name string, ipv4 bool) (addrs []netip.Addr, err error) {
	if ipv4 {
		addrs, _, err = r.A(ctx, name)
	} else {
		addrs, _, err = r.AAAA(ctx, name)
	}
	return addrs, err
}

// plain is the form in which addresses are compared.
func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

// isVoid tells whether an error is the DNS saying that there is nothing.
func isVoid(err error) bool {
	return errors.Is(err, dns.ErrNotFound) || errors.Is(err, dns.ErrNoData)
}

package iprev

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/mxdesk/mxdesk/auth/dns"
)

// Helo is what the name that a client gives in HELO or EHLO turned out to be.
type Helo string

// The results of CheckHelo.
const (
	// HeloPass is a name that has the client's address, or the client's address
	// as a literal.
	HeloPass Helo = "pass"
	// HeloMismatch is a name that is somewhere else: it has other addresses, or
	// only mail exchangers. Hosts behind NAT and in server farms do this too.
	HeloMismatch Helo = "mismatch"
	// HeloUnresolvable is a name that has neither address nor mail exchanger.
	HeloUnresolvable Helo = "unresolvable"
	// HeloInvalid is what no mail host may say: no host name, a name of one
	// label, an address without brackets, the literal of another address.
	HeloInvalid Helo = "invalid"
	// HeloOwn is our own name, or an address of our own name in any form, from a
	// client that does not have that address.
	HeloOwn Helo = "own"
	// HeloTempError says that the DNS could not tell; later may be different.
	HeloTempError Helo = "temperror"
)

// CheckHelo tells what the name of a HELO or EHLO is; helo is the argument as it
// came and may hold anything. client is the address of the client, an
// IPv4-mapped one counts as IPv4, and own is our own host name. It makes three
// lookups at most and takes 10 seconds at most. RFC 5321 forbids to refuse mail
// for a mismatch alone.
//
// invalid and unresolvable are what Postfix refuses with
// reject_invalid_helo_hostname and reject_non_fqdn_helo_hostname, and with
// reject_unknown_helo_hostname.
//
// https://www.rfc-editor.org/rfc/rfc5321#section-4.1.4
func CheckHelo(ctx context.Context, r dns.Resolver, helo string, client netip.Addr, own string) Helo {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	client = plain(client)
	if addr, literal := parseAddress(helo); addr.IsValid() {
		return checkAddress(ctx, r, addr, literal, client, own)
	}
	name, err := dns.Hostname(helo)
	if err != nil || !isASCII(helo) {
		return HeloInvalid
	}
	if ours, err := dns.Hostname(own); err == nil && name == ours {
		return checkOwn(ctx, r, name, client)
	}
	if !isQualified(name) {
		return HeloInvalid
	}
	return resolve(ctx, r, name, client)
}

// parseAddress reads a HELO that is an address; literal tells that it is
// written in brackets, as it has to be.
//
// https://www.rfc-editor.org/rfc/rfc5321#section-4.1.3
func parseAddress(helo string) (addr netip.Addr, literal bool) {
	const tag = "IPv6:"
	text, opened := strings.CutPrefix(helo, "[")
	text, closed := strings.CutSuffix(text, "]")
	tagged := len(text) > len(tag) && strings.EqualFold(text[:len(tag)], tag)
	if tagged {
		text = text[len(tag):]
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return netip.Addr{}, false
	}
	return plain(addr), opened && closed && tagged == addr.Is6()
}

func checkAddress(ctx context.Context, r dns.Resolver, addr netip.Addr, literal bool, client netip.Addr, own string) Helo {
	if addr == client {
		if literal {
			return HeloPass
		}
		return HeloInvalid
	}
	if ours, err := dns.Hostname(own); err == nil && forward(ctx, r, ours, addr) == Pass {
		return HeloOwn
	}
	return HeloInvalid
}

// checkOwn lets ourselves pass, and nobody else.
func checkOwn(ctx context.Context, r dns.Resolver, name string, client netip.Addr) Helo {
	switch forward(ctx, r, name, client) {
	case Pass:
		return HeloPass
	case TempError:
		return HeloTempError
	}
	return HeloOwn
}

// resolve looks for the client's address, and without any address of its family
// for a sign that the name exists.
func resolve(ctx context.Context, r dns.Resolver, name string, client netip.Addr) Helo {
	addrs, err := addresses(ctx, r, name, client.Is4())
	switch {
	case slices.Contains(addrs, client):
		return HeloPass
	case err == nil:
		return HeloMismatch
	case errors.Is(err, dns.ErrNotFound):
		return HeloUnresolvable
	case !isVoid(err):
		return HeloTempError
	}
	_, err = addresses(ctx, r, name, !client.Is4())
	if isVoid(err) {
		err = exchangers(ctx, r, name)
	}
	switch {
	case err == nil:
		return HeloMismatch
	case isVoid(err):
		return HeloUnresolvable
	}
	return HeloTempError
}

// exchangers returns no error when the name takes mail; a null MX says that it
// does not.
//
// https://www.rfc-editor.org/rfc/rfc7505#section-3
func exchangers(ctx context.Context, r dns.Resolver, name string) error {
	hosts, _, err := r.MX(ctx, name)
	if err == nil && !slices.ContainsFunc(hosts, func(mx dns.MX) bool { return mx.Host != "" }) {
		return dns.ErrNoData
	}
	return err
}

// isQualified tells whether a host name is more than one label and no address.
func isQualified(name string) bool {
	dot := strings.LastIndexByte(name, '.')
	return dot > 0 && strings.Trim(name[dot+1:], "0123456789") != ""
}

// isASCII tells whether a HELO keeps to what clients may say before they know
// that the server takes more.
//
// https://www.rfc-editor.org/rfc/rfc6531#section-3.7.1
func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > '~' })
}

package spf

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

const (
	maxTarget      = 253  // octets of a name in a query, without trailing dot
	maxLabel       = 63   // octets
	maxExplanation = 1000 // octets
)

// clientNames are the names of the client's address, asked once in a check.
type clientNames struct {
	asked bool
	names []string
	err   error
	valid map[string]bool // whether a name leads back to the address
	end   time.Time       // of all lookups for them
}

// within bounds the lookups for the client's names. The client's own name
// servers answer them, and are not to use up the time of the terms behind, which
// would make a temperror of a fail.
func (c *clientNames) within(ctx context.Context, whole time.Duration) (context.Context, context.CancelFunc) {
	if c.end.IsZero() {
		c.end = time.Now().Add(whole / 4)
	}
	return context.WithDeadline(ctx, c.end)
}

// clientNames returns the first 10 names of the client's address.
//
// https://www.rfc-editor.org/rfc/rfc7208#section-4.6.4
func (e *evaluation) clientNames(ctx context.Context) ([]string, error) {
	if c := &e.client; !c.asked {
		ctx, cancel := c.within(ctx, e.options.Timeout)
		defer cancel()
		names, _, err := e.resolver.PTR(ctx, e.ip)
		c.asked, c.names, c.err, c.valid = true, names[:min(len(names), maxPTR)], err, make(map[string]bool)
	}
	return e.client.names, e.client.err
}

// validated tells whether a name of the client leads back to its address. A
// lookup that ends in an error does not.
func (e *evaluation) validated(ctx context.Context, name string) bool {
	key := strings.ToLower(name)
	valid, known := e.client.valid[key]
	if !known {
		ctx, cancel := e.client.within(ctx, e.options.Timeout)
		defer cancel()
		addrs, _ := e.addresses(ctx, name)
		valid = e.within(addrs, directive{bits4: 32, bits6: 128})
		e.client.valid[key] = valid
	}
	return valid
}

// validName is the value of the macro p: the domain itself, else a name below
// it, else any.
//
// https://www.rfc-editor.org/rfc/rfc7208#section-7.3
func (e *evaluation) validName(ctx context.Context, domain string) string {
	names, err := e.clientNames(ctx)
	if err != nil {
		return "unknown"
	}
	domain = strings.TrimSuffix(domain, ".")
	for _, fits := range []func(string) bool{
		func(name string) bool { return strings.EqualFold(name, domain) },
		func(name string) bool { return isWithin(name, domain) },
		func(string) bool { return true },
	} {
		for _, name := range names {
			if fits(name) && e.validated(ctx, name) {
				return name
			}
		}
	}
	return "unknown"
}

// target is the name that a term asks for: its domain expanded, or the current
// domain without one. errNonASCII and errMalformed tell that it cannot be asked for.
//
// https://www.rfc-editor.org/rfc/rfc7208#section-4.8
func (e *evaluation) target(ctx context.Context, domain string, t template) (string, error) {
	if t == nil {
		return strings.TrimSuffix(domain, "."), nil
	}
	name, err := t.expand(func(letter byte) (string, error) {
		switch {
		// https://www.rfc-editor.org/rfc/rfc8616#section-4
		case (letter == 's' || letter == 'l') && !isPrintable(e.local):
			return "", errNonASCII
		case letter == 'p' && !e.client.asked:
			if err := e.charge(); err != nil {
				return "", err
			}
		}
		return e.value(ctx, domain, letter), nil
	})
	if err != nil {
		return "", err
	}
	name = truncate(strings.TrimSuffix(name, "."))
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > maxLabel {
			return "", errMalformed
		}
	}
	return name, nil
}

// truncate takes labels off the left until the name fits in a query.
//
// https://www.rfc-editor.org/rfc/rfc7208#section-7.3
func truncate(name string) string {
	for len(name) > maxTarget {
		_, rest, _ := strings.Cut(name, ".")
		name = rest
	}
	return name
}

// value returns what a macro letter stands for.
//
// https://www.rfc-editor.org/rfc/rfc7208#section-7.2
func (e *evaluation) value(ctx context.Context, domain string, letter byte) string {
	switch letter {
	case 's':
		return e.local + "@" + e.origin
	case 'l':
		return e.local
	case 'o':
		return e.origin
	case 'd':
		return domain
	case 'i':
		return dotted(e.ip)
	case 'p':
		return e.validName(ctx, domain)
	case 'v':
		if e.ip.Is4() {
			return "in-addr"
		}
		return "ip6"
	case 'h':
		return e.helo
	case 'c':
		return e.ip.String()
	case 'r':
		if e.receiver == "" {
			return "unknown"
		}
		return e.receiver
	}
	return strconv.FormatInt(e.options.Now().Unix(), 10) // t
}

// dotted writes an IPv4 address as usual, an IPv6 address digit by digit.
func dotted(ip netip.Addr) string {
	if ip.Is4() {
		return ip.String()
	}
	digits := fmt.Sprintf("%X", ip.AsSlice())
	return strings.Join(strings.Split(digits, ""), ".")
}

// explain returns the text that the domain publishes for a fail, or "" when it
// has none, when it cannot be had, or when it is not fit for a reply. Its
// lookups do not count.
//
// https://www.rfc-editor.org/rfc/rfc7208#section-6.2
func (e *evaluation) explain(ctx context.Context, out outcome) string {
	if out.record.exp == nil {
		return ""
	}
	e.lookups = 0
	name, err := e.target(ctx, out.domain, out.record.exp)
	if err != nil {
		return ""
	}
	texts, _, err := e.resolver.TXT(ctx, name)
	if err != nil || len(texts) != 1 {
		return ""
	}
	t, err := parseTemplate(texts[0], true)
	if err != nil {
		return ""
	}
	text, err := t.expand(func(letter byte) (string, error) { return e.value(ctx, out.domain, letter), nil })
	if err != nil || !isPrintable(text) {
		return ""
	}
	return text[:min(len(text), maxExplanation)]
}

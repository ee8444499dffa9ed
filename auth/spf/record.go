package spf

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// maxRecord is the length of a record that is looked at, in octets: more does
// not fit in a DNS message.
const maxRecord = 65535

const (
	usualTerms = 16   // that room is made for at once
	maxTerms   = 1000 // mechanisms of one record
)

// record is a parsed policy.
type record struct {
	directives []directive
	redirect   template // nil without one
	exp        template // nil without one
}

// directive is a mechanism and what a match of it means.
type directive struct {
	result string // of a match
	name   string // lower case
	text   string // as published, without qualifier
	domain template
	prefix netip.Prefix // of ip4 and ip6
	bits4  int          // of a and mx
	bits6  int
}

// isRecord tells whether a TXT record is a policy of this version.
//
// https://www.rfc-editor.org/rfc/rfc7208#section-4.5
func isRecord(txt string) bool {
	const version = "v=spf1"
	return len(txt) >= len(version) && strings.EqualFold(txt[:len(version)], version) &&
		(len(txt) == len(version) || txt[len(version)] == ' ')
}

// parseRecord reads a whole policy and refuses it for any error anywhere.
//
// https://www.rfc-editor.org/rfc/rfc7208#section-4.6
func parseRecord(txt string) (*record, error) {
	if !isRecord(txt) {
		return nil, errors.New("no version")
	}
	if len(txt) > maxRecord {
		return nil, errors.New("record too long")
	}
	rec := &record{directives: make([]directive, 0, min(strings.Count(txt, " "), usualTerms))}
	for term := range strings.SplitSeq(txt[len("v=spf1"):], " ") {
		if term == "" {
			continue
		}
		if err := rec.add(term); err != nil {
			return nil, fmt.Errorf("term %q: %w", clip(term), err)
		}
	}
	return rec, nil
}

// add takes one term.
func (rec *record) add(term string) error {
	if name, value, ok := cutModifier(term); ok {
		return rec.addModifier(name, value)
	}
	if len(rec.directives) == maxTerms {
		return errors.New("too many terms")
	}
	d, err := parseDirective(term)
	if err == nil {
		rec.directives = append(rec.directives, d)
	}
	return err
}

// cutModifier splits name "=" value; anything else is a directive.
func cutModifier(term string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(term, "=")
	if !ok || name == "" || !isAlpha(name[0]) {
		return "", "", false
	}
	for i := range len(name) {
		if c := name[i]; !isAlpha(c) && !isDigit(c) && strings.IndexByte("-_.", c) < 0 {
			return "", "", false
		}
	}
	return strings.ToLower(name), value, true
}

// addModifier keeps redirect and exp, and checks the syntax of all others.
//
// https://www.rfc-editor.org/rfc/rfc7208#section-6
func (rec *record) addModifier(name, value string) error {
	var slot *template
	switch name {
	case "redirect":
		slot = &rec.redirect
	case "exp":
		slot = &rec.exp
	default:
		_, err := parseTemplate(value, false)
		return err
	}
	if *slot != nil {
		return errors.New("modifier given twice")
	}
	domain, err := parseDomain(value)
	*slot = domain
	return err
}

// parseDirective reads a mechanism with its qualifier.
//
// https://www.rfc-editor.org/rfc/rfc7208#section-4.6.1
func parseDirective(term string) (directive, error) {
	d := directive{result: Pass, text: term, bits4: 32, bits6: 128}
	switch term[0] {
	case '+':
		d.text = term[1:]
	case '-':
		d.result, d.text = Fail, term[1:]
	case '~':
		d.result, d.text = SoftFail, term[1:]
	case '?':
		d.result, d.text = Neutral, term[1:]
	}
	end := strings.IndexAny(d.text, ":/")
	if end < 0 {
		end = len(d.text)
	}
	d.name = strings.ToLower(d.text[:end])
	return d, d.parseArgument(d.text[end:])
}

// parseArgument reads what follows the name of a mechanism.
//
// https://www.rfc-editor.org/rfc/rfc7208#section-5
func (d *directive) parseArgument(arg string) (err error) {
	switch d.name {
	case "all":
		if arg != "" {
			return errors.New("unexpected argument")
		}
	case "include", "exists":
		return d.parseTarget(arg)
	case "ptr":
		if arg != "" {
			return d.parseTarget(arg)
		}
	case "a", "mx":
		if arg, err = d.cutDualCIDR(arg); err != nil {
			return err
		}
		if arg != "" {
			return d.parseTarget(arg)
		}
	case "ip4":
		d.prefix, err = parseNetwork(arg, 32)
	case "ip6":
		d.prefix, err = parseNetwork(arg, 128)
	default:
		return errors.New("unknown mechanism")
	}
	return err
}

// parseTarget reads ":" domain-spec.
func (d *directive) parseTarget(arg string) (err error) {
	spec, ok := strings.CutPrefix(arg, ":")
	if !ok {
		return errors.New("no domain")
	}
	d.domain, err = parseDomain(spec)
	return err
}

// cutDualCIDR takes the prefix lengths off the end of the argument. A domain
// may hold slashes of its own, so only whole numbers at the end count.
//
// https://www.rfc-editor.org/rfc/rfc7208#section-5.6
func (d *directive) cutDualCIDR(arg string) (rest string, err error) {
	rest, digits := cutNumber(arg)
	if digits != "" && strings.HasSuffix(rest, "//") {
		if d.bits6, err = parseBits(digits, 128); err != nil {
			return "", err
		}
		arg = strings.TrimSuffix(rest, "//")
		rest, digits = cutNumber(arg)
	}
	if digits == "" || !strings.HasSuffix(rest, "/") || strings.HasSuffix(rest, "//") {
		return arg, nil
	}
	d.bits4, err = parseBits(digits, 32)
	return strings.TrimSuffix(rest, "/"), err
}

// cutNumber splits the digits off the end of s.
func cutNumber(s string) (rest, digits string) {
	rest = strings.TrimRight(s, "0123456789")
	return rest, s[len(rest):]
}

// parseBits reads a prefix length without leading zeros.
func parseBits(digits string, most int) (int, error) {
	if digits == "" || len(digits) > 3 || digits[0] == '0' && digits != "0" {
		return 0, errors.New("malformed prefix length")
	}
	n := 0
	for i := range len(digits) {
		if !isDigit(digits[i]) {
			return 0, errors.New("malformed prefix length")
		}
		n = n*10 + int(digits[i]-'0')
	}
	if n > most {
		return 0, errors.New("prefix length too large")
	}
	return n, nil
}

// parseNetwork reads ":" address [ "/" length ] of the family with that many bits.
func parseNetwork(arg string, bits int) (netip.Prefix, error) {
	text, ok := strings.CutPrefix(arg, ":")
	if !ok {
		return netip.Prefix{}, errors.New("no network")
	}
	text, length, ok := strings.Cut(text, "/")
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.BitLen() != bits || addr.Zone() != "" {
		return netip.Prefix{}, errors.New("malformed network")
	}
	if ok {
		if bits, err = parseBits(length, bits); err != nil {
			return netip.Prefix{}, err
		}
	}
	return netip.PrefixFrom(addr, bits).Masked(), nil
}

// parseDomain reads a domain-spec.
func parseDomain(spec string) (template, error) {
	t, err := parseTemplate(spec, false)
	if err != nil {
		return nil, err
	}
	return t, t.checkDomainEnd()
}

// clip keeps hostile text from filling a reason.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

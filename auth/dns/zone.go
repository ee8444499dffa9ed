package dns

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// maxZoneFile is the largest zone file LoadZone reads, in bytes.
const maxZoneFile = 16 << 20

// Zone is a Resolver that answers from a fixed set of records. It serves tests
// and offline evaluation; no answer is authentic. Make one with ParseZone.
type Zone struct {
	methods
	nodes map[string]*node
}

// node holds what a zone says about one name.
type node struct {
	records map[kind]reply
	spf     []string // stands for TXT when the name has none
	noTXT   bool     // the spf entries stay out of TXT
	alias   bool     // the name has a CNAME
	target  string
	broken  error // what comes of types not listed: ErrTimeout, ErrTemporary or nil
}

// ParseZone reads a zone from JSON: an object that maps each name to a list of
// records, a record being a list of its type and its value:
//
//	{"example.com": [["A", "192.0.2.1"], ["MX", [10, "mail.example.com"]],
//	                 ["TXT", ["v=spf1 mx", " -all"]]],
//	 "1.2.0.192.in-addr.arpa": [["PTR", "mail.example.com"]],
//	 "slow.example.com": [["TIMEOUT"]]}
//
// The types are A, AAAA, TXT, SPF, MX, PTR, CNAME and NS. Names are compared
// without regard to case and trailing dot. The strings of a TXT list are joined.
// SPF entries are answered to TXT queries when the name has no TXT entry;
// ["TXT", "NONE"] prevents that. ["TIMEOUT"] makes every type that is not
// listed at the name end in ErrTimeout, ["SERVFAIL"] in ErrTemporary. CNAMEs are followed, 10
// at most. A name that is not listed ends in ErrNotFound, a listed name without
// the type in ErrNoData.
func ParseZone(data []byte) (*Zone, error) {
	var names map[string][][]json.RawMessage
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&names); err != nil {
		return nil, fmt.Errorf("zone: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("zone: more text after the object")
	}
	z := &Zone{nodes: make(map[string]*node, len(names))}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if canonical(name) == "" {
			return nil, errors.New("zone: empty name")
		}
		n := z.node(canonical(name))
		for i, entry := range names[name] {
			if err := n.add(entry); err != nil {
				return nil, fmt.Errorf("zone: %q, record %d: %w", clip(name), i+1, err)
			}
		}
	}
	for _, n := range z.nodes {
		n.finish()
	}
	z.methods = methods{z.answer}
	return z, nil
}

// LoadZone reads a zone as ParseZone does from a file of at most 16 MiB.
func LoadZone(path string) (*Zone, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxZoneFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxZoneFile {
		return nil, fmt.Errorf("zone: %s is larger than %d bytes", path, maxZoneFile)
	}
	return ParseZone(data)
}

func (z *Zone) node(name string) *node {
	n := z.nodes[name]
	if n == nil {
		n = &node{records: make(map[kind]reply)}
		z.nodes[name] = n
	}
	return n
}

// answer follows CNAMEs from q.name to records of the kind.
func (z *Zone) answer(_ context.Context, q question) (reply, error) {
	none := reply{ttl: ttlUnknown}
	name := q.name
	for range maxChain + 1 {
		n := z.nodes[name]
		if n == nil {
			return none, q.fail(ErrNotFound, "")
		}
		if r, ok := n.records[q.kind]; ok {
			return r, nil
		}
		switch {
		case n.alias:
			name = n.target
		case n.broken != nil:
			return none, q.fail(n.broken, "")
		default:
			return none, q.fail(ErrNoData, "")
		}
	}
	return none, q.fail(ErrTemporary, "too many CNAME records")
}

// add takes one entry of the list of a name.
func (n *node) add(entry []json.RawMessage) error {
	if len(entry) == 0 {
		return errors.New("no type")
	}
	typ, err := parseString(entry[0])
	if err != nil {
		return fmt.Errorf("type: %w", err)
	}
	typ = strings.ToUpper(typ)
	if broken := map[string]error{"TIMEOUT": ErrTimeout, "SERVFAIL": ErrTemporary}[typ]; broken != nil && len(entry) <= 2 {
		n.broken = broken
		return nil
	}
	if len(entry) != 2 {
		return fmt.Errorf("%s: want one value, have %d", typ, len(entry)-1)
	}
	if err := n.set(typ, entry[1]); err != nil {
		return fmt.Errorf("%s: %w", typ, err)
	}
	return nil
}

// set adds a value to the records of a type.
func (n *node) set(typ string, value json.RawMessage) error {
	r := n.records[kind(typ)]
	r.ttl = ttlUnknown
	switch typ {
	case "TXT", "SPF":
		return n.setText(typ, value)
	case "MX":
		mx, err := parseMX(value)
		if err != nil {
			return err
		}
		r.mx = append(r.mx, mx)
	case "A", "AAAA":
		addr, err := parseAddr(typ, value)
		if err != nil {
			return err
		}
		r.addrs = append(r.addrs, addr)
	case "PTR", "NS", "CNAME":
		host, err := parseHost(value)
		if err != nil {
			return err
		}
		if typ == "CNAME" {
			return n.setAlias(host)
		}
		r.names = append(r.names, host)
	default:
		return errors.New("unknown type")
	}
	n.records[kind(typ)] = r
	return nil
}

func (n *node) setAlias(host string) error {
	if n.alias {
		return errors.New("a name has one CNAME")
	}
	n.alias, n.target = true, canonical(host)
	return nil
}

func (n *node) setText(typ string, value json.RawMessage) error {
	text, err := parseText(value)
	switch {
	case err != nil:
		return err
	case typ == "SPF":
		n.spf = append(n.spf, text)
	case text == "NONE":
		n.noTXT = true
	default:
		r := n.records[kindTXT]
		r.ttl = ttlUnknown
		r.texts = append(r.texts, text)
		n.records[kindTXT] = r
	}
	return nil
}

// finish lets the SPF entries stand for TXT.
func (n *node) finish() {
	if _, ok := n.records[kindTXT]; !ok && !n.noTXT && len(n.spf) > 0 {
		n.records[kindTXT] = reply{texts: n.spf, ttl: ttlUnknown}
	}
}

// parseText reads a string or a list of strings.
func parseText(value json.RawMessage) (string, error) {
	if text, err := parseString(value); err == nil {
		return text, nil
	}
	var list []json.RawMessage
	if json.Unmarshal(value, &list) != nil || list == nil {
		return "", errors.New("want a string or a list of strings")
	}
	var joined strings.Builder
	for _, item := range list {
		text, err := parseString(item)
		if err != nil {
			return "", err
		}
		joined.WriteString(text)
	}
	return joined.String(), nil
}

// parseString reads a JSON string; null is none.
func parseString(value json.RawMessage) (string, error) {
	var text *string
	if json.Unmarshal(value, &text) != nil || text == nil {
		return "", errors.New("want a string")
	}
	return *text, nil
}

func parseAddr(typ string, value json.RawMessage) (netip.Addr, error) {
	text, err := parseString(value)
	if err != nil {
		return netip.Addr{}, err
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Is4() != (typ == "A") || addr.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("%q is not an address of this type", clip(text))
	}
	return addr, nil
}

// parseMX reads [preference, host], the preference as number or as string.
func parseMX(value json.RawMessage) (MX, error) {
	var pair []json.RawMessage
	if json.Unmarshal(value, &pair) != nil || len(pair) != 2 {
		return MX{}, errors.New("want [preference, host]")
	}
	digits := strings.Trim(string(pair[0]), `"`)
	preference, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return MX{}, errors.New("preference is not a number from 0 to 65535")
	}
	host, err := parseString(pair[1])
	if err != nil {
		return MX{}, fmt.Errorf("host: %w", err)
	}
	return MX{Preference: uint16(preference), Host: strings.TrimSuffix(host, ".")}, nil
}

// parseHost reads a name, which may be the root.
func parseHost(value json.RawMessage) (string, error) {
	host, err := parseString(value)
	return strings.TrimSuffix(host, "."), err
}

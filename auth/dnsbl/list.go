package dnsbl

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/mxdesk/mxdesk/auth/dns"
)

// The bounds of one list.
const (
	maxLine    = 1000 // octets of a configuration line
	maxZone    = 189  // octets of a zone, so that an IPv6 address fits before it
	maxName    = 100
	maxWeight  = 1000
	maxAnswers = 20
)

// Kind is what a list lists.
type Kind int

// The kinds of lists.
const (
	Addresses Kind = iota // of clients, IPv4 and IPv6
	Domains
)

// List is one DNS list and what its word is worth.
type List struct {
	// Zone is the domain that is asked, as A-labels in lower case.
	Zone string
	// Name stands for the zone wherever the list is named, for zones that hold a
	// key; "" is the zone itself.
	Name string
	// Kind is what the list lists.
	Kind Kind
	// Weight is what a hit adds to the score, -1000 to 1000. Allow lists have a
	// negative one; 0 only notes the hit.
	Weight int
	// Refuse says that a hit is reason enough to refuse.
	Refuse bool
	// Answers are the answers that count, at most 20 ranges. Empty stands for
	// all of 127.0.0.0/8 but 127.0.0.1. Those of 127.255.255.0/24 never count.
	Answers []Range
}

// Range is a range of IPv4 addresses in 127.0.0.0/8, both ends included.
type Range struct{ First, Last netip.Addr }

// What lists answer: a listing is in loopback, and refused is where they put
// the answers that say why they do not answer.
//
// https://www.rfc-editor.org/rfc/rfc5782#section-2.1
var (
	loopback  = netip.MustParsePrefix("127.0.0.0/8")
	refused   = netip.MustParsePrefix("127.255.255.0/24")
	localhost = netip.MustParseAddr("127.0.0.1")
)

// ParseList reads a list from one line: its zone, and then in any order
//
//	domains                   it lists domains; else addresses
//	weight=5                  what a hit adds to the score; else 1
//	refuse                    a hit refuses
//	answers=127.0.0.2-11      the answers that count, an address or a range; may be repeated
//	name=zen                  what to call the list where its zone must not be seen
//
// as in "zen.spamhaus.example weight=5 refuse answers=127.0.0.2-11". There are
// no commas, so that lines can be listed with commas between them.
func ParseList(line string) (List, error) {
	l, err := parseLine(line)
	if err == nil {
		err = l.check()
	}
	if err != nil {
		return List{}, fmt.Errorf("list %q: %w", clip(line), err)
	}
	return l, nil
}

func parseLine(line string) (List, error) {
	if len(line) > maxLine {
		return List{}, fmt.Errorf("longer than %d octets", maxLine)
	}
	words := strings.Fields(line)
	if len(words) == 0 {
		return List{}, errors.New("want a zone, as in: bl.example.org weight=5 refuse")
	}
	zone, err := dns.Hostname(words[0])
	if err != nil {
		return List{}, err
	}
	l := List{Zone: zone, Weight: 1}
	seen := make(map[string]bool)
	for _, word := range words[1:] {
		key, value, valued := strings.Cut(word, "=")
		if valued {
			key += "="
		}
		if seen[key] && key != "answers=" {
			return List{}, fmt.Errorf("%q is given twice", clip(key))
		}
		seen[key] = true
		if err := l.set(key, value); err != nil {
			return List{}, err
		}
	}
	return l, nil
}

// set takes one word of a line, which is a key or, after "=", a value too.
func (l *List) set(key, value string) (err error) {
	switch key {
	case "domains":
		l.Kind = Domains
	case "refuse":
		l.Refuse = true
	case "weight=":
		if l.Weight, err = strconv.Atoi(value); err != nil {
			return fmt.Errorf("weight %q: want a whole number", clip(value))
		}
	case "answers=":
		r, err := parseRange(value)
		if err != nil {
			return err
		}
		l.Answers = append(l.Answers, r)
	case "name=":
		if l.Name = value; value == "" {
			return errors.New("the name is empty")
		}
	default:
		return fmt.Errorf("unknown word %q: want domains, refuse, weight=, answers= or name=", clip(key))
	}
	return nil
}

// parseRange reads 127.0.0.2, 127.0.0.2-11 or 127.0.0.2-127.0.1.255.
func parseRange(text string) (Range, error) {
	from, to, ranged := strings.Cut(text, "-")
	if !ranged {
		to = from
	} else if !strings.Contains(to, ".") {
		to = from[:strings.LastIndexByte(from, '.')+1] + to
	}
	first, err1 := netip.ParseAddr(from)
	last, err2 := netip.ParseAddr(to)
	if err1 != nil || err2 != nil {
		return Range{}, fmt.Errorf("answers %q: want an address or a range, as in answers=127.0.0.2-11; for more of them repeat answers=", clip(text))
	}
	return Range{first, last}, nil
}

// check tells what is wrong with a list.
func (l List) check() error {
	host, err := dns.Hostname(l.Zone)
	switch {
	case err != nil:
		return err
	case host != l.Zone || !strings.Contains(host, ".") || len(host) > maxZone:
		return fmt.Errorf("zone %q: want a domain of at least two labels and at most %d octets", clip(l.Zone), maxZone)
	case len(l.Name) > maxName || strings.ContainsFunc(l.Name, func(r rune) bool { return r <= ' ' || r > '~' }):
		return fmt.Errorf("name %q: want printable ASCII of at most %d octets", clip(l.Name), maxName)
	case l.Kind != Addresses && l.Kind != Domains:
		return fmt.Errorf("unknown kind %d", l.Kind)
	case l.Weight < -maxWeight || l.Weight > maxWeight:
		return fmt.Errorf("weight %d: want %d to %d", l.Weight, -maxWeight, maxWeight)
	case l.Refuse && l.Weight < 0:
		return errors.New("a list with negative weight allows, so it cannot refuse")
	case l.Kind == Domains && l.Weight < 0:
		return errors.New("an allow list of domains would speak for names that anybody can claim: only lists of addresses have a negative weight")
	case len(l.Answers) > maxAnswers:
		return fmt.Errorf("more than %d answers", maxAnswers)
	}
	for _, r := range l.Answers {
		if !loopback.Contains(r.First) || !loopback.Contains(r.Last) || r.Last.Less(r.First) {
			return fmt.Errorf("answers %v: want a range inside 127.0.0.0/8, the lower address first", r)
		}
	}
	return nil
}

// String is the line from which ParseList makes the list.
func (l List) String() string {
	words := []string{l.Zone}
	if l.Kind == Domains {
		words = append(words, "domains")
	}
	words = append(words, "weight="+strconv.Itoa(l.Weight))
	if l.Refuse {
		words = append(words, "refuse")
	}
	for _, r := range l.Answers {
		words = append(words, "answers="+r.String())
	}
	if l.Name != "" {
		words = append(words, "name="+l.Name)
	}
	return strings.Join(words, " ")
}

// String is the shortest form that ParseList reads.
func (r Range) String() string {
	first, last := r.First.String(), r.Last.String()
	dot := strings.LastIndexByte(first, '.') + 1
	switch {
	case first == last:
		return first
	case strings.HasPrefix(last, first[:dot]):
		return first + "-" + last[dot:]
	}
	return first + "-" + last
}

// counts tells whether an answer is a listing.
func (l List) counts(answer netip.Addr) bool {
	if len(l.Answers) == 0 {
		return answer != localhost
	}
	return slices.ContainsFunc(l.Answers, func(r Range) bool {
		return !answer.Less(r.First) && !r.Last.Less(answer)
	})
}

// label is what the list is called.
func (l List) label() string {
	if l.Name != "" {
		return l.Name
	}
	return l.Zone
}

// clip keeps a long text from filling an error.
func clip(s string) string {
	const most = 100
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

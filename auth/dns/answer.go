package dns

import (
	"net"
	"net/netip"
	"strings"
	"time"

	mdns "github.com/miekg/dns"
)

// maxRecords is the number of records an answer may have, aliases and
// signatures included.
const maxRecords = 1000

// number is the type's number on the wire, 0 for a kind that is never asked for.
func (k kind) number() uint16 {
	switch k {
	case kindTXT:
		return mdns.TypeTXT
	case kindA:
		return mdns.TypeA
	case kindAAAA:
		return mdns.TypeAAAA
	case kindMX:
		return mdns.TypeMX
	case kindPTR:
		return mdns.TypePTR
	}
	return mdns.TypeNone
}

// interpret takes the records of the question out of an answer, following the
// aliases in it.
//
// https://www.rfc-editor.org/rfc/rfc1034#section-4.3.2
func interpret(q question, msg *mdns.Msg, trusted bool) (reply, error) {
	r := reply{authentic: trusted && msg.AuthenticatedData, ttl: ttlUnknown}
	owner, ok := r.follow(escapeName(q.name), msg.Answer)
	if !ok {
		return reply{ttl: ttlUnknown}, q.fail(ErrTemporary, "too many CNAME records")
	}
	for _, rr := range msg.Answer {
		h := rr.Header()
		if h.Rrtype == q.kind.number() && h.Class == mdns.ClassINET && canonical(h.Name) == owner && r.add(rr) {
			r.lower(h.Ttl)
		}
	}
	if !r.empty() {
		return r, nil
	}
	negative := reply{authentic: r.authentic, ttl: negativeTTL(msg.Ns)}
	if msg.Rcode == mdns.RcodeNameError {
		return negative, q.fail(ErrNotFound, "")
	}
	return negative, q.fail(ErrNoData, "")
}

// follow walks the aliases of the answer from name to the name that has the
// records; false when there are too many.
func (r *reply) follow(name string, answer []mdns.RR) (owner string, ok bool) {
	aliases := make(map[string]*mdns.CNAME)
	for _, rr := range answer {
		if alias, ok := rr.(*mdns.CNAME); ok && alias.Hdr.Class == mdns.ClassINET {
			aliases[canonical(alias.Hdr.Name)] = alias
		}
	}
	for range maxChain + 1 {
		alias := aliases[name]
		if alias == nil {
			return name, true
		}
		r.lower(alias.Hdr.Ttl)
		name = canonical(alias.Target)
	}
	return "", false
}

// lower makes the time to live that of the record that lives shortest.
func (r *reply) lower(seconds uint32) {
	ttl := duration(seconds)
	if r.ttl == ttlUnknown || ttl < r.ttl {
		r.ttl = ttl
	}
}

// duration reads a time to live; one with the high bit set counts as 0.
//
// https://www.rfc-editor.org/rfc/rfc2181#section-8
func duration(seconds uint32) time.Duration {
	if seconds >= 1<<31 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// negativeTTL is how long the absence of records holds.
//
// https://www.rfc-editor.org/rfc/rfc2308#section-5
func negativeTTL(authority []mdns.RR) time.Duration {
	for _, rr := range authority {
		if soa, ok := rr.(*mdns.SOA); ok {
			return min(duration(soa.Hdr.Ttl), duration(soa.Minttl))
		}
	}
	return ttlUnknown
}

// add takes one record over. Names that could be misread as text, such as ones
// with a dot inside a label, are left out.
func (r *reply) add(rr mdns.RR) bool {
	switch rr := rr.(type) {
	case *mdns.TXT:
		r.texts = append(r.texts, unescapeText(strings.Join(rr.Txt, "")))
	case *mdns.A:
		return r.addAddr(rr.A.To4())
	case *mdns.AAAA:
		return r.addAddr(rr.AAAA)
	case *mdns.MX:
		if strings.Contains(rr.Mx, `\`) {
			return false
		}
		r.mx = append(r.mx, MX{Preference: rr.Preference, Host: strings.TrimSuffix(rr.Mx, ".")})
	case *mdns.PTR:
		if strings.Contains(rr.Ptr, `\`) || rr.Ptr == "." {
			return false
		}
		r.names = append(r.names, strings.TrimSuffix(rr.Ptr, "."))
	default:
		return false
	}
	return true
}

func (r *reply) addAddr(ip net.IP) bool {
	addr, ok := netip.AddrFromSlice(ip)
	if ok {
		r.addrs = append(r.addrs, addr)
	}
	return ok
}

// escapeName writes a canonical name the way the library prints one, so that
// any octet but the dot may stand in a label.
func escapeName(name string) string {
	var s strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case c < ' ' || c > '~':
			s.Write([]byte{'\\', '0' + c/100, '0' + c/10%10, '0' + c%10})
		case strings.IndexByte(` '@;()"\`, c) >= 0:
			s.Write([]byte{'\\', c})
		default:
			s.WriteByte(c)
		}
	}
	return s.String()
}

// unescapeText gives back the octets of a text as the library prints it.
func unescapeText(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		switch rest := s[i+1:]; {
		case s[i] != '\\' || rest == "":
			out.WriteByte(s[i])
		case len(rest) >= 3 && isDigits(rest[:3]):
			out.WriteByte((rest[0]-'0')*100 + (rest[1]-'0')*10 + rest[2] - '0')
			i += 3
		default:
			out.WriteByte(rest[0])
			i++
		}
	}
	return out.String()
}

func isDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

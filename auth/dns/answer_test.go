package dns

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
	"golang.org/x/net/dns/dnsmessage"
)

func TestTimeToLive(t *testing.T) {
	for label, c := range map[string]struct {
		lines []string
		want  time.Duration
	}{
		"least of records":    {[]string{"a.test. 60 A 192.0.2.1", "a.test. 30 A 192.0.2.2"}, 30 * time.Second},
		"least of aliases":    {[]string{"a.test. 10 CNAME b.test.", "b.test. 30 A 192.0.2.2"}, 10 * time.Second},
		"high bit":            {[]string{"a.test. 2147483648 A 192.0.2.1"}, 0},
		"absence, by minimum": {[]string{"test. 900 SOA ns.test. me.test. 1 2 3 4 300"}, 300 * time.Second},
		"absence, by header":  {[]string{"test. 90 SOA ns.test. me.test. 1 2 3 4 300"}, 90 * time.Second},
		"absence, not told":   {nil, ttlUnknown},
	} {
		q := question{"a.test", kindA}
		msg := records(t, server{}.query(q), c.lines...)
		if r, _ := interpret(q, msg, false); r.ttl != c.want {
			t.Errorf("%s: got %v, want %v", label, r.ttl, c.want)
		}
	}
}

// FuzzAnswer feeds the bytes of a message to what handles answers, and compares
// the texts it finds with those that another library reads.
func FuzzAnswer(f *testing.F) {
	q := question{"a.test", kindTXT}
	query := server{}.query(q)
	query.Id = 4711
	for _, lines := range [][]string{
		{`a.test. 60 TXT "v=spf1" " -all"`}, {`a.test. 60 TXT "q\"b\\s\195\188;"`, `A.TEST. 61 TXT "" "x"`}, {`b.test. 60 TXT "other"`},
		{"a.test. 60 CNAME b.test.", `b.test. 60 TXT "x"`}, {"a.test. 60 CNAME a.test."}, {"test. 90 SOA ns.test. me.test. 1 2 3 4 300"},
		{"a.test. 60 A 192.0.2.1", "a.test. 60 AAAA 2001:db8::1", "a.test. 60 MX 10 mx.test.", "a.test. 60 PTR p.test."},
	} {
		f.Add(pack(f, records(f, query, lines...)))
	}
	f.Add(pack(f, query)[:12])
	f.Fuzz(func(t *testing.T, data []byte) {
		msg := new(mdns.Msg)
		err := msg.Unpack(data)
		if !answers(msg, query, err) || usable(msg) != nil {
			return
		}
		for _, k := range []kind{kindTXT, kindA, kindAAAA, kindMX, kindPTR} {
			r, err := interpret(question{q.name, k}, msg, true)
			if (err == nil) == r.empty() {
				t.Errorf("%s: %+v with error %v", k, r, err)
			}
			if n := len(r.texts) + len(r.addrs) + len(r.mx) + len(r.names); n > maxRecords {
				t.Errorf("%s: %d records", k, n)
			}
		}
		if want, ok := otherReading(data); ok {
			if r, _ := interpret(q, msg, true); !slices.Equal(r.texts, want) {
				t.Errorf("texts %q, want %q", r.texts, want)
			}
		}
	})
}

// otherReading returns the texts of a.test in a message, unless it has aliases
// or is beyond what that library reads.
func otherReading(data []byte) (texts []string, ok bool) {
	var p dnsmessage.Parser
	if _, err := p.Start(data); err != nil || p.SkipAllQuestions() != nil {
		return nil, false
	}
	for {
		h, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return texts, true
		}
		if err != nil || h.Type == dnsmessage.TypeCNAME {
			return nil, false
		}
		if h.Type != dnsmessage.TypeTXT || h.Class != dnsmessage.ClassINET || !strings.EqualFold(h.Name.String(), "a.test.") {
			if p.SkipAnswer() != nil {
				return nil, false
			}
			continue
		}
		txt, err := p.TXTResource()
		if err != nil {
			return nil, false
		}
		texts = append(texts, strings.Join(txt.TXT, ""))
	}
}

// FuzzEscape checks that names and texts pass through the library unchanged.
func FuzzEscape(f *testing.F) {
	f.Add("a b", `q"\`)
	f.Add("\x00\xff", "\\123")
	f.Fuzz(func(t *testing.T, label, text string) {
		if label = canonical(label); strings.Contains(label, ".") || checkLengths(label+".test") != nil {
			t.Skip()
		}
		query := server{}.query(question{label + ".test", kindTXT})
		var back mdns.Msg
		if err := back.Unpack(pack(t, query)); err != nil || back.Question[0].Name != query.Question[0].Name {
			t.Errorf("%q: %v, %q", label, err, back.Question[0].Name)
		}
		var printed strings.Builder
		for i := range len(text) {
			printed.WriteString(escapeName(text[i : i+1]))
		}
		if got := unescapeText(printed.String()); got != text {
			t.Errorf("%q: got %q", text, got)
		}
	})
}

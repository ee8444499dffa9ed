package dns

import (
	"strings"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
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

// FuzzAnswer feeds the bytes of a message to what handles answers.
func FuzzAnswer(f *testing.F) {
	q := question{"a.test", kindTXT}
	query := server{}.query(q)
	f.Add(pack(f, records(f, query, `a.test. 60 TXT "v=spf1" " -all"`)))
	f.Add(pack(f, records(f, query, "a.test. 60 CNAME b.test.", `b.test. 60 TXT "x"`)))
	f.Add(pack(f, records(f, query, "test. 90 SOA ns.test. me.test. 1 2 3 4 300")))
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
		}
	})
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

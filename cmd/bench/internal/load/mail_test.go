package load

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/mxdesk/mxdesk/auth/dkim"
	zonefile "github.com/mxdesk/mxdesk/auth/dns"
	"github.com/mxdesk/mxdesk/auth/message"
)

func newMaker(t *testing.T) *Maker {
	t.Helper()
	m, err := NewMaker([]string{"support@desk.test", "support1@desk.test"})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// resolver answers TXT from what the maker publishes.
func resolver(t *testing.T, m *Maker) zonefile.Resolver {
	t.Helper()
	text, err := m.Zone()
	if err != nil {
		t.Fatal(err)
	}
	zone := map[string][][]string{}
	parser := dns.NewZoneParser(strings.NewReader("$TTL 60\n"+text), ".", "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		if txt, ok := rr.(*dns.TXT); ok {
			zone[strings.TrimSuffix(rr.Header().Name, ".")] = [][]string{{"TXT", strings.Join(txt.Txt, "")}}
		}
	}
	if err := parser.Err(); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(zone)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zonefile.ParseZone(b)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestMailsAreDistinctAndSigned(t *testing.T) {
	m := newMaker(t)
	mails, err := m.Make(t.Context(), Kind{Size: 10 << 10, Signed: true}, 20)
	if err != nil {
		t.Fatal(err)
	}
	v := dkim.New(resolver(t, m), dkim.Options{})
	ids, senders, to := map[string]bool{}, map[string]bool{}, map[string]int{}
	for _, mail := range mails {
		raw, ok := bytes.CutSuffix(mail.Data, []byte("\r\n.\r\n"))
		if !ok || bytes.Contains(raw, []byte("\n.")) {
			t.Fatalf("the end of the data is not where it should be:\n%.300q", raw)
		}
		raw = append(slices.Clone(raw), "\r\n"...)
		if len(raw) < 10<<10 || len(raw) > 11<<10 {
			t.Errorf("a mail of %d octets", len(raw))
		}
		parsed, err := message.Read(bytes.NewReader(raw), int64(len(raw)), message.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if got := v.Verify(t.Context(), parsed); len(got) != 1 || got[0].Result != "pass" {
			t.Errorf("signatures: %+v", got)
		}
		ids[string(parsed.Get("Message-ID")[0].RawValue())] = true
		senders[mail.From] = true
		to[mail.To]++
	}
	if len(ids) != 20 || len(senders) != 20 || to["support@desk.test"] != 10 {
		t.Errorf("%d ids, %d senders, recipients %v", len(ids), len(senders), to)
	}
}

func TestPlainMailsComeFromDomainsThatPublishNothing(t *testing.T) {
	m := newMaker(t)
	mails, err := m.Make(t.Context(), Kind{Size: 2000, NoAnswer: true}, 3)
	if err != nil {
		t.Fatal(err)
	}
	zone, err := m.Zone()
	if err != nil {
		t.Fatal(err)
	}
	for _, mail := range mails {
		_, domain, _ := strings.Cut(mail.From, "@")
		if strings.Contains(zone, domain) || bytes.Contains(mail.Data, []byte("DKIM-Signature")) {
			t.Errorf("mail from %s is not plain", mail.From)
		}
		if !bytes.Contains(mail.Data, []byte("\r\nX-Auto-Response-Suppress: All\r\n")) {
			t.Error("an answer is wanted")
		}
	}
}

package auth

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/mxdesk/mxdesk/auth/message"
	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/mail"
)

// The From domain that is checked is the one that people see, wherever the
// reader of signatures and the reader of mail see the header begin or end.
func TestCheckedAuthorIsTheOneShown(t *testing.T) {
	const reject = "_dmarc.bank.example: v=DMARC1; p=reject"
	for _, c := range []struct{ name, mail string }{
		{"empty line first", "\r\nFrom: ceo@bank.example\r\nSubject: x\r\n\r\nHi.\r\n"},
		{"empty lines of two kinds", "\n\r\n\nFrom: ceo@bank.example\r\n\r\nHi.\r\n"},
		{"envelope line", "From ceo@elsewhere.example Sun Nov 22 10:00:00 2026\r\nFrom: ceo@bank.example\r\n\r\nHi.\r\n"},
		{"space before the first colon", "From : ceo@bank.example\r\nSubject: x\r\n\r\nHi.\r\n"},
		{"line of no field", "Subject: x\r\nno field\r\nFrom: ceo@bank.example\r\n\r\nHi.\r\n"},
	} {
		v := New(zone(t, reject), Options{}).Verify(t.Context(), envelope("a@elsewhere.example"), raw(c.mail))
		if v.FromDomain != "bank.example" || v.Verdict.Action != ticketing.ActionReject {
			t.Errorf("%s: From domain %q, %v", c.name, v.FromDomain, v.Verdict)
		}
	}
}

// Where From names nobody the desk shows the Sender, and then no signature or
// client vouches for what people see.
func TestShownSenderIsChecked(t *testing.T) {
	records := "_dmarc.bank.example: v=DMARC1; p=reject\nbank.example: v=spf1 +all"
	for _, from := range []string{"", "From: nobody\r\n", "From: g:;\r\n", "From: Jos\xe9\r\n"} {
		text := from + "Sender: ceo@bank.example\r\nSubject: x\r\n\r\nHi.\r\n"
		if shown := mail.Parse(strings.NewReader(text), int64(len(text)), mail.Options{}).Author().Address; shown != "ceo@bank.example" {
			t.Fatalf("%q: shown %q", from, shown)
		}
		v := New(zone(t, records), Options{}).Verify(t.Context(), envelope("ceo@bank.example"), raw(text))
		if v.Aligned() || v.DMARC.Result != "fail" || v.Verdict.Action != ticketing.ActionReject {
			t.Errorf("%q: %+v, %v", from, v.DMARC, v.Verdict)
		}
	}
}

// A field that signatures cover and nobody is shown does not verify the one that
// is shown, be it of the same domain.
func TestShownAuthorIsTheOneSigned(t *testing.T) {
	records := "s._domainkey.big.example: " + keyRecord(t) + "\n_dmarc.big.example: v=DMARC1; p=quarantine"
	signed := sign(t, "big.example", "From: mallory@big.example\r\nSubject: x\r\n\r\nHi.\r\n")
	for _, c := range []struct{ name, top string }{
		{"the shown header ends before a long text", "\xef\xbb\xbfFrom: ceo@big.example\r\n" + strings.Repeat(strings.Repeat("text ", 180)+"\r\n", 6)},
		{"the shown header ends at CR CR LF", "\xef\xbb\xbfFrom: ceo@big.example\r\n\r\r\n"},
		{"lines that end in CR", "X: y\rFrom: ceo@big.example\r\r" + strings.Repeat("x", 5000) + "\r\n"},
	} {
		text := c.top + signed
		shown := mail.Parse(strings.NewReader(text), int64(len(text)), mail.Options{}).Author().Address
		v := New(zone(t, records), Options{}).Verify(t.Context(), envelope("a@elsewhere.example"), raw(text))
		if shown != "ceo@big.example" || len(v.DKIM) != 1 || v.DKIM[0].Result != "pass" {
			t.Fatalf("%s: this is to show somebody else than the signer: shown %s, %+v", c.name, shown, v.DKIM)
		}
		if v.Aligned() || v.DMARC.Result != "fail" || v.Verdict.Action != ticketing.ActionHold {
			t.Errorf("%s: aligned %v, %+v, %v", c.name, v.Aligned(), v.DMARC, v.Verdict)
		}
	}
}

// A From that shows the domain of a bank in a form that the DNS cannot have does
// not get past the bank's policy; what honest hosts write is taken as ever.
func TestImpossibleFrom(t *testing.T) {
	long := strings.Repeat("x", 64)
	records := "_dmarc.bank.example: v=DMARC1; p=reject\nbank.example: v=spf1 +all\ns._domainkey.bank.example: " + keyRecord(t)
	const hold, reject, taken = "hold from-impossible", "reject dmarc-reject", "accept none"
	for domain, want := range map[string]string{
		"bank.example:25": hold, "[bank.example]": hold, "[bank.example:25]": hold, "[192.0.2.1%bank.example]": hold,
		"bank.example/": hold, "bank.example%20x": hold, "bank.example|x.example": hold, "!bank.example": hold,
		long + ".bank.example": hold, strings.Repeat("x.", 125) + "bank.example": hold, "mail..bank.example": hold,
		"bank.example\u200e": hold, "ba\u202enk.example": hold, "bank.example\ufe5525": hold, "bank.example\ufffd": hold, "bank\u2024example": hold,
		"bank.example\\": hold, "x.example@bank.example": hold,

		"bank.example.": reject, "bank.example..": reject, ".bank.example": reject, "BANK.example": reject, "bank .example": reject,
		"bank\u3002example": reject, "\uff42\uff41\uff4e\uff4b.example": reject, "ba\u00adnk.example": reject,
		"b\u200bank.example": reject, "x_y.bank.example": reject, "-.bank.example": reject,

		"[192.0.2.1]": taken, "[IPv6:2001:db8::1]": taken, "192.0.2.1": taken, "localhost": taken, "host.localdomain": taken,
		"my_printer": taken, "m\u00fcnchen.example": taken,
	} {
		text := "From: CEO <ceo@" + domain + ">\r\nSubject: x\r\n\r\nHi.\r\n"
		if strings.Contains(domain, "..") || strings.ContainsAny(domain, "\\@") {
			text = strings.NewReplacer("CEO <", "", ">", "").Replace(text) // else nothing of it is shown
		}
		v := New(zone(t, records), Options{}).Verify(t.Context(), envelope("a@x.example"), raw(text))
		if got := string(v.Verdict.Action) + " " + v.Verdict.Reason; got != want || v.Aligned() {
			t.Errorf("%q: %s, want %s", domain, got, want)
		}
	}
	for _, tt := range []struct{ name, from, want string }{
		{"no domain", "root", "accept from-not-one"},
		{"nobody", "", "accept from-not-one"},
		{"beside another domain", "a@x.example, ceo@bank.example:25", hold},
		{"beside one that refuses", "ceo@bank.example:25, a@bank.example", reject},
	} {
		text := sign(t, "bank.example", "From: "+tt.from+"\r\nSubject: x\r\n\r\nHi.\r\n")
		v := New(zone(t, records), Options{}).Verify(t.Context(), envelope("a@bank.example"), raw(text))
		if got := string(v.Verdict.Action) + " " + v.Verdict.Reason; got != tt.want || v.Aligned() {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func FuzzAuthor(f *testing.F) {
	for _, s := range []string{
		"From: a@x.test\r\nFrom: b@y.test\r\n\r\nhi", "From : a@x.test\r\n\r\n", "\r\nFrom: a@x.test\r\n\r\n", "\t\r\nFrom: a@x.test\r\n\r\n",
		"From x y\r\nFrom: a@x.test\r\n\r\n", "\xef\xbb\xbfFrom: a@x.test\r\nFrom: b@y.test\r\n\r\n", "\x00From: a@x.test\r\n\r\n",
		"Subject: x\r\nno field\r\nFrom: a@x.test\r\n\r\n", "Subject: x\rFrom: b@y.test\r\nFrom: a@x.test\r\n\r\n",
		"From: a@x.test\n\nFrom: b@y.test\n\r\n", "From: a@x.test\r\n \r\nFrom: b@y.test\r\n\r\n", "From: a@x.test\r\n\rFrom: b@y.test\r\n\r\n",
		"From: a@\xe9x.test\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=koi8-r\r\n\r\nx\r\n--b--\r\n",
		"From: a@x.test:25\r\n\r\n", "From: a@[x.test]\r\n\r\n", "From: a@[192.0.2.1]\r\n\r\n", "From: a@x.test.\r\n\r\n", "From: a@x..test\r\n\r\n",
		"From: a@x.test\u200e\r\n\r\n", "From: a@x\u3002test\r\n\r\n", "From: b@y.test, a@x.test/\r\n\r\n", "Sender: a@x.test:25\r\n\r\n",
		"From: a@" + strings.Repeat("x", 64) + ".test\r\n\r\n", "From: a@" + strings.Repeat("x.", 126) + "test\r\n\r\n",
		"From: \"a@x.test\" <b@y.test>\r\n\r\n", "From: =?utf-8?q?a=40x.test_=3Cb=40y.test=3E?= <c@z.test>\r\n\r\n", "From: g: a@x.test, b@y.test;\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 4<<10 {
			return
		}
		m, err := message.Read(bytes.NewReader(text), int64(len(text)), message.Limits{})
		if err != nil {
			return
		}
		checked := readAuthor(m, bytes.NewReader(text), int64(len(text)))
		var shown []string
		for _, p := range mail.Parse(bytes.NewReader(text), int64(len(text)), mail.Options{}).From {
			if p.Address == "" {
				continue
			}
			domain := addressDomain(p.Address)
			shown = append(shown, domain)
			if domain == "" && !checked.impossible && !strings.Contains(p.Address, "@[") {
				t.Errorf("%q is taken for an author with no policy", p.Address)
			}
		}
		for _, domain := range shown {
			if !checked.several && domain != checked.domain {
				t.Errorf("checked %q, shown %q", checked.domain, strings.Join(shown, " "))
			}
		}
		_, fields := mail.From(bytes.NewReader(text), int64(len(text)), mail.Options{})
		if signed := rawFrom(m); checked.single && len(signed) > 0 && !slices.EqualFunc(fields, signed, sameWords) {
			t.Errorf("one author %q of fields %q, and those that can be signed are %q", checked.domain, fields, signed)
		}
		if checked.domain != "" && len(shown) == 0 {
			t.Errorf("checked %q, shown nobody", checked.domain)
		}
	})
}

func rawFrom(m *message.Message) (values []string) {
	for _, f := range m.Get("From") {
		values = append(values, f.RawValue())
	}
	return values
}

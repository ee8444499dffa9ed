package spf

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/auth/dns"
)

// newEvaluation makes the state for the example sender of section 7.4 of the RFC.
func newEvaluation(t testing.TB, ip, zone string) *evaluation {
	t.Helper()
	z, err := dns.ParseZone([]byte(zone))
	if err != nil {
		t.Fatal(err)
	}
	o := New(z, Options{Now: func() time.Time { return time.Unix(1700000000, 0) }}).options
	return &evaluation{
		resolver: z, options: o, ip: netip.MustParseAddr(ip),
		local: "strong-bad", origin: "email.example.com", helo: "mx.example.org",
	}
}

// https://www.rfc-editor.org/rfc/rfc7208#section-7.4
func TestExpand(t *testing.T) {
	const four, six = "192.0.2.3", "2001:db8::cb01"
	for _, c := range []struct{ ip, in, want string }{
		{four, "%{s}", "strong-bad@email.example.com"},
		{four, "%{o}", "email.example.com"},
		{four, "%{d}", "email.example.com"},
		{four, "%{d4}", "email.example.com"},
		{four, "%{d3}", "email.example.com"},
		{four, "%{d2}", "example.com"},
		{four, "%{d1}", "com"},
		{four, "%{d99999999999999999999}", "email.example.com"},
		{four, "%{dr}", "com.example.email"},
		{four, "%{d2R}", "example.email"},
		{four, "%{l}", "strong-bad"},
		{four, "%{l-}", "strong.bad"},
		{four, "%{lr}", "strong-bad"},
		{four, "%{lr-}", "bad.strong"},
		{four, "%{l1r-}", "strong"},
		{four, "%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"},
		{four, "%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"},
		{four, "%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"},
		{four, "%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"},
		{four, "%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"},
		{six, "%{ir}.%{v}._spf.%{d2}", "1.0.B.C.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.B.D.0.1.0.0.2.ip6._spf.example.com"},
		{six, "%{c}", "2001:db8::cb01"},
		{four, "%{h} %{c} %{r} %{t} %{p}", "mx.example.org 192.0.2.3 unknown 1700000000 unknown"},
		{four, "%{S} %{D1} %{L-}", "strong-bad%40email.example.com com strong.bad"},
		{four, "100%% a%_b%-c", "100% a b%20c"},
		{four, "%{i.+,/_=-}", "192.0.2.3"},
		{four, "", ""},
	} {
		tpl, err := parseTemplate(c.in, true)
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		e := newEvaluation(t, c.ip, `{}`)
		got, err := tpl.expand(func(letter byte) (string, error) { return e.value(t.Context(), e.origin, letter), nil })
		if err != nil || got != c.want {
			t.Errorf("%s: got %q, %v; want %q", c.in, got, err, c.want)
		}
	}
}

func TestExpandIsBounded(t *testing.T) {
	tpl, err := parseTemplate(strings.Repeat("%{l}", 1000), true)
	if err != nil {
		t.Fatal(err)
	}
	value := strings.Repeat("x", 1000)
	if _, err := tpl.expand(func(byte) (string, error) { return value, nil }); err == nil {
		t.Error("a text of a million octets was made")
	}
}

func TestTarget(t *testing.T) {
	label := strings.Repeat("a", 63)
	for _, c := range []struct {
		local, in, want string
		err             error
	}{
		{"x", "%{l}.test.", "x.test", nil},
		{label, "%{l}.%{l}.%{l}.%{l}.test", label + "." + label + "." + label + ".test", nil},
		{label + "a", "%{l}.test", "", errMalformed},
		{"a..b", "%{l}.test", "", errMalformed},
		{strings.Repeat("x", 70000), "%{l}.test", "", errMalformed},
		{"", "%{l}.test", "", errMalformed},
		{"é", "%{l}.test", "", errNonASCII},
		{"é", "%{s}.test", "", errNonASCII},
		{"é", "%{o}.test", "email.example.com.test", nil},
		{"a b", "%{l}.test", "a b.test", nil},
		{"\r\n", "%{l}.test", "", errNonASCII},
	} {
		tpl, err := parseDomain(c.in)
		if err != nil {
			t.Fatal(err)
		}
		e := newEvaluation(t, "192.0.2.3", `{}`)
		e.local = c.local
		if got, err := e.target(t.Context(), e.origin, tpl); got != c.want || err != c.err {
			t.Errorf("%s of %.20q: got %q, %v; want %q, %v", c.in, c.local, got, err, c.want, c.err)
		}
	}
}

func TestValidName(t *testing.T) {
	const zone = `{"3.2.0.192.in-addr.arpa": [["PTR","other.test"],["PTR","liar.email.example.com"],
			["PTR","sub.Email.example.com"],["PTR","email.example.com"],["PTR","xemail.example.com"]],
		"other.test": [["A","192.0.2.3"]], "sub.email.example.com": [["A","192.0.2.3"]],
		"email.example.com": [["A","192.0.2.3"]], "liar.email.example.com": [["A","192.0.2.4"]],
		"xemail.example.com": [["A","192.0.2.3"]]}`
	for domain, want := range map[string]string{
		"email.example.com": "email.example.com",
		"EXAMPLE.com.":      "sub.Email.example.com",
		"mail.example.com":  "other.test",
	} {
		if got := newEvaluation(t, "192.0.2.3", zone).validName(t.Context(), domain); got != want {
			t.Errorf("%s: got %s, want %s", domain, got, want)
		}
	}
}

func FuzzExpand(f *testing.F) {
	f.Add("%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "strong-bad", "mx.example.org")
	f.Add("%{S}%{h10r.-}%{p}%{C}", "a@b", "%{d}")
	f.Fuzz(func(t *testing.T, text, local, helo string) {
		e := newEvaluation(t, "2001:db8::1", `{}`)
		e.local, e.helo = local, helo
		if tpl, err := parseDomain(text); err == nil {
			name, err := e.target(t.Context(), e.origin, tpl)
			if err == nil && (len(name) > maxTarget || strings.Contains(name, "..")) {
				t.Errorf("%q: name %q", text, name)
			}
		}
		tpl, err := parseTemplate(text, true)
		if err != nil {
			return
		}
		out, err := tpl.expand(func(letter byte) (string, error) { return e.value(t.Context(), e.origin, letter), nil })
		if err == nil && len(out) > maxExpanded {
			t.Errorf("%q: %d octets", text, len(out))
		}
	})
}

package mail

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
)

func show(list []ticketing.Person) string {
	var out []string
	for _, p := range list {
		out = append(out, p.Name+"|"+p.Address)
	}
	return strings.Join(out, " + ")
}

func TestParseAddresses(t *testing.T) {
	for input, want := range map[string]string{
		"":                                      "",
		"<>":                                    "",
		"a@b.c":                                 "|a@b.c",
		"A B <a@B.C>":                           "A B|a@b.c",
		"a@b.c (Ann)":                           "Ann|a@b.c",
		"a@b.c, d@e.f; g@h.i":                   "|a@b.c + |d@e.f + |g@h.i",
		"Doe, John <j@d.e>":                     "Doe, John|j@d.e",
		"Doe, John <j@d.e>, x@y.z":              "Doe, John|j@d.e + |x@y.z",
		`"Doe, John" <j@d.e>`:                   "Doe, John|j@d.e",
		"Dr. J. Doe <j@d.e>":                    "Dr. J. Doe|j@d.e",
		"John Doe j@d.e":                        "John Doe|j@d.e",
		"'j@d.e'":                               "|j@d.e",
		"'John' <'j@d.e'>":                      "John|j@d.e",
		"<<j@d.e>>":                             "|j@d.e",
		"j@d.e <j@d.e <j@d.e>>":                 "j@d.e|j@d.e",
		"John <j@d.e.>":                         "John|j@d.e",
		"John <j @ d.e>":                        "John|j@d.e",
		"John <j@d.e":                           "John|j@d.e",
		"John <mailto:j@d.e>":                   "John|j@d.e",
		"<@r.s,@t.u:j@d.e>":                     "|j@d.e",
		`"john doe"@d.e`:                        "|john doe@d.e",
		`"a\"b" <x@y.z>`:                        `a"b|x@y.z`,
		"undisclosed-recipients:;":              "",
		"Team: a@b.c, D <d@e.f>; g@h.i":         "|a@b.c + D|d@e.f + |g@h.i",
		"=?utf-8?q?J=C3=B6rg=2C_X?= <j@d.e>":    "Jörg, X|j@d.e",
		`"=?utf-8?q?J=C3=B6rg?=" <j@d.e>`:       "Jörg|j@d.e",
		"=?utf-8?q?J=C3=B6rg_=3Cj=40d=2Ee=3E?=": "Jörg|j@d.e",
		"j@bücher.example":                      "|j@bücher.example",
		"j@XN--BCHER-KVA.example":               "|j@xn--bcher-kva.example",
		"jürgen@d.e":                            "|jürgen@d.e",
		"root":                                  "root|",
		"John <root>":                           "John|",
		"a@b@c.d":                               "a@b@c.d|",
		"a@b..c":                                "a@b..c|",
		"x@[192.0.2.1]":                         "|x@[192.0.2.1]",
		"John (his \\) name) <j@d.e>":           "John|j@d.e",
		"(no end j@d.e":                         "no end|j@d.e",
		`"no end <j@d.e>`:                       `no end|j@d.e`,
		"Support: ACME <a@b.c>":                 "Support: ACME|a@b.c",
		"\u202ename\u202c <a@b.c>":              "name|a@b.c",
	} {
		if got := show(parseAddresses(input)); got != want {
			t.Errorf("%q: got %q, want %q", input, got, want)
		}
	}
	if got := len(parseAddresses(strings.Repeat("a@b.c,", 5000))); got != maxAddresses {
		t.Errorf("%d addresses", got)
	}
}

func TestParseDate(t *testing.T) {
	for input, want := range map[string]string{
		"Wed, 4 Mar 2026 05:06:07 +0100":                "2026-03-04T05:06:07+01:00",
		"4 Mar 2026 05:06 -0330":                        "2026-03-04T05:06:00-03:30",
		"Wed, 04 Mar 2026 05:06:07 GMT":                 "2026-03-04T05:06:07Z",
		"Wed, 4 Mar 2026 05:06:07 EST":                  "2026-03-04T05:06:07-05:00",
		"Wed, 4 Mar 2026 05:06:07 GMT+0200":             "2026-03-04T05:06:07+02:00",
		"Wed, 4 Mar 2026 05:06:07 +02:00":               "2026-03-04T05:06:07+02:00",
		"Wed Mar  4 05:06:07 2026":                      "2026-03-04T05:06:07Z",
		"Wed Mar  4 05:06:07 CET 2026":                  "2026-03-04T05:06:07+01:00",
		"Mi, 4 Mär 2026 05:06:07 +0100":                 "2026-03-04T05:06:07+01:00",
		"mer. 4 juil. 2026 05:06:07 +0200":              "2026-07-04T05:06:07+02:00",
		"Ср, 4 декабря 2026 05:06:07 +0300":             "2026-12-04T05:06:07+03:00",
		"=?utf-8?q?4_Mar_2026_05:06:07_+0100?=":         "2026-03-04T05:06:07+01:00",
		"1772600767":                                    "2026-03-04T05:06:07Z",
		"2026-03-04T05:06:07Z":                          "2026-03-04T05:06:07Z",
		"2026-03-04T05:06:07.123+01:00":                 "2026-03-04T05:06:07+01:00",
		"2026-03-04 05:06:07 +0100":                     "2026-03-04T05:06:07+01:00",
		"4-Mar-2026 05:06:07":                           "2026-03-04T05:06:07Z",
		"4.3.2026 05:06":                                "2026-03-04T05:06:00Z",
		"04/03/2026 05:06:07":                           "2026-03-04T05:06:07Z",
		"03/25/2026 5:06:07 PM":                         "2026-03-25T17:06:07Z",
		"Wed, 4 Mar 26 05:06:07 +0000":                  "2026-03-04T05:06:07Z",
		"Wed, 4 Mar 97 05:06:07 +0000":                  "1997-03-04T05:06:07Z",
		"Wed, 4 March 2026 05.06.07 +0100":              "2026-03-04T05:06:07+01:00",
		"Wed, 4 Mar 2026 (a (nested) note) 05:06 +0000": "2026-03-04T05:06:00Z",
		"March 4th, 2026 5:06":                          "2026-03-04T05:06:00Z",
		"":                                              "",
		"yesterday":                                     "",
		"32 Mar 2026 05:06:07":                          "",
		"4 Mar 2026 25:06:07":                           "",
		"4 Foo 2026 05:06:07":                           "",
		strings.Repeat("4 ", 1000):                      "",
	} {
		got := ""
		if date := parseDate(input); !date.IsZero() {
			got = date.Format(time.RFC3339)
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", input, got, want)
		}
	}
}

func TestMessageIDs(t *testing.T) {
	for input, want := range map[string][]string{
		"<a@b>":                                {"a@b"},
		"<a@b><c@d>":                           {"a@b", "c@d"},
		"<a@b>, <c@d>":                         {"a@b", "c@d"},
		"<a@\r\n b> text <c@d":                 {"a@b", "c@d"},
		"a@b c@d, e@f":                         {"a@b", "c@d", "e@f"},
		"12345":                                {"12345"},
		"Your mail of yesterday":               nil,
		"<>":                                   nil,
		"<" + strings.Repeat("x", 999) + "@b>": nil,
		"<<a@b>>":                              {"a@b"},
	} {
		h := header{fields: []field{{"References", input}}}
		if got := messageIDs(h, "References"); !slices.Equal(got, want) {
			t.Errorf("%.40q: got %q, want %q", input, got, want)
		}
	}
	h := header{fields: []field{{"References", strings.Repeat("<a@b> ", 500)}}}
	if got := len(messageIDs(h, "References")); got != maxIDs {
		t.Errorf("%d ids", got)
	}
}

func FuzzAddresses(f *testing.F) {
	for _, s := range []string{"Doe, John <j@d.e>", `"a" (b) <c@d>, e:f@g;`, "=?utf-8?q?J=C3=B6rg_=3Cj=40d=2Ee=3E?=", "<@a:b@c>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, p := range parseAddresses(header{}.unfold(s)) {
			local, domain, found := strings.Cut(p.Address, "@")
			if p.Address != "" && (!found || local == "" || domain == "" || strings.ContainsAny(p.Address, "\r\n\x00<>")) {
				t.Errorf("%q gave %+v", s, p)
			}
			if p == (ticketing.Person{}) {
				t.Errorf("%q gave nobody", s)
			}
		}
	})
}

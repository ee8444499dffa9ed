package dnsbl_test

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/mxdesk/mxdesk/auth/dnsbl"
)

func between(first, last string) dnsbl.Range {
	return dnsbl.Range{First: netip.MustParseAddr(first), Last: netip.MustParseAddr(last)}
}

func TestParseList(t *testing.T) {
	for _, c := range []struct {
		line string
		want dnsbl.List
		text string
	}{
		{"bl.example.org", dnsbl.List{Zone: "bl.example.org", Weight: 1}, "bl.example.org weight=1"},
		{"  BL.Example.org.\t weight=+5 ", dnsbl.List{Zone: "bl.example.org", Weight: 5}, "bl.example.org weight=5"},
		{"zen.example refuse answers=127.0.0.2-11 weight=5x",
			dnsbl.List{}, ""},
		{"zen.spamhaus.example weight=5 refuse answers=127.0.0.2-11",
			dnsbl.List{Zone: "zen.spamhaus.example", Weight: 5, Refuse: true, Answers: []dnsbl.Range{between("127.0.0.2", "127.0.0.11")}},
			"zen.spamhaus.example weight=5 refuse answers=127.0.0.2-11"},
		{"dbl.example.org domains weight=5",
			dnsbl.List{Zone: "dbl.example.org", Kind: dnsbl.Domains, Weight: 5},
			"dbl.example.org domains weight=5"},
		{"wl.example.org answers=127.0.0.0-127.0.255.255 answers=127.1.2.3 answers=127.0.0.1-127.0.0.9 weight=-1000 name=wl",
			dnsbl.List{Zone: "wl.example.org", Name: "wl", Weight: -1000, Answers: []dnsbl.Range{
				between("127.0.0.0", "127.0.255.255"), between("127.1.2.3", "127.1.2.3"), between("127.0.0.1", "127.0.0.9")}},
			"wl.example.org weight=-1000 answers=127.0.0.0-127.0.255.255 answers=127.1.2.3 answers=127.0.0.1-9 name=wl"},
		{"bücher.example weight=0", dnsbl.List{Zone: "xn--bcher-kva.example"}, "xn--bcher-kva.example weight=0"},
	} {
		got, err := dnsbl.ParseList(c.line)
		if c.text == "" {
			if err == nil {
				t.Errorf("%q: got %v, want an error", c.line, got)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, c.want) || got.String() != c.text {
			t.Errorf("%q: got %+v (%s), %v", c.line, got, got, err)
		}
		if again, err := dnsbl.ParseList(got.String()); err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("%q: back to %+v, %v", got, again, err)
		}
	}
}

func TestParseListErrors(t *testing.T) {
	for line, want := range map[string]string{
		"":                                       "want a zone",
		" \t ":                                   "want a zone",
		"example":                                "two labels",
		"bl..example":                            "empty label",
		"*.example.org":                          "not a host name",
		"bl\x00.example":                         "control character",
		strings.Repeat("abcdefghi.", 19) + "org": "at most 189 octets",
		"weight=5 bl.example":                    "not a host name",
		"bl.example weight":                      `unknown word "weight"`,
		"bl.example weight=":                     "whole number",
		"bl.example weight=1.5":                  "whole number",
		"bl.example weight=1001":                 "-1000 to 1000",
		"bl.example weight=-99999999999999999999":               "whole number",
		"bl.example weight=5 weight=5":                          "twice",
		"bl.example refuse refuse":                              "twice",
		"bl.example domains weight=-1":                          "names that anybody can claim",
		"bl.example refuse=yes":                                 `unknown word "refuse="`,
		"bl.example refuse weight=-1":                           "cannot refuse",
		"bl.example domain":                                     "want domains, refuse, weight=, answers= or name=",
		"bl.example " + strings.Repeat("x", 500):                "unknown word",
		"bl.example answers=":                                   "want an address or a range",
		"bl.example answers=2-11":                               "want an address or a range",
		"bl.example answers=127.0.0.2,127.0.0.3":                "repeat answers=",
		"bl.example answers=127.0.0.2-":                         "want an address or a range",
		"bl.example answers=127.0.0.2-256":                      "want an address or a range",
		"bl.example answers=127.0.0.9-2":                        "lower address first",
		"bl.example answers=192.0.2.1":                          "inside 127.0.0.0/8",
		"bl.example answers=127.0.0.2-128.0.0.1":                "inside 127.0.0.0/8",
		"bl.example answers=::1":                                "inside 127.0.0.0/8",
		"bl.example answers=::ffff:127.0.0.2":                   "inside 127.0.0.0/8",
		"bl.example name=":                                      "empty",
		"bl.example name=zän":                                   "printable ASCII",
		"bl.example name=" + strings.Repeat("x", 101):           "at most 100",
		"bl.example" + strings.Repeat(" answers=127.0.0.2", 21): "more than 20 answers",
		"bl.example" + strings.Repeat(" ", 1000):                "longer than 1000",
	} {
		_, err := dnsbl.ParseList(line)
		if err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 400 {
			t.Errorf("%.60q: got %v, want %q", line, err, want)
		}
	}
}

func FuzzParseList(f *testing.F) {
	for _, s := range []string{
		"zen.spamhaus.example weight=5 refuse answers=127.0.0.2-11", "dbl.example domains weight=5 name=x",
		"a.b answers=127.0.0.2-127.0.1.255 answers=127.0.0.1", "", "bücher.example", "a.b answers=::1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		l, err := dnsbl.ParseList(line)
		if err != nil {
			return
		}
		if again, err := dnsbl.ParseList(l.String()); err != nil || !reflect.DeepEqual(again, l) {
			t.Errorf("%q -> %q -> %+v, %v", line, l, again, err)
		}
	})
}

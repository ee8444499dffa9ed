package dns

import (
	"net/netip"
	"strings"
	"testing"
)

func TestASCII(t *testing.T) {
	label := strings.Repeat("a", 63)
	long := strings.Repeat("a.", 126) + "a" // 253 characters, 255 on the wire
	for _, c := range []struct{ in, want string }{
		{"Example.COM", "example.com"},
		{"example.com.", "example.com"},
		{"_DMARC.example.com", "_dmarc.example.com"},
		{"bücher.example", "xn--bcher-kva.example"},
		{"BÜCHER.example。", "xn--bcher-kva.example"},
		{"_spf.bücher.example", "_spf.xn--bcher-kva.example"},
		{"straße.de", "xn--strae-oqa.de"},
		{"r3---sn.example.com", "r3---sn.example.com"},
		{label + ".com", label + ".com"},
		{long, long},
		{"", ""}, {".", ""}, {"a..b", ""}, {".a", ""}, {"a b.com", ""}, {"a\x00.com", ""},
		{"a" + label + ".com", ""}, {"a" + long, ""}, {"\xff.com", ""}, {"a\u200db.com", ""},
		{strings.Repeat("ü", 80) + ".com", ""},
	} {
		got, err := ASCII(c.in)
		if c.want == "" && err == nil {
			t.Errorf("%q: got %q, want an error", c.in, got)
		}
		if c.want != "" && c.want != got {
			t.Errorf("%q: got %q, %v; want %q", c.in, got, err, c.want)
		}
	}
}

func TestHostname(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"Mail-1.Example.COM.", "mail-1.example.com"},
		{"win_srv.example.com", "win_srv.example.com"},
		{"localhost", "localhost"},
		{"bücher.example", "xn--bcher-kva.example"},
		{"-a.example", ""}, {"a-.example", ""}, {"a/b.example", ""}, {`a\.b.example`, ""}, {"a\x07.example", ""},
		{"*.example", ""}, {"a@b.example", ""}, {"[192.0.2.1]", ""}, {"", ""}, {"a..b", ""}, {"..", ""},
	} {
		got, err := Hostname(c.in)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q: got %q, %v; want %q", c.in, got, err, c.want)
		}
	}
}

// A mapped address keeps its nibbles, for the test entries of block lists.
func TestReversed(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1":        "1.2.0.192",
		"::ffff:127.0.0.2": "2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0",
	} {
		if got := Reversed(netip.MustParseAddr(in)); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestReverseName(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1":        "1.2.0.192.in-addr.arpa",
		"::ffff:192.0.2.1": "1.2.0.192.in-addr.arpa",
		"2001:db8::1234":   "4.3.2.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
	} {
		if got := reverseName(netip.MustParseAddr(in)); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
		if got := addrOf(want); got != netip.MustParseAddr(in).Unmap() {
			t.Errorf("%s: back to %s", want, got)
		}
	}
}

func TestAddrOfOtherNames(t *testing.T) {
	for _, name := range []string{"", "example.com", "1.2.in-addr.arpa", "300.1.1.1.in-addr.arpa", "1.2.ip6.arpa"} {
		if got := addrOf(name); got.IsValid() {
			t.Errorf("%q: got %s", name, got)
		}
	}
}

func FuzzASCII(f *testing.F) {
	for _, s := range []string{"Example.com.", "bücher.example", "xn--bcher-kva.example", "a..b", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := ASCII(s)
		if err != nil {
			return
		}
		if again, err := ASCII(name); err != nil || again != name {
			t.Errorf("%q -> %q -> %q, %v", s, name, again, err)
		}
	})
}

package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const zoneText = `{
 "Example.COM.": [["A","192.0.2.1"],["A","192.0.2.2"],["AAAA","2001:db8::1"],["NS","ns.example.net."],
   ["MX",[10,"mx1.example.com."]],["MX",["20","mx2.example.com"]],["TXT",["one ","two"]],["TXT","three"]],
 "spf.example.com": [["SPF","v=spf1 -all"],["A","192.0.2.9"]],
 "both.example.com": [["SPF","v=spf1 -all"],["TXT","plain"]],
 "none.example.com": [["SPF","v=spf1 -all"],["TXT","NONE"]],
 "slow.example.com": [["TXT","fast"],["TIMEOUT"]],
 "slowtxt.example.com": [["SPF","x"],["TXT","NONE"],["TIMEOUT"]],
 "fail.example.com": [["SERVFAIL","true"]],
 "empty.example.com": [],
 "alias.example.com": [["CNAME","EXAMPLE.com."]],
 "dangling.example.com": [["CNAME","nowhere.example.com"]],
 "loop.example.com": [["CNAME","loop.example.com"]],
 "root.example.com": [["CNAME","."]],
 "nullmx.example.com": [["MX",[0,"."]]],
 "1.2.0.192.in-addr.arpa": [["PTR","Host.example.com."]],
 "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.B.D.0.1.0.0.2.IP6.ARPA": [["PTR","six.example.com"]]
}`

func mustZone(t testing.TB, text string) *Zone {
	t.Helper()
	z, err := ParseZone([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// ask makes one lookup and prints what came.
func ask(ctx context.Context, r Resolver, kind, name string) (string, error) {
	var v any
	var err error
	switch kind {
	case "TXT":
		v, _, err = r.TXT(ctx, name)
	case "A":
		v, _, err = r.A(ctx, name)
	case "AAAA":
		v, _, err = r.AAAA(ctx, name)
	case "MX":
		v, _, err = r.MX(ctx, name)
	case "PTR":
		v, _, err = r.PTR(ctx, netip.MustParseAddr(name))
	default:
		panic("unknown kind " + kind)
	}
	if err != nil {
		return "", err
	}
	return fmt.Sprint(v), nil
}

func TestZone(t *testing.T) {
	z := mustZone(t, zoneText)
	for _, c := range []struct {
		kind, name, want string
		err              error
	}{
		{"TXT", "example.com", "[one two three]", nil},
		{"A", "EXAMPLE.com.", "[192.0.2.1 192.0.2.2]", nil},
		{"AAAA", "example.com", "[2001:db8::1]", nil},
		{"MX", "example.com", "[{10 mx1.example.com} {20 mx2.example.com}]", nil},
		{"MX", "nullmx.example.com", "[{0 }]", nil},
		{"PTR", "192.0.2.1", "[Host.example.com]", nil},
		{"PTR", "::ffff:192.0.2.1", "[Host.example.com]", nil},
		{"PTR", "2001:db8::1", "[six.example.com]", nil},
		{"PTR", "192.0.2.77", "", ErrNotFound},
		{"TXT", "spf.example.com", "[v=spf1 -all]", nil},
		{"TXT", "both.example.com", "[plain]", nil},
		{"TXT", "none.example.com", "", ErrNoData},
		{"TXT", "slow.example.com", "[fast]", nil},
		{"A", "slow.example.com", "", ErrTimeout},
		{"TXT", "slowtxt.example.com", "", ErrTimeout},
		{"TXT", "fail.example.com", "", ErrTemporary},
		{"A", "empty.example.com", "", ErrNoData},
		{"AAAA", "spf.example.com", "", ErrNoData},
		{"A", "alias.example.com", "[192.0.2.1 192.0.2.2]", nil},
		{"A", "dangling.example.com", "", ErrNotFound},
		{"A", "root.example.com", "", ErrNotFound},
		{"A", "loop.example.com", "", ErrTemporary},
		{"A", "missing.example.com", "", ErrNotFound},
		{"A", "two..dots.example.com", "", ErrNotFound},
		{"A", strings.Repeat("a", 64) + ".example.com", "", ErrNotFound},
	} {
		got, err := ask(t.Context(), z, c.kind, c.name)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s %s: got %q, %v; want %q, %v", c.kind, c.name, got, err, c.want, c.err)
		}
	}
}

func TestZoneHonoursContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ask(ctx, mustZone(t, zoneText), "A", "example.com"); !errors.Is(err, ErrTemporary) {
		t.Errorf("got %v, want ErrTemporary", err)
	}
}

func TestZoneAnswersBelongToTheCaller(t *testing.T) {
	z := mustZone(t, zoneText)
	first, _, _ := z.MX(t.Context(), "example.com")
	first[0].Host = "changed"
	if again, _, _ := z.MX(t.Context(), "example.com"); again[0].Host != "mx1.example.com" {
		t.Errorf("the zone changed: %v", again)
	}
}

// chain makes a zone with n CNAMEs in front of an address.
func chain(n int) string {
	var s strings.Builder
	s.WriteString("{")
	for i := range n {
		fmt.Fprintf(&s, `"n%d.test": [["CNAME","n%d.test"]],`, i, i+1)
	}
	fmt.Fprintf(&s, `"n%d.test": [["A","192.0.2.1"]]}`, n)
	return s.String()
}

func TestZoneChainLimit(t *testing.T) {
	if _, err := ask(t.Context(), mustZone(t, chain(10)), "A", "n0.test"); err != nil {
		t.Errorf("10 records: %v", err)
	}
	if _, err := ask(t.Context(), mustZone(t, chain(11)), "A", "n0.test"); !errors.Is(err, ErrTemporary) {
		t.Errorf("11 records: got %v, want ErrTemporary", err)
	}
}

func TestZoneMalformed(t *testing.T) {
	for text, want := range map[string]string{
		``:                                          "EOF",
		`[]`:                                        "cannot unmarshal",
		`{} {}`:                                     "more text",
		`{"": []}`:                                  "empty name",
		`{"a.test": [[]]}`:                          "no type",
		`{"a.test": [[1,"x"]]}`:                     "type: want a string",
		`{"a.test": [["A"]]}`:                       "want one value",
		`{"a.test": [["A","192.0.2.1","x"]]}`:       "want one value",
		`{"a.test": [["A","2001:db8::1"]]}`:         "not an address",
		`{"a.test": [["AAAA","192.0.2.1"]]}`:        "not an address",
		`{"a.test": [["AAAA","fe80::1%x"]]}`:        "not an address",
		`{"a.test": [["A",null]]}`:                  "want a string",
		`{"a.test": [["MX","x"]]}`:                  "want [preference, host]",
		`{"a.test": [["MX",[65536,"x"]]]}`:          "preference",
		`{"a.test": [["MX",[1,2]]]}`:                "host",
		`{"a.test": [["TXT",{}]]}`:                  "list of strings",
		`{"a.test": [["TXT",["x",null]]]}`:          "want a string",
		`{"a.test": [["PTR",1]]}`:                   "want a string",
		`{"a.test": [["SRV","x"]]}`:                 "unknown type",
		`{"a.test": [["CNAME","x"],["CNAME","y"]]}`: "one CNAME",
	} {
		_, err := ParseZone([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", text, err, want)
		}
	}
}

func TestLoadZone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "zone.json")
	if err := os.WriteFile(path, []byte(zoneText), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadZone(path); err != nil {
		t.Error(err)
	}
	if _, err := LoadZone(path + "x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if err := os.Truncate(path, maxZoneFile+1); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadZone(path); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Errorf("large file: %v", err)
	}
}

func FuzzParseZone(f *testing.F) {
	f.Add(zoneText)
	f.Add(`{"a": [["TXT",["x"]],["CNAME","b"]], "A.": [["TIMEOUT"]]}`)
	f.Add(`{"a": [["TXT",""]]}`) // an empty text is a record
	f.Fuzz(func(t *testing.T, text string) {
		z, err := ParseZone([]byte(text))
		if err != nil {
			return
		}
		for name := range z.nodes {
			for _, k := range []kind{kindTXT, kindA, kindAAAA, kindMX} {
				if r, err := z.find(t.Context(), question{name, k}); err == nil && r.empty() {
					t.Errorf("%s %q: an answer without records", k, name)
				}
			}
		}
	})
}

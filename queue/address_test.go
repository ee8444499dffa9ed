package queue

import (
	"strings"
	"testing"
)

func TestParseMailbox(t *testing.T) {
	for _, tt := range []struct {
		in, path string
		utf8     bool
	}{
		{"", "<>", false},
		{"a@example.com", "<a@example.com>", false},
		{"A.b+c@EXAMPLE.com", "<A.b+c@example.com>", false},
		{"o'brien/x=y@example.com", "<o'brien/x=y@example.com>", false},
		{"two words@example.com", `<"two words"@example.com>`, false},
		{`a"b\c@example.com`, `<"a\"b\\c"@example.com>`, false},
		{"a@b@example.com", `<"a@b"@example.com>`, false},
		{"a> SIZE=0@example.com", `<"a> SIZE=0"@example.com>`, false},
		{"a..b@example.com", `<"a..b"@example.com>`, false},
		{".a@example.com", `<".a"@example.com>`, false},
		{"josé@example.com", "<josé@example.com>", true},
		{"a@bücher.example", "<a@xn--bcher-kva.example>", false},
		{"a@xn--bcher-kva.example", "<a@xn--bcher-kva.example>", false},
		{"a@under_score.example", "<a@under_score.example>", false},
		{"a@[192.0.2.1]", "<a@[192.0.2.1]>", false},
		{"a@[IPv6:2001:db8::1]", "<a@[IPv6:2001:db8::1]>", false},
		{strings.Repeat("a", 64) + "@example.com", "<" + strings.Repeat("a", 64) + "@example.com>", false},
	} {
		m, err := parseMailbox(tt.in)
		if err != nil || m.path() != tt.path || m.utf8() != tt.utf8 {
			t.Errorf("%q: %q utf8 %t, %v; want %q %t", tt.in, m.path(), m.utf8(), err, tt.path, tt.utf8)
		}
	}
}

func TestParseMailboxRefuses(t *testing.T) {
	for _, s := range []string{
		"a", "@example.com", "a@", "a@b c", "a\r\nRCPT TO:<x@y>@example.com", "a\x00@example.com", "a\x7f@example.com",
		"a\u0085b@example.com", "a\xff@example.com", "a@exam\r\nple.com", "a@ex>ample.com", "a@.example.com", "a@example.com.", "a@-\u00fc-.x\u00df\u2028",
		"a@[192.0.2.1", "a@[192.0.2.1]>", "a@[nonsense]", "a@[fe80::1%eth0]",
		strings.Repeat("a", 65) + "@example.com", "a@" + strings.Repeat("a", 64) + ".example",
		"a@" + strings.Repeat("abcdefg.", 31) + "example.com",
		strings.Repeat(`"`, 64) + "@" + strings.Repeat("abcdefg.", 16) + "example.com",
	} {
		if m, err := parseMailbox(s); err == nil {
			t.Errorf("%q: accepted as %q", s, m.path())
		}
	}
}

func FuzzParseMailbox(f *testing.F) {
	for _, s := range []string{"a@example.com", `"x y"@b`, "josé@bücher.example", "a@[IPv6:::1]", "a>@b\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := parseMailbox(s)
		if err != nil {
			return
		}
		p := m.path()
		if strings.ContainsAny(p, "\r\n\x00\x7f") || len(p) > maxPath+2 || p[0] != '<' || p[len(p)-1] != '>' {
			t.Fatalf("%q: path %q", s, p)
		}
		// Outside quotes nothing may end the path early.
		quoted := false
		for i := 1; i < len(p)-1; i++ {
			switch {
			case quoted && p[i] == '\\':
				i++
			case p[i] == '"':
				quoted = !quoted
			case !quoted && strings.ContainsRune("<> ", rune(p[i])):
				t.Fatalf("%q: path %q", s, p)
			}
		}
		if quoted {
			t.Fatalf("%q: open quotes in %q", s, p)
		}
	})
}

package queue

import (
	"bytes"
	"strings"
	"testing"
)

func TestCheckBody(t *testing.T) {
	long := strings.Repeat("a", 998)
	for _, tt := range []struct {
		in string
		ok bool
	}{
		{"a\r\n", true},
		{"\r\n\r\n", true},
		{"A: b\r\n\r\n.\r\n..\r\n", true},
		{long + "\r\n", true},
		{"", false},
		{"a", false},
		{"a\r\nb", false},
		{"a\n", false},
		{"\n", false},
		{"a\nb\r\n", false},
		{"a\rb\r\n", false},
		{"a\r\r\n", false},
		{"\r\n.\n\r\n", false},
		{"\r\n.\r\r\n", false},
		{"a\r", false},
		{"a\x00\r\n", false},
		{long + "a\r\n", false},
	} {
		if f := checkBody([]byte(tt.in)); (f == nil) != tt.ok || (f != nil && !f.permanent()) {
			t.Errorf("%.20q: %+v, want ok %t", tt.in, f, tt.ok)
		}
	}
}

func TestStuff(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"a\r\n", "a\r\n.\r\n"},
		{".\r\n", "..\r\n.\r\n"},
		{"..a\r\n.b\r\nc.\r\n", "...a\r\n..b\r\nc.\r\n.\r\n"},
	} {
		if got := stuff([]byte(tt.in)); string(got) != tt.want {
			t.Errorf("stuff(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

// FuzzBody: what passes the check ends once, at its end, and comes out as it
// went in.
func FuzzBody(f *testing.F) {
	for _, s := range []string{"a\r\n.\r\n", ".\r\n", "\r\n.\r\r\n", "a\n.\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if checkBody(raw) != nil {
			return
		}
		wire := stuff(raw)
		if n := bytes.Index(wire, []byte("\r\n.\r\n")); n != len(wire)-5 {
			t.Fatalf("%q ends at %d of %d", wire, n, len(wire))
		}
		plain := bytes.ReplaceAll(wire, []byte("\r\n"), nil)
		if bytes.ContainsAny(plain, "\r\n") {
			t.Fatalf("%q holds a bare CR or LF", wire)
		}
		var back []byte
		for line := range bytes.Lines(wire[:len(wire)-3]) {
			back = append(back, bytes.TrimPrefix(line, []byte("."))...)
		}
		if !bytes.Equal(back, raw) {
			t.Fatalf("%q came out as %q", raw, back)
		}
	})
}

package smtpd

import (
	"strings"
	"testing"
)

// unstuff gives p to an unstuffer in pieces of n octets and returns the text
// and what comes behind it.
func unstuff(p string, n int) (text, rest string, ended bool) {
	var u unstuffer
	held := ""
	for len(p) > 0 {
		piece := held + p[:min(n, len(p))]
		p = p[min(n, len(p)):]
		kept, left, end := u.next([]byte(piece))
		text += string(kept)
		if end {
			return text, string(left) + p, true
		}
		held = string(left)
	}
	return text, held, false
}

// plainly does the same octet by octet, from the words of RFC 5321.
func plainly(p string) (text, rest string, ended bool) {
	p = "\r\n" + p
	for i := 2; i < len(p); i++ {
		if p[i] == '.' && p[i-2:i] == "\r\n" {
			if strings.HasPrefix(p[i:], ".\r\n") {
				return text, p[i+3:], true
			}
			if p[i:] == ".\r" {
				return text, "\r", false
			}
			if i++; i == len(p) {
				break
			}
		}
		text += p[i : i+1]
	}
	return text, "", false
}

func TestUnstuffer(t *testing.T) {
	for _, tc := range []struct {
		in, text, rest string
		ended          bool
	}{
		{".\r\n", "", "", true},
		{".\r\nQUIT\r\n", "", "QUIT\r\n", true},
		{"a\r\n.\r\n.\r\n", "a\r\n", ".\r\n", true},
		{"..\r\n...\r\n.a\r\n.\r\n", ".\r\n..\r\na\r\n", "", true},
		{"a.\r\n.\r\n", "a.\r\n", "", true},
		{"a\n.\r\nb\r.\r\n\r.\r\n", "a\n.\r\nb\r.\r\n\r.\r\n", "", false},
		{"a\r\n.\nb\r\n", "a\r\n\nb\r\n", "", false},
		{"a\r\n.\rb\r\n.\r\r\n", "a\r\n\rb\r\n\r\r\n", "", false},
		{"a\r\r\n.\r\n", "a\r\r\n", "", true},
		{"a\r\n.", "a\r\n", "", false},
		{"a\r\n.\r", "a\r\n", "\r", false},
		{"\r\n", "\r\n", "", false},
	} {
		for n := 1; n <= len(tc.in); n++ {
			text, rest, ended := unstuff(tc.in, n)
			if text != tc.text || rest != tc.rest || ended != tc.ended {
				t.Errorf("%q by %d: %q, rest %q, %v, want %q, %q, %v", tc.in, n, text, rest, ended, tc.text, tc.rest, tc.ended)
			}
		}
	}
}

// FuzzUnstuffer compares with the plain rule, whatever pieces the text comes in.
func FuzzUnstuffer(f *testing.F) {
	f.Add("a\r\n..b\r\n.\rc\n.\r\r\n.\r\nQUIT\r\n", 3)
	f.Add(".\r\n.\r\n", 1)
	f.Fuzz(func(t *testing.T, p string, n int) {
		text, rest, ended := unstuff(p, max(n, 1))
		wantText, wantRest, wantEnded := plainly(p)
		if text != wantText || rest != wantRest || ended != wantEnded {
			t.Errorf("%q by %d: %q, rest %q, %v, want %q, %q, %v", p, n, text, rest, ended, wantText, wantRest, wantEnded)
		}
	})
}

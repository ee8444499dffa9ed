package smtpd

import (
	"bytes"
	"strings"
	"testing"
)

// small are tight limits.
func small() *Options {
	o := Options{MaxMessageBytes: 1000, MaxHeaderBytes: 300, MaxHeaderFields: 6, MaxLineBytes: 100, MaxReceivedHops: 2}.withDefaults()
	return &o
}

// run feeds text in pieces of n octets.
func (c *content) run(text string, n int) (string, *reply) {
	var kept bytes.Buffer
	for text != "" {
		piece := text[:min(n, len(text))]
		text = text[len(piece):]
		out, bad := c.check([]byte(piece))
		if bad != nil {
			return "", bad
		}
		kept.Write(out)
	}
	return kept.String(), c.close()
}

func TestContent(t *testing.T) {
	x := strings.Repeat("x", 100)
	field := "X: 1\r\n"
	tests := []struct {
		name string
		text string
		want *reply // with the strict rule
		lf   string // what the normalizing rule keeps; "" = as with the strict one
	}{
		{"nothing", "", nil, ""},
		{"header only", "A: b\r\n", nil, ""},
		{"no line end", "A: b\r\n\r\nc", nil, ""},
		{"bare LF", "A: b\n\nc\n", &replyBareNewline, "A: b\r\n\r\nc\r\n"},
		{"bare LF after CR LF", "A: b\r\n\nc", &replyBareNewline, "A: b\r\n\r\nc"},
		{"bare CR", "A: b\r\n\r\nc\rd", &replyBareNewline, ""},
		{"CR CR LF", "A: b\r\n\r\nc\r\r\n", &replyBareNewline, ""},
		{"CR at the end", "A: b\r\n\r\nc\r", &replyBareNewline, ""},
		{"line at the limit", "A: b\r\n\r\n" + x + "\r\n", nil, ""},
		{"line over it", "A: b\r\n\r\n" + x + "y\r\n", &replyLine, ""},
		{"header over it", strings.Repeat("A: "+x[:90]+"\r\n", 4), &replyHeader, ""},
		{"header at the limit", strings.Repeat("A: "+x[:90]+"\r\n", 3) + "B: 12345678\r\n\r\n", nil, ""},
		{"body as long", "A: b\r\n\r\n" + strings.Repeat(x[:90]+"\r\n", 4), nil, ""},
		{"fields at the limit", strings.Repeat(field, 6) + "\r\n" + strings.Repeat(field, 9), nil, ""},
		{"fields over it", strings.Repeat(field, 7), &replyFields, ""},
		{"folded lines are no fields", strings.Repeat(field, 6) + " a\r\n\tb\r\n c\r\n\r\n", nil, ""},
		{"hops at the limit", "Received: a\r\nreceived: b\r\n\r\nReceived: c\r\n", nil, ""},
		{"hops over it", "Received: a\r\nRECEIVED: b\r\nReceived: c\r\n", &replyLoop, ""},
		{"names alike are no hops", "Received-SPF: a\r\nX-Received: b\r\nReceived: c\r\n Received: d\r\n", nil, ""},
		{"header ends with a line of text", "A: b\r\ntext\r\n" + strings.Repeat(field, 9), nil, ""},
		{"size", "A: b\r\n\r\n" + strings.Repeat("x\r\n", 331), &replyTooLarge, ""},
		{"size at the limit", "A: b\r\n\r\n" + strings.Repeat("xx\r\n", 248), nil, ""},
	}
	for _, tc := range tests {
		for _, n := range []int{1, 2, 3, 7, 1000} {
			c := content{o: small()}
			kept, bad := c.run(tc.text, n)
			if bad != tc.want || bad == nil && kept != tc.text {
				t.Errorf("%s, %d: %v, kept %q", tc.name, n, bad, kept)
			}
			c = content{o: small(), newline: newlineNormalize}
			kept, bad = c.run(tc.text, n)
			want, lf := tc.want, tc.text
			if tc.lf != "" {
				want, lf = nil, tc.lf
			}
			if bad != want || bad == nil && kept != lf {
				t.Errorf("%s normalized, %d: %v, kept %q", tc.name, n, bad, kept)
			}
			c = content{o: small(), newline: newlineAny}
			kept, bad = c.run(tc.text, n)
			if tc.want == &replyBareNewline && bad != nil || bad == nil && kept != tc.text {
				t.Errorf("%s as it is, %d: %v, kept %q", tc.name, n, bad, kept)
			}
		}
	}
}

// FuzzContent compares the streaming check with what can be said of the whole.
func FuzzContent(f *testing.F) {
	f.Add("A: b\r\n\r\nc\r\n", uint8(3), uint8(0))
	f.Add("A: b\n\nc\r\r\n", uint8(1), uint8(1))
	f.Add("Received: a\nReceived: b\n", uint8(5), uint8(2))
	f.Fuzz(func(t *testing.T, text string, n, rule uint8) {
		c := content{o: small(), newline: newlineRule(rule % 3)}
		kept, bad := c.run(text, int(n)+1)
		whole := content{o: small(), newline: newlineRule(rule % 3)}
		kept2, bad2 := whole.run(text, len(text)+1)
		if (bad == nil) != (bad2 == nil) || kept != kept2 { // which of two faults is seen first may differ
			t.Fatalf("in pieces: %v %q, whole: %v %q", bad, kept, bad2, kept2)
		}
		clean := !strings.ContainsAny(strings.ReplaceAll(kept, "\r\n", ""), "\r\n")
		if bad == nil && c.newline != newlineAny && !clean {
			t.Fatalf("passed with a bare newline: %q", kept)
		}
		if bad == nil && c.newline != newlineNormalize && kept != text {
			t.Fatalf("changed %q into %q", text, kept)
		}
		if bad == nil && (int64(len(kept)) != c.size || c.size > 1000) {
			t.Fatalf("size %d of %d", c.size, len(kept))
		}
		if bad == &replyBareNewline && !strings.ContainsAny(strings.ReplaceAll(text, "\r\n", ""), "\r\n") {
			t.Fatalf("nothing bare in %q", text)
		}
	})
}

func BenchmarkContent(b *testing.B) {
	o := Options{}.withDefaults()
	text := []byte("Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 76)+"\r\n", 400))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		c := content{o: &o}
		if _, bad := c.check(text); bad != nil {
			b.Fatal(bad)
		}
	}
}

package queue

import (
	"bufio"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func read(s string) (reply, error) {
	return readReply(bufio.NewReaderSize(strings.NewReader(s), maxReplyLine))
}

func TestReadReply(t *testing.T) {
	for _, tt := range []struct {
		in       string
		code     int
		enhanced string
		text     string
		err      bool
	}{
		{in: "250 2.0.0 ok\r\n", code: 250, enhanced: "2.0.0", text: "ok"},
		{in: "250 ok\n", code: 250, text: "ok"},
		{in: "250\r\n", code: 250},
		{in: "250-2.1.0 a\r\n250-2.1.0 b\r\n250 2.1.0 c\r\n", code: 250, enhanced: "2.1.0", text: "a b c"},
		{in: "550-5.7.1 first\r\n550 last\r\n", code: 550, enhanced: "5.7.1", text: "first last"},
		{in: "550 4.7.1 other class\r\n", code: 550, text: "4.7.1 other class"},
		{in: "550 5.7 short\r\n", code: 550, text: "5.7 short"},
		{in: "550 5.7.1000 long\r\n", code: 550, text: "5.7.1000 long"},
		{in: "550 5.x.1 letters\r\n", code: 550, text: "5.x.1 letters"},
		{in: "550 5.1.1\r\n", code: 550, enhanced: "5.1.1"},
		{in: "250-a\r\n251 b\r\n", err: true},
		{in: "250_a\r\n", err: true},
		{in: "25\r\n", err: true},
		{in: "\r\n", err: true},
		{in: "150 early\r\n", err: true},
		{in: "600 late\r\n", err: true},
		{in: "2x0 letters\r\n", err: true},
		{in: "HTTP/1.1 400 Bad Request\r\n", err: true},
		{in: "250 cut", err: true},
		{in: "250-a\r\n", err: true},
		{in: "", err: true},
		{in: "250 " + strings.Repeat("a", maxReplyLine) + "\r\n", err: true},
		{in: strings.Repeat("250-a\r\n", maxReplyLines) + "250 a\r\n", err: true},
		{in: strings.Repeat("250-"+strings.Repeat("a", 2000)+"\r\n", 20) + "250 a\r\n", err: true},
	} {
		r, err := read(tt.in)
		if (err != nil) != tt.err || r.code != tt.code || r.enhanced != tt.enhanced || r.text() != tt.text {
			t.Errorf("%.60q: %d %q %q, %v", tt.in, r.code, r.enhanced, r.text(), err)
		}
	}
	if _, err := read(strings.Repeat("250-a\r\n", 1000)); !errors.Is(err, errReplyTooLong) {
		t.Errorf("endless reply: %v", err)
	}
}

func TestOneLine(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"plain", "plain"},
		{"  a\r\n\tb\x00c  ", "a b c"},
		{"esc \x1b[31mred", "esc [31mred"},
		{"bidi \u202etxt.exe", "bidi ?txt.exe"},
		{"bad \xff utf-8", "bad ? utf-8"},
		{strings.Repeat("ä", 300), strings.Repeat("ä", 250)},
		{strings.Repeat("a", 499) + "ä", strings.Repeat("a", 499)},
		{strings.Repeat("a", 500) + " b", strings.Repeat("a", 500)},
	} {
		if got := oneLine(tt.in); got != tt.want {
			t.Errorf("oneLine(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func FuzzReadReply(f *testing.F) {
	for _, s := range []string{"250 ok\r\n", "250-a\r\n250 b\r\n", "421 4.3.2 bye\n", "550-5.1.1\r\n", "354\r\n", "220 \xff\x00\u202e\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := read(s)
		if err != nil {
			return
		}
		text := r.text()
		if r.code < 200 || r.code > 599 || len(r.lines) == 0 || len(r.lines) > maxReplyLines {
			t.Errorf("%q: code %d, %d lines", s, r.code, len(r.lines))
		}
		if len(text) > maxText || !utf8.ValidString(text) || strings.ContainsFunc(text, isControl) {
			t.Errorf("%q: text %q", s, text)
		}
		if r.enhanced != "" && (len(r.enhanced) < 5 || len(r.enhanced) > 9 || int(r.enhanced[0]-'0') != r.code/100) {
			t.Errorf("%q: enhanced %q", s, r.enhanced)
		}
	})
}

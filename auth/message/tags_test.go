package message

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestParseTags(t *testing.T) {
	tests := []struct {
		source string
		want   string // name=value|..., or an error text after "!"
	}{
		{"a=1", "a=1"},
		{" a = 1 ; b=2;", "a=1|b=2"},
		{"a=1;\r\n\tb=2 ;\r\n ", "a=1|b=2"},
		{"a=;b=", "a=|b="},
		{"a=b=c", "a=b=c"},
		{"a=1 2\r\n 3", "a=1 2\r\n 3"},
		{"A=1;a=2", "A=1|a=2"},
		{"x_1=é", "x_1=é"},
		{"", "!tag list without tag"},
		{";", "!tag list without tag"},
		{"a=1;;b=2", "!tag list without tag"},
		{"a=1;;", "!tag list without tag"},
		{"a", "!tag without equals sign"},
		{"a=1;b;c=2", "!tag without equals sign"},
		{"==", "!malformed tag name"},
		{"1a=1", "!malformed tag name"},
		{"_a=1", "!malformed tag name"},
		{"a b=1", "!malformed tag name"},
		{"é=1", "!malformed tag name"},
		{strings.Repeat("a", 65) + "=1", "!malformed tag name"},
		{"a=1;b=2;a=1", "!duplicate tag a"},
		{"a=\x00", "!malformed value of tag a"},
		{"a=\x7f", "!malformed value of tag a"},
		{"a=\xff", "!malformed value of tag a"},
	}
	for _, tt := range tests {
		tags, err := ParseTags(tt.source)
		if text, bad := strings.CutPrefix(tt.want, "!"); bad {
			if err == nil || err.Error() != text {
				t.Errorf("%q: error %v, want %s", tt.source, err, text)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", tt.source, err)
			continue
		}
		for i, pair := range strings.Split(tt.want, "|") {
			name, want, _ := strings.Cut(pair, "=")
			if got, ok := tags.Get(name); !ok || got != want {
				t.Errorf("%q: %s is %q, want %q", tt.source, name, got, want)
			}
			if i == 0 && tags.First() != name {
				t.Errorf("%q: first is %s", tt.source, tags.First())
			}
		}
	}
}

func TestTagsWithout(t *testing.T) {
	for _, tt := range []struct{ source, want string }{
		{"a=1; b=xx yy ; c=3", "a=1; b=; c=3"},
		{"a=1; b = xx\r\n", "a=1; b ="},
		{"b=\r\n xx;", "b=;"},
		{"bh=1; c=2", "bh=1; c=2"},
	} {
		tags, err := ParseTags(tt.source)
		if err != nil {
			t.Fatal(err)
		}
		if before, after := tags.around("b"); before+after != tt.want {
			t.Errorf("%q: %q, want %q", tt.source, before+after, tt.want)
		}
	}
}

func TestRemoveSpace(t *testing.T) {
	if got := RemoveSpace(" a\tb\r\n c é "); got != "abcé" {
		t.Errorf("%q", got)
	}
}

func TestParseCanon(t *testing.T) {
	for _, c := range []Canon{Simple, Relaxed} {
		if got, ok := ParseCanon(c.String()); !ok || got != c {
			t.Errorf("%v: %v, %v", c, got, ok)
		}
	}
	if _, ok := ParseCanon("Relaxed"); ok {
		t.Error("name in another case is taken")
	}
}

func TestTooManyTags(t *testing.T) {
	var list strings.Builder
	for i := range maxTags {
		fmt.Fprintf(&list, "t%d=x;", i)
	}
	if _, err := ParseTags(list.String()); err != nil {
		t.Error(err)
	}
	if _, err := ParseTags(list.String() + "more=x"); !errors.Is(err, errManyTags) {
		t.Errorf("one more: %v", err)
	}
}

// FuzzParseTags: a list printed from what was read is read as the same, and a
// list without a value has that tag empty.
func FuzzParseTags(f *testing.F) {
	for _, s := range []string{
		"", "a=1", "v=1; b=x y;\r\n c=;", ";;", "a=1;a=2", "a==;", "a=é; b_1 = \t2\r\n ;",
		"v=1; a=rsa-sha256; c=relaxed/simple; d=a.test; s=s; h=from:to;\r\n\tbh=AAAA=; b=AA\r\n\t AA==",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		tags, err := ParseTags(source)
		if err != nil {
			return
		}
		var printed strings.Builder
		for _, g := range tags.tags {
			before, after := tags.around(g.name)
			without, err := ParseTags(before + after)
			if err != nil {
				t.Fatalf("without %s: %v", g.name, err)
			}
			if value, ok := without.Get(g.name); !ok || value != "" {
				t.Fatalf("without %s: still %q", g.name, value)
			}
			if inside := source[g.start:g.end]; before+inside+after != source || trimSpace(inside) != g.value {
				t.Fatalf("value %q is not %q", g.value, inside)
			}
			fmt.Fprintf(&printed, "%s=%s;", g.name, g.value)
		}
		again, err := ParseTags(printed.String())
		same := func(a, b tag) bool { return a.name == b.name && a.value == b.value }
		if err != nil || !slices.EqualFunc(again.tags, tags.tags, same) {
			t.Fatalf("%q is read as %+v, %v", printed.String(), again.tags, err)
		}
	})
}

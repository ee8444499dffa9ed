package main

import (
	"strings"
	"testing"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain\ttext\n":             "plain\ttext\n",
		"\x1b[31mred\x1b[0m":        "[31mred[0m",
		"a\rb\bc\x00d\x7fe\u009bf":  "abcdef",
		"\u202egpj.exe\u202c":       "gpj.exe",
		"\u2066x\u2069\u200f\u061c": "x",
		"a\u2028b\u2029c":           "abc",
		"äöü 日本 🙂":                  "äöü 日本 🙂",
		"bad\xff":                   "bad\ufffd",
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestCell(t *testing.T) {
	for _, tc := range []struct {
		in    string
		width int
		want  string
	}{{"a\n b\t c", 10, "a b c"}, {"äöüß", 4, "äöüß"}, {"äöüß", 3, "äö…"}, {"ab", 1, "…"}, {"", 3, ""}, {"ab", 0, ""}} {
		if got := cell(tc.in, tc.width); got != tc.want {
			t.Errorf("cell(%q, %d) = %q, want %q", tc.in, tc.width, got, tc.want)
		}
	}
}

func TestTableAndIndent(t *testing.T) {
	var b strings.Builder
	table(&b, [][]string{{"NAME", "X"}, {"ä", "1", "more"}, {}})
	if want := "NAME  X\nä     1  more\n\n"; b.String() != want {
		t.Errorf("table:\n%q, want\n%q", b.String(), want)
	}
	if got := indent("a\n\x1bb\n\n", "> "); got != "> a\n> b" {
		t.Errorf("indent = %q", got)
	}
}

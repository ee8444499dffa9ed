package main

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// clean makes text from outside harmless on a terminal: controls and the
// characters that turn the direction of writing are taken out, line ends stay.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == 0x2028, r == 0x2029:
			return -1
		}
		return r
	}, s)
}

// cell is clean text on one line, cut to width characters.
func cell(s string, width int) string {
	s = strings.Join(strings.Fields(clean(s)), " ")
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	if width < 1 {
		return ""
	}
	return string([]rune(s)[:width-1]) + "…"
}

// table writes rows in aligned columns; the first row is the head.
func table(w io.Writer, rows [][]string) {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		for i, c := range row {
			b.WriteString(c)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c)+2))
			}
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

// when is a time as people read it, in their own zone.
func when(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// indent puts text under a heading.
func indent(s, by string) string {
	s = strings.TrimRight(clean(s), "\n")
	return by + strings.ReplaceAll(s, "\n", "\n"+by)
}

// none is what stands where a list is empty.
func none(w io.Writer, what string) error {
	_, err := fmt.Fprintf(w, "no %s\n", what)
	return err
}

package web

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxShown bounds the text of one comment in a page, in octets. All of it is
// in the original.
const maxShown = 64 << 10

// maxLink bounds what is taken for a link, in octets.
const maxLink = 2000

// run is a stretch of text; URL is set when it is a link.
type run struct {
	Text string
	URL  string
}

var webAddress = regexp.MustCompile(`(?i)\bhttps?://[^\s<>"'` + "`" + `]+`)

// linkify cuts text into runs, so that http and https addresses become links.
// What is shown is always what is opened.
func linkify(text string) []run {
	var runs []run
	rest := text
	for rest != "" {
		at := webAddress.FindStringIndex(rest)
		if at == nil {
			break
		}
		link := trimLink(rest[at[0]:at[1]])
		if at[0] > 0 {
			runs = append(runs, run{Text: rest[:at[0]]})
		}
		if isLink(link) {
			runs = append(runs, run{Text: link, URL: link})
		} else {
			runs = append(runs, run{Text: link})
		}
		rest = rest[at[0]+len(link):]
	}
	if rest != "" {
		runs = append(runs, run{Text: rest})
	}
	return runs
}

// trimLink leaves out punctuation that ends the sentence rather than the
// address, and a bracket that was opened before it.
func trimLink(s string) string {
	for {
		r, n := utf8.DecodeLastRuneInString(s)
		switch {
		case strings.ContainsRune(".,;:!?*_~。、", r):
		case r == ')' && strings.Count(s, "(") < strings.Count(s, ")"):
		case r == ']' && strings.Count(s, "[") < strings.Count(s, "]"):
		default:
			return s
		}
		s = s[:len(s)-n]
	}
}

func isLink(s string) bool {
	u, err := url.Parse(s)
	return err == nil && len(s) <= maxLink && u.Host != "" && u.User == nil && strings.IndexFunc(s, deceives) < 0
}

// deceives tells whether a character is invisible or reorders those beside it.
func deceives(r rune) bool { return unicode.Is(unicode.C, r) }

// shown is text cut to what a page shows; cut tells that there is more.
func shown(s string) (out string, cut bool) {
	if len(s) <= maxShown {
		return s, false
	}
	return strings.ToValidUTF8(s[:maxShown], ""), true
}

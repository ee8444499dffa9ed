package mail

import (
	"strings"
	"unicode"
)

const maxEncodedWord = 8 << 10 // a longer one stays as it is

// word is one encoded-word with its payload not yet put into UTF-8.
type word struct {
	charset string
	octets  []byte
}

// decodeWords decodes the encoded-words in s. Words that follow each other in
// one charset are put together before they are converted, as some mailers cut
// characters in half. What is not well-formed stays as it is.
//
// https://www.rfc-editor.org/rfc/rfc2047#section-6.2
func decodeWords(s string) string {
	once := decodeWordsOnce(s)
	if once != s && strings.Contains(once, "=?") {
		return decodeWordsOnce(once)
	}
	return once
}

func decodeWordsOnce(s string) string {
	if !strings.Contains(s, "=?") {
		return s
	}
	var out strings.Builder
	var run word
	inRun := false
	flush := func() {
		if inRun {
			out.WriteString(lineEnds(convert(run.octets, run.charset)))
		}
		inRun = false
	}
	for s != "" {
		start := strings.Index(s, "=?")
		if start < 0 {
			break
		}
		w, size, ok := parseWord(s[start:])
		if !ok {
			flush()
			out.WriteString(s[:start+2])
			s = s[start+2:]
			continue
		}
		between := s[:start]
		s = s[start+size:]
		joined := inRun && strings.TrimSpace(between) == ""
		if joined && strings.EqualFold(run.charset, w.charset) {
			run.octets = append(run.octets, w.octets...)
			continue
		}
		flush()
		if !joined {
			out.WriteString(between)
		}
		run, inRun = w, true
	}
	flush()
	out.WriteString(s)
	return out.String()
}

// parseWord reads the encoded-word that s begins with and tells how long it is.
func parseWord(s string) (w word, size int, ok bool) {
	window := s[2:min(len(s), maxEncodedWord)]
	charset, rest, ok1 := strings.Cut(window, "?")
	encoding, payload, ok2 := strings.Cut(rest, "?")
	if !ok1 || !ok2 || charset == "" || len(charset) > 64 || len(encoding) != 1 || strings.ContainsAny(charset, " \t=") {
		return word{}, 0, false
	}
	end := strings.Index(payload, "?=")
	closing := 2
	if end < 0 {
		if strings.ContainsAny(payload, " \t?") || len(s) > maxEncodedWord || payload == "" {
			return word{}, 0, false
		}
		end, closing = len(payload), 0
	}
	size = 2 + len(charset) + 1 + len(encoding) + 1 + end + closing
	payload = payload[:end]
	switch encoding {
	case "B", "b":
		w.octets = decodeBase64(payload)
	case "Q", "q":
		w.octets = decodeHex(nil, []byte(strings.ReplaceAll(payload, "_", " ")))
	default:
		return word{}, 0, false
	}
	w.charset, _, _ = strings.Cut(charset, "*")
	return w, size, true
}

func decodeBase64(s string) []byte {
	var d base64Decoder
	return d.flush(d.line(nil, []byte(s)))
}

// oneLine turns control characters into spaces and drops the invisible marks
// that can turn text around.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case isBidi(r):
			return -1
		case unicode.IsControl(r):
			return ' '
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}

// isBidi tells whether r is one of the characters that override the direction
// of text.
func isBidi(r rune) bool {
	return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

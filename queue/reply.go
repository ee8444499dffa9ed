package queue

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what a next hop can make us read at one step. RFC 5321 allows 512
// octets a line; real servers exceed it, none comes near these.
const (
	maxReplyLine  = 2048
	maxReplyLines = 128
	maxReplyBytes = 32 << 10
)

// maxText bounds the text of an attempt, in octets.
const maxText = 500

var (
	errReplyTooLong = errors.New("reply is too long")
	errReplySyntax  = errors.New("reply is malformed")
)

// reply is one reply of a next hop.
type reply struct {
	code     int
	enhanced string   // "5.1.1", "" when the reply carries none
	lines    []string // text of each line, without codes
}

// positive tells whether the step succeeded (2yz and 3yz).
func (r reply) positive() bool { return r.code >= 200 && r.code < 400 }

// text is the reply on one line, safe to show.
func (r reply) text() string { return oneLine(strings.Join(r.lines, " ")) }

// readReply reads one reply, of one line or of many. It never reads more than
// maxReplyLines lines or maxReplyBytes octets. A bare LF ends a line as well.
//
// https://www.rfc-editor.org/rfc/rfc5321#section-4.2
func readReply(br *bufio.Reader) (reply, error) {
	var r reply
	total := 0
	for range maxReplyLines {
		line, err := readLine(br)
		if err != nil {
			return reply{}, err
		}
		if total += len(line); total > maxReplyBytes {
			return reply{}, errReplyTooLong
		}
		code, more, text, err := parseReplyLine(line)
		if err != nil {
			return reply{}, err
		}
		if r.code != 0 && r.code != code {
			return reply{}, fmt.Errorf("%w: code changes from %d to %d", errReplySyntax, r.code, code)
		}
		r.code = code
		enhanced, rest := cutEnhanced(code, text)
		if r.enhanced == "" {
			r.enhanced = enhanced
		}
		r.lines = append(r.lines, rest)
		if !more {
			return r, nil
		}
	}
	return reply{}, errReplyTooLong
}

// readLine reads up to a line feed and returns the line without its end.
func readLine(br *bufio.Reader) (string, error) {
	line, err := br.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", errReplyTooLong
	}
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

// parseReplyLine splits "250-text" into its parts.
func parseReplyLine(line string) (code int, more bool, text string, err error) {
	if len(line) < 3 {
		return 0, false, "", errReplySyntax
	}
	for _, c := range []byte(line[:3]) {
		if c < '0' || c > '9' {
			return 0, false, "", errReplySyntax
		}
		code = code*10 + int(c-'0')
	}
	if code < 200 || code > 599 {
		return 0, false, "", errReplySyntax
	}
	if len(line) == 3 {
		return code, false, "", nil
	}
	if line[3] != ' ' && line[3] != '-' {
		return 0, false, "", errReplySyntax
	}
	return code, line[3] == '-', line[4:], nil
}

// cutEnhanced takes the enhanced status code off the front of a reply text. Its
// class has to be that of the reply code.
//
// https://www.rfc-editor.org/rfc/rfc2034#section-4
func cutEnhanced(code int, text string) (enhanced, rest string) {
	word, rest, _ := strings.Cut(text, " ")
	parts := strings.Split(word, ".")
	if len(parts) != 3 || parts[0] != string(rune('0'+code/100)) {
		return "", text
	}
	for _, p := range parts[1:] {
		if len(p) < 1 || len(p) > 3 || strings.Trim(p, "0123456789") != "" {
			return "", text
		}
	}
	return word, rest
}

// oneLine makes s fit to be kept and shown: valid UTF-8 on one line, without
// control and direction characters, runs of spaces made one, at most maxText
// octets.
func oneLine(s string) string {
	var b strings.Builder
	space := false
	for _, r := range s {
		switch {
		case unicode.IsSpace(r) || unicode.IsControl(r):
			space = true
			continue
		case r == utf8.RuneError || unicode.Is(unicode.Cf, r):
			r = '?'
		}
		if space && b.Len() > 0 {
			b.WriteByte(' ')
		}
		space = false
		if b.Len()+utf8.RuneLen(r) > maxText {
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimRight(b.String()[:min(b.Len(), maxText)], " ")
}

package dsn

import (
	"mime"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

var (
	enhancedCode = regexp.MustCompile(`(?:^|[^\d.])([245]\.\d{1,3}\.\d{1,3})(?:$|[^\d.]|\.(?:$|\D))`)
	bothCodes    = regexp.MustCompile(`(?:^|[^\d.])([245]\d\d)[ -]+#?[245]\.\d{1,3}\.\d{1,3}`)
	replyStatus  = regexp.MustCompile(`^[45]\d\d[ -]+#?([45]\.\d{1,3}\.\d{1,3})\b`)
	innerCode    = regexp.MustCompile(`^554 <[^<>]{1,320}>\.\.\. ([45][0-5]\d)[ -]`)
	codeInPlace  = regexp.MustCompile(`(?i)(?:^|said:\s*|<<<\s*|smtp;\s*|error:?\s*|code:?\s*:?|reply:?\s*|was:?\s*|response:?\s*|returned:?\s*|failure:?\s*|\]:\s*|>:?\s+|: |\(|#|"|')([45][0-5]\d)(?:[\s:;,"'\-#)<]|\.\D|\.?$)`)
	firstCode    = regexp.MustCompile(`^([245][0-5]\d)[\s-]`)
	inAngles     = regexp.MustCompile(`<([^<>\s@]+@[^<>\s@]+)>`)
	anAddress    = regexp.MustCompile(`[^\s<>@()\[\],;:"'|*=]+@(?:[\p{L}\p{N}_-]+\.)+[\p{L}\p{N}-]+|[^\s<>@()\[\],;:"'|*=]+@\[[\d.:a-fA-F]+\]`)
)

// enhanced finds the first enhanced status code in a text.
//
// https://www.rfc-editor.org/rfc/rfc3463#section-2
func enhanced(text string) string {
	if m := enhancedCode.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

// replyCode finds the SMTP reply code in a diagnostic.
func replyCode(text string) string {
	if m := innerCode.FindStringSubmatch(text); m != nil { // old sendmail quotes the other side
		return m[1]
	}
	if m := firstCode.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	if m := bothCodes.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	if m := codeInPlace.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

// address finds the address in a field or a line.
func address(text string) string {
	if m := inAngles.FindStringSubmatch(text); m != nil {
		text = m[1]
	}
	a := strings.Trim(anAddress.FindString(text), ".`")
	if len(a) > maxAddress {
		return ""
	}
	return a
}

func codePoint(hex string) (rune, bool) {
	n, err := strconv.ParseInt(hex, 16, 32)
	if err != nil || !utf8.ValidRune(rune(n)) || n < ' ' {
		return 0, false
	}
	return rune(n), true
}

// decodeDiagnostic reads encoded-words, which some systems put in diagnostics.
func decodeDiagnostic(text string) string {
	if !strings.Contains(text, "=?") {
		return text
	}
	if decoded, err := new(mime.WordDecoder).DecodeHeader(text); err == nil {
		return decoded
	}
	return text
}

var commands = regexp.MustCompile(`(?i)(?:in reply to|after|response to|following|reply to|sending|during|in response to)(?: the)?(?: smtp)? ?(?:pipelined )?(?:sending )?(end of data|rcpt|mail|data|body|end-of-data)|(\(state 1[346]\)|does not like recipient|\[rcpt_to\]|>>> ?rcpt|rejected recipient|during rcpt)|(\(state 1[578]\)|>>> ?data|failed after i sent the message|final data)|(does not like sender|>>> ?mail)`)

// commandOf tells which SMTP command a diagnostic says was refused: mail, rcpt,
// data, or "" when it does not say.
func commandOf(text string) string {
	m := commands.FindStringSubmatch(text)
	switch {
	case m == nil:
		return ""
	case m[2] != "" || strings.EqualFold(m[1], "rcpt"):
		return "rcpt"
	case m[4] != "" || strings.EqualFold(m[1], "mail"):
		return "mail"
	}
	return "data"
}

// transcriptCommand is the last command before the first refusal in a
// transcript of the session.
func (m *report) transcriptCommand() string {
	command := ""
	for _, line := range m.lines() {
		line = strings.ToLower(strings.TrimSpace(line))
		if rest, ok := strings.CutPrefix(line, ">>> "); ok {
			command, _, _ = strings.Cut(rest, " ")
		}
		if command != "" && (strings.HasPrefix(line, "<<< 5") || strings.HasPrefix(line, "<<< 4")) {
			return command
		}
	}
	return ""
}

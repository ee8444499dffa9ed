package mail

import (
	"regexp"
	"strings"
)

const (
	maxTrimLines    = 5000 // lines that are looked at; what follows shares the fate of the last
	maxTrimWidth    = 600  // octets of a line, or joined lines, that are looked at
	maxAttributions = 400  // lines tried as the line above a quote
	fewLines        = 7    // text after a quote that is taken for a signature
	footerLines     = 12   // lines below a rule of dashes that make a footer
)

// trimReply separates what the writer of a mail says from what the mail repeats:
// quoted mails with the lines above them, and signatures. Both halves keep the
// order of the lines, and every line that is not blank is in one of them. Text
// between quotes and below them counts as the writer's. When nothing would
// remain the whole text is the reply.
func trimReply(text string) (reply, quoted string) {
	lines := splitLines(text)
	looked := lines[:min(len(lines), maxTrimLines)]
	kinds := classifyLines(looked)
	kept := keepLines(kinds, looked)
	last := len(kept) == 0 || kept[len(kept)-1]
	var own, rest []string
	for i, line := range lines {
		if i < len(kept) && kept[i] || i >= len(kept) && last {
			own = append(own, line)
		} else {
			rest = append(rest, line)
		}
	}
	reply, quoted = joinLines(own), joinLines(rest)
	if reply == "" {
		return joinLines(lines), ""
	}
	return reply, quoted
}

// splitLines cuts a text at any kind of line end.
func splitLines(text string) []string {
	if strings.IndexByte(text, '\r') >= 0 {
		text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	}
	return strings.Split(text, "\n")
}

// joinLines drops blank lines at both ends and keeps all else.
func joinLines(lines []string) string {
	for len(lines) > 0 && strings.TrimSpace(lines[0]) == "" {
		lines = lines[1:]
	}
	return strings.TrimRight(strings.Join(lines, "\n"), " \t\r\n\u00a0")
}

// The rules of keepLines work on one letter a line, see lineKind.
var (
	replyBelow   = regexp.MustCompile(`^[ex]*(?:b[^tc]+)*b[bqexh]+[tc][extc]*$`)
	replyOnly    = regexp.MustCompile(`[tc][extc]*$`)
	markerOnly   = regexp.MustCompile(`[tc][ex]*b[^q]*$`)
	markerQuote  = regexp.MustCompile(`[tc][ex]*b[exqbh]*([tcex]*)$`)
	quoteLast    = regexp.MustCompile(`[tc][ex]*[qbex]*[qb][qbex]*$`)
	textThenHead = regexp.MustCompile(`[tc][exq]*h`)
)

// keepLines decides which lines are the writer's. Every step works on the
// letters that the one before has left; x is a line that has been taken out.
func keepLines(kinds []byte, lines []string) []bool {
	cutAtDelimiter(kinds)
	dropSignatures(kinds)
	if replyBelow.Match(kinds) {
		from := replyOnly.FindIndex(kinds)[0]
		takeOut(kinds[:from])
	}
	cutAfterText(kinds, markerOnly)
	if m := markerQuote.FindSubmatchIndex(kinds); m != nil {
		if after := count(kinds[m[2]:m[3]], "tc"); after < fewLines && !(after > 0 && onlyGreets(kinds[:m[0]+1], lines)) {
			takeOut(kinds[m[0]+1:])
		}
	}
	cutAfterText(kinds, quoteLast)
	replaceKind(kinds, kindMarker)
	cutAfterText(kinds, textThenHead)
	replaceKind(kinds, kindHeader)
	kept := make([]bool, len(kinds))
	for i, k := range kinds {
		kept[i] = k != kindOut
	}
	return kept
}

// cutAtDelimiter takes out what follows the first delimiter that has text above
// it; a delimiter above all text is taken out alone.
func cutAtDelimiter(kinds []byte) {
	for i, k := range kinds {
		if k != kindDelimiter && k != kindOriginal {
			continue
		}
		if count(kinds[:i], "tc") > 0 || k == kindDelimiter && count(kinds[:i], "q") > 0 && count(kinds[i:], "tc") > 0 {
			takeOut(kinds[i:])
			return
		}
		kinds[i] = kindOut
	}
}

// dropSignatures takes out device lines that end the text, or stand right above
// a quote; any other one is text.
func dropSignatures(kinds []byte) {
	ending := true
	for i := len(kinds) - 1; i >= 0; i-- {
		switch kinds[i] {
		case kindText, kindCode:
			ending = false
		case kindMarker, kindQuote, kindHeader:
			ending = true
		case kindSignature:
			kinds[i] = kindText
			if ending {
				kinds[i] = kindOut
			}
		}
	}
}

// cutAfterText takes out all that follows the first line of a match, which is
// the last line of text before a quote.
func cutAfterText(kinds []byte, pattern *regexp.Regexp) {
	if m := pattern.FindIndex(kinds); m != nil {
		takeOut(kinds[m[0]+1:])
	}
}

func takeOut(kinds []byte) {
	for i := range kinds {
		kinds[i] = kindOut
	}
}

func replaceKind(kinds []byte, kind byte) {
	for i, k := range kinds {
		if k == kind {
			kinds[i] = kindOut
		}
	}
}

func count(kinds []byte, set string) int {
	n := 0
	for _, k := range kinds {
		if strings.IndexByte(set, k) >= 0 {
			n++
		}
	}
	return n
}

// onlyGreets tells whether all the text so far is a line like `Hi Bob,`: then
// what comes below the quote is the answer.
func onlyGreets(kinds []byte, lines []string) bool {
	if count(kinds, "tc") != 1 {
		return false
	}
	at := strings.IndexByte(string(kinds), kindText)
	text := plainLine(lines[max(at, 0)])
	return len(text) <= 40 && strings.HasSuffix(text, ",")
}

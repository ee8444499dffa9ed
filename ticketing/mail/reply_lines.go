package mail

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The kinds of a line, as letters for the patterns of keepLines.
const (
	kindEmpty     byte = 'e'
	kindText      byte = 't'
	kindCode      byte = 'c' // between code fences: always text
	kindQuote     byte = 'q'
	kindMarker    byte = 'b' // "On … wrote:", which may take several lines
	kindOriginal  byte = 'o' // "--- Original Message ---"
	kindHeader    byte = 'h' // of a block "From: … Sent: … To: …"
	kindDelimiter byte = 'd' // "-- " and rules that begin a footer
	kindSignature byte = 's' // "Sent from my phone"
	kindOut       byte = 'x'
)

var (
	namedQuote = regexp.MustCompile(`^\p{Lu}[\p{L}\d_-]{0,15}>(?:\s|$)`)
	deviceLine = regexp.MustCompile(`^(?i:` + deviceWords + `)$`)
	links      = regexp.MustCompile(`<[^<>]{0,300}>|\(https?://[^()]{0,300}\)|https?://\S{0,300}`)
	replyAbove = regexp.MustCompile(`(?i)^\W*(?:please )?(?:type |write |enter )?(?:your )?reply above this line\W*$`)
	brackets   = strings.NewReplacer("<", "", ">", "", "(", "", ")", "", "[", "", "]", "", "*", "", "_", "")
)

// classifyLines gives every line its kind.
func classifyLines(lines []string) []byte {
	plain := make([]string, len(lines))
	kinds := make([]byte, len(lines))
	for i, line := range lines {
		plain[i] = plainLine(line)
		kinds[i] = lineKind(plain[i])
	}
	fenceCode(kinds, plain)
	markHeaders(kinds, plain)
	markAttributions(kinds, plain)
	markRules(kinds, plain)
	markArmour(kinds, plain)
	return kinds
}

// lineKind looks at one line alone.
func lineKind(line string) byte {
	switch {
	case line == "":
		return kindEmpty
	case line[0] == '>' || strings.Contains(cutText(line, 66), ">") && namedQuote.MatchString(line):
		return kindQuote
	case line == "--" || line == "—" || line == "ᐧ" || line == "__" || isReplyAbove(line):
		return kindDelimiter
	case maybeMarked(line) && (isOriginal(line) || isForwardLine(line)):
		return kindOriginal
	case maybeDevice(line) && isDevice(line) || isUnsubscribe(line):
		return kindSignature
	}
	return kindText
}

// maybeMarked is the cheap test for lines that begin with marks or end with a
// colon.
func maybeMarked(line string) bool {
	r, _ := utf8.DecodeRuneInString(line)
	return strings.ContainsRune(lineMarks, r) || strings.HasSuffix(line, ":") || strings.HasSuffix(line, "：")
}

func isReplyAbove(line string) bool {
	return len(line) <= 120 && strings.Contains(strings.ToLower(line), "above this line") && replyAbove.MatchString(line)
}

// isUnsubscribe tells whether a list server wrote the line.
func isUnsubscribe(line string) bool {
	const label = "unsubscribe: "
	return len(line) > len(label) && strings.EqualFold(line[:len(label)], label) && !strings.Contains(line[len(label):], " ")
}

// plainLine is a line as the rules look at it: short, without invisible
// characters, with ordinary blanks, and without blanks at its ends.
func plainLine(line string) string {
	if len(line) > maxTrimWidth {
		cut := maxTrimWidth
		for cut > 0 && !utf8.RuneStart(line[cut]) {
			cut--
		}
		line = line[:cut]
	}
	if isASCII(line) {
		return strings.TrimSpace(strings.ReplaceAll(line, "\t", " "))
	}
	return strings.TrimSpace(strings.Map(plainRune, line))
}

func plainRune(r rune) rune {
	switch {
	case r == '\u00a0' || r == '\u202f' || r == '\u2007' || r == '\t' || r == '\u3000':
		return ' '
	case r >= 0xad && unicode.Is(unicode.Cf, r):
		return -1
	}
	return r
}

// lineMarks may stand at both ends of a line that introduces another mail.
const lineMarks = "-–—_=*>• "

// between returns what stands between dashes (or other marks) at both ends of
// a line, in lower case, and how many marks open it.
func between(line string) (inner string, marks int) {
	inner = strings.TrimLeft(line, lineMarks)
	for _, r := range line[:len(line)-len(inner)] {
		if strings.ContainsRune("-–—_=", r) {
			marks++
		}
	}
	inner = strings.TrimRight(inner, lineMarks+":：")
	return strings.ToLower(strings.ReplaceAll(inner, "’", "'")), marks
}

var originalSet = wordSet(originalWords)

func wordSet(table string) map[string]bool {
	set := map[string]bool{}
	for _, w := range words(table) {
		set[w] = true
	}
	return set
}

// isOriginal tells whether a line is like `--- Original Message ---`.
func isOriginal(line string) bool {
	if len(line) > 120 {
		return false
	}
	inner, marks := between(line)
	return marks >= 2 && originalSet[inner]
}

// isDevice tells whether a phone or a mail program wrote the line.
func isDevice(line string) bool {
	if len(line) > 160 {
		return false
	}
	if deviceLine.MatchString(strings.Trim(brackets.Replace(line), " .!-")) {
		return true
	}
	return strings.ContainsAny(line, "<(:/[") && deviceLine.MatchString(strings.Trim(brackets.Replace(links.ReplaceAllString(line, "")), " .!-"))
}

// fenceCode protects what stands between two code fences.
func fenceCode(kinds []byte, lines []string) {
	open := -1
	for i, line := range lines {
		if !strings.HasPrefix(line, "```") && !strings.HasPrefix(line, "~~~") {
			continue
		}
		if open < 0 {
			if !strings.Contains(line[3:], line[:3]) {
				open = i
			}
			continue
		}
		if line[:3] == lines[open][:3] && strings.Trim(line, line[:1]) == "" {
			for k := open; k <= i; k++ {
				kinds[k] = kindCode
			}
			open = -1
		}
	}
}

// markHeaders finds the header blocks that Outlook and others put above a
// quoted mail.
func markHeaders(kinds []byte, lines []string) {
	for i := 0; i < len(lines); i++ {
		if kinds[i] != kindText && kinds[i] != kindSignature {
			continue
		}
		block, ok := readBlock(lines[i:min(i+maxBlockLines, len(lines))])
		if !ok || !block.convincing() {
			continue
		}
		for k := i; k < i+block.length; k++ {
			if kinds[k] != kindEmpty {
				kinds[k] = kindHeader
			}
		}
		i += block.length - 1
	}
}

// markRules makes delimiters of the rules (lines of dashes or underscores) that
// stand above a quoted mail or a short footer; any other rule is text, as
// people write rules too. Words between dashes above a header block introduce
// the quoted mail in whatever language.
func markRules(kinds []byte, lines []string) {
	below := 0 // lines with text below the current one
	next := kindEmpty
	for i := len(lines) - 1; i >= 0; i-- {
		if kinds[i] == kindText && isRule(lines[i]) {
			alone := i == 0 || kinds[i-1] == kindEmpty || kinds[i-1] == kindSignature
			quoted := next == kindHeader || next == kindMarker || next == kindOriginal
			long := strings.Count(lines[i], "_") >= 10
			if quoted || long || alone && below <= footerLines {
				kinds[i] = kindDelimiter
			}
		}
		if kinds[i] == kindText && next == kindHeader && maybeMarked(lines[i]) && dashedWords.MatchString(lines[i]) {
			kinds[i] = kindOriginal
		}
		if kinds[i] != kindEmpty {
			next = kinds[i]
			below++
		}
	}
}

// isRule tells whether a line is only dashes or underscores, three or more.
func isRule(line string) bool {
	return utf8.RuneCountInString(line) >= 3 && strings.Trim(line, "-—–_ *") == "" && strings.ContainsAny(line, "-—_") && strings.Count(line, "*") <= 2
}

// markArmour takes the lines of OpenPGP out that wrap a signed text.
func markArmour(kinds []byte, lines []string) {
	signature := false
	for i, line := range lines {
		switch {
		case line == "-----BEGIN PGP SIGNED MESSAGE-----":
			kinds[i] = kindOut
			if i+1 < len(lines) && strings.HasPrefix(lines[i+1], "Hash: ") {
				kinds[i+1] = kindOut
			}
		case line == "-----BEGIN PGP SIGNATURE-----":
			signature = true
		}
		if signature {
			kinds[i] = kindOut
			signature = line != "-----END PGP SIGNATURE-----"
		}
	}
}

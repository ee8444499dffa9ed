package mail

import (
	"regexp"
	"strings"

	"github.com/mxdesk/mxdesk/ticketing"
)

const (
	maxForwardLines = 2000    // lines among which the beginning of a forward is looked for
	maxForwardText  = 1 << 20 // octets of the text of a forwarded mail
)

var (
	forwardSet  = wordSet(forwardWords)
	sameLine    = regexp.MustCompile(`^([>\s*]*[-–—=_]{3,}[^-–—=:]{3,60}[-–—=_]{3,})\s*(\S.*)$`)
	dashedWords = regexp.MustCompile(`^[>\s*]*[-–—=_]{4,}\s*\p{L}[^<>@:]{3,60}\S?\s*[-–—=_]{4,}[\s*]*$`)
)

// isForwardLine tells whether a line begins a forwarded mail.
func isForwardLine(line string) bool {
	if len(line) > 160 {
		return false
	}
	inner, marks := between(line)
	if !forwardSet[inner] {
		return false
	}
	return marks >= 2 || strings.HasSuffix(line, ":") || strings.HasSuffix(line, "：")
}

// findForward returns the mail that a mail passes on: an attached one, or one
// that the text holds below `---- Forwarded message ----` and its like in other
// programs and languages. Where a program writes the same above the quote of a
// reply, the prefix of the subject decides. It returns nil for other mails.
func findForward(subject, text string, root *part) *ticketing.Forwarded {
	rest, forward, reply := cutPrefix(subject)
	if !reply || forward {
		if f := attachedForward(root); f != nil {
			return f
		}
	}
	f := inlineForward(text, forward, reply)
	if f != nil && f.Subject == "" {
		f.Subject = cutForwardPrefixes(rest)
	}
	return f
}

// inlineForward looks for the first place in a text that begins a forwarded
// mail. weak beginnings, which replies have too, count only with the prefix.
func inlineForward(text string, forward, reply bool) *ticketing.Forwarded {
	if !hasColon(text) {
		return nil
	}
	lines := splitLines(text)
	view := newQuoteView(lines[:min(len(lines), maxForwardLines)])
	colons := view.colons()
	for i, line := range view.plain {
		if line == "" || colons[i] >= maxAttributionLines {
			continue
		}
		if maybeMarked(line) {
			if f := view.strong(lines, i, reply && !forward); f != nil {
				return f
			}
		}
		if found, f := view.weak(lines, i, forward, reply); found {
			return f
		}
	}
	return nil
}

// hasColon tells whether a text has a colon: every beginning of a forward has
// one, in a field or at the end of a headline.
func hasColon(s string) bool {
	return strings.IndexByte(s, ':') >= 0 || strings.Contains(s, "：")
}

// colons tells how many lines below each the next one with a colon is; 0 is the
// line itself.
func (v quoteView) colons() []int {
	list, next := make([]int, len(v.plain)), maxAttributionLines
	for i := len(list) - 1; i >= 0; i-- {
		if next++; hasColon(v.plain[i]) {
			next = 0
		}
		list[i] = next
	}
	return list
}

// strong tries a line that only forwards have; in a reply, words that are not
// known do not count.
func (v quoteView) strong(lines []string, i int, reply bool) *ticketing.Forwarded {
	line := v.plain[i]
	if isForwardLine(line) || !reply && dashedWords.MatchString(line) && !isOriginal(line) {
		if f := v.below(lines, i); f != nil {
			return f
		}
	}
	return v.oneLine(lines, i)
}

// quoteView is a text without quote marks, line by line.
type quoteView struct {
	plain []string
	depth []int // quote marks before each line
}

func newQuoteView(lines []string) quoteView {
	v := quoteView{plain: make([]string, len(lines)), depth: make([]int, len(lines))}
	for i, line := range lines {
		v.plain[i], v.depth[i] = cutQuoteMarks(plainLine(line))
	}
	return v
}

// cutQuoteMarks takes the quote marks off a plain line and counts them.
func cutQuoteMarks(line string) (string, int) {
	depth := 0
	for strings.HasPrefix(line, ">") && depth < 50 {
		line = strings.TrimLeft(line[1:], " ")
		depth++
	}
	return line, depth
}

// below reads the header block that follows the line at i, with at most two
// blank lines between, and what it heads.
func (v quoteView) below(lines []string, i int) *ticketing.Forwarded {
	for next := i + 1; next < len(v.plain) && next <= i+3; next++ {
		if v.plain[next] == "" {
			continue
		}
		block, ok := v.block(next)
		if !ok || block.values[labelFrom] == "" && block.values[labelSubject] == "" {
			return nil
		}
		return v.forwarded(lines, next, block)
	}
	return nil
}

// oneLine reads a forward whose beginning and header stand in the line at i.
func (v quoteView) oneLine(lines []string, i int) *ticketing.Forwarded {
	m := sameLine.FindStringSubmatch(v.plain[i])
	if m == nil || !isForwardLine(m[1]) {
		return nil
	}
	block, ok := gluedBlock(m[2])
	if !ok {
		return nil
	}
	return v.forwarded(lines, i, block)
}

// block reads the header block at i; its lines may be glued into one.
func (v quoteView) block(i int) (headerBlock, bool) {
	if kind, _ := readLabel(v.plain[i]); kind == labelNone {
		return headerBlock{}, false
	}
	if b, ok := gluedBlock(v.plain[i]); ok {
		return b, true
	}
	return readBlock(v.plain[i:min(i+maxBlockLines, len(v.plain))])
}

// endOfForward is what some programs write below a forwarded mail.
var endOfForward = regexp.MustCompile(`^[>\s]*-{4,}\s*(?i:end|ende|fin|fine|конец|кінець|koniec|konec)\s[^-]{3,60}-{4,}\s*$`)

// weak tries what stands above the quote of a reply as well as above a forward:
// a bare header block, or a line with date and author. found is true when one
// is there, which ends the search: for a reply there is no forward then.
func (v quoteView) weak(lines []string, i int, forward, reply bool) (found bool, f *ticketing.Forwarded) {
	if block, ok := v.block(i); ok && block.convincing() {
		ruled := !forward && !reply && i > 0 && v.belowRule(i)
		if !ruled && (!forward || reply && !danish(v.plain[i])) {
			return true, nil
		}
		return true, v.forwarded(lines, i, block)
	}
	if v.depth[i] > 0 {
		return false, nil
	}
	n, joined := v.headline(i)
	if n == 0 {
		return false, nil
	}
	if !forward || reply && !danish(joined) {
		return true, nil
	}
	f = v.forwarded(lines, i+n-1, headerBlock{length: 1})
	f.From, f.Date = headlineAuthor(joined)
	return true, f
}

// danish tells whether a block that begins with line was written by a Danish or
// Norwegian program, where `VS:` means a forward.
func danish(line string) bool {
	return strings.HasPrefix(strings.TrimLeft(line, "*_ "), "Fra") || strings.Contains(line, " skrev ")
}

// belowRule tells whether the line at i stands below the long rule that Outlook
// puts above a forwarded mail. It has the same in replies, whose subjects have
// their prefix.
func (v quoteView) belowRule(i int) bool {
	for i--; i >= 0; i-- {
		if v.plain[i] != "" {
			return len(v.plain[i]) >= 32 && strings.Trim(v.plain[i], "_") == ""
		}
	}
	return false
}

// forwarded makes the result from a header block at i and the text below it.
func (v quoteView) forwarded(lines []string, i int, block headerBlock) *ticketing.Forwarded {
	f := &ticketing.Forwarded{
		From:    person(block.values[labelFrom]),
		Subject: strings.Trim(block.values[labelSubject], "* "),
		Date:    mailDate(strings.Trim(block.values[labelDate], "* ")),
	}
	f.Text = bodyBelow(lines, i+block.length, v.depth[i])
	return f
}

// bodyBelow returns the lines from start on without depth quote marks. A quoted
// body ends where its quote ends.
func bodyBelow(lines []string, start, depth int) string {
	var body []string
	lines = lines[min(start, len(lines)):]
	if depth == 0 && allQuoted(lines) {
		depth = 1
	}
	for _, line := range lines {
		if endOfForward.MatchString(line) {
			break
		}
		for range depth {
			trimmed := strings.TrimLeft(line, " \t")
			if rest, ok := strings.CutPrefix(trimmed, ">"); ok {
				line = rest
				continue
			}
			if strings.TrimSpace(line) != "" {
				return dedent(body)
			}
		}
		if depth > 0 {
			line = strings.TrimPrefix(line, " ")
		}
		body = append(body, line)
	}
	return dedent(body)
}

// allQuoted tells whether every line that is not blank has a quote mark.
func allQuoted(lines []string) bool {
	quoted := false
	for _, line := range lines {
		line = strings.TrimLeft(line, " \t\u00a0")
		if line != "" && line[0] != '>' {
			return false
		}
		quoted = quoted || line != ""
	}
	return quoted
}

// dedent removes the blanks that all lines begin with.
func dedent(lines []string) string {
	indent := -1
	for _, line := range lines {
		if strings.TrimSpace(line) != "" {
			n := len(line) - len(strings.TrimLeft(line, " \t"))
			if indent < 0 || n < indent {
				indent = n
			}
		}
	}
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = line[min(max(indent, 0), len(line)):]
	}
	text := joinLines(out)
	if len(text) > maxForwardText {
		text = strings.ToValidUTF8(text[:maxForwardText], "")
	}
	return text
}

package mail

import (
	"regexp"
	"strings"
)

const (
	maxAttributionLines = 6
	maxVerb             = 48 // octets of the longest verb with what may follow it
)

var (
	verbs     = regexp.MustCompile(`(?:^|[^\p{L}])(?i:` + quoteVerbs + `)(?:[^\p{L}]|$)|` + quoteVerbsJoined)
	opener    = regexp.MustCompile(`^\W*(?i:` + quoteOpeners + `)[\s,]+(?:\D{0,40})\d`)
	dateStart = regexp.MustCompile(`^\W*(?:[\p{L}.]{1,14},?\s+)?\d{1,4}(?:[-/. 년年]|\p{L})`)
	isoStart  = regexp.MustCompile(`^\d{4}[-/]\d{1,2}[-/]\d{1,2}(?:,? \d{1,2}:\d{2}(?::\d{2})?)?(?: GMT[+-]\d{1,2}:?\d{2})? \S`)
	isoZone   = regexp.MustCompile(`^\d{4}-\d{1,2}-\d{1,2} \d{1,2}:\d{2} GMT[+-]\d{1,2}:?\d{2} `)
	someDate  = regexp.MustCompile(`\d{1,2}[:.]\d{2}|\d{4}|\d{1,2}[./-]\d{1,2}|\d{1,2}(?:\.|\s+de)?\s+\p{L}{3}|\p{L}{3}\.?\s+\d{1,2}`)
	nameFirst = regexp.MustCompile(`^[^<>@:]{2,80}<[^<>\s]+@[^<>]+>`)
	// shortAttribution is `Ann Ode wrote:` without date and address, quoting the
	// line of a program that puts its verb first.
	shortAttribution = regexp.MustCompile(`^\p{Lu}[\p{L}.'-]{2,30}(?: \p{Lu}[\p{L}.'-]{0,30}){0,3} [\p{L}()/ ]{4,24}\s?:$`)
	// dayAttribution is `On Monday, Ann Ode wrote:`, with no number in it.
	dayAttribution = regexp.MustCompile(`^\W*(?i:` + quoteOpeners + `)[\s,]+[^<>\d]{2,100}\s?:$`)
	quoting        = regexp.MustCompile(`^(?:Quoting|Citando|Zitat von|Citation de|Citerar|Citerer|Cituji|Цитирую) [^<>]{0,80}<?[^<>@\s]+@[^<>\s]+>?\s?:$`)

	anAddress = regexp.MustCompile(`[^\s<>@]+@[^\s<>@]+\.[^\s<>@]+`)
)

// markAttributions finds the lines that a mail program puts above a quote, in
// the languages of the tables. Such a line may be wrapped.
func markAttributions(kinds []byte, lines []string) {
	tries := maxAttributions
	for i := 0; i < len(lines) && tries > 0; i++ {
		if kinds[i] != kindText && kinds[i] != kindQuote || !endsAttribution(lines[i]) {
			continue
		}
		tries--
		n := attribution(kinds, lines, i)
		if n == 0 && kinds[i] == kindText && i+1 < len(lines) && kinds[i+1] == kindQuote && hasVerb(lines[i]) &&
			(shortAttribution.MatchString(lines[i]) || dayAttribution.MatchString(lines[i])) {
			n = 1
		}
		if n == 0 && kinds[i] == kindText && quoting.MatchString(lines[i]) {
			n = 1
		}
		if n > 0 {
			for k := i - n + 1; k <= i; k++ {
				kinds[k] = kindMarker
			}
		}
	}
}

// endsAttribution is the cheap test: the last line has a colon or a verb at its
// end, or is a date with a name.
func endsAttribution(line string) bool {
	if line == "" {
		return false
	}
	bare := strings.TrimRight(line, "*_ >-\"")
	if strings.HasSuffix(bare, ":") || strings.HasSuffix(bare, "：") {
		return true
	}
	if endsWithVerb(bare) {
		return true
	}
	return isDigit(line[0]) && (strings.Contains(line, "@") || strings.Contains(line, "GMT")) && strings.Count(line, "<") == strings.Count(line, ">") && isoStart.MatchString(line)
}

// attribution returns how many lines up to and with the last one make up the
// line above a quote; 0 when they do not.
func attribution(kinds []byte, lines []string, last int) int {
	joined, blanks, loose := "", 0, 0
	for n := 1; n <= maxAttributionLines && last-n+1 >= 0; n++ {
		at := last - n + 1
		kind := kinds[at]
		if kind == kindEmpty {
			if blanks++; blanks > 1 {
				break
			}
		} else if kind != kindText && !(kind == kindQuote && (n == 1 || lines[at] == ">")) {
			break
		}
		joined = strings.TrimSpace(lines[at] + " " + joined)
		if len(joined) > maxTrimWidth {
			break
		}
		if kind == kindQuote || kind == kindEmpty {
			continue
		}
		if opensAttribution(joined) {
			return n
		}
		if loose == 0 && blanks == 0 && namesAuthor(joined) {
			loose = n
		}
	}
	return loose
}

// opensAttribution accepts the forms that begin with a word like `On`, or with
// the date itself.
func opensAttribution(text string) bool {
	if !maybeOpens(text) {
		return false
	}
	spoken := hasVerb(text)
	switch {
	case isoZone.MatchString(text):
		return true
	case isoStart.MatchString(text) && anAddress.MatchString(text) && len(text) < 200:
		return true
	case spoken && opener.MatchString(text):
		return someDate.MatchString(text)
	case spoken && dateStart.MatchString(text):
		return someDate.MatchString(text)
	}
	closed := strings.HasSuffix(text, ">:") || strings.HasSuffix(text, ">：")
	return closed && (dateStart.MatchString(text) || opener.MatchString(text)) && anAddress.MatchString(text)
}

// maybeOpens is the cheap test for opensAttribution: a first word of the tables,
// or a digit near the beginning.
func maybeOpens(text string) bool {
	head := cutText(text, 32)
	if strings.ContainsAny(head, "0123456789") {
		return true
	}
	text = strings.TrimLeftFunc(head, notLetter)
	return openerStarts[strings.ToLower(firstWord(text))]
}

// openerStarts are the first words of quoteOpeners.
var openerStarts = func() map[string]bool {
	starts := map[string]bool{}
	for _, w := range words(quoteOpeners) {
		starts[firstWord(w)] = true
	}
	return starts
}()

// namesAuthor accepts the forms that begin with the author: `Ann <a@b> wrote:`,
// and any line with an address, a date and a verb.
func namesAuthor(text string) bool {
	if !strings.Contains(text, "@") || !hasVerb(text) || !anAddress.MatchString(text) {
		return false
	}
	return nameFirst.MatchString(text) || someDate.MatchString(text) && strings.HasSuffix(text, ":")
}

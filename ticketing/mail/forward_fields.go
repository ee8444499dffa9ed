package mail

import (
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mxdesk/mxdesk/ticketing"
)

var (
	mailtoPart  = regexp.MustCompile(`(?i)<?\[?\(?mailto:\s*([^\s<>\]\)]+)>?\]?\)?`)
	bareAddress = regexp.MustCompile(`[^\s<>@()\[\],;:"'«»]+@[^\s<>@()\[\],;:"'«»]+`)
	headAuthor  = regexp.MustCompile(`(?:["“„]([^"“”„]{1,100})["”“]|«\s*([^»]{1,100}?)\s*»|'([^']{1,100})'|([^",:，<>«»“”„]{2,100}?))\s*[<\[(]{1,2}\s*(?:mailto:)?([^\s<>@]+@[^\s<>@\])]+)\s*[>\])]`)
	headName    = regexp.MustCompile(`["“„]([^"“”„@]{1,100})["”“]()()()()`)
	mdLink      = regexp.MustCompile(`\[([^\[\]]{0,200})\]\((?:mailto:)?([^()\s]+@[^()\s]+)\)`)
	// beforeName is what may stand between the verb, the date and a name.
	beforeName = regexp.MustCompile(`(?i)^.*\d[\d.:]*(?:\s*(?:[ap]\.?\s?m\.?|uhr|h|г\.?|р\.?|[A-Z]{3,4}(?:[+-]\d+)?)(?:$|[\s,]))?\s*`)
	// headOpener is the first word of a headline.
	headOpener = regexp.MustCompile(`^\W*(?i:il giorno|in message|w dniu|a|no dia|在|` + quoteOpeners + `)[\s,]+`)
	// dateTail are the words between date and name in a headline.
	dateTail   = regexp.MustCompile(`(?i)[\s,]+(?:időpontban|heeft|użytkownik|uživatel|odesílatel|používateľ|пользователь|користувач|потребител|tarihinde|korisnik|utilizatorul|o utilizador|ο χρήστης|ο/η)[\s,]*$`)
	zoneOffset = regexp.MustCompile(`(?:GMT|UTC)?([+-]\d{1,2}):?(\d{2})?\)?$`)
)

// person reads `Ann <a@b>`, `"Ann" [mailto:a@b]`, `Ann (a@b)` and the like.
func person(value string) ticketing.Person {
	value = strings.ReplaceAll(value, "**", "")
	plain := mailtoPart.ReplaceAllString(mdLink.ReplaceAllString(value, "$1 <$2>"), " <$1> ")
	address := bareAddress.FindString(plain)
	name, _, found := strings.Cut(plain, address)
	if address == "" || !found {
		name, _, _ = strings.Cut(plain, "<")
	}
	name = strings.TrimRight(name, " <[(")
	return ticketing.Person{Name: cleanName(name), Address: lowerDomain(address)}
}

// cleanName strips quotes, emphasis and blanks around a name.
func cleanName(name string) string {
	name = strings.Join(strings.Fields(name), " ")
	name = strings.Trim(name, "\"*_“”„«» ,;<>")
	for len(name) > 1 && name[0] == '\'' && name[len(name)-1] == '\'' {
		name = name[1 : len(name)-1]
	}
	return strings.TrimSpace(strings.TrimPrefix(strings.TrimSuffix(name, "’"), "‘"))
}

// lowerDomain gives an address the form that Person has.
func lowerDomain(address string) string {
	address = strings.Trim(address, ".*_'")
	local, domain, ok := strings.Cut(address, "@")
	if !ok || local == "" || domain == "" {
		return ""
	}
	return local + "@" + strings.ToLower(domain)
}

// mailDate returns RFC 3339 for a date with a time zone as an offset, else the
// words as they are: without an offset the moment is not known.
func mailDate(value string) string {
	value = strings.Join(strings.Fields(value), " ")
	m := zoneOffset.FindStringSubmatch(value)
	if m == nil {
		return value
	}
	minutes := m[2]
	if minutes == "" {
		minutes = "00"
	}
	hours := m[1]
	if len(hours) == 2 {
		hours = hours[:1] + "0" + hours[1:]
	}
	bare := strings.Trim(strings.TrimSuffix(value, m[0]), " (,") + " " + hours + minutes
	if t := parseDate(strings.ReplaceAll(bare, " at ", " ")); !t.IsZero() {
		return t.Format(time.RFC3339)
	}
	return value
}

// headline returns the line at i, joined with those it is wrapped into, when it
// names a date and an author's address and ends with a colon.
func (v quoteView) headline(i int) (n int, joined string) {
	if first := v.plain[i]; strings.HasPrefix(first, "http") || !strings.ContainsAny(first, "0123456789<") {
		return 0, ""
	}
	for n = 1; n <= maxAttributionLines && i+n <= len(v.plain) && v.plain[i+n-1] != ""; n++ {
		bare := strings.TrimRight(v.plain[i+n-1], "*_ ")
		if !strings.HasSuffix(bare, ":") && !strings.HasSuffix(bare, "：") {
			continue
		}
		joined = strings.Join(v.plain[i:i+n], " ")
		named := len(joined) <= 2*maxTrimWidth && someDate.MatchString(joined) && authorIn(joined) != nil
		if named && (opener.MatchString(joined) || dateStart.MatchString(joined) || hasVerb(joined)) {
			return n, joined
		}
		return 0, ""
	}
	return 0, ""
}

// authorIn finds name and address in a headline, or else a name in quotes before
// a verb.
func authorIn(line string) []int {
	if strings.Contains(line, "@") {
		return headAuthor.FindStringSubmatchIndex(line)
	}
	if strings.ContainsAny(line, "\"“„") && hasVerb(line) {
		return headName.FindStringSubmatchIndex(line)
	}
	return nil
}

// headlineAuthor takes author and date out of a line like
// `On 1/2/2020, 10:00, "Ann" <a@b> wrote:`.
func headlineAuthor(line string) (ticketing.Person, string) {
	m := authorIn(line)
	if m == nil {
		return ticketing.Person{}, ""
	}
	group := func(n int) string {
		if m[2*n] < 0 {
			return ""
		}
		return line[m[2*n]:m[2*n+1]]
	}
	name, start := group(1)+group(2)+group(3), m[0]
	if loose := group(4); loose != "" {
		name = afterDate(loose)
		start = m[9] - len(name)
	}
	author := ticketing.Person{Name: cleanName(name), Address: lowerDomain(group(5))}
	date := headOpener.ReplaceAllString(line[:start], "")
	if !someDate.MatchString(date) {
		date = line[m[1]:]
		date = date[max(strings.IndexFunc(date, unicode.IsDigit), 0):]
	}
	date = dateTail.ReplaceAllString(verbs.ReplaceAllString(date, " "), "")
	return author, mailDate(strings.Trim(date, " ,，:;-(<"))
}

// afterDate cuts the date, the verb and the like off in front of a name without
// quotes.
func afterDate(name string) string {
	name = name[len(beforeName.FindString(name)):]
	if m := verbs.FindStringIndex(name); m != nil {
		name = name[m[1]:]
	}
	if before, rest, ok := strings.Cut(name, " "); ok && dateTail.MatchString(" "+before) {
		name = rest
	}
	return name
}

// gluedBlock reads a header block whose fields stand in one line without gaps,
// as Yahoo's plain text has them: `From: "Ann" <a@b>To: "Bob" <b@c>Sent: …`.
func gluedBlock(line string) (headerBlock, bool) {
	b := headerBlock{values: map[labelKind]string{}, length: 1}
	last, begin := labelNone, 0
	for at := 0; at < len(line) && last != labelSubject; {
		next := strings.IndexAny(line[at:], ":：")
		if next < 0 {
			break
		}
		colon := at + next
		start, kind := labelBefore(line[:colon], b.values)
		if kind != labelNone && (last != labelNone || start == 0) {
			if last != labelNone {
				b.values[last] = strings.TrimSpace(line[begin:start])
			}
			b.values[kind], last = "", kind
			begin = colon + runeWidth(line[colon:])
		} else if last == labelNone {
			return b, false
		}
		at = colon + runeWidth(line[colon:])
	}
	if last != labelNone {
		b.values[last] = strings.TrimSpace(line[begin:])
	}
	return b, len(b.values) >= 3 && b.convincing()
}

func runeWidth(s string) int {
	_, n := utf8.DecodeRuneInString(s)
	return n
}

// labelBefore finds the longest label that ends text, begins with a capital (or
// has none), and names a field not seen yet.
func labelBefore(text string, seen map[labelKind]string) (start int, kind labelKind) {
	text = strings.TrimRight(text, " *")
	for at := max(0, len(text)-maxLabel); at < len(text); at++ {
		r, _ := utf8.DecodeRuneInString(text[at:])
		if r == utf8.RuneError || !unicode.IsLetter(r) || unicode.IsLower(r) {
			continue
		}
		k := labels[strings.ToLower(text[at:])]
		if _, dup := seen[k]; k != labelNone && !dup {
			return at, k
		}
	}
	return 0, labelNone
}

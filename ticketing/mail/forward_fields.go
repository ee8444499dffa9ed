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
	headAuthor  = regexp.MustCompile(`(?:["“„]([^"“”„]{1,100})["”“]|«\s*([^»]{1,100}?)\s*»|'([^']{1,100})'|([^",:，<>«»“”„]{2,100}?))\s*[<\[(]\s*(?:mailto:)?([^\s<>@]+@[^\s<>@\])]+)\s*[>\])]`)
	// dateTail are the words between date and name in a headline.
	dateTail   = regexp.MustCompile(`(?i)[\s,]+(?:időpontban|heeft|użytkownik|uživatel|odesílatel|používateľ|пользователь|користувач|потребител|tarihinde|korisnik|utilizatorul|o utilizador|ο χρήστης|ο/η)[\s,]*$`)
	zoneOffset = regexp.MustCompile(`(?:GMT|UTC)?([+-]\d{1,2}):?(\d{2})?\)?$`)
)

// person reads `Ann <a@b>`, `"Ann" [mailto:a@b]`, `Ann (a@b)` and the like.
func person(value string) ticketing.Person {
	value = strings.ReplaceAll(value, "**", "")
	plain := mailtoPart.ReplaceAllString(value, " <$1> ")
	address := bareAddress.FindString(plain)
	name := plain
	if at := strings.IndexAny(name, "<[("); at >= 0 {
		name = name[:at]
	}
	if address != "" {
		name, _, _ = strings.Cut(name, address)
	}
	return ticketing.Person{Name: cleanName(name), Address: lowerDomain(address)}
}

// cleanName strips quotes, emphasis and blanks around a name.
func cleanName(name string) string {
	name = strings.Join(strings.Fields(name), " ")
	return strings.Trim(name, "\"'*_“”„«»‘’ ,;<>")
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
		named := len(joined) <= 2*maxTrimWidth && strings.Contains(joined, "@") && someDate.MatchString(joined) && headAuthor.MatchString(joined)
		if named && (opener.MatchString(joined) || dateStart.MatchString(joined) || hasVerb(joined)) {
			return n, joined
		}
		return 0, ""
	}
	return 0, ""
}

// headlineAuthor takes author and date out of a line like
// `On 1/2/2020, 10:00, "Ann" <a@b> wrote:`.
func headlineAuthor(line string) (ticketing.Person, string) {
	m := headAuthor.FindStringSubmatchIndex(line)
	if m == nil {
		return ticketing.Person{}, ""
	}
	group := func(n int) string {
		if m[2*n] < 0 {
			return ""
		}
		return line[m[2*n]:m[2*n+1]]
	}
	name := group(1) + group(2) + group(3) + group(4)
	author := ticketing.Person{Name: cleanName(name), Address: lowerDomain(group(5))}
	date := line[:m[0]]
	if !someDate.MatchString(date) {
		date = line[m[1]:]
	}
	if at := strings.IndexFunc(date, unicode.IsDigit); at >= 0 {
		date = date[at:]
	}
	date = dateTail.ReplaceAllString(verbs.ReplaceAllString(date, " "), "")
	return author, mailDate(strings.Trim(date, " ,，:;-"))
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

package mail

import (
	"strconv"
	"strings"
	"time"
)

// zones are the names of RFC 5322 section 4.3 and some that mailers write, in
// hours from UTC. Names that mean different things are left out: they are UTC.
var zones = map[string]int{
	"ut": 0, "utc": 0, "gmt": 0, "z": 0, "wet": 0,
	"est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7, "mdt": -6, "pst": -8, "pdt": -7,
	"cet": 1, "cest": 2, "met": 1, "mest": 2, "mez": 1, "mesz": 2, "eet": 2, "eest": 3, "msk": 3, "jst": 9,
}

const months = "janfebmaraprmayjunjulaugsepoctnovdec"

// otherMonths are the beginnings of the months in languages in which programs
// write dates against the rules, by month.
var otherMonths = monthTable("jän ene gen янв sty led", "fév fev лют фев lut", "mär mrz mrt мар", "avr abr апр kwi", "mai mei mag maj мая май", "juin giu июн cze", "juil lug июл lip",
	"aoû aou ago авг sie", "set сен wrz", "okt ott out окт paź paz", "ноя lis", "déc dez dic des дек gru")

func monthTable(names ...string) map[string]time.Month {
	table := map[string]time.Month{}
	for i, list := range names {
		for name := range strings.FieldsSeq(list) {
			table[name] = time.Month(i + 1)
		}
	}
	return table
}

// dateParts collects what is found in a date, in whatever order it stands.
type dateParts struct {
	year, day, hour, minute, second int
	month                           time.Month
	zone                            int // seconds east of UTC
	hasYear, hasDay, hasTime        bool
	pm, am                          bool
}

// parseDate reads a Date field in the form of RFC 5322 or one of the many
// others that are in use. It returns the zero time when there is no full date.
//
// https://www.rfc-editor.org/rfc/rfc5322#section-3.3
func parseDate(s string) time.Time {
	if s = dropComments(decodeWords(s[:min(len(s), 1000)])); len(s) > 128 {
		return time.Time{}
	}
	if n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64); err == nil && n > 1e8 && n < 1e10 {
		return time.Unix(n, 0).UTC()
	}
	var d dateParts
	for word := range strings.FieldsSeq(strings.NewReplacer(",", " ", "\"", " ").Replace(s)) {
		d.take(word)
	}
	return d.time()
}

// take sorts one word of a date.
func (d *dateParts) take(word string) {
	lower := strings.ToLower(word)
	switch {
	case strings.Count(word, ":") > 0 && isDigit(word[0]):
		d.takeTime(word)
	case (word[0] == '+' || word[0] == '-') && len(word) > 1 && isDigit(word[1]):
		d.takeZone(word)
	case isDigit(word[0]) && strings.Count(word, ".") == 2 && !d.hasTime && d.hasYear:
		d.takeTime(strings.ReplaceAll(word, ".", ":"))
	case isDigit(word[0]) && strings.ContainsAny(word, "-/.") || isDigit(word[0]) && strings.ContainsRune(lower, 't'):
		d.takeDate(lower)
	case isDigit(word[0]):
		d.takeNumber(word)
	case lower == "pm" || lower == "am":
		d.pm, d.am = lower == "pm", lower == "am"
	case monthOf(lower) != 0 && d.month == 0:
		d.month = monthOf(lower)
	default:
		d.takeZoneName(lower)
	}
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func monthOf(s string) time.Month {
	if len(s) < 3 {
		return 0
	}
	if i := strings.Index(months, s[:3]); i >= 0 && i%3 == 0 {
		return time.Month(i/3 + 1)
	}
	if m := otherMonths[cutRunes(s, 4)]; m != 0 {
		return m
	}
	return otherMonths[cutRunes(s, 3)]
}

// takeTime reads 10:52, 10:52:37, 10:52:37.123, with a zone glued to it or
// with a date in front (2003-07-01T10:52:37Z).
func (d *dateParts) takeTime(word string) {
	if date, clock, ok := strings.Cut(strings.ToUpper(word), "T"); ok && strings.Contains(date, "-") {
		d.takeDate(date)
		word = clock
	}
	if i := strings.IndexAny(word, "+-Zz"); i > 0 {
		if rest := word[i:]; len(rest) > 1 {
			d.takeZone(rest)
		}
		word = word[:i]
	}
	var n [3]int
	for i, digits := range strings.SplitN(word, ":", 3) {
		digits, _, _ = strings.Cut(digits, ".")
		n[i], _ = strconv.Atoi(digits)
	}
	d.hour, d.minute, d.second, d.hasTime = n[0], n[1], n[2], true
}

// takeZone reads +0200, +02:00, +2 and -330.
func (d *dateParts) takeZone(word string) {
	digits := strings.ReplaceAll(word[1:], ":", "")
	end := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' })
	if end >= 0 {
		digits = digits[:end]
	}
	n, err := strconv.Atoi(digits)
	if err != nil || len(digits) > 4 {
		return
	}
	if len(digits) <= 2 {
		n *= 100
	}
	d.zone = n/100*3600 + n%100*60
	if word[0] == '-' {
		d.zone = -d.zone
	}
}

func (d *dateParts) takeZoneName(word string) {
	if i := strings.IndexAny(word, "+-"); i > 0 { // GMT+0100
		d.takeZone(word[i:])
		return
	}
	if i := strings.IndexAny(word, "0123456789"); i > 0 { // EST5EDT
		word = word[:i]
	}
	if hours, ok := zones[word]; ok && d.zone == 0 {
		d.zone = hours * 3600
	}
}

// takeDate reads 2003-07-01, 1-Jul-2003, 01/07/2003 (day first unless that
// cannot be) and 1.7.2003.
func (d *dateParts) takeDate(word string) {
	parts := strings.FieldsFunc(word, func(r rune) bool { return r == '-' || r == '/' || r == '.' })
	if len(parts) == 1 {
		d.takeNumber(strings.TrimRight(parts[0], "thsndr"))
		return
	}
	if len(parts) != 3 {
		return
	}
	first, err := strconv.Atoi(parts[0])
	if err != nil {
		return
	}
	last, _ := strconv.Atoi(parts[2])
	middle, err := strconv.Atoi(parts[1])
	if err != nil {
		middle = int(monthOf(strings.ToLower(parts[1])))
	}
	if len(parts[0]) == 4 {
		first, last = last, first
	}
	if middle > 12 && first <= 12 {
		first, middle = middle, first
	}
	d.setYear(last, 4)
	d.day, d.month, d.hasDay = first, time.Month(middle), true
}

func (d *dateParts) takeNumber(word string) {
	n, err := strconv.Atoi(word)
	switch {
	case err != nil:
	case !d.hasDay && len(word) <= 2:
		d.day, d.hasDay = n, true
	case !d.hasYear && len(word) <= 4:
		d.setYear(n, len(word))
	}
}

// setYear completes years of two and three digits.
//
// https://www.rfc-editor.org/rfc/rfc5322#section-4.3
func (d *dateParts) setYear(year, digits int) {
	switch {
	case year < 50 && digits <= 2 || digits == 4 && year < 50:
		year += 2000
	case year < 1000:
		year += 1900
	}
	d.year, d.hasYear = year, true
}

// time returns the date, zero when a part is missing or out of its range.
func (d *dateParts) time() time.Time {
	if d.pm && d.hour < 12 {
		d.hour += 12
	} else if d.am && d.hour == 12 {
		d.hour = 0
	}
	ok := d.hasYear && d.hasDay && d.month >= 1 && d.month <= 12 && d.day >= 1 && d.day <= 31 &&
		d.hour <= 24 && d.minute < 60 && d.second <= 60 && d.year >= 1900 && d.year <= 9999 &&
		d.zone > -24*3600 && d.zone < 24*3600
	if !ok {
		return time.Time{}
	}
	return time.Date(d.year, d.month, d.day, d.hour, d.minute, d.second, 0, time.FixedZone("", d.zone))
}

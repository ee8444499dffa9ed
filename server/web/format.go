package web

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/mxdesk/mxdesk/ticketing"
)

// stamp is a moment, for readers and for the script that makes it local.
type stamp struct {
	Machine string // RFC 3339
	Full    string
	Short   string
}

// relative tells how long ago a moment was, as lists do.
func relative(t, now time.Time) stamp {
	s := absolute(t, now)
	minutes := int(now.Sub(t) / time.Minute)
	switch {
	case minutes < 1:
		s.Short = "now"
	case minutes < 60:
		s.Short = fmt.Sprintf("%d min", minutes)
	case minutes < 24*60:
		s.Short = fmt.Sprintf("%d h", minutes/60)
	case minutes < 7*24*60:
		s.Short = fmt.Sprintf("%d d", minutes/60/24)
	case minutes < 8*7*24*60:
		s.Short = fmt.Sprintf("%d w", minutes/60/24/7)
	default:
		s.Short = t.UTC().Format("2 Jan 2006")
	}
	return s
}

// absolute tells when a moment was, as threads do; the year only when it is
// not this one.
func absolute(t, now time.Time) stamp {
	t = t.UTC()
	layout := "Mon 2 Jan, 15:04 MST"
	if t.Year() != now.UTC().Year() {
		layout = "Mon 2 Jan 2006, 15:04 MST"
	}
	return stamp{
		Machine: t.Format(time.RFC3339), Short: t.Format(layout),
		Full: t.Format("Monday, 2 January 2006, 15:04:05 MST"),
	}
}

// size writes octets in units of 1000.
func size(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1_000_000:
		return fmt.Sprintf("%d KB", (n+500)/1000)
	default:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
}

// person is somebody as pages show them.
type person struct {
	Name     string // the address when there is no name
	Address  string // "" when Name is it already
	Initials string
}

func personOf(p ticketing.Person) person {
	v := person{Name: strings.TrimSpace(p.Name), Address: p.Address}
	if v.Name == "" || strings.EqualFold(v.Name, v.Address) {
		v.Name, v.Address = v.Address, ""
	}
	if v.Name == "" {
		v.Name = "Unknown sender"
	}
	v.Initials = initials(v.Name)
	return v
}

// initials are the first letters of the first and the last word of a name.
func initials(name string) string {
	name, _, _ = strings.Cut(name, "@")
	words := strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	var out []rune
	for i, w := range words {
		if i == 0 || i == len(words)-1 {
			out = append(out, unicode.ToUpper([]rune(w)[0]))
		}
	}
	if len(out) == 0 {
		return "?"
	}
	return string(out)
}

// names joins the names of people for reading: "Ann, Bob and 3 more".
func names(ps []ticketing.Person, max int) string {
	var out []string
	for _, p := range ps[:min(len(ps), max)] {
		out = append(out, personOf(p).Name)
	}
	s := strings.Join(out, ", ")
	if more := len(ps) - max; more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

package smtpd

import "bytes"

// unstuffer follows the text after DATA: it takes off the dot that the client
// put before a line that begins with one, and finds the line that ends the text.
// Only CR LF ends a line here; what else the text has in it is for others to judge.
//
// https://www.rfc-editor.org/rfc/rfc5321#section-4.5.2
type unstuffer struct {
	place place
	cr    bool // inLine: the octets so far end in CR
}

// place is where in a line the next octet stands.
type place int

const (
	lineBegins place = iota // first, so that the text begins with a line
	afterDot
	inLine
)

// next takes octets of the stream and returns those of the text, in p's memory.
// When the text has ended, rest is what comes behind it; else rest is nothing or
// a CR of which it is not clear yet what it is: it has to be given once more, in
// front of the next octets.
func (u *unstuffer) next(p []byte) (kept, rest []byte, ended bool) {
	kept = p[:0]
	for len(p) > 0 {
		switch {
		case u.place == lineBegins && p[0] == '.':
			u.place, p = afterDot, p[1:]
			continue
		case u.place == afterDot && p[0] == '\r' && len(p) == 1:
			return kept, p, false
		case u.place == afterDot && p[0] == '\r' && p[1] == '\n':
			return kept, p[2:], true
		}
		n := u.line(p)
		kept, p = append(kept, p[:n]...), p[n:]
	}
	return kept, nil, false
}

// line goes to the end of the line, or of p, and returns how far that is.
func (u *unstuffer) line(p []byte) int {
	i := bytes.IndexByte(p, '\n')
	if i < 0 {
		u.place, u.cr = inLine, p[len(p)-1] == '\r'
		return len(p)
	}
	whole := i > 0 && p[i-1] == '\r' || i == 0 && u.place == inLine && u.cr
	u.place, u.cr = inLine, false
	if whole {
		u.place = lineBegins
	}
	return i + 1
}

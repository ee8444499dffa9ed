// Package dsn reads what other systems say about the delivery of mail: delivery
// status notifications (RFC 3464, RFC 6522, RFC 6533), complaints in the abuse
// reporting format (RFC 5965), and bounces in the private formats of systems
// that write no such reports. It also names the reason of a failure from the
// words and codes of an SMTP reply.
package dsn

import (
	"strings"
	"unicode/utf8"

	"github.com/mxdesk/mxdesk/ticketing"
)

const (
	maxReports  = 500      // recipients of one report
	maxBounces  = 100      // recipients of a report in a private format
	maxText     = 64 << 10 // octets of a part that are looked at
	maxLines    = 1500     // lines of a text that are looked at
	maxOneLine  = 1000     // octets of a diagnostic
	maxParts    = 200
	maxAddress  = 320
	maxFolded   = 4000 // octets of one folded field
	maxBlocks   = 2 * maxReports
	maxHeadLine = 998
	maxMentions = 6 // of one address that are looked at
)

// Part is one part of a mail that may be a report. Text is its decoded body; for
// a part that holds a mail or a header, the raw octets of that.
type Part struct {
	MediaType string // lower case, without parameters
	Text      string
}

// Parse returns what a mail says of each recipient, or nil when it is not a
// report. h returns the first field of the mail's header with the given name,
// decoded; parts are its leaves in order; text is its visible text. The answer of
// an absent person is no report.
func Parse(h func(string) string, parts []Part, text string) []ticketing.DeliveryReport {
	if len(parts) > maxParts {
		parts = parts[:maxParts]
	}
	m := newMail(h, parts, text)
	var reports []ticketing.DeliveryReport
	switch {
	case m.feedback != "":
		m.cut()
		reports = m.complaint()
	case m.status != "":
		m.cut()
		reports = m.notification()
	default:
		reports = m.event()
	}
	if len(reports) == 0 && m.feedback == "" && m.isBounce() {
		m.cut()
		reports = m.bounce()
	}
	if len(reports) > maxReports {
		reports = reports[:maxReports]
	}
	if len(reports) == 0 {
		return nil
	}
	id := m.originalID()
	for i := range reports {
		reports[i].MessageID = id
	}
	return reports
}

// report is a mail that may be a report, taken apart.
type report struct {
	header   func(string) string
	text     string // what the system says in words
	status   string // message/delivery-status
	feedback string // message/feedback-report
	original string // the mail that the report is about, or its header

	split, lower []string // the lines of text, and in lower case; see lines
}

func newMail(h func(string) string, parts []Part, text string) *report {
	m := &report{header: h}
	words := []string{}
	for _, p := range parts {
		body := clip(p.Text, maxText)
		switch {
		case strings.HasSuffix(p.MediaType, "delivery-status") && strings.HasPrefix(p.MediaType, "message/"):
			m.status += body + "\n\n"
		case p.MediaType == "message/feedback-report":
			m.feedback += body + "\n"
		case p.MediaType == "message/rfc822", p.MediaType == "text/rfc822-headers", p.MediaType == "text/rfc822",
			p.MediaType == "message/global", p.MediaType == "message/global-headers", p.MediaType == "message/partial":
			if m.original == "" {
				m.original = body
			}
		case p.MediaType == "text/plain" && looksLikeHeader(body):
			if m.original == "" {
				m.original = body
			}
		case p.MediaType == "text/plain":
			words = append(words, body)
		}
	}
	m.text = strings.Join(words, "\n")
	if strings.TrimSpace(m.text) == "" {
		m.text = clip(text, maxText)
	}
	if strings.IndexByte(m.text, '\r') >= 0 {
		m.text = strings.ReplaceAll(strings.ReplaceAll(m.text, "\r\n", "\n"), "\r", "\n")
	}
	if m.status == "" && strings.Contains(m.text, "\nFinal-Recipient:") && strings.Contains(m.text, "\nAction:") {
		m.status = m.text
	}
	return m
}

// cut separates the words of the system from the copy of the original mail.
func (m *report) cut() {
	var below string
	if m.text, below = cutOriginal(m.text); m.original == "" {
		m.original = below
	}
}

// isBounce tells whether the mail comes from a mail system that could not
// deliver something.
func (m *report) isBounce() bool {
	if m.header("X-Failed-Recipients") != "" {
		return true
	}
	from := strings.ToLower(m.header("From") + " " + m.header("Sender"))
	for _, name := range daemonNames {
		if strings.Contains(from, name) {
			return true
		}
	}
	subject := strings.ToLower(m.header("Subject"))
	for _, words := range bounceSubjects {
		if strings.Contains(subject, words) {
			return !isPerson(subject)
		}
	}
	back := strings.ToLower(strings.TrimSpace(m.header("Return-Path")))
	if back != "<>" && !strings.Contains(back, "mailer-daemon") {
		return false
	}
	said, _ := cutOriginal(clip(m.text, 2000))
	said = strings.ToLower(said)
	for _, words := range bounceWords {
		if strings.Contains(said, words) {
			return true
		}
	}
	return false
}

// isPerson tells whether a subject is that of an answer or a forward, which
// people write about bounces.
func isPerson(subject string) bool {
	prefix, _, ok := strings.Cut(subject, ":")
	return ok && len(strings.TrimSpace(prefix)) <= 3
}

// originalID is the Message-ID of the mail that the report is about.
func (m *report) originalID() string {
	for line := range headerLines(m.original) {
		name, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(strings.TrimSpace(name), "Message-ID") {
			value = strings.TrimSpace(value)
			if i := strings.IndexByte(value, '<'); i >= 0 {
				value, _, _ = strings.Cut(value[i+1:], ">")
			}
			return clip(strings.Join(strings.Fields(value), ""), maxHeadLine)
		}
	}
	return ""
}

func clip(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	if utf8.ValidString(s) { // much faster than to mend it
		return s
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

// oneLine makes a diagnostic of any words.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(strings.ReplaceAll(s, "\x00", "")), " ")
	return strings.TrimSpace(clip(s, maxOneLine))
}

package mail

import (
	"io"
	"slices"
	"strings"

	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/mail/dsn"
)

const (
	maxSignals     = 20
	maxSignal      = 100      // octets
	maxReportParts = 200      // parts of a mail that are looked at
	maxReportText  = 64 << 10 // octets of each
)

// Own tells what is ours, so that a mail of our own that comes back is known.
type Own struct {
	Hosts     []string          // the right side of the Message-IDs that we make
	Addresses func(string) bool // whether an address is served by us; may be nil
}

func (o Own) address(a string) bool { return a != "" && o.Addresses != nil && o.Addresses(a) }

func (o Own) host(id string) bool {
	host := strings.ToLower(id[strings.LastIndexByte(id, '@')+1:])
	return slices.ContainsFunc(o.Hosts, func(h string) bool { return h != "" && strings.EqualFold(h, host) })
}

// classRank orders the classes: the higher one wins.
var classRank = []ticketing.MachineClass{
	ticketing.MachineNone, ticketing.MachineBulk, ticketing.MachineList, ticketing.MachineCalendar, ticketing.MachineAutoReply, ticketing.MachineOutOfOffice,
	ticketing.MachineReport, ticketing.MachineARF, ticketing.MachineMDN, ticketing.MachineDelay, ticketing.MachineBounce, ticketing.MachineOwnLoop,
}

// signals collects what speaks for a machine.
type signals struct {
	class ticketing.MachineClass
	found []string
}

// add notes a signal for a class, e.g. `precedence: bulk`.
func (s *signals) add(class ticketing.MachineClass, name, value string) {
	if slices.Index(classRank, class) > slices.Index(classRank, s.class) {
		s.class = class
	}
	text := strings.ToLower(name)
	if value != "" {
		text += ": " + strings.ToLower(value)
	}
	if text = cutRunes(text, maxSignal); len(s.found) < maxSignals && !slices.Contains(s.found, text) {
		s.found = append(s.found, text)
	}
}

// classify tells whether a machine wrote the mail, and of what kind. Several
// signals may be present; the most specific class wins. Fields that only ask for
// no automatic answer do not make a mail automatic, see suppressReply.
func classify(p *parsed, msg *ticketing.Message, own Own) ticketing.Machine {
	s := &signals{class: ticketing.MachineNone}
	ownSignals(s, p.header, msg, own)
	partSignals(s, p)
	deliverySignals(s, p.header, msg)
	reportSignals(s, p.header, msg)
	automaticSignals(s, p.header, msg)
	absenceSignals(s, p.header, msg)
	listSignals(s, p.header)
	return ticketing.Machine{Class: s.class, Signals: s.found}
}

// ownSignals knows mail that we sent ourselves. A form on a web page may write
// in our name for a customer, whom Reply-To names.
func ownSignals(s *signals, h header, msg *ticketing.Message, own Own) {
	if msg.MessageID != "" && own.host(msg.MessageID) {
		s.add(ticketing.MachineOwnLoop, "message-id", msg.MessageID)
	}
	for _, value := range h.all("X-Loop") {
		if value = strings.TrimSpace(value); own.address(value) || own.host(value) {
			s.add(ticketing.MachineOwnLoop, "x-loop", value)
		}
	}
	others := slices.ContainsFunc(msg.ReplyTo, func(p ticketing.Person) bool { return p.Address != "" && !own.address(p.Address) })
	if from := msg.Author().Address; own.address(from) && !others {
		s.add(ticketing.MachineOwnLoop, "from", from)
	}
}

// partSignals looks at the kinds of parts.
func partSignals(s *signals, p *parsed) {
	kind := strings.ToLower(p.root.params["report-type"])
	if p.root.mediaType == "multipart/report" {
		switch kind {
		case "disposition-notification":
			s.add(ticketing.MachineMDN, "report-type", kind)
		case "feedback-report":
			s.add(ticketing.MachineARF, "report-type", kind)
		case "tlsrpt":
			s.add(ticketing.MachineReport, "report-type", kind)
		}
	}
	eachPart(p.root, func(part *part) {
		switch part.mediaType {
		case "message/disposition-notification", "message/global-disposition-notification":
			s.add(ticketing.MachineMDN, "part", part.mediaType)
		case "message/feedback-report":
			s.add(ticketing.MachineARF, "part", part.mediaType)
		case "application/tlsrpt+json", "application/tlsrpt+gzip":
			s.add(ticketing.MachineReport, "part", part.mediaType)
		case "text/calendar":
			if method := calendarMethod(part); method != "" {
				s.add(ticketing.MachineCalendar, "calendar", method)
			}
		}
	})
}

// calendarMethod is what a calendar part asks for; "" for one that is only an
// attached file.
//
// https://www.rfc-editor.org/rfc/rfc5546#section-1.4
func calendarMethod(p *part) string {
	if p.disposition == "attachment" && p.params["method"] == "" {
		return ""
	}
	method := p.params["method"]
	for line := range strings.Lines(cutText(p.text(), 4096)) {
		if name, value, ok := strings.Cut(line, ":"); ok && method == "" && strings.EqualFold(name, "METHOD") {
			method = strings.TrimSpace(value)
		}
	}
	switch method = strings.ToLower(method); method {
	case "request", "reply", "cancel", "counter", "declinecounter", "add", "refresh":
		return method
	}
	return ""
}

func cutText(s string, n int) string { return s[:min(n, len(s))] }

// deliverySignals tells bounces from delays by what the reports say.
func deliverySignals(s *signals, h header, msg *ticketing.Message) {
	failed, delayed := false, false
	for _, d := range msg.Deliveries {
		switch d.Action {
		case "complaint":
			s.add(ticketing.MachineARF, "delivery", d.Action)
		case "delayed":
			delayed = true
		default:
			failed = true
		}
	}
	switch {
	case failed:
		s.add(ticketing.MachineBounce, "delivery report", msg.Deliveries[0].Action)
	case delayed:
		s.add(ticketing.MachineDelay, "delivery report", "delayed")
	}
	local, _, _ := strings.Cut(strings.ToLower(msg.Author().Address), "@")
	daemon := local == "mailer-daemon"
	if (daemon || h.get("X-Failed-Recipients") != "") && len(msg.Deliveries) == 0 {
		s.add(ticketing.MachineBounce, "from", local)
	}
}

// deliveries reads the delivery reports in a mail.
func deliveries(p *parsed, text string) []ticketing.DeliveryReport {
	var parts []dsn.Part
	eachPart(p.root, func(part *part) {
		if part.isMultipart() || len(parts) >= maxReportParts {
			return
		}
		switch {
		case part.mediaType == "text/plain":
			parts = append(parts, dsn.Part{MediaType: part.mediaType, Text: cutText(part.text(), maxReportText)})
		case strings.HasPrefix(part.mediaType, "message/"), strings.HasPrefix(part.mediaType, "text/rfc822"):
			data, _ := io.ReadAll(io.LimitReader(part.open(), maxReportText))
			parts = append(parts, dsn.Part{MediaType: part.mediaType, Text: string(data)})
		}
	})
	return dsn.Parse(p.header.decoded, parts, text)
}

package dsn

import (
	"strings"

	"github.com/mxdesk/mxdesk/ticketing"
)

// complaint reads a feedback report: somebody called our mail spam, or a
// receiver tells how it judged it.
//
// https://www.rfc-editor.org/rfc/rfc5965#section-3
func (m *report) complaint() []ticketing.DeliveryReport {
	fields := map[string]string{}
	for _, b := range blocks(m.feedback) {
		for name, value := range b {
			if fields[name] == "" {
				fields[name] = value
			}
		}
	}
	kind := strings.ToLower(fields["feedback-type"])
	if kind == "" {
		return nil
	}
	var list addressList
	for line := range strings.Lines(m.feedback) {
		name, value, _ := strings.Cut(line, ":")
		switch strings.ToLower(name) {
		case "original-rcpt-to", "removal-recipient", "x-original-rcpt-to":
			_, value = typed(value)
			list.add(address(value))
		}
	}
	if len(list.all) == 0 {
		list.add(m.originalTo())
	}
	if len(list.all) == 0 && (fields["original-mail-from"] != "" || m.original != "") {
		list.all = []string{""}
	}
	var reports []ticketing.DeliveryReport
	for _, recipient := range list.all {
		reports = append(reports, ticketing.DeliveryReport{Recipient: recipient, Action: "complaint", Reason: "feedback", Diagnostic: oneLine("feedback type: " + kind)})
	}
	return reports
}

// originalTo is the first address that the original mail was sent to.
func (m *report) originalTo() string {
	for line := range headerLines(m.original) {
		name, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(name, "To") || strings.EqualFold(name, "X-Original-To") {
			if a := address(value); a != "" {
				return a
			}
		}
	}
	return ""
}

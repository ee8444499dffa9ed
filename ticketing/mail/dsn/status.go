package dsn

import (
	"strings"

	"github.com/mxdesk/mxdesk/ticketing"
)

// notification reads a delivery status notification.
//
// https://www.rfc-editor.org/rfc/rfc3464#section-2.3
func (m *report) notification() []ticketing.DeliveryReport {
	var reports []ticketing.DeliveryReport
	seen := map[string]int{}
	for _, b := range blocks(m.status) {
		r, ok := m.recipient(b)
		if !ok {
			continue
		}
		key := strings.ToLower(r.Recipient) + " " + r.Action
		if at, dup := seen[key]; dup {
			if reports[at].Diagnostic == "" || generic(reports[at].Reason) && !generic(r.Reason) {
				reports[at] = r
			}
			continue
		}
		seen[key] = len(reports)
		reports = append(reports, r)
	}
	if len(reports) == 1 && generic(reports[0].Reason) {
		m.explain(&reports[0], m.text, false)
	}
	return reports
}

// generic tells whether a reason says little.
func generic(reason string) bool { return reason == "onhold" || reason == "undefined" }

// recipient reads the fields about one recipient.
func (m *report) recipient(b map[string]string) (ticketing.DeliveryReport, bool) {
	r := ticketing.DeliveryReport{Recipient: recipientOf(b)}
	if r.Recipient == "" {
		return r, false
	}
	_, r.Diagnostic = typed(b["diagnostic-code"])
	if strings.Trim(r.Diagnostic, " .") == "" {
		r.Diagnostic = b["x-supplementary-info"]
	}
	r.Diagnostic = oneLine(decodeDiagnostic(r.Diagnostic))
	r.Status = enhanced(b["status"])
	said := m.said(r.Recipient)
	if poor(r.Diagnostic) && said != "" {
		r.Diagnostic = said
	}
	if r.Status == "" || strings.HasSuffix(r.Status, ".0.0") {
		if s := enhanced(r.Diagnostic); s != "" && (r.Status == "" || s[0] == r.Status[0]) {
			r.Status = s
		}
	}
	if m := replyStatus.FindStringSubmatch(r.Diagnostic); m != nil && !strings.HasSuffix(m[1], ".0.0") {
		r.Status = m[1]
	}
	r.ReplyCode = replyCode(r.Diagnostic)
	r.Action = action(b["action"], r.Status)
	m.explain(&r, b["status"]+" "+said, strings.HasPrefix(strings.ToLower(b["diagnostic-code"]), "x-unix"))
	return r, true
}

// recipientOf prefers the address as the sender gave it.
//
// https://www.rfc-editor.org/rfc/rfc3464#section-2.3.1
func recipientOf(b map[string]string) string {
	for _, name := range []string{"original-recipient", "final-recipient", "x-actual-recipient", "x-failed-recipient"} {
		kind, value := typed(b[name])
		if kind == "utf-8" {
			value = unxtext(value)
		}
		if a := address(value); a != "" {
			return a
		}
	}
	_, value := typed(b["final-recipient"])
	return oneLine(strings.Trim(value, "<> "))
}

// action gives the word of an Action field one of its five forms.
//
// https://www.rfc-editor.org/rfc/rfc3464#section-2.3.3
func action(value, status string) string {
	word, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(value)), " ")
	switch word = strings.Trim(word, "(),;."); word {
	case "failed", "delayed", "delivered", "relayed", "expanded":
		return word
	case "deliverable", "success":
		return "delivered"
	case "delay", "deferred", "queued":
		return "delayed"
	}
	if strings.HasPrefix(status, "2") {
		return "delivered"
	}
	return "failed"
}

// poor tells whether a diagnostic has no words that explain anything.
func poor(diagnostic string) bool {
	letters := 0
	for _, r := range diagnostic {
		if r > 'A' {
			letters++
		}
	}
	return letters < 6
}

// explain fills in reason, hard and what follows from the other fields.
func (m *report) explain(r *ticketing.DeliveryReport, more string, local bool) {
	if r.Status == "" && r.ReplyCode != "" {
		r.Status = r.ReplyCode[:1] + ".0.0"
	}
	switch r.Action {
	case "delivered", "relayed", "expanded":
		r.Reason = "delivered"
		return
	}
	r.Reason, r.Hard = Reason(r.Status, r.ReplyCode, r.Diagnostic)
	if generic(r.Reason) {
		if reason, hard := Reason(r.Status, r.ReplyCode, more); !generic(reason) {
			r.Reason, r.Hard = reason, hard
		}
	}
	switch {
	case generic(r.Reason) && local:
		r.Reason = "mailererror"
	case generic(r.Reason) && r.Action == "delayed":
		r.Reason = "expired"
	case r.Reason == "userunknown":
		m.doubt(r, more)
	case r.Reason == "hostunknown" && commandOf(r.Diagnostic+" "+more) == "mail":
		r.Reason, r.Hard = "rejected", false
	}
	if r.Action == "delayed" {
		r.Hard = false
	}
}

// doubt softens an unknown user that neither the status nor the command says:
// a system that accepts the recipient and refuses the content with such words
// has filtered the mail.
func (m *report) doubt(r *ticketing.DeliveryReport, more string) {
	said := strings.ToLower(m.text)
	for words, reason := range headings {
		if strings.Contains(said, words) {
			r.Reason, r.Hard = reason, false
			return
		}
	}
	if isUserStatus(r.Status) || surelyUnknown(strings.ToLower(r.Diagnostic)) {
		return
	}
	command := commandOf(r.Diagnostic)
	if command == "" {
		command = commandOf(more)
	}
	if command == "" {
		command = m.transcriptCommand()
	}
	switch command {
	case "rcpt":
		return
	case "mail":
		r.Reason, r.Hard = "rejected", false
	case "data":
		r.Reason, r.Hard = "filtered", false
	default:
		if r.Status != "" && !strings.HasSuffix(r.Status, ".0.0") || r.ReplyCode != "" {
			r.Reason, r.Hard = "filtered", false
		}
	}
}

// headings say more than the reply "user unknown" below them.
var headings = map[string]string{
	"the user(s) account is disabled": "suspend", "the user(s) account is temporarily limited": "suspend", "the user(s) account is temporarily over quota": "mailboxfull",
}

// surelyUnknown knows replies of providers that say so only of the address.
func surelyUnknown(diagnostic string) bool {
	return strings.Contains(diagnostic, "delivery error: dd this user") || strings.Contains(diagnostic, "@ezweb.ne.jp>: user unknown") ||
		strings.Contains(diagnostic, "@au.com>: user unknown")
}

// isUserStatus tells whether the code itself speaks of the address.
func isUserStatus(status string) bool {
	_, rest, _ := strings.Cut(status, ".")
	return strings.HasPrefix(rest, "1.") || rest == "4.1" || rest == "5.0"
}

// unxtext decodes the \x{41} of RFC 6533 addresses.
//
// https://www.rfc-editor.org/rfc/rfc6533#section-3
func unxtext(s string) string {
	var out strings.Builder
	for {
		before, rest, ok := strings.Cut(s, `\x{`)
		out.WriteString(before)
		if !ok {
			return out.String()
		}
		hex, after, ok := strings.Cut(rest, "}")
		if n, valid := codePoint(hex); ok && valid {
			out.WriteRune(n)
		}
		s = after
	}
}

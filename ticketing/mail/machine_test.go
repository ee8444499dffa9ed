package mail

import (
	"strings"
	"testing"

	"github.com/mxdesk/mxdesk/ticketing"
)

const person1 = "From: Ann <ann@example.org>\nTo: desk@example.net\nMessage-ID: <1@example.org>\nSubject: Lamp\n"

func report(kind, part string) string {
	return "From: a@example.org\nSubject: x\nContent-Type: multipart/report; report-type=" + kind + "; boundary=b\n\n--b\n\nwords\n--b\n" + part + "\n--b--\n"
}

var machineTests = []struct {
	name, raw string
	class     ticketing.MachineClass
	signal    string // one of those found
}{
	{"person", person1 + "\nThe lamp is broken.\n", ticketing.MachineNone, ""},
	{"auto-submitted no", person1 + "Auto-Submitted: no\n\nx", ticketing.MachineNone, ""},
	{"asks for no answer", person1 + "X-Auto-Response-Suppress: All\n\nx", ticketing.MachineNone, ""},
	{"auto-generated", person1 + "Auto-Submitted: Auto-Generated; x=y\n\nx", ticketing.MachineAutoReply, "auto-submitted: auto-generated"},
	{"auto-replied", person1 + "Auto-Submitted: auto-replied (x)\n\nx", ticketing.MachineAutoReply, "auto-submitted: auto-replied"},
	{"x-autoreply", person1 + "X-Autoreply: yes\n\nx", ticketing.MachineAutoReply, "x-autoreply: yes"},
	{"x-autoreply no", person1 + "X-Autoreply: no\n\nx", ticketing.MachineNone, ""},
	{"unknown field name", person1 + "X-Foo-AutoReply: 1\n\nx", ticketing.MachineAutoReply, "x-foo-autoreply: 1"},
	{"precedence auto_reply", person1 + "Precedence: auto_reply\n\nx", ticketing.MachineAutoReply, "precedence: auto_reply"},
	{"empty return path", "Return-Path: <>\n" + person1 + "\nx", ticketing.MachineAutoReply, "return-path: <>"},
	{"no-reply", "From: no-reply@example.org\nSubject: x\n\nx", ticketing.MachineAutoReply, "from: no-reply"},
	{"form with a person in reply-to", "From: noreply@example.org\nReply-To: ann@example.com\nSubject: x\n\nx", ticketing.MachineNone, ""},
	{"vacation", person1 + "Auto-Submitted: auto-replied (vacation)\n\nx", ticketing.MachineOutOfOffice, "auto-submitted: auto-replied (vacation)"},
	{"exchange absence", person1 + "X-Auto-Response-Suppress: All\nX-MS-Exchange-Inbox-Rules-Loop: a@example.org\n\nx", ticketing.MachineOutOfOffice, "x-ms-exchange-inbox-rules-loop"},
	{"subject alone", "From: a@example.org\nSubject: Abwesenheitsnotiz: Lampe\n\nx", ticketing.MachineOutOfOffice, "subject: abwesenheitsnotiz: lampe"},
	{"japanese absence", "From: a@example.org\nSubject: =?utf-8?B?6Ieq5YuV5b+c562UOiBMYW1w?=\n\nx", ticketing.MachineOutOfOffice, ""},
	{"subject with the words inside", "From: a@example.org\nSubject: vacation rental broken\n\nx", ticketing.MachineNone, ""},
	{"list", person1 + "List-Id: <talk.example.org>\nList-Unsubscribe: <mailto:x@example.org>\nList-Post: <mailto:talk@example.org>\n\nx", ticketing.MachineList, "list-id: <talk.example.org>"},
	{"list-unsubscribe alone", person1 + "List-Unsubscribe: <mailto:x@example.org>\n\nx", ticketing.MachineBulk, "list-unsubscribe"},
	{"newsletter with list-id", person1 + "List-Id: <news.example.org>\nFeedback-ID: 1:2\nList-Unsubscribe: <x>\n\nx", ticketing.MachineBulk, "feedback-id"},
	{"bulk", person1 + "Precedence: bulk\n\nx", ticketing.MachineBulk, "precedence: bulk"},
	{"bounce", "From: MAILER-DAEMON@example.org\nReturn-Path: <>\n" + report("delivery-status", "Content-Type: message/delivery-status\n\nReporting-MTA: dns; a\n\nFinal-Recipient: rfc822;b@example.org\nAction: failed\nStatus: 5.1.1\n"), ticketing.MachineBounce, "delivery report: failed"},
	{"delay", report("delivery-status", "Content-Type: message/delivery-status\n\nReporting-MTA: dns; a\n\nFinal-Recipient: rfc822;b@example.org\nAction: delayed\nStatus: 4.4.1\n"), ticketing.MachineDelay, "delivery report: delayed"},
	{"daemon without a report", "From: MAILER-DAEMON@example.org\nSubject: hm\n\nx", ticketing.MachineBounce, "from: mailer-daemon"},
	{"receipt", report("disposition-notification", "Content-Type: message/disposition-notification\n\nDisposition: manual-action; displayed\n"), ticketing.MachineMDN, "part: message/disposition-notification"},
	{"complaint", report("feedback-report", "Content-Type: message/feedback-report\n\nFeedback-Type: abuse\nOriginal-Rcpt-To: b@example.org\n"), ticketing.MachineARF, "delivery: complaint"},
	{"tls report", report("tlsrpt", "Content-Type: application/tlsrpt+gzip\n\nx"), ticketing.MachineReport, "report-type: tlsrpt"},
	{"dmarc report", "From: dmarc@example.org\nSubject: Report domain: example.net Submitter: example.org Report-ID: <1>\n\nx", ticketing.MachineReport, "subject: report domain"},
	{"invitation", person1 + "Content-Type: text/calendar; method=REQUEST\n\nBEGIN:VCALENDAR\n", ticketing.MachineCalendar, "calendar: request"},
	{"calendar file", person1 + "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nsee\n--b\nContent-Type: text/calendar\nContent-Disposition: attachment; filename=a.ics\n\nMETHOD:REQUEST\n--b--\n", ticketing.MachineNone, ""},
	{"own message-id", "From: ann@example.org\nMessage-ID: <1@Desk.example.net>\nSubject: x\n\nx", ticketing.MachineOwnLoop, "message-id: 1@desk.example.net"},
	{"own x-loop", person1 + "X-Loop: desk@example.net\n\nx", ticketing.MachineOwnLoop, "x-loop: desk@example.net"},
	{"own sender", "From: desk@example.net\nSubject: x\n\nx", ticketing.MachineOwnLoop, "from: desk@example.net"},
	{"form in our name", "From: desk@example.net\nReply-To: ann@example.org\nSubject: x\n\nx", ticketing.MachineNone, ""},
	{"foreign x-loop", person1 + "X-Loop: other@example.org\n\nx", ticketing.MachineNone, ""},
}

func TestClassify(t *testing.T) {
	own := Own{Hosts: []string{"desk.example.net"}, Addresses: func(a string) bool { return a == "desk@example.net" }}
	for _, tt := range machineTests {
		t.Run(tt.name, func(t *testing.T) {
			raw := strings.ReplaceAll(tt.raw, "\n", "\r\n")
			msg := Parse(strings.NewReader(raw), int64(len(raw)), Options{Own: own})
			found := strings.Join(msg.Machine.Signals, "\n")
			if msg.Machine.Class != tt.class {
				t.Errorf("class %s, want %s; signals %q", msg.Machine.Class, tt.class, msg.Machine.Signals)
			}
			if !strings.Contains("\n"+found+"\n", "\n"+tt.signal+"\n") && tt.signal != "" {
				t.Errorf("signals %q, want %q among them", msg.Machine.Signals, tt.signal)
			}
			if tt.class == ticketing.MachineNone && found != "" {
				t.Errorf("signals %q of a mail by a person", msg.Machine.Signals)
			}
		})
	}
}

func TestSuppressReply(t *testing.T) {
	for value, want := range map[string]bool{"All": true, "DR, AutoReply": true, "OOF": true, "RN, NRN": false, "": false, "None": false} {
		h := header{fields: []field{{"X-Auto-Response-Suppress", value}}}
		if got := suppressReply(h); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

func TestDeliveries(t *testing.T) {
	raw := strings.ReplaceAll(report("delivery-status", "Content-Type: message/delivery-status\n\nReporting-MTA: dns; a\n\nFinal-Recipient: rfc822;b@example.org\nAction: failed\nStatus: 5.1.1\n\n--b\nContent-Type: text/rfc822-headers\n\nMessage-ID: <m1@example.net>\n"), "\n", "\r\n")
	msg := Parse(strings.NewReader(raw), int64(len(raw)), Options{})
	if len(msg.Deliveries) != 1 || msg.Deliveries[0].Recipient != "b@example.org" || !msg.Deliveries[0].Hard || msg.Deliveries[0].MessageID != "m1@example.net" {
		t.Errorf("deliveries %+v", msg.Deliveries)
	}
}

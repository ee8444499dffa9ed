package dsn

import (
	"encoding/json"
	"strings"

	"github.com/mxdesk/mxdesk/ticketing"
)

// notice is the JSON by which Amazon SES tells of a delivery by mail.
type notice struct {
	Message string `json:"Message"` // the notice itself, in the envelope of SNS
	Type    string `json:"notificationType"`
	Event   string `json:"eventType"`
	Bounce  struct {
		Recipients []struct {
			Address    string `json:"emailAddress"`
			Action     string `json:"action"`
			Status     string `json:"status"`
			Diagnostic string `json:"diagnosticCode"`
		} `json:"bouncedRecipients"`
	} `json:"bounce"`
	Complaint struct {
		Recipients []struct {
			Address string `json:"emailAddress"`
		} `json:"complainedRecipients"`
	} `json:"complaint"`
	Delivery struct {
		Recipients []string `json:"recipients"`
		Reply      string   `json:"smtpResponse"`
	} `json:"delivery"`
}

// event reads such a mail.
func (m *report) event() []ticketing.DeliveryReport {
	start := strings.IndexByte(m.text, '{')
	if start < 0 || strings.TrimSpace(m.text[:start]) != "" {
		return nil
	}
	n, ok := readNotice(strings.ReplaceAll(m.text[start:], "\n", ""))
	if ok && n.Message != "" {
		n, ok = readNotice(n.Message)
	}
	if !ok || n.Type+n.Event == "" {
		return nil
	}
	var reports []ticketing.DeliveryReport
	for _, b := range n.Bounce.Recipients {
		_, diagnostic := typed(b.Diagnostic)
		r := ticketing.DeliveryReport{Recipient: address(b.Address), Status: enhanced(b.Status), Diagnostic: oneLine(diagnostic), ReplyCode: replyCode(diagnostic)}
		r.Action = action(b.Action, r.Status)
		m.explain(&r, "", false)
		reports = append(reports, r)
	}
	for _, c := range n.Complaint.Recipients {
		reports = append(reports, ticketing.DeliveryReport{Recipient: address(c.Address), Action: "complaint", Reason: "feedback"})
	}
	for _, a := range n.Delivery.Recipients {
		reports = append(reports, ticketing.DeliveryReport{Recipient: address(a), Action: "delivered", Reason: "delivered",
			Status: enhanced(n.Delivery.Reply), ReplyCode: replyCode(n.Delivery.Reply), Diagnostic: oneLine(n.Delivery.Reply)})
	}
	return reports
}

func readNotice(text string) (n notice, ok bool) {
	err := json.NewDecoder(strings.NewReader(text)).Decode(&n)
	return n, err == nil
}

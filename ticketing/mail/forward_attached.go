package mail

import (
	"strings"

	"github.com/mxdesk/mxdesk/ticketing"
)

// attachedForward returns what an attached mail says; the mails that delivery
// reports return do not count.
func attachedForward(root *part) *ticketing.Forwarded {
	p := attachedMail(root)
	if p == nil {
		return nil
	}
	inner := p.embedded()
	if inner == nil || len(inner.header.all("From")) == 0 {
		return nil
	}
	from := ticketing.Person{}
	if people := parseAddresses(inner.header.get("From")); len(people) > 0 {
		from = people[0]
	}
	f := &ticketing.Forwarded{
		From:    from,
		Subject: strings.TrimSpace(decodeWords(inner.header.get("Subject"))),
		Date:    mailDate(inner.header.get("Date")),
	}
	if body := textPart(inner.root); body != nil {
		f.Text = joinLines(splitLines(body.text()))
	}
	return f
}

// attachedMail finds the first attached mail outside of a report.
func attachedMail(p *part) *part {
	if p == nil || p.mediaType == "multipart/report" || p.mediaType == "multipart/digest" {
		return nil
	}
	if p.mediaType == "message/rfc822" || p.mediaType == "message/global" {
		return p
	}
	for _, c := range p.children {
		if found := attachedMail(c); found != nil {
			return found
		}
	}
	return nil
}

// textPart finds the first plain text that is not an attachment.
func textPart(p *part) *part {
	if p.mediaType == "text/plain" && p.disposition != "attachment" {
		return p
	}
	for _, c := range p.children {
		if found := textPart(c); found != nil {
			return found
		}
	}
	return nil
}

package dsn

import (
	"regexp"
	"strings"

	"github.com/mxdesk/mxdesk/ticketing"
)

var (
	// recipientLine is a line that begins with an address, which is how most
	// systems introduce what they have to say about it.
	recipientLine = regexp.MustCompile(`^[\s*•>"'<(\[-]*((?:[^\s<>@()\[\],;:"'|*=]|"[^"<>@]{1,64}")+@[^\s<>@()\[\],;:"'|*=]+?)[>"')\]]*(?:\s*<[^<>]{1,320}>)?(?:\s*\[[^\]@]{1,320}@[^\]]{1,200}\])?(?:\s*\((?:generated|expanded|reduced|original)[^)]{0,320}\))?[:,.\s]*(?:$|\s(.*)$|([\[(].*)$|\.{2,}(.*)$)`)
	// namedRecipient finds the address in a sentence about it.
	namedRecipient = regexp.MustCompile(`(?i)(?:^|[\s(<])(?:undeliverable to|delivered to|deliver (?:(?:your|the|this) )?(?:message|mail|e-?mail) to|delivery to|deliver(?:ing)? (?:your |the )?(?:mail|message) to|rejected recipient|allowed size|failed \d+ attempts|message to|addressed to|mail to|recipient(?: address)?(?: was)?|original address|rcpt to|forward(?:ing|ed)? to|unknown user|unknown local[- ]part|user unknown|the address|mailbox(?: of| for)?|for user|account|to)(?:\s*:\s*|\s+)(?:user )?["'<(\[]*` +
		`((?:[^\s<>@()\[\],;:"'|*=])+@(?:[\p{L}\p{N}_-]+\.)+[\p{L}\p{N}-]+)`)
	// transcriptLine is the end of a session as sendmail writes it.
	transcriptLine = regexp.MustCompile(`^[245]\d\d (?:[245]\.\d{1,3}\.\d{1,3} )?<([^<>\s]+@[^<>\s]+)>(?:\.\.\.|:)`)
	delayedWords   = regexp.MustCompile(`(?i)\b(?:delayed|not yet been delivered|has not been delivered yet|will be retried|still being retried|attempts will continue|keep trying|will continue to try|warning message only|do not need to resend)\b`)
)

// originalMarks begin the copy of the original mail in a text.
var originalMarks = []string{"original message", "message header", "header of the original", "copy of the message", "copy of your message", "copy of the original", "returned message", "unsent message",
	"original header", "message follows", "message text follows", "below this line", "headers follow", "original mail", "returned mail", "undelivered message", "message returned"}

// cutOriginal separates what a system says from the copy of the original mail
// below it.
func cutOriginal(text string) (said, original string) {
	at, lines := 0, 0
	for line := range strings.Lines(text) {
		if lines++; lines > maxLines {
			return text[:at], ""
		}
		end := at + len(line)
		if lines > 2 && beginsOriginal(line) {
			return text[:at], strings.TrimLeft(text[end:], "\n -=*")
		}
		if lines > 2 && beginsHeader(line) && looksLikeHeader(text[at:]) {
			return text[:at], text[at:]
		}
		at = end
	}
	return text, ""
}

func beginsOriginal(line string) bool {
	bare := strings.ToLower(strings.Trim(line, " \t\r\n-=*_.:"))
	if len(bare) > 80 || strings.Contains(bare, "received") || strings.Contains(bare, "@") {
		return false
	}
	marked := strings.HasPrefix(strings.TrimSpace(line), "--") || strings.HasPrefix(strings.TrimSpace(line), "==")
	for _, mark := range originalMarks {
		if strings.Contains(bare, mark) && (marked || strings.HasSuffix(bare, "follow") || strings.HasSuffix(bare, "follows") || strings.HasSuffix(strings.TrimSpace(line), ":")) {
			return true
		}
	}
	return false
}

func beginsHeader(line string) bool {
	name, _, ok := strings.Cut(line, ":")
	if !ok {
		return false
	}
	switch strings.ToLower(name) {
	case "received", "return-path", "message-id", "from", "date", "to", "mime-version", "dkim-signature", "delivered-to", "x-received", "subject", "reply-to", "x-mailer", "authentication-results":
		return true
	}
	return false
}

// bounce reads a report in a private format: a line that begins with each
// address, or a sentence that names it.
func (m *report) bounce() []ticketing.DeliveryReport {
	var reports []ticketing.DeliveryReport
	found := m.recipients()
	for _, recipient := range found {
		r := ticketing.DeliveryReport{Recipient: recipient, Action: m.textAction()}
		r.Diagnostic = m.said(recipient)
		more := ""
		if len(found) == 1 {
			more = m.text + " " + m.header("Subject")
			if replyCode(r.Diagnostic) == "" && enhanced(r.Diagnostic) == "" || poor(r.Diagnostic) {
				r.Diagnostic = m.bestLines(r.Diagnostic)
			}
		}
		r.Status, r.ReplyCode = enhanced(r.Diagnostic), replyCode(r.Diagnostic)
		m.explain(&r, more, false)
		reports = append(reports, r)
	}
	return reports
}

func (m *report) textAction() string {
	if delayedWords.MatchString(m.header("Subject")) || delayedWords.MatchString(clip(m.text, 4000)) && !strings.Contains(strings.ToLower(m.text), "permanent") {
		return "delayed"
	}
	return "failed"
}

// recipients lists the addresses that the text, or the header, says were not
// reached.
func (m *report) recipients() []string {
	var list addressList
	for a := range strings.SplitSeq(m.header("X-Failed-Recipients"), ",") {
		list.add(address(a))
	}
	if len(list.all) > 0 {
		return list.all
	}
	lines := m.lines()
	for _, line := range lines {
		if match := recipientLine.FindStringSubmatch(line); match != nil && !m.isOwn(match[1]) {
			list.add(address(match[1]))
		}
	}
	if len(list.all) > 0 {
		return list.all
	}
	for _, line := range lines {
		if match := transcriptLine.FindStringSubmatch(line); match != nil {
			list.add(address(match[1]))
		}
	}
	if len(list.all) > 0 {
		return list.all
	}
	for _, line := range lines {
		if match := namedRecipient.FindStringSubmatch(line); match != nil && !m.isOwn(match[1]) {
			list.add(address(match[1]))
		}
	}
	if len(list.all) > 0 {
		return list.all[:min(len(list.all), 5)]
	}
	for _, line := range lines {
		if a := address(line); !m.isOwn(a) {
			list.add(a)
		}
	}
	if len(list.all) == 0 {
		list.add(m.originalTo())
	}
	return list.all[:min(len(list.all), 1)]
}

// addressList keeps addresses once, in order.
type addressList struct {
	all  []string
	seen map[string]bool
}

func (l *addressList) add(a string) {
	key := strings.ToLower(a)
	if a == "" || l.seen[key] || len(l.all) >= maxBounces {
		return
	}
	if l.seen == nil {
		l.seen = map[string]bool{}
	}
	l.seen[key] = true
	l.all = append(l.all, a)
}

// isOwn tells whether an address is that of the system that reports.
func (m *report) isOwn(a string) bool {
	a = strings.ToLower(strings.Trim(a, "<>"))
	if a == "" || strings.EqualFold(a, address(m.header("From"))) {
		return true
	}
	local, _, _ := strings.Cut(a, "@")
	return local == "postmaster" || local == "mailer-daemon" || local == "abuse"
}

// lines are the lines of the text, as far as they are looked at.
func (m *report) lines() []string {
	if m.split == nil {
		m.split = strings.SplitN(m.text, "\n", maxLines)
		for i, line := range m.split {
			m.split[i] = clip(line, maxFolded)
		}
		m.lower = strings.Split(strings.ToLower(strings.Join(m.split, "\n")), "\n")
	}
	return m.split
}

// said returns what the text says of an address: the paragraph with it that has
// a code, else the first one.
func (m *report) said(recipient string) string {
	if recipient == "" {
		return ""
	}
	lines := m.lines()
	key, best := strings.ToLower(recipient), ""
	tries := maxMentions
	for i := range lines {
		if i >= len(m.lower) || !strings.Contains(m.lower[i], key) {
			continue
		}
		if tries--; tries < 0 {
			break
		}
		words := paragraph(lines, i, key)
		if replyCode(words) != "" || enhanced(words) != "" {
			return words
		}
		if poor(best) {
			best = words
		}
	}
	return best
}

// paragraph joins the line at i, without the address it begins with, and the
// lines below it up to a blank one or the next address.
func paragraph(lines []string, i int, key string) string {
	var words []string
	for k := i; k < len(lines) && k < i+12; k++ {
		line := strings.TrimSpace(lines[k])
		match := recipientLine.FindStringSubmatch(lines[k])
		switch {
		case k == i && match != nil:
			line = strings.TrimSpace(match[2] + match[3] + match[4])
		case match != nil && !strings.Contains(strings.ToLower(line), key):
			return oneLine(strings.Join(words, " "))
		case line == "" && k > i:
			if len(words) > 0 && !poor(strings.Join(words, " ")) {
				return oneLine(strings.Join(words, " "))
			}
		}
		if line != "" {
			words = append(words, line)
		}
	}
	return oneLine(strings.Join(words, " "))
}

// bestLines looks for words that explain the failure anywhere in the text: the
// paragraph with a code, else one whose reason is known, else fallback.
func (m *report) bestLines(fallback string) string {
	known := ""
	for para := range strings.SplitSeq(m.text, "\n\n") {
		words := oneLine(para)
		if words == "" {
			continue
		}
		if replyCode(words) != "" && !strings.HasPrefix(strings.ToLower(words), "the original message was received") {
			return words
		}
		if reason, _ := Reason("", "", words); known == "" && !generic(reason) {
			known = words
		}
	}
	if reason, _ := Reason("", "", fallback); known != "" && (poor(fallback) || generic(reason)) {
		return known
	}
	if poor(fallback) {
		return oneLine(clip(strings.TrimSpace(m.text), 300))
	}
	return fallback
}

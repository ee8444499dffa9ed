package mail

import (
	"maps"
	"strings"
	"sync"

	"github.com/mxdesk/mxdesk/ticketing"
)

// body says which parts of a mail are its text and which are attachments.
type body struct {
	text  []*part // plain where there is a choice
	html  []*part // HTML where there is a choice
	files []*part
}

// selectBody sorts the parts of a mail.
//
// https://www.rfc-editor.org/rfc/rfc8621#section-4.1.4
func selectBody(root *part) *body {
	b := &body{}
	b.walk([]*part{root}, "mixed", false, true, true)
	if len(b.text) == 0 && len(b.html) == 0 && isReadable(root) {
		b.text, b.files = []*part{root}, nil
	}
	return b
}

// isReadable tells whether a mail that is a single part of an unusual text
// type had better be shown than attached.
func isReadable(p *part) bool {
	return strings.HasPrefix(p.mediaType, "text/") && p.mediaType != "text/calendar" &&
		p.disposition != "attachment" && p.filename == ""
}

// walk sorts parts, the children of a multipart of the given kind. text and
// html tell which lists still take parts: inside an alternative, each child
// goes to the one that it is for.
func (b *body) walk(parts []*part, kind string, inAlternative, text, html bool) {
	textBefore, htmlBefore := len(b.text), len(b.html)
	for i, p := range parts {
		if p.isMultipart() {
			b.walkMultipart(p, inAlternative, text, html)
			continue
		}
		if !p.isBodyText(i, kind) {
			b.addFile(p)
			continue
		}
		switch {
		case kind == "alternative" && p.mediaType == "text/plain":
			b.text = append(b.text, p)
		case kind == "alternative":
			b.html = append(b.html, p)
		default:
			b.addText(p, inAlternative, &text, &html)
		}
	}
	if kind != "alternative" {
		return
	}
	if text && len(b.text) == textBefore {
		b.text = append(b.text, b.html[htmlBefore:]...)
	} else if html && len(b.html) == htmlBefore {
		b.html = append(b.html, b.text[textBefore:]...)
	}
}

func (b *body) walkMultipart(p *part, inAlternative, text, html bool) {
	kind := strings.TrimPrefix(p.mediaType, "multipart/")
	children := p.children
	if kind == "related" {
		children = rootFirst(p)
	}
	b.walk(children, kind, inAlternative || kind == "alternative", text, html)
}

// addText puts a text part outside of an alternative into both lists. Inside
// one, the first part settles which list the whole branch is for.
func (b *body) addText(p *part, inAlternative bool, text, html *bool) {
	if inAlternative && *text && *html {
		if p.mediaType == "text/plain" {
			*html = false
		} else {
			*text = false
		}
	}
	if *text {
		b.text = append(b.text, p)
	}
	if *html {
		b.html = append(b.html, p)
	}
}

// isBodyText tells whether the part is text to be shown where it stands, the
// i-th child of a multipart of the given kind.
func (p *part) isBodyText(i int, kind string) bool {
	if p.disposition == "attachment" || p.mediaType != "text/plain" && p.mediaType != "text/html" && !isEnriched(p.mediaType) {
		return false
	}
	return i == 0 || kind == "alternative" || kind != "related" && p.filename == "" && !isEnriched(p.mediaType)
}

// addFile keeps a part as attachment unless it only serves the others.
func (b *body) addFile(p *part) {
	switch p.mediaType {
	case "application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature",
		"application/pgp-encrypted", "application/applefile":
		return
	}
	b.files = append(b.files, p)
}

// rootFirst returns the children of a multipart/related with its root in
// front: the one that the start parameter names, or the first text.
//
// https://www.rfc-editor.org/rfc/rfc2387#section-3.2
func rootFirst(p *part) []*part {
	start := strings.Trim(p.params["start"], "<> ")
	root := -1
	for i, c := range p.children {
		isText := c.isMultipart() || c.isBodyText(0, "related")
		if start != "" && c.contentID == start && isText {
			root = i
			break
		}
		if root < 0 && isText {
			root = i
		}
	}
	if root <= 0 {
		return p.children
	}
	sorted := append([]*part{p.children[root]}, p.children[:root]...)
	return append(sorted, p.children[root+1:]...)
}

// readText fills in what the mail says: the text, and the way to the reply in it.
func (b *body) readText(msg *ticketing.Message, limit int64) {
	if first := firstHTML(b.html); first != nil {
		msg.IsHTML, msg.HTMLPart = true, first.path
	}
	findUUFiles(b.text)
	parts := b.text
	if isBlank(parts) {
		parts = b.html
	}
	msg.Text = joinText(parts, limit)
	html := ""
	if len(parts) == 1 && parts[0].mediaType == "text/html" {
		html = parts[0].text()
	}
	msg.Trim = sync.OnceValues(func() (reply, quoted string) {
		reply = msg.Text
		defer stopped(msg)
		return trim(msg.Text, html)
	})
}

// trim separates the reply in a text, which html is the source of unless it is
// empty, from what the mail repeats. The reply is never empty if text is not.
func trim(text, html string) (reply, quoted string) {
	if html != "" {
		reply, quoted = replyOfHTML(html, text)
	} else {
		reply, quoted = trimReply(text)
	}
	if strings.TrimSpace(reply) == "" {
		return text, ""
	}
	return reply, quoted
}

// replyOfHTML uses the quote containers of an HTML mail where they cut off its
// end; otherwise the text itself must tell.
func replyOfHTML(source, text string) (reply, quoted string) {
	if head, cut := trimReplyHTML(source); cut {
		head = htmlToText(head)
		if rest, ok := strings.CutPrefix(text, head); ok && strings.TrimSpace(head) != "" {
			reply, quoted = trimReply(head)
			return reply, strings.TrimSpace(quoted + "\n" + strings.Trim(rest, "\n"))
		}
	}
	return trimReply(text)
}

// refs are the Content-IDs that the HTML parts refer to.
func (b *body) refs() map[string]bool {
	refs := make(map[string]bool)
	for _, p := range b.html {
		if p.mediaType == "text/html" {
			maps.Copy(refs, contentRefs(p.text()))
		}
	}
	return refs
}

func firstHTML(parts []*part) *part {
	for _, p := range parts {
		if p.mediaType == "text/html" {
			return p
		}
	}
	return nil
}

// isBlank tells whether none of the parts has visible text.
func isBlank(parts []*part) bool {
	for _, p := range parts {
		if strings.TrimSpace(p.text()) != "" {
			return false
		}
	}
	return true
}

// joinText is the text of all parts one after the other, up to limit octets.
func joinText(parts []*part, limit int64) string {
	if len(parts) == 1 && parts[0].mediaType != "text/html" && int64(len(parts[0].text())) <= limit {
		return parts[0].text()
	}
	var out strings.Builder
	for _, p := range parts {
		text := p.text()
		if p.mediaType == "text/html" {
			text = htmlToText(text)
		}
		if out.Len() > 0 && strings.TrimSpace(text) != "" {
			out.WriteByte('\n')
		}
		out.WriteString(text)
		if int64(out.Len()) >= limit {
			return strings.ToValidUTF8(out.String()[:limit], "")
		}
	}
	return out.String()
}

package mail

import (
	"strings"

	"golang.org/x/net/html"
)

const (
	maxQuoteNodes = 100_000 // nodes that are looked at
	maxQuoteDepth = 400     // deeper trees are left alone
)

// quoteIDs and quoteClasses are what mail programs call the element that holds
// the quoted mail. `x_` in front comes from Outlook quoting another program.
var (
	quoteIDs     = set("divrplyfwdmsg appendonsend mail-editor-reference-message-container olk_src_body_section reply-intro replysplit isforwardcontent")
	quoteClasses = set("gmail_quote gmail_quote_container gmail_extra yahoo_quoted moz-cite-prefix protonmail_quote gmail_attr " +
		"cm_quote front-blockquote missive_quote sh-quoted-content fastmail-quoted zmail_extra tutanota_quote tutanota_quoteheader messagereplysection")
	quoteMarkers  = set("__divider__ __quoted_text__ __headers__")
	signatureIDs  = set("applemailsignature applemailsignatureatendofbody signature ms-outlook-mobile-signature composer_signature")
	signatureName = set("gmail_signature moz-signature protonmail_signature_block tutanota_signature")
	// restQuotes are the elements after which all siblings belong to the quote.
	restQuotes = set("divrplyfwdmsg appendonsend moz-cite-prefix fastmail-quoted applemailsignature __divider__ __headers__ reply-intro")
)

func set(names string) map[string]bool {
	m := map[string]bool{}
	for n := range strings.FieldsSeq(names) {
		m[n] = true
	}
	return m
}

// trimReplyHTML cuts the elements out in which mail programs put the quoted
// mail. An element with text of the writer between or below its quotes stays,
// as does a forwarded mail. cut is false, and the result the input, when there
// is nothing to cut or nothing would remain.
func trimReplyHTML(source string) (replyHTML string, cut bool) {
	doc, err := html.Parse(strings.NewReader(source))
	if err != nil {
		return source, false
	}
	q := quoteCutter{left: maxQuoteNodes}
	q.visit(doc, 0)
	if q.left <= 0 || len(q.quotes) == 0 {
		return source, false
	}
	for _, n := range q.quotes {
		if n.Parent != nil {
			n.Parent.RemoveChild(n)
		}
	}
	if !hasText(doc) {
		return source, false
	}
	var out strings.Builder
	if err := html.Render(&out, doc); err != nil {
		return source, false
	}
	return out.String(), true
}

// quoteCutter collects the nodes to cut.
type quoteCutter struct {
	quotes []*html.Node
	left   int
}

func (q *quoteCutter) visit(n *html.Node, depth int) {
	if depth > maxQuoteDepth {
		q.left = 0
	}
	for c := n.FirstChild; c != nil && q.left > 0; c = c.NextSibling {
		q.left--
		if c.Type != html.ElementNode {
			continue
		}
		if !isQuote(c) {
			q.visit(c, depth+1)
			continue
		}
		nodes := q.quoteNodes(c)
		if holdsReply(nodes) {
			continue
		}
		q.quotes = append(q.quotes, nodes...)
		c = nodes[len(nodes)-1]
	}
}

// quoteNodes returns n, with its following siblings where they belong to it,
// and the rule above it.
func (q *quoteCutter) quoteNodes(n *html.Node) []*html.Node {
	nodes := []*html.Node{}
	if p := previousElement(n); p != nil && p.Data == "hr" {
		nodes = append(nodes, p)
	}
	nodes = append(nodes, n)
	if !takesRest(n) {
		return nodes
	}
	for s := n.NextSibling; s != nil; s = s.NextSibling {
		nodes = append(nodes, s)
	}
	return nodes
}

func previousElement(n *html.Node) *html.Node {
	for p := n.PrevSibling; p != nil; p = p.PrevSibling {
		if p.Type == html.ElementNode {
			return p
		}
		if strings.TrimSpace(p.Data) != "" {
			return nil
		}
	}
	return nil
}

// elementNames returns what an element is called: its id, classes, name and marker,
// in lower case, without a leading `x_`.
func elementNames(n *html.Node) []string {
	var found []string
	for _, a := range n.Attr {
		if a.Key == "id" || a.Key == "class" || a.Key == "data-marker" || a.Key == "name" {
			for name := range strings.FieldsSeq(strings.ToLower(a.Val)) {
				for strings.HasPrefix(name, "x_") {
					name = name[2:]
				}
				found = append(found, name)
			}
		}
	}
	return found
}

func attributeOf(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return strings.ToLower(a.Val)
		}
	}
	return ""
}

// isQuote tells whether an element begins or holds a quoted mail or a
// signature.
func isQuote(n *html.Node) bool {
	for _, name := range elementNames(n) {
		if quoteIDs[name] || quoteClasses[name] || quoteMarkers[name] || signatureIDs[name] || signatureName[name] || strings.Contains(name, "yahoo_quoted") {
			return true
		}
	}
	switch n.Data {
	case "blockquote":
		return attributeOf(n, "type") == "cite" || attributeOf(n, "cite") != ""
	case "div":
		return attributeOf(n, "name") == "quote" || isOutlookRule(attributeOf(n, "style"))
	}
	return false
}

// isOutlookRule knows the style of the element with the header block that
// Outlook puts above a quoted mail.
func isOutlookRule(style string) bool {
	style = strings.ReplaceAll(style, " ", "")
	if !strings.Contains(style, "border:none;") || !strings.Contains(style, "padding:3.0pt0") && !strings.Contains(style, "padding:3pt0") {
		return false
	}
	return strings.Contains(style, "border-top:solid#b5c4df1") || strings.Contains(style, "border-top:solid#e1e1e11") || strings.Contains(style, "border-top:1ptsolid")
}

func takesRest(n *html.Node) bool {
	for _, name := range elementNames(n) {
		if restQuotes[name] {
			return true
		}
	}
	return n.Data == "div" && isOutlookRule(attributeOf(n, "style"))
}

// holdsReply tells whether a quote must stay: it is a forward, or has text after
// a quoted block, which is an answer inside or below it.
func holdsReply(nodes []*html.Node) bool {
	var text strings.Builder
	answered, quoted := false, false
	for _, root := range nodes {
		for n := range root.Descendants() {
			if n.Type == html.ElementNode && n.Data == "blockquote" {
				quoted = true
			}
			if n.Type != html.TextNode || strings.TrimSpace(n.Data) == "" {
				continue
			}
			if text.Len() < 500 {
				text.WriteString(" " + n.Data)
			}
			if quoted && root.Data != "blockquote" && !insideQuote(n, root) {
				answered = true
			}
		}
	}
	return answered || beginsForward(text.String())
}

func insideQuote(n, root *html.Node) bool {
	for ; n != nil && n != root; n = n.Parent {
		if n.Type == html.ElementNode && (n.Data == "blockquote" || n.Data == "style" || signatureOf(n)) {
			return true
		}
	}
	return false
}

func signatureOf(n *html.Node) bool {
	for _, name := range elementNames(n) {
		if signatureIDs[name] || signatureName[name] {
			return true
		}
	}
	return false
}

// beginsForward tells whether the first words of a quote are those of a forward.
func beginsForward(text string) bool {
	text = strings.ToLower(strings.TrimLeft(plainLine(text), "-–—_ "))
	for w := range forwardSet {
		if strings.HasPrefix(text, w) {
			return true
		}
	}
	return false
}

// hasText tells whether anything remains to be read or seen.
func hasText(doc *html.Node) bool {
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode && n.Data == "img" {
			return true
		}
		if n.Type != html.TextNode || strings.TrimSpace(n.Data) == "" || n.Parent != nil && (n.Parent.Data == "style" || n.Parent.Data == "title" || n.Parent.Data == "script") {
			continue
		}
		return true
	}
	return false
}

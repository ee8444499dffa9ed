package mail

import (
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// skipped elements hold no text for people.
func skipped(a atom.Atom) bool {
	switch a {
	case atom.Script, atom.Style, atom.Head, atom.Title, atom.Template, atom.Object,
		atom.Svg, atom.Select, atom.Textarea, atom.Iframe, atom.Noembed, atom.Noframes:
		return true
	}
	return false
}

// blockGap tells how many line ends an element has around it: 0 for inline
// ones, 2 for those that stand apart as paragraphs do.
func blockGap(a atom.Atom) int {
	switch a {
	case atom.P, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Blockquote, atom.Pre, atom.Ul, atom.Ol, atom.Dl:
		return 2
	case atom.Div, atom.Li, atom.Tr, atom.Table, atom.Tbody, atom.Thead, atom.Tfoot, atom.Section, atom.Article, atom.Header,
		atom.Footer, atom.Form, atom.Fieldset, atom.Address, atom.Center, atom.Dt, atom.Dd, atom.Hr, atom.Main, atom.Nav,
		atom.Aside, atom.Figure, atom.Figcaption, atom.Caption, atom.Body, atom.Html, atom.Summary, atom.Details:
		return 1
	}
	return 0
}

func isVoid(a atom.Atom) bool {
	switch a {
	case atom.Br, atom.Img, atom.Hr, atom.Meta, atom.Link, atom.Input, atom.Col, atom.Base, atom.Area, atom.Wbr, atom.Embed, atom.Source:
		return true
	}
	return false
}

// remembered elements matter when they end.
func remembered(a atom.Atom) bool {
	switch a {
	case atom.A, atom.Blockquote, atom.Pre, atom.Ul, atom.Ol, atom.Li:
		return true
	}
	return false
}

func stripScheme(link string) string {
	_, after, ok := strings.Cut(link, "://")
	if !ok {
		return link
	}
	return after
}

// linkAddress returns the address of an <a> that is worth showing.
func linkAddress(t html.Token) string {
	if t.DataAtom != atom.A {
		return ""
	}
	link := strings.TrimSpace(attribute(t, "href"))
	lower := strings.ToLower(link)
	for _, scheme := range []string{"http://", "https://", "mailto:", "tel:", "ftp://"} {
		if strings.HasPrefix(lower, scheme) {
			return strings.Join(strings.Fields(link), "")
		}
	}
	return ""
}

func attribute(t html.Token, name string) string {
	for _, a := range t.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// imageText is the alternative text of an image, which for emoji is the emoji.
func imageText(t html.Token) string {
	alt := strings.TrimSpace(attribute(t, "alt"))
	if len(alt) > 200 {
		return ""
	}
	return alt
}

// isHidden tells whether an element is not shown, as far as its own attributes
// say.
func isHidden(t html.Token) bool {
	for _, a := range t.Attr {
		if a.Key == "hidden" {
			return true
		}
		if a.Key != "style" {
			continue
		}
		style := strings.ToLower(strings.Join(strings.Fields(a.Val), ""))
		if strings.Contains(style, "display:none") || strings.Contains(style, "visibility:hidden") ||
			strings.Contains(style, "mso-hide:all") || isCollapsed(style+";") {
			return true
		}
	}
	return false
}

// isCollapsed knows how mailings hide the text that inbox lists preview.
func isCollapsed(style string) bool {
	if strings.Contains(style, "overflow:hidden") && (strings.Contains(style, "max-height:0;") || strings.Contains(style, "max-height:0px;")) {
		return true
	}
	return strings.Contains(style, "opacity:0;") && !strings.Contains(style, "-opacity:0;")
}

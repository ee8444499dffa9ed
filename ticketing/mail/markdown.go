package mail

import (
	"bytes"
	"html"
	"regexp"

	"github.com/microcosm-cc/bluemonday"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/renderer"
	markdown "github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/util"
)

const maxMarkdown = 512 << 10 // octets; longer text is shown as it stands

// RenderMarkdown makes HTML of Markdown that is safe to show and to send: no
// scripts, styles, forms or images, links to http, https, mailto and tel only.
// HTML in the source is shown as text; an image becomes its description.
func RenderMarkdown(text string) string {
	text = lineEnds(text)
	var out bytes.Buffer
	if len(text) > maxMarkdown || newMarkdown().Convert([]byte(text), &out) != nil {
		return "<pre>" + html.EscapeString(text) + "</pre>"
	}
	return string(markdownRules.SanitizeBytes(out.Bytes()))
}

// markdownRules are never changed.
var markdownRules = markdownPolicy()

func newMarkdown() goldmark.Markdown {
	return goldmark.New(
		goldmark.WithExtensions(extension.Linkify, extension.Strikethrough, extension.Table),
		goldmark.WithRendererOptions(
			markdown.WithHardWraps(),
			renderer.WithNodeRenderers(util.Prioritized(plainRenderer{}, 1)),
		),
	)
}

// plainRenderer shows as text what is not passed on as HTML.
type plainRenderer struct{}

func (plainRenderer) RegisterFuncs(r renderer.NodeRendererFuncRegisterer) {
	r.Register(ast.KindRawHTML, func(w util.BufWriter, source []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			segments := n.(*ast.RawHTML).Segments
			for i := range segments.Len() {
				segment := segments.At(i)
				_, _ = w.WriteString(html.EscapeString(string(segment.Value(source))))
			}
		}
		return ast.WalkSkipChildren, nil
	})
	r.Register(ast.KindHTMLBlock, func(w util.BufWriter, source []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
		block := n.(*ast.HTMLBlock)
		if entering {
			_, _ = w.WriteString("<p>")
			for i := range block.Lines().Len() {
				line := block.Lines().At(i)
				_, _ = w.WriteString(html.EscapeString(string(line.Value(source))))
			}
			return ast.WalkContinue, nil
		}
		if block.HasClosure() {
			_, _ = w.WriteString(html.EscapeString(string(block.ClosureLine.Value(source))))
		}
		_, _ = w.WriteString("</p>\n")
		return ast.WalkContinue, nil
	})
	r.Register(ast.KindImage, func(util.BufWriter, []byte, ast.Node, bool) (ast.WalkStatus, error) {
		return ast.WalkContinue, nil
	})
}

// markdownPolicy lets through what newMarkdown writes and nothing else.
func markdownPolicy() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowElements("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "code",
		"em", "strong", "del", "ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td")
	p.AllowAttrs("start").Matching(bluemonday.Integer).OnElements("ol")
	p.AllowAttrs("align").Matching(regexp.MustCompile(`^(left|center|right)$`)).OnElements("th", "td")
	p.AllowAttrs("href").OnElements("a")
	p.AllowAttrs("title").OnElements("a")
	p.AllowURLSchemes("http", "https", "mailto", "tel")
	p.RequireParseableURLs(true)
	p.RequireNoFollowOnLinks(true)
	p.RequireNoReferrerOnLinks(true)
	return p
}

package mail

import (
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

const (
	maxOpenElements = 100 // deeper ones are read, but not remembered
	maxHTMLText     = 4 << 20
	maxLinkText     = 2048
)

// htmlToText writes an HTML document as plain text: links keep their address,
// list items their mark, cells are set apart by a tab, quotes get "> ". What a
// browser would not show is left out. It reads tokens, not a tree, so neither
// depth nor damage costs more than its length.
func htmlToText(source string) string {
	text, whole := renderHTML(source, true)
	if !whole || strings.TrimSpace(text) == "" {
		text, _ = renderHTML(source, false)
	}
	return text
}

// renderHTML is htmlToText; honourHidden leaves out elements with display:none
// and their like. whole is false when one of them never ended, so that text
// behind it was lost.
func renderHTML(source string, honourHidden bool) (text string, whole bool) {
	r := &htmlRenderer{honourHidden: honourHidden}
	z := html.NewTokenizer(strings.NewReader(source))
	for r.out.Len() < maxHTMLText {
		switch z.Next() {
		case html.ErrorToken:
			return r.finish(), r.hidden == 0
		case html.TextToken:
			if r.hidden == 0 {
				r.text(string(z.Text()))
			}
		case html.StartTagToken:
			r.start(z.Token(), false)
		case html.SelfClosingTagToken:
			r.start(z.Token(), true)
		case html.EndTagToken:
			r.end(z.Token().DataAtom)
		}
	}
	return r.finish(), true
}

// element is an open element that changes how text is written.
type element struct {
	atom  atom.Atom
	link  string // address of <a>
	mark  int    // length of the output where its text begins
	items int    // of a list, so far
}

type htmlRenderer struct {
	out          strings.Builder
	open         []element
	hidden       atom.Atom // element whose content is being left out
	hiddenDepth  int
	honourHidden bool

	quote     int // open blockquotes
	lastQuote int // quote of the line written last
	pre       int
	newlines  int    // owed before the next text
	space     bool   // owed before the next text
	cell      bool   // a cell ended: a tab is owed
	started   bool   // the current line has text
	prefix    string // list mark, owed before the next text
}

func (r *htmlRenderer) start(t html.Token, closed bool) {
	a := t.DataAtom
	if r.hidden != 0 {
		r.startHidden(a, closed)
	}
	if r.hidden != 0 {
		return
	}
	if !isVoid(a) && !closed && r.leavesOut(t) {
		r.hidden, r.hiddenDepth = a, 1
		return
	}
	r.breakLine(r.gap(a))
	switch a {
	case atom.Br:
		r.newline()
	case atom.Hr:
		r.write("---")
		r.breakLine(1)
	case atom.Img:
		r.text(" " + imageText(t) + " ")
	case atom.Blockquote:
		r.quote++
	case atom.Pre:
		r.pre++
	case atom.Li:
		r.item()
	case atom.A:
		r.close(atom.A)
	case atom.Td, atom.Th:
		r.cell = r.started
	}
	if !isVoid(a) && remembered(a) && len(r.open) < maxOpenElements {
		r.open = append(r.open, element{atom: a, link: linkAddress(t), mark: r.out.Len()})
	}
}

// leavesOut tells whether the content of an element is not shown. Without
// honourHidden only what cannot be text is left out.
func (r *htmlRenderer) leavesOut(t html.Token) bool {
	if !r.honourHidden {
		return skipped(t.DataAtom) && t.DataAtom != atom.Head
	}
	return skipped(t.DataAtom) || isHidden(t)
}

// startHidden handles a start tag in content that is left out. A paragraph or
// a head that was not closed ends where it cannot go on.
func (r *htmlRenderer) startHidden(a atom.Atom, closed bool) {
	switch {
	case r.hidden == atom.Head && a == atom.Body, r.hidden == atom.P && blockGap(a) > 0:
		r.hidden = 0
	case a == r.hidden && !closed && !isVoid(a):
		r.hiddenDepth++
	}
}

func (r *htmlRenderer) end(a atom.Atom) {
	if r.hidden != 0 {
		if a == r.hidden {
			if r.hiddenDepth--; r.hiddenDepth == 0 {
				r.hidden = 0
			}
		}
		return
	}
	switch a {
	case atom.Td, atom.Th:
		r.cell = true
	case atom.Tr:
		r.cell = false
	case atom.Li:
		r.prefix = ""
	}
	if remembered(a) {
		r.close(a)
	}
	r.breakLine(r.gap(a))
}

// gap is blockGap, except that a list in a list needs no blank line.
func (r *htmlRenderer) gap(a atom.Atom) int {
	inList := slices.ContainsFunc(r.open, func(e element) bool { return e.atom == atom.Ul || e.atom == atom.Ol })
	if inList && (a == atom.Ul || a == atom.Ol) {
		return 1
	}
	return blockGap(a)
}

// close ends the innermost open element a and everything inside it. Links end
// alone, as they are often left open.
func (r *htmlRenderer) close(a atom.Atom) {
	for i := len(r.open) - 1; i >= 0; i-- {
		if r.open[i].atom != a {
			continue
		}
		for _, e := range r.open[i:] {
			switch e.atom {
			case atom.Blockquote:
				r.breakLine(2)
				r.quote--
			case atom.Pre:
				r.pre--
			case atom.A:
				r.endLink(e)
			}
		}
		r.open = r.open[:i]
		return
	}
}

// endLink writes the address of a link behind its text unless it says the same.
func (r *htmlRenderer) endLink(e element) {
	text := strings.TrimSpace(r.out.String()[e.mark:])
	if e.link == "" || text == "" || len(e.link) > maxLinkText {
		return
	}
	bare := strings.TrimPrefix(e.link, "mailto:")
	if strings.Contains(text, bare) || strings.Contains(text, strings.TrimRight(stripScheme(bare), "/")) {
		return
	}
	space := r.space
	r.space = true
	r.write("<" + e.link + ">")
	r.space = space
}

// item writes the mark of a list item.
func (r *htmlRenderer) item() {
	depth, list := 0, -1
	for i, e := range r.open {
		if e.atom == atom.Ul || e.atom == atom.Ol {
			depth++
			list = i
		}
	}
	mark := "* "
	if list >= 0 && r.open[list].atom == atom.Ol {
		r.open[list].items++
		mark = strconv.Itoa(r.open[list].items) + ". "
	}
	r.prefix = strings.Repeat("  ", min(max(depth-1, 0), 10)) + mark
}

// text writes the text between two tags.
func (r *htmlRenderer) text(s string) {
	if r.pre > 0 {
		r.preformatted(s)
		return
	}
	for s != "" {
		rest := strings.TrimLeftFunc(s, isLayoutSpace)
		if len(rest) < len(s) {
			r.space = true
		}
		end := strings.IndexFunc(rest, isLayoutSpace)
		if end < 0 {
			end = len(rest)
		}
		r.write(rest[:end])
		s = rest[end:]
	}
}

// isLayoutSpace tells whether a browser collapses c or shows nothing for it.
func isLayoutSpace(c rune) bool { return c == ' ' || unicode.IsControl(c) }

func (r *htmlRenderer) preformatted(s string) {
	for line := range strings.Lines(s) {
		content, ended := strings.CutSuffix(line, "\n")
		if content != "" {
			r.write(strings.TrimRight(content, "\r"))
		}
		if ended {
			r.newline()
		}
	}
}

// write writes one word after whatever is owed before it.
func (r *htmlRenderer) write(word string) {
	word = invisible.Replace(word)
	if strings.TrimSpace(word) == "" {
		r.space = r.space || word != ""
		return
	}
	if r.newlines > 0 && r.out.Len() > 0 {
		for range r.newlines - 1 {
			r.out.WriteString("\n" + strings.TrimRight(quoteMarks(min(r.quote, r.lastQuote)), " "))
		}
		r.out.WriteByte('\n')
		r.started = false
	}
	r.newlines = 0
	if !r.started {
		r.out.WriteString(quoteMarks(r.quote) + r.prefix)
		r.prefix, r.lastQuote = "", r.quote
	} else if r.cell {
		r.out.WriteByte('\t')
	} else if r.space {
		r.out.WriteByte(' ')
	}
	r.started, r.space, r.cell = true, false, false
	r.out.WriteString(word)
}

// quoteMarks stand before a line in n quotes.
func quoteMarks(n int) string { return strings.Repeat("> ", min(n, 20)) }

// invisible drops characters that clients put into preview texts and soft
// hyphens, and makes plain spaces of those that do not break.
var invisible = strings.NewReplacer("\u00ad", "", "\u034f", "", "\u200b", "", "\ufeff", "", "\u00a0", " ")

// breakLine makes sure that the next text begins after n line ends.
func (r *htmlRenderer) breakLine(n int) {
	if n == 0 {
		return
	}
	if r.started || r.newlines > 0 {
		r.newlines = max(r.newlines, n)
	}
	r.space = false
	r.cell = false
}

// newline is <br>: each counts, up to one empty line.
func (r *htmlRenderer) newline() {
	if r.started {
		r.newlines = min(r.newlines+1, 3)
	}
	r.space = false
}

// finish returns the text without white space at line ends.
func (r *htmlRenderer) finish() string {
	text := r.out.String()
	var out strings.Builder
	out.Grow(len(text))
	for line := range strings.Lines(text) {
		content, ended := strings.CutSuffix(line, "\n")
		out.WriteString(strings.TrimRight(content, " \t"))
		if ended {
			out.WriteByte('\n')
		}
	}
	return strings.Trim(out.String(), "\n")
}

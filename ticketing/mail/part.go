package mail

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"sync"
)

// parsed is a mail whose structure is known: the tree of its parts.
type parsed struct {
	root     *part
	header   header
	raw      io.ReaderAt
	size     int64
	warnings []string
}

// part is a node of the MIME tree. Its body stays in the raw mail.
type part struct {
	path        string // "1.2"; "" for a multipart that is the whole mail
	header      header
	mediaType   string // lower case, never empty
	params      map[string]string
	disposition string // lower case, "" when absent
	filename    string // as the mail gives it, decoded; "" when it gives none
	contentID   string // without angle brackets
	encoding    string // "", base64, quoted-printable or x-uuencode
	offset      int64  // of the encoded body in the raw mail
	length      int64
	children    []*part

	raw     io.ReaderAt
	maxText int64 // decoded octets that text looks at
	maybeUU bool  // a line of the raw body may begin a uuencoded file
	uuFiles []uuFile
	decoded *string // what text returned
}

// open returns the decoded octets of the body.
func (p *part) open() io.Reader {
	return decode(io.NewSectionReader(p.raw, p.offset, p.length), p.encoding)
}

// read appends the decoded octets of the body to out, at most maxText.
func (p *part) read(out *bytes.Buffer) {
	out.Grow(int(min(p.length, p.maxText)) + bytes.MinRead) // decoding makes nothing longer
	_, _ = out.ReadFrom(io.LimitReader(p.open(), p.maxText))
}

// keptText is the largest buffer that is kept for the next text: as much as is
// looked at by default.
const keptText = 1<<20 + 2*bytes.MinRead

var textBuffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// text returns the decoded body as UTF-8 with LF line ends and without NUL,
// at most as long as Options.MaxTextBytes allows.
func (p *part) text() string {
	if p.decoded == nil {
		text := p.readText()
		p.decoded = &text
	}
	return *p.decoded
}

func (p *part) readText() string {
	buf := textBuffers.Get().(*bytes.Buffer)
	defer func() {
		if buf.Cap() <= keptText {
			buf.Reset()
			textBuffers.Put(buf)
		}
	}()
	p.read(buf)
	data := withoutFiles(buf.Bytes(), p.uuFiles)
	text := bodyText(data, p.params["charset"], p.mediaType == "text/html")
	if isEnriched(p.mediaType) {
		return enrichedText(text)
	}
	if p.mediaType == "text/plain" && strings.EqualFold(p.params["format"], "flowed") {
		text = unflow(text, strings.EqualFold(p.params["delsp"], "yes"))
	}
	return text
}

// embedded reads a message/rfc822 part, nil for other parts.
func (p *part) embedded() *parsed {
	if p.mediaType != "message/rfc822" && p.mediaType != "message/global" {
		return nil
	}
	if p.encoding == "" {
		section := io.NewSectionReader(p.raw, p.offset, p.length)
		return walk(section, p.length, Options{MaxTextBytes: p.maxText})
	}
	data, _ := io.ReadAll(io.LimitReader(p.open(), p.maxText))
	return walk(bytes.NewReader(data), int64(len(data)), Options{MaxTextBytes: p.maxText})
}

// isMultipart tells whether the part has parts of its own.
func (p *part) isMultipart() bool { return len(p.children) > 0 }

// delimiter is what ended a body: the boundary of the open multipart at level,
// or the end of the mail at level -1.
type delimiter struct {
	level int
	last  bool  // the closing form, --boundary--
	end   int64 // where the body before it ends
}

// walker builds the tree in one pass over the lines.
type walker struct {
	lines      *lineReader
	raw        io.ReaderAt
	size       int64
	opts       Options
	boundaries []string // of the open multiparts, outermost first
	parts      int
	uu         bool // the latest body has a line that may begin a uuencoded file
	warnings   []string
}

// walk reads the structure of a mail. Its cost is linear in size.
func walk(raw io.ReaderAt, size int64, o Options) *parsed {
	o = o.withDefaults()
	w := &walker{lines: newLineReader(raw, size), raw: raw, size: size, opts: o}
	defer w.lines.release()
	w.skipLeading()
	root := &part{path: "1", raw: raw, maxText: o.MaxTextBytes}
	w.part(root, "text/plain")
	root.header.dropForged(o.Hostname)
	charset := declaredCharset(root)
	if findCharset(charset) == nil && cleanCharset(charset) != utf7 {
		charset = root.header.detectCharset()
	}
	eachPart(root, func(p *part) { p.header.charset = charset })
	eachPart(root, (*part).name)
	return &parsed{root: root, header: root.header, raw: raw, size: size, warnings: w.warnings}
}

// eachPart calls f for p and every part below it, in order.
func eachPart(p *part, f func(*part)) {
	f(p)
	for _, c := range p.children {
		eachPart(c, f)
	}
}

// declaredCharset is the first charset that a text part declares.
func declaredCharset(root *part) string {
	charset := ""
	eachPart(root, func(p *part) {
		if charset == "" && strings.HasPrefix(p.mediaType, "text/") {
			charset = p.params["charset"]
		}
	})
	return charset
}

func (w *walker) warn(text string) {
	if len(w.warnings) < maxWarnings {
		w.warnings = append(w.warnings, text)
	}
}

// skipLeading drops what may stand before the header: a byte order mark, blank
// lines, the `From ` line of a mailbox file.
func (w *walker) skipLeading() {
	if bytes.HasPrefix(w.lines.ahead(), []byte("\xef\xbb\xbf")) {
		w.lines.skip(3)
	}
	for {
		ln, ok := w.lines.next()
		if !ok {
			return
		}
		if len(bytes.TrimSpace(ln.text)) > 0 && !(isEnvelope(ln.text) && ln.first) {
			w.lines.unread(ln)
			return
		}
	}
}

// isEnvelope tells whether a line is what mailboxes have above each mail, and no
// From field with space before its colon.
func isEnvelope(line []byte) bool {
	rest, ok := bytes.CutPrefix(bytes.TrimPrefix(line, []byte(">")), []byte("From "))
	return ok && !bytes.HasPrefix(bytes.TrimLeft(rest, " \t"), []byte(":"))
}

// part reads the header and body of p, whose type is fallback unless it says
// otherwise, and returns what ended it.
func (w *walker) part(p *part, fallback string) delimiter {
	w.parts++
	d, ended := w.readHeader(p)
	p.offset = w.lines.pos()
	p.describe(fallback)
	if ended {
		p.offset = min(p.offset, d.end)
		return d
	}
	if !strings.HasPrefix(p.mediaType, "multipart/") {
		return w.leaf(p)
	}
	if len(w.boundaries) >= w.opts.MaxDepth {
		w.warn("parts are nested too deeply; the inner ones are kept as one attachment")
		p.mediaType = "application/octet-stream"
		return w.leaf(p)
	}
	return w.multipart(p)
}

// readHeader reads the header block of p. ended is true when a boundary or the
// end of the mail came before the body.
func (w *walker) readHeader(p *part) (d delimiter, ended bool) {
	var fields headerReader
	defer func() {
		fields.flush()
		p.header.fields = fields.fields
		if fields.cut {
			w.warn("header is too long; its end was left out")
		}
	}()
	for {
		ln, ok := w.lines.next()
		if !ok {
			return delimiter{level: -1, end: w.size}, true
		}
		if ln.first && len(bytes.TrimSpace(ln.text)) == 0 {
			return delimiter{}, false
		}
		if d, ok := w.delimiter(ln, ln.start); ok {
			return d, true
		}
		if fields.add(ln) {
			continue
		}
		ln.text = bytes.Clone(ln.text)
		if !fieldsFollow(w.lines.ahead()) {
			w.warn("no blank line between header and body")
			w.lines.unread(ln)
			return delimiter{}, false
		}
		w.warn("malformed header line")
		fields.extend(ln)
	}
}

// leaf finds the end of a body that has no parts.
func (w *walker) leaf(p *part) delimiter {
	d := w.skipBody(p.offset)
	p.length, p.maybeUU = max(d.end-p.offset, 0), w.uu
	return d
}

// multipart reads the parts of p. After the closing boundary it goes on, as
// some mails have more parts there. Without a single part p is text.
func (w *walker) multipart(p *part) delimiter {
	boundary := strings.TrimRight(p.params["boundary"], " \t")
	if boundary == "" {
		boundary = guessBoundary(w.lines.ahead())
		w.warn("multipart without boundary")
	}
	fallback := "text/plain"
	if p.mediaType == "multipart/digest" {
		fallback = "message/rfc822"
	}
	level := len(w.boundaries)
	w.boundaries = append(w.boundaries, boundary)
	d := w.skipBody(p.offset)
	for d.level == level {
		if d.last {
			d = w.skipBody(d.end)
			continue
		}
		d = w.child(p, fallback)
	}
	w.boundaries = w.boundaries[:level]
	p.length = max(d.end-p.offset, 0)
	if len(p.children) == 0 {
		w.warn("multipart without parts is read as text")
		p.mediaType, p.maybeUU = "text/plain", true
	} else if p.path == "1" && level == 0 {
		p.path = ""
	}
	return d
}

// child reads the next part of p, or all the rest when there are too many.
func (w *walker) child(p *part, fallback string) delimiter {
	prefix := p.path + "."
	if len(w.boundaries) == 1 {
		prefix = ""
	}
	c := &part{path: prefix + strconv.Itoa(len(p.children)+1), raw: w.raw, maxText: w.opts.MaxTextBytes}
	p.children = append(p.children, c)
	if w.parts < w.opts.MaxParts {
		return w.part(c, fallback)
	}
	w.warn("too many parts; the rest is kept as one attachment")
	w.parts++
	c.mediaType = "application/octet-stream"
	c.offset, c.length = w.lines.pos(), w.size-w.lines.pos()
	return delimiter{level: -1, end: w.size}
}

// delimiterStart is in every line that is a boundary.
var delimiterStart = []byte("--")

// skipBody reads up to the next delimiter of any open multipart; end is where
// the body begins, and ends when it is empty.
func (w *walker) skipBody(end int64) delimiter {
	w.uu = false
	for {
		if passed, ok := w.lines.skipPlain(delimiterStart, uuStart); ok {
			end = passed
		}
		ln, ok := w.lines.next()
		if !ok {
			return delimiter{level: -1, end: w.size}
		}
		if d, ok := w.delimiter(ln, end); ok {
			return d
		}
		w.uu = w.uu || bytes.HasPrefix(ln.text, uuStart)
		end = ln.end
	}
}

// delimiter tells whether a line is the boundary of an open multipart.
//
// https://www.rfc-editor.org/rfc/rfc2046#section-5.1.1
func (w *walker) delimiter(ln line, end int64) (delimiter, bool) {
	if !ln.first || !bytes.HasPrefix(ln.text, delimiterStart) {
		return w.gluedDelimiter(ln)
	}
	rest := bytes.TrimRight(ln.text[2:], " \t\r")
	for level := len(w.boundaries) - 1; level >= 0; level-- {
		after, ok := bytes.CutPrefix(rest, []byte(w.boundaries[level]))
		if ok && (len(after) == 0 || string(after) == "--") {
			return delimiter{level: level, last: len(after) > 0, end: end}, true
		}
	}
	return delimiter{}, false
}

// gluedDelimiter finds a closing boundary whose line end before it is missing.
func (w *walker) gluedDelimiter(ln line) (delimiter, bool) {
	if !bytes.HasSuffix(ln.text, []byte("--")) || len(w.boundaries) == 0 {
		return delimiter{}, false
	}
	level := len(w.boundaries) - 1
	closing := "--" + w.boundaries[level] + "--"
	if !bytes.HasSuffix(ln.text, []byte(closing)) {
		return delimiter{}, false
	}
	return delimiter{level: level, last: true, end: ln.end - int64(len(closing))}, true
}

// guessBoundary takes the first line that looks like one.
func guessBoundary(ahead []byte) string {
	for raw := range bytes.Lines(ahead) {
		text := bytes.TrimRight(raw, " \t\r\n")
		if len(text) > 4 && bytes.HasPrefix(text, []byte("--")) && !bytes.ContainsAny(text, " \t") {
			return string(text[2:])
		}
	}
	return "\x00"
}

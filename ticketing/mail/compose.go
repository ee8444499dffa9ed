package mail

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"mime"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-message"

	"github.com/mxdesk/mxdesk/ticketing"
)

// Outgoing is a mail to be composed. Values of header fields must not hold CR,
// LF or NUL.
type Outgoing struct {
	From, To   ticketing.Person // required
	ReplyTo    ticketing.Person // left out without an address
	Subject    string
	MessageID  string // required, without angle brackets, as all ids here
	InReplyTo  string
	References []string // oldest first; unusable ids are left out
	Date       time.Time

	Text string // Markdown source, which is the plain text
	HTML string // optional, already rendered and safe

	// AutoSubmitted is "auto-replied" or "auto-generated" for mail that no
	// person wrote (RFC 3834); such mail also asks for no automatic answers.
	AutoSubmitted string
	// ListUnsubscribe is the value of that field, `<https://…>, <mailto:…>`;
	// with an https link it is marked as one-click (RFC 8058).
	ListUnsubscribe string
	Extra           []Field // further fields; none that Compose writes itself
	Attachments     []File
}

// Field is one further header field.
type Field struct{ Name, Value string }

// File is an attachment of an outgoing mail. An unusable Type becomes
// application/octet-stream.
type File struct {
	Name, Type string
	Data       []byte
}

const maxReferences = 50 // written; the first one and the last ones are kept

// Compose writes a mail with CRLF line ends in 7-bit octets, except for the
// local parts of addresses that are not ASCII (RFC 6531). The same Outgoing
// gives the same bytes. Errors tell what in o cannot be written.
func Compose(o Outgoing) ([]byte, error) {
	fields, err := o.fields()
	if err != nil {
		return nil, err
	}
	c := composer{seed: o.MessageID + "\x00" + o.Text + "\x00" + o.HTML}
	root := c.content(o)
	header, err := root.header(fields)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w, err := message.CreateWriter(&out, header)
	if err != nil {
		return nil, fmt.Errorf("compose: %w", err)
	}
	if err := root.write(w); err != nil {
		return nil, fmt.Errorf("compose: %w", err)
	}
	if !bytes.HasSuffix(out.Bytes(), []byte("\r\n")) {
		out.WriteString("\r\n")
	}
	return out.Bytes(), nil
}

// fields writes the header of the mail up to MIME-Version.
func (o Outgoing) fields() ([][]byte, error) {
	if o.Date.IsZero() {
		return nil, errors.New("outgoing mail has no date")
	}
	if !validID(o.MessageID) {
		return nil, fmt.Errorf("unusable message id %q", o.MessageID)
	}
	var h headerWriter
	h.person("From", o.From)
	h.person("To", o.To)
	if o.ReplyTo.Address != "" {
		h.person("Reply-To", o.ReplyTo)
	}
	h.text("Subject", o.Subject)
	h.words("Date", strings.Fields(o.Date.Format(time.RFC1123Z)))
	h.ids("Message-ID", o.MessageID)
	h.ids("In-Reply-To", o.InReplyTo)
	h.ids("References", lastReferences(o.References)...)
	if o.AutoSubmitted != "" {
		h.text("Auto-Submitted", o.AutoSubmitted)
		h.text("X-Auto-Response-Suppress", "All")
	}
	if o.ListUnsubscribe != "" {
		h.text("List-Unsubscribe", o.ListUnsubscribe)
		if strings.Contains(o.ListUnsubscribe, "<https://") {
			h.text("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
		}
	}
	for _, f := range o.Extra {
		h.extra(f)
	}
	h.text("MIME-Version", "1.0")
	return h.fields, h.err
}

// lastReferences drops unusable ids and, of a long list, those in the middle.
func lastReferences(ids []string) []string {
	var usable []string
	for _, id := range ids {
		if validID(id) {
			usable = append(usable, id)
		}
	}
	if len(usable) > maxReferences {
		usable = append(usable[:1:1], usable[len(usable)-maxReferences+1:]...)
	}
	return usable
}

// composer makes the MIME tree of a mail.
type composer struct {
	seed       string // boundaries are derived from it
	boundaries int
}

// entity is a node of the tree that is written.
type entity struct {
	mediaType string
	params    map[string]string
	encoding  string
	name      string // of an attachment
	body      []byte
	children  []*entity
}

func (c *composer) content(o Outgoing) *entity {
	root := textEntity("text/plain", o.Text)
	if o.HTML != "" {
		root = c.multipart("alternative", root, textEntity("text/html", o.HTML))
	}
	if len(o.Attachments) == 0 {
		return root
	}
	children := []*entity{root}
	for _, f := range o.Attachments {
		children = append(children, fileEntity(f))
	}
	return c.multipart("mixed", children...)
}

// multipart gives each node a boundary of its own. `=_` occurs in no encoded
// body, and no text holds its own hash.
func (c *composer) multipart(kind string, children ...*entity) *entity {
	c.boundaries++
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s", c.boundaries, c.seed))
	return &entity{
		mediaType: "multipart/" + kind,
		params:    map[string]string{"boundary": "=_" + hex.EncodeToString(sum[:16])},
		children:  children,
	}
}

func textEntity(mediaType, text string) *entity {
	text = lineEnds(strings.ToValidUTF8(text, "\ufffd"))
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return &entity{
		mediaType: mediaType,
		params:    map[string]string{"charset": "utf-8"},
		encoding:  textEncoding(text),
		body:      []byte(strings.ReplaceAll(text, "\n", "\r\n")),
	}
}

// textEncoding chooses the form that stays readable longest.
func textEncoding(text string) string {
	high := 0
	for i := range len(text) {
		if text[i] >= 0x80 {
			high++
		}
	}
	switch {
	case high > len(text)/3:
		return encodingBase64
	case high > 0 || !isSevenBit([]byte(text), 76):
		return encodingQuoted
	}
	return "7bit"
}

// isSevenBit tells whether data is ASCII text with lines up to limit octets
// that nothing on the way would change.
func isSevenBit(data []byte, limit int) bool {
	for line := range bytes.Lines(data) {
		text := bytes.TrimRight(line, "\r\n")
		if len(text) > limit || bytes.HasPrefix(text, []byte("From ")) || bytes.HasSuffix(text, []byte(" ")) {
			return false
		}
		for _, c := range text {
			if c >= 0x7f || c < ' ' && c != '\t' {
				return false
			}
		}
	}
	return true
}

// fileEntity makes an attachment. Messages may not be encoded (RFC 2046
// section 5.2.1): one that would have to be travels as plain octets.
func fileEntity(f File) *entity {
	e := &entity{encoding: encodingBase64, body: f.Data, name: safeName(f.Name)}
	if e.name == "" {
		e.name = "file"
	}
	mediaType, params, err := mime.ParseMediaType(f.Type)
	switch {
	case err != nil || !isToken(strings.Replace(mediaType, "/", "", 1)) || strings.HasPrefix(mediaType, "multipart/"):
		mediaType, params = "application/octet-stream", nil
	case strings.HasPrefix(mediaType, "message/") && isSevenBit(f.Data, 998):
		e.encoding = "7bit"
		e.body = []byte(strings.ReplaceAll(lineEnds(string(f.Data)), "\n", "\r\n"))
	case strings.HasPrefix(mediaType, "message/"):
		mediaType, params = "application/octet-stream", nil
	}
	e.mediaType = mediaType
	if charset := params["charset"]; isToken(charset) && strings.HasPrefix(mediaType, "text/") {
		e.params = map[string]string{"charset": charset}
	}
	return e
}

// header returns the fields given and those that describe e.
func (e *entity) header(fields [][]byte) (message.Header, error) {
	h := headerWriter{fields: fields}
	h.typed("Content-Type", e.mediaType, e.params)
	if e.encoding != "" {
		h.text("Content-Transfer-Encoding", e.encoding)
	}
	if e.name != "" {
		h.typed("Content-Disposition", "attachment", map[string]string{"filename": e.name})
	}
	var header message.Header
	for _, raw := range slices.Backward(h.fields) {
		header.AddRaw(raw)
	}
	return header, h.err
}

// write writes the body of e, whose header w has.
func (e *entity) write(w *message.Writer) error {
	for _, child := range e.children {
		header, err := child.header(nil)
		if err != nil {
			return err
		}
		part, err := w.CreatePart(header)
		if err != nil {
			return err
		}
		if err := child.write(part); err != nil {
			return err
		}
	}
	if len(e.children) == 0 {
		if _, err := w.Write(e.body); err != nil {
			return err
		}
	}
	return w.Close()
}

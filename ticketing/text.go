package ticketing

import (
	"context"
	"io"
	"strings"
)

const (
	maxKeptText  = 1 << 10   // octets of text that a comment keeps although the raw mail has them
	maxReadAgain = 256 << 10 // octets of a mail that is read again for its text
)

// TextReader reads a raw mail of size octets. Only Text and Reply of what it
// returns are looked at.
type TextReader func(raw io.ReaderAt, size int64) *Message

// setText makes what a mail says the text of its comment. The opening mail is
// shown whole: what looks like a quotation may be what it is about.
func (c *Comment) setText(m *Message, opening bool) {
	if opening {
		c.Body, c.Quoted = strings.TrimRight(m.Text, " \t\n"), ""
	} else {
		c.Body, c.Quoted = m.Reply()
	}
}

// leaveText leaves the text of one of n comments to the raw mail, where reading
// it again is cheap and gives all of what would be kept.
func (c *Comment) leaveText(n int) {
	if whole := len(c.Body) <= maxBody/n && len(c.Quoted) <= maxAside/n; whole && c.RawSize <= maxReadAgain && len(c.Body)+len(c.Quoted) > maxKeptText {
		c.Body, c.Quoted, c.InRaw = "", "", true
	}
}

// fillText gives a comment the text that was left to the raw mail.
func (d *Desk) fillText(ctx context.Context, c *Comment) error {
	if !c.InRaw {
		return nil
	}
	if d.text == nil {
		return errorf(KindInternal, "no-text-reader", "the text of a comment is in its raw mail, which this program does not read")
	}
	blob, err := d.OpenRaw(ctx, *c.Raw)
	if err != nil {
		return err
	}
	defer blob.Close()
	c.setText(d.text(blob, blob.Size()), c.ID == 1)
	c.clipText(1)
	return nil
}

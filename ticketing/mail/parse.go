// Package mail turns raw mail into ticketing.Message and composes the mails
// that leave. Reading accepts anything: what is broken is mended, guessed or
// left out with a warning, in time linear in the size of the mail.
package mail

import (
	"fmt"
	"io"
	"strings"

	"github.com/mxdesk/mxdesk/ticketing"
)

const maxWarnings = 20

// Options bound the reading of a mail.
type Options struct {
	Own      Own    // our own hosts and addresses, to know our own mail
	Hostname string // under which we write Authentication-Results; see [Forged]

	MaxParts     int   // MIME parts, default 1000; the rest becomes one attachment
	MaxDepth     int   // nested multiparts, default 50; deeper ones become attachments
	MaxTextBytes int64 // decoded octets of text that are looked at, default 1 MiB
}

func (o Options) withDefaults() Options {
	if o.MaxParts <= 0 {
		o.MaxParts = 1000
	}
	if o.MaxDepth <= 0 {
		o.MaxDepth = 50
	}
	if o.MaxTextBytes <= 0 {
		o.MaxTextBytes = 1 << 20
	}
	return o
}

// Parse reads a raw mail of size octets. It never fails; what could not be
// read is named in Message.Warnings.
func Parse(r io.ReaderAt, size int64, o Options) (msg *ticketing.Message) {
	msg = &ticketing.Message{}
	defer stopped(msg)
	o = o.withDefaults()
	p := walk(r, size, o)
	msg.Warnings = p.warnings
	readFields(p.header, msg)
	b := selectBody(p.root)
	if kind := sealed(p.root); kind != "" {
		msg.Warnings = append(msg.Warnings, kind+": its text cannot be read")
	}
	if len(b.text) == 0 && len(b.html) == 0 && len(b.files) == 0 {
		msg.Warnings = append(msg.Warnings, "no content")
	}
	b.readText(msg, o.MaxTextBytes)
	msg.Attachments = uuAttachments(p, b.text)
	msg.Attachments = append(msg.Attachments, attachments(p, b.files, b.refs())...)
	msg.Forwarded = findForward(msg.Subject, msg.Text, p.root)
	msg.Deliveries = deliveries(p, msg.Text)
	msg.SuppressReply = suppressReply(p.header)
	msg.Machine = classify(p, msg, o.Own)
	return msg
}

// Text reads of a mail only what it says: Text, and the Reply in it, as Parse
// has them.
func Text(r io.ReaderAt, size int64, o Options) (msg *ticketing.Message) {
	msg = &ticketing.Message{}
	defer stopped(msg)
	o = o.withDefaults()
	selectBody(walk(r, size, o).root).readText(msg, o.MaxTextBytes)
	return msg
}

// stopped makes a warning of a panic. To be deferred.
func stopped(msg *ticketing.Message) {
	if v := recover(); v != nil {
		msg.Warnings = append(msg.Warnings, fmt.Sprintf("reading stopped: %v", v))
	}
}

// sealed tells how a mail is encrypted, or signed in a way that hides its text;
// "" when it is not.
//
// https://www.rfc-editor.org/rfc/rfc8551#section-3.2
func sealed(root *part) string {
	switch root.mediaType {
	case "application/pkcs7-mime", "application/x-pkcs7-mime":
		if strings.HasPrefix(root.params["smime-type"], "signed") {
			return "signed with S/MIME"
		}
		return "encrypted with S/MIME"
	case "multipart/encrypted":
		return "encrypted with OpenPGP"
	}
	return ""
}

// HTMLBody returns the HTML of the mail as UTF-8, not made safe in any way:
// all its HTML parts one after the other, "" when it has none.
func HTMLBody(r io.ReaderAt, size int64, o Options) (source string) {
	defer func() {
		if recover() != nil {
			source = ""
		}
	}()
	o = o.withDefaults()
	var out strings.Builder
	for _, p := range selectBody(walk(r, size, o).root).html {
		if p.mediaType == "text/html" && int64(out.Len()) < o.MaxTextBytes {
			out.WriteString(p.text())
		}
	}
	return out.String()
}

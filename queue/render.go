package queue

import (
	"context"
	"net/url"

	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/mail"
)

// Signer signs a composed mail for the domain of its From field and returns it
// with its signatures. The domain is in A-labels.
type Signer interface {
	Sign(ctx context.Context, domain string, raw []byte) ([]byte, error)
}

// composer is the Renderer of the domain's copies.
type composer struct{ signer Signer }

// NewRenderer returns a Renderer that composes copies from their Markdown text
// and signs them. signer may be nil.
func NewRenderer(signer Signer) Renderer { return composer{signer} }

// Render implements Renderer. What cannot be composed is an error of KindInvalid.
func (c composer) Render(ctx context.Context, o ticketing.Outgoing) ([]byte, error) {
	from, err := parseMailbox(o.From.Address)
	if err != nil || o.From.Address == "" {
		return nil, invalid("the sender's address cannot be used", err)
	}
	raw, err := mail.Compose(mail.Outgoing{
		From: o.From, To: o.Recipient, ReplyTo: o.ReplyTo,
		Subject: o.Subject, Date: o.CreatedAt,
		MessageID: o.MessageID, InReplyTo: o.InReplyTo, References: o.References,
		Text: o.Text, HTML: page(o),
		AutoSubmitted:   autoSubmitted(o.Kind),
		ListUnsubscribe: mailto(o.Unsubscribe),
	})
	if err != nil {
		return nil, invalid("the mail cannot be composed", err)
	}
	if c.signer == nil {
		return raw, nil
	}
	return c.signer.Sign(ctx, from.domain, raw)
}

// page is the HTML form of a copy's Markdown. A participant's words are passed
// on as they are: nobody meant them as Markdown, and what they would become is
// not ours to say.
func page(o ticketing.Outgoing) string {
	if o.Kind == ticketing.OutgoingRelay {
		return ""
	}
	return mail.RenderMarkdown(o.Text)
}

// autoSubmitted is the value of that field for mail that no person wrote, ""
// for the rest.
//
// https://www.rfc-editor.org/rfc/rfc3834#section-5
func autoSubmitted(k ticketing.OutgoingKind) string {
	switch {
	case k == ticketing.OutgoingThankYou:
		return "auto-replied"
	case k.Automatic():
		return "auto-generated"
	}
	return ""
}

// mailto is the value of List-Unsubscribe for an address, "" for none.
//
// https://www.rfc-editor.org/rfc/rfc2369#section-3.2
func mailto(address string) string {
	m, err := parseMailbox(address)
	if err != nil || address == "" {
		return ""
	}
	return "<mailto:" + url.PathEscape(m.local) + "@" + m.domain + ">"
}

func invalid(message string, cause error) error {
	return &ticketing.Error{Kind: ticketing.KindInvalid, Reason: "cannot-compose", Message: message, Cause: cause}
}

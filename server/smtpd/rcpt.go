package smtpd

import (
	"context"
	"slices"

	"github.com/emersion/go-smtp"

	"github.com/mxdesk/mxdesk/ticketing"
)

// Rcpt adds a recipient to the transaction.
func (t *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	txn := t.current()
	if txn == nil {
		return t.refuse(nil, "rcpt", "", replyNoTransaction)
	}
	if len(txn.asked) >= t.o.MaxRecipients && t.o.MaxRecipients >= 0 {
		return t.overflow(txn)
	}
	address, fault := cleanAddress(to, txn.envelope.UTF8)
	if fault != addressFine {
		return t.refuseRecipient(txn, "", *faultReply(fault, &replyBadRecipient), false)
	}
	n := slices.IndexFunc(txn.envelope.Recipients, func(r ticketing.Recipient) bool { return r.Address == address })
	if n < 0 {
		var route ticketing.Route
		err := t.askDesk(func(ctx context.Context) (err error) {
			route, err = t.srv.desk.Route(ctx, address)
			return err
		})
		if err != nil {
			txn.log.Debug("recipient refused", "rcpt", ticketing.MaskTokens(address), "error", err)
			return t.refuseRecipient(txn, address, replyOf(err), ticketing.KindOf(err) == ticketing.KindNotFound)
		}
		n = len(txn.envelope.Recipients)
		txn.envelope.Recipients = append(txn.envelope.Recipients, ticketing.Recipient{Address: address, Route: route})
	}
	txn.asked = append(txn.asked, recipient{key: to, n: n})
	t.guard.count(func(c *counts) { c.junk, c.recipients = 0, c.recipients+1 })
	t.o.Metrics.Reply(250)
	return nil
}

// refuseRecipient answers a refused RCPT, slower and slower.
func (t *session) refuseRecipient(txn *transaction, address string, r reply, unknown bool) error {
	txn.refused++
	delay, last := t.guard.mistake(unknown)
	t.guard.pause(delay)
	if last != nil {
		return t.hangUp(txn, "rcpt", address, *last)
	}
	return t.refuse(txn, "rcpt", address, r)
}

// overflow answers RCPT beyond the limit. A client that pipelines cannot know
// better, so as many again are answered before it counts as abuse.
//
// https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.10
func (t *session) overflow(txn *transaction) error {
	txn.refused++
	if !t.guard.trusted && txn.refused > t.o.MaxRecipients+t.o.HardErrors {
		return t.hangUp(txn, "rcpt", "", replyTooManyErrors)
	}
	t.guard.count(func(c *counts) { c.junk = 0 })
	return t.refuse(txn, "rcpt", "", replyTooManyRecipients)
}

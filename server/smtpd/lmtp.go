package smtpd

import (
	"io"

	"github.com/emersion/go-smtp"
)

// LMTPData receives a message and answers for each recipient. SetStatus is
// called once for every RCPT accepted, with the address as go-smtp knows it
// (trap S22).
//
// https://www.rfc-editor.org/rfc/rfc2033#section-4.2
func (t *session) LMTPData(r io.Reader, status smtp.StatusCollector) error {
	r, skip := t.text(r)
	defer skip()
	txn, message, failed := t.receive(r)
	if failed != nil {
		return failed // go-smtp says it to every recipient
	}
	outcomes := t.deliver(txn, message)
	_ = t.conclude(txn, outcomes, message.size)
	for _, rcpt := range txn.asked {
		o := outcomes[rcpt.n]
		if o.Err == nil {
			status.SetStatus(rcpt.key, accepted(txn.envelope.ID))
			continue
		}
		status.SetStatus(rcpt.key, replyOf(o.Err).err(txn.envelope.ID))
	}
	return nil
}

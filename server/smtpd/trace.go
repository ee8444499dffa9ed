package smtpd

import (
	"time"

	"github.com/emersion/go-smtp"

	"github.com/mxdesk/mxdesk/metrics"
	"github.com/mxdesk/mxdesk/ticketing"
)

// refuse notes a refusal in the journal and the metrics and returns it for
// go-smtp. txn is nil outside a transaction; rcpt is "" when not one recipient
// is refused.
func (t *session) refuse(txn *transaction, stage, rcpt string, r reply) *smtp.SMTPError {
	e := t.guard.envelope()
	e.ID = t.guard.id
	e.Protocol = t.protocol(false)
	if txn != nil {
		e = txn.envelope
	}
	t.srv.refused(ticketing.Refusal{Envelope: e, Recipient: rcpt, Stage: stage}, r)
	t.o.Metrics.Reply(r.code)
	return r.err(e.ID)
}

// hangUp refuses, ends the transaction and the connection.
func (t *session) hangUp(txn *transaction, stage, rcpt string, r reply) error {
	err := t.refuse(txn, stage, rcpt, r)
	t.finish(txn, decisionOf(r), r, 0)
	t.guard.end(r, txn.envelope.ID)
	return err
}

// refused passes a refusal on to the desk's journal.
func (s *Server) refused(f ticketing.Refusal, r reply) {
	f.Code, f.Enhanced, f.Reason = r.code, r.status(), r.reason
	s.o.Metrics.Rejected(f.Stage, r.reason)
	s.desk.Refused(f)
}

// abandon notes that the client ended a transaction without a message. Where a
// recipient was accepted the journal hears of it too: somebody may ask for that
// mail.
func (t *session) abandon(txn *transaction) {
	t.mu.Lock()
	ended := txn.ended
	t.mu.Unlock()
	switch {
	case ended:
	case len(txn.asked) == 0 && txn.refused > 0:
		t.finish(txn, metrics.TransactionRejected, reply{reason: "no-recipient"}, 0)
	default:
		if len(txn.asked) > 0 {
			t.srv.refused(ticketing.Refusal{Envelope: txn.envelope, Stage: "data"}, noReply)
		}
		t.finish(txn, metrics.TransactionAborted, noReply, 0)
	}
}

// finish counts and logs the end of a transaction, once. size is 0 when no
// message came in whole.
func (t *session) finish(txn *transaction, d metrics.SMTPDecision, r reply, size int64) {
	t.mu.Lock()
	ended := txn.ended
	txn.ended = true
	t.mu.Unlock()
	if ended {
		return
	}
	t.o.Metrics.Transaction(t.srv.kind(), d)
	e := &txn.envelope
	txn.log.Info("transaction",
		"decision", string(d), "reason", r.reason, "code", r.code,
		"helo", e.Helo, "from", ticketing.MaskTokens(e.MailFrom), "rcpts", len(e.Recipients), "rcpts_refused", txn.refused,
		"size", size, "seconds", time.Since(txn.begun).Seconds())
}

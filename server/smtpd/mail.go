package smtpd

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/mxdesk/mxdesk/metrics"
)

// Mail begins a transaction.
func (t *session) Mail(from string, opts *smtp.MailOptions) error {
	if t.current() != nil {
		// go-smtp would keep the recipients and change the sender (trap S11).
		return t.refuse(nil, "mail", "", replyNestedMail)
	}
	if !t.guard.introduced() {
		return t.refuse(nil, "mail", "", replyNoHello)
	}
	t.settle()
	txn := t.newTransaction(opts.UTF8)
	if last := t.guard.mayMail(opts.Size); last != nil {
		return t.hangUp(txn, "mail", "", *last)
	}
	if r := t.checkMail(txn, from, opts); r != nil {
		return t.refuseMail(txn, *r)
	}
	t.mu.Lock()
	t.txn = txn
	t.mu.Unlock()
	t.guard.mailed()
	t.o.Metrics.Reply(250)
	return nil
}

// refuseMail answers a refused MAIL, slower and slower if the client is to blame.
func (t *session) refuseMail(txn *transaction, r reply) error {
	if !r.temporary() {
		delay, last := t.guard.mistake(false)
		t.guard.pause(delay)
		if last != nil {
			return t.hangUp(txn, "mail", "", *last)
		}
	}
	t.finish(txn, decisionOf(r), r, 0)
	return t.refuse(txn, "mail", "", r)
}

// newTransaction makes a transaction with what is known before its sender.
func (t *session) newTransaction(smtputf8 bool) *transaction {
	txn := &transaction{envelope: t.guard.envelope(), begun: time.Now()}
	e := &txn.envelope
	e.ID = t.o.NewID()
	e.Protocol = t.protocol(smtputf8)
	e.Helo = t.smtp.Hostname()
	e.UTF8 = smtputf8
	txn.log = t.log.With("id", e.ID)
	if version := t.guard.secured(); version != "" {
		txn.log = txn.log.With("tls", version)
	}
	return txn
}

// checkMail returns what speaks against a MAIL command. The null sender is
// always welcome.
func (t *session) checkMail(txn *transaction, from string, opts *smtp.MailOptions) *reply {
	if !isDomain(txn.envelope.Helo) { // a later EHLO changes it without asking
		txn.envelope.Helo = ""
		return &replyBadHelo
	}
	if from != "" {
		address, fault := cleanAddress(from, opts.UTF8)
		if fault != addressFine {
			return faultReply(fault, &replyBadSender)
		}
		txn.envelope.MailFrom = address
	}
	if over(t.srv.abandoned.Load()+1, int64(t.o.MaxAbandoned)) {
		return &replyOverloaded
	}
	if err := t.askDesk(t.srv.desk.Ready); err != nil {
		txn.log.Warn("not ready for mail", "error", err)
		r := replyOf(err)
		if !r.temporary() { // whatever the desk says, it is our fault
			r = replyInternal
		}
		return &r
	}
	return nil
}

// askDesk gives the desk RouteTimeout for an answer. A panic is an error.
func (t *session) askDesk(question func(context.Context) error) (err error) {
	ctx, cancel := context.WithTimeout(t.guard.ctx, limit(t.o.RouteTimeout))
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			t.log.Error("panic in the desk", "detail", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return question(ctx)
}

// faultReply is the reply to an address that is not fine.
func faultReply(f addressFault, bad *reply) *reply {
	if f == addressNeedsUTF8 {
		return &replyNeedsUTF8
	}
	return bad
}

// decisionOf sorts a refusal.
func decisionOf(r reply) metrics.SMTPDecision {
	if r.temporary() {
		return metrics.TransactionDeferred
	}
	return metrics.TransactionRejected
}

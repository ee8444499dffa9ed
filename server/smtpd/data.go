package smtpd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/mxdesk/mxdesk/ticketing"
)

// readSize is how much of a message is read at a time.
const readSize = 32 << 10

// Data receives a message and delivers it. The result is always a bare
// *smtp.SMTPError, also for 250 (traps S6 and S18).
func (t *session) Data(r io.Reader) error {
	r, skip := t.text(r)
	defer skip()
	txn, message, failed := t.receive(r)
	if failed != nil {
		return failed
	}
	return t.conclude(txn, t.deliver(txn, message), message.size)
}

// conclude notes how a delivery ended and returns the reply for all recipients.
func (t *session) conclude(txn *transaction, outcomes []ticketing.Outcome, size int64) error {
	decision, last := fold(outcomes)
	t.finish(txn, decision, last, size)
	t.o.Metrics.Reply(last.code)
	if last.code != 250 {
		t.o.Metrics.Rejected("data", last.reason)
		return last.err(txn.envelope.ID)
	}
	return accepted(txn.envelope.ID)
}

// receive reads a message to its end. It returns a *smtp.SMTPError unless the
// message is complete and its transaction claimed; then deliver has to release
// the message.
func (t *session) receive(r io.Reader) (*transaction, *spool, error) {
	txn := t.current()
	if txn == nil { // given up before this goroutine began (trap S10)
		return nil, nil, replyAborted.err(t.guard.id)
	}
	// go-smtp gives Data the reading end of a pipe for BDAT only.
	pipe, chunked := r.(*io.PipeReader)
	if chunked {
		defer t.transfer(pipe)()
	}
	message := t.o.Spool.create()
	last := t.read(message, r, chunked)
	if last == nil && chunked {
		last = t.checkWhole()
	}
	if last == nil {
		// Only now is it certain which transaction a message by BDAT is of: the
		// end of the pipe means that go-smtp waits for our answer.
		if txn = t.claim(); txn != nil {
			t.o.Metrics.Message(message.size)
			return txn, message, nil
		}
		last = &replyAborted
	}
	message.release()
	return nil, nil, t.failed(txn, *last)
}

// failed ends a transaction whose message did not come in.
func (t *session) failed(txn *transaction, last reply) error {
	if txn == nil || last == replyAborted {
		return last.err(t.guard.id) // nobody hears it
	}
	err := t.refuse(txn, "data", "", last)
	t.finish(txn, decisionOf(last), last, 0)
	switch last {
	case replyBareNewline, replyTruncated:
		t.guard.end(last, txn.envelope.ID)
	case replyLost:
		// What else is in the stream must not be taken for commands (trap S4).
		_ = t.guard.Close()
	}
	return err
}

// read moves the text of a message into the spool and checks it on the way.
func (t *session) read(into *spool, r io.Reader, chunked bool) *reply {
	check := content{o: t.o}
	phase := phaseData
	switch {
	case chunked:
		check.newline, phase = newlineAny, phaseChunks
	case t.o.BareNewline == BareNewlineNormalize && t.guard.trusted:
		check.newline = newlineNormalize
	}
	t.guard.enter(phase, time.Now())
	defer func() { t.guard.enter(phaseCommand, time.Now()) }()
	buf := t.srv.buffers.Get().(*[readSize]byte)
	defer t.srv.buffers.Put(buf)
	for {
		n, err := r.Read(buf[:])
		if n > 0 {
			kept, bad := check.check(buf[:n])
			if bad != nil {
				return bad
			}
			if _, err := into.Write(kept); err != nil {
				t.log.Error("message not spooled", "error", err)
				return new(replyOf(err))
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			into.close()
			return check.close()
		case isStall(err) && !chunked: // trap S1: look at what there is, wait on
		case errors.Is(err, smtp.ErrDataReset):
			return &replyAborted
		case errors.Is(err, smtp.ErrDataTooLarge):
			return &replyTooLarge
		default:
			return &replyLost
		}
	}
}

// checkWhole refuses a message by BDAT whose last chunk was cut short (trap S3).
func (t *session) checkWhole() *reply {
	if t.guard.hungUp() {
		return &replyTruncated
	}
	return nil
}

// deliver hands a message to the desk and returns one outcome per recipient.
// When the work budget is used up it does not wait: the client is told to come
// again, and what the desk may still return is ignored. The message is released
// when the desk is done with it.
func (t *session) deliver(txn *transaction, message *spool) []ticketing.Outcome {
	begun := time.Now()
	defer func() { t.o.Metrics.Data(time.Since(begun)) }()
	// The client may hang up after its last octet; what it sent is still mail.
	ctx, cancel := context.WithTimeout(t.srv.ctx, limit(t.o.WorkBudget))
	done := make(chan []ticketing.Outcome, 1)
	go func() {
		defer cancel()
		defer message.release()
		done <- t.ask(ctx, txn, message)
	}()
	select {
	case outcomes := <-done:
		return outcomes
	case <-ctx.Done():
	}
	select { // a result in time counts, even if the end came with it
	case outcomes := <-done:
		return outcomes
	default:
	}
	t.srv.abandoned.Add(1)
	go func() {
		<-done
		t.srv.abandoned.Add(-1)
	}()
	txn.log.Error("delivery outlived its time", "budget", t.o.WorkBudget)
	t.srv.refused(ticketing.Refusal{Envelope: txn.envelope, Stage: "data", Size: message.size}, replyDeadline)
	return everyone(txn, &ticketing.Error{Kind: ticketing.KindUnavailable, Reason: replyDeadline.reason, Message: replyDeadline.text})
}

// ask calls the desk; a panic there is an error here.
func (t *session) ask(ctx context.Context, txn *transaction, message *spool) (outcomes []ticketing.Outcome) {
	defer func() {
		p := recover()
		if p != nil {
			txn.log.Error("panic in delivery", "detail", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
		if want := len(txn.envelope.Recipients); p != nil || len(outcomes) != want {
			txn.log.Error("delivery without an outcome for each recipient", "outcomes", len(outcomes), "recipients", want)
			outcomes = everyone(txn, errors.New("no outcome"))
		}
	}()
	e := txn.envelope // the desk may outlive the transaction
	e.Recipients = slices.Clone(e.Recipients)
	return t.srv.desk.Deliver(ctx, &e, message)
}

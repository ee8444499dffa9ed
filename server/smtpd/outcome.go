package smtpd

import (
	"github.com/mxdesk/mxdesk/metrics"
	"github.com/mxdesk/mxdesk/ticketing"
)

// everyone gives each recipient the same error.
func everyone(txn *transaction, err error) []ticketing.Outcome {
	outcomes := make([]ticketing.Outcome, len(txn.envelope.Recipients))
	for i, r := range txn.envelope.Recipients {
		outcomes[i] = ticketing.Outcome{Recipient: r.Address, Err: err}
	}
	return outcomes
}

// fold makes one reply of the outcomes for several recipients, as SMTP wants.
// A temporary error is the reply to all: what was accepted is recognised when
// the message comes again. Else one acceptance is enough; the journal shows
// what was refused. If nothing was accepted the harshest refusal is the reply.
func fold(outcomes []ticketing.Outcome) (metrics.SMTPDecision, reply) {
	var good *ticketing.Outcome
	var bad reply
	for i := range outcomes {
		o := &outcomes[i]
		if o.Err == nil {
			if good == nil {
				good = o
			}
			continue
		}
		r := replyOf(o.Err)
		if r.temporary() {
			return metrics.TransactionDeferred, r
		}
		if r.code > bad.code {
			bad = r
		}
	}
	switch {
	case good != nil:
		return acceptance(good.Decision), reply{code: 250, reason: good.Reason}
	case bad.code != 0:
		return metrics.TransactionRejected, bad
	}
	return metrics.TransactionDeferred, replyInternal
}

// acceptance is the word of the metrics for a positive decision.
func acceptance(d ticketing.JournalDecision) metrics.SMTPDecision {
	switch d {
	case ticketing.JournalHeld:
		return metrics.TransactionHeld
	case ticketing.JournalDuplicate:
		return metrics.TransactionDuplicate
	}
	return metrics.TransactionAccepted
}

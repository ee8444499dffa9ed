package intake

import (
	"cmp"
	"strings"

	"github.com/mxdesk/mxdesk/ticketing"
)

// refusal is the error that a verdict ends the transaction with, nil if it
// does not. Policy names a page where the sender can read more.
func refusal(v *ticketing.Verdict, helpURL string) error {
	e := &ticketing.Error{Reason: v.Verdict.Reason}
	switch v.Verdict.Action {
	case ticketing.ActionReject:
		e.Kind, e.Message = ticketing.KindDenied, refusalText(v)
	case ticketing.ActionTempfail:
		e.Kind, e.Message = ticketing.KindUnavailable, "the sender's domain cannot be checked now, try again later"
		if e.Reason == ticketing.ReasonVerifierFailed {
			e.Message = "the message could not be checked here, try again later"
		}
	default:
		return nil
	}
	if helpURL != "" && e.Reason != ticketing.ReasonVerifierFailed {
		e.Message += "; see " + strings.ReplaceAll(helpURL, "{reason}", e.Reason)
	}
	return e
}

// refusalText says why a mail is refused. The zone of a list is not told: it
// may hold the key of a subscription.
func refusalText(v *ticketing.Verdict) string {
	if v.Verdict.Reason != ticketing.ReasonListed {
		return cmp.Or(v.FromDomain, "the sender") + " does not vouch for this message, and its policy asks to refuse it"
	}
	text := "the sender is on a block list"
	for _, hit := range v.Lists.Hits {
		if hit.Refuse && hit.Text != "" {
			return text + ": " + hit.Text
		}
	}
	return text
}

// replyCode is what the sender is told, as the journal has it.
func replyCode(e *ticketing.Error) (code int, enhanced string) {
	switch {
	case e.Reason == ticketing.ReasonTempError:
		return 451, "4.7.0"
	case e.Temporary():
		return 451, "4.3.0"
	case e.Reason == ticketing.ReasonDMARCReject:
		return 550, "5.7.26"
	case e.Kind == ticketing.KindDenied:
		return 550, "5.7.1"
	case e.Kind == ticketing.KindTooLarge:
		return 552, "5.3.4"
	}
	return 554, "5.6.0"
}

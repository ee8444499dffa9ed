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

package intake

import (
	"context"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
)

func TestRefusal(t *testing.T) {
	const help = "https://desk.example/refused?why={reason}"
	listed := ticketing.ListsResult{Hits: []ticketing.ListHit{
		{Zone: "secret.list.example", Text: "not this one"},
		{Zone: "secret.list.example", Refuse: true, Text: "see https://list.example/192.0.2.1"},
	}}
	for _, tt := range []struct {
		action  ticketing.Action
		reason  string
		help    string
		lists   ticketing.ListsResult
		message string // "" = no refusal
		kind    ticketing.Kind
	}{
		{ticketing.ActionAccept, ticketing.ReasonDMARCReject, help, listed, "", 0},
		{ticketing.ActionHold, ticketing.ReasonDMARCQuarantine, help, listed, "", 0},
		{ticketing.ActionReject, ticketing.ReasonDMARCReject, "", listed,
			"customer.test does not vouch for this message, and its policy asks to refuse it", ticketing.KindDenied},
		{ticketing.ActionReject, ticketing.ReasonDMARCReject, help, listed,
			"customer.test does not vouch for this message, and its policy asks to refuse it; see https://desk.example/refused?why=dmarc-reject", ticketing.KindDenied},
		{ticketing.ActionReject, ticketing.ReasonListed, help, listed,
			"the sender is on a block list: see https://list.example/192.0.2.1; see https://desk.example/refused?why=listed", ticketing.KindDenied},
		{ticketing.ActionReject, ticketing.ReasonListed, "", ticketing.ListsResult{}, "the sender is on a block list", ticketing.KindDenied},
		{ticketing.ActionTempfail, ticketing.ReasonTempError, help, listed,
			"the sender's domain cannot be checked now, try again later; see https://desk.example/refused?why=auth-temperror", ticketing.KindUnavailable},
		{ticketing.ActionTempfail, ticketing.ReasonVerifierFailed, help, listed, "the message could not be checked here, try again later", ticketing.KindUnavailable},
	} {
		v := &ticketing.Verdict{FromDomain: "customer.test", Lists: tt.lists, Verdict: ticketing.Decision{Action: tt.action, Reason: tt.reason}}
		err := refusal(v, tt.help)
		if tt.message == "" {
			if err != nil {
				t.Errorf("%s %s: %v", tt.action, tt.reason, err)
			}
			continue
		}
		e := ticketing.AsError(err)
		if e.Message != tt.message || e.Reason != tt.reason || e.Kind != tt.kind {
			t.Errorf("%s %s: kind %d, %s", tt.action, tt.reason, e.Kind, e.Message)
		}
	}
}

// The reply goes by the mildest policy.
func TestSessionPolicy(t *testing.T) {
	refused := verdict{Verdict: ticketing.Decision{Action: ticketing.ActionReject, Reason: ticketing.ReasonDMARCReject}}
	for policy, want := range map[ticketing.Policy]ticketing.JournalDecision{
		ticketing.PolicyInherit: ticketing.JournalRejected, ticketing.PolicyEnforce: ticketing.JournalRejected,
		ticketing.PolicyHold: ticketing.JournalHeld, ticketing.PolicyAnnotate: ticketing.JournalAccepted,
	} {
		t.Run(policy.String(), func(t *testing.T) {
			in, desk, db := newIntake(t, time.Now, refused, nil)
			defer db.Close(context.Background())
			if err := desk.SetProjectPolicy(t.Context(), "support", policy); err != nil {
				t.Fatal(err)
			}
			outs := in.Deliver(t.Context(), envelope(t, in, "support@desk.test"), raw(burning))
			if outs[0].Decision != want {
				t.Errorf("%+v, want %s", outs[0], want)
			}
		})
	}
}

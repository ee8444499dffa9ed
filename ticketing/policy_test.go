package ticketing_test

import (
	"testing"

	"github.com/mxdesk/mxdesk/ticketing"
)

func TestPolicyOfRecipients(t *testing.T) {
	for _, tc := range []struct {
		name                    string
		support, domain, server ticketing.Policy
		want                    ticketing.Policy
	}{
		{"nothing set", "", "", "", ticketing.PolicyEnforce},
		{"the server's", "", "", ticketing.PolicyHold, ticketing.PolicyHold},
		{"the domain's before the server's", "", ticketing.PolicyEnforce, ticketing.PolicyAnnotate, ticketing.PolicyEnforce},
		{"the project's before the domain's", ticketing.PolicyEnforce, ticketing.PolicyAnnotate, "", ticketing.PolicyEnforce},
		{"mild project", ticketing.PolicyAnnotate, ticketing.PolicyEnforce, "", ticketing.PolicyAnnotate},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorldWith(t, tc.server)
			w.setPolicies(tc.support, tc.domain)
			env := w.inbound(opening()).Envelope
			got, err := w.Mildest(t.Context(), env.Recipients)
			if err != nil || got != tc.want {
				t.Errorf("%v, %v; want %v", got, err, tc.want)
			}
		})
	}
}

func (w *world) setPolicies(project, domain ticketing.Policy) {
	w.t.Helper()
	if err := w.SetProjectPolicy(w.t.Context(), "support", project); err != nil {
		w.t.Fatal(err)
	}
	if err := w.SetDomainPolicy(w.t.Context(), "Desk.test.", domain); err != nil {
		w.t.Fatal(err)
	}
}

func TestEveryProjectJudgesByItsOwnPolicy(t *testing.T) {
	w := newWorld(t)
	if _, err := w.CreateProject(t.Context(), "lax", []string{"lax@desk.test"}); err != nil {
		t.Fatal(err)
	}
	if err := w.SetProjectPolicy(t.Context(), "lax", ticketing.PolicyAnnotate); err != nil {
		t.Fatal(err)
	}
	m := opening()
	m.aligned, m.action, m.rcpts = false, ticketing.ActionReject, []string{"support@desk.test", "lax@desk.test"}
	in := w.inbound(m)
	in.Verdict.DMARC = ticketing.DMARCResult{Result: "fail", Disposition: "reject", Policy: "reject"}

	if p, err := w.Mildest(t.Context(), in.Envelope.Recipients); err != nil || p != ticketing.PolicyAnnotate {
		t.Errorf("mildest = %v, %v", p, err)
	}
	outs := w.Receive(t.Context(), in)
	if outs[0].Decision != ticketing.JournalHeld || outs[1].Decision != ticketing.JournalAccepted {
		t.Fatalf("outcomes = %+v; a mail that one project takes is held by one that would refuse it", outs)
	}
	c := w.thread("lax#1").Entries[0]
	if c.Verified || c.Auth.Verdict != (ticketing.Decision{Action: ticketing.ActionAccept, Reason: "test"}) ||
		c.Auth.DMARC.Disposition != "none" || c.Auth.DMARC.Override != ticketing.OverrideLocalPolicy {
		t.Errorf("verdict on the comment = %+v, verified %v", c.Auth, c.Verified)
	}
	if got := w.copies(); len(got) > 0 {
		t.Errorf("a forged mail was answered: %v", got)
	}
	held, err := w.HeldMail(t.Context(), 0)
	if err != nil || len(held) != 1 || held[0].Auth.Verdict.Action != ticketing.ActionHold || held[0].Auth.DMARC.Disposition != "quarantine" {
		t.Errorf("held = %+v, %v", held, err)
	}
	if in.Verdict.Verdict.Action != ticketing.ActionReject {
		t.Error("the verdict itself was changed")
	}
}

func TestJournalHasTheVerdictUnderThePolicy(t *testing.T) {
	w := newWorld(t)
	w.setPolicies(ticketing.PolicyAnnotate, "")
	m := opening()
	m.aligned, m.action = false, ticketing.ActionReject
	in := w.inbound(m)
	in.Verdict.DMARC = ticketing.DMARCResult{Result: "fail", Disposition: "reject", Policy: "reject"}
	w.Receive(t.Context(), in)
	es, err := w.Trace(t.Context(), in.Envelope.ID)
	if err != nil || len(es) != 1 || es[0].Verdict.Verdict.Action != ticketing.ActionAccept || es[0].Verdict.DMARC.Override != ticketing.OverrideLocalPolicy {
		t.Errorf("journal = %+v, %v", es, err)
	}
}

func TestPolicyPassesNoFailureOver(t *testing.T) {
	v := &ticketing.Verdict{Verdict: ticketing.Decision{Action: ticketing.ActionTempfail, Reason: ticketing.ReasonVerifierFailed}}
	if got := v.Under(ticketing.PolicyAnnotate); got != v {
		t.Errorf("our own failure became %+v", got.Verdict)
	}
	v.Verdict.Reason = ticketing.ReasonTempError
	if got := v.Under(ticketing.PolicyHold).Verdict.Action; got != ticketing.ActionTempfail {
		t.Errorf("under hold: %v", got)
	}
	if got := v.Under(ticketing.PolicyAnnotate).Verdict.Action; got != ticketing.ActionAccept {
		t.Errorf("under annotate: %v", got)
	}
}

func TestParsePolicy(t *testing.T) {
	for s, want := range map[string]ticketing.Policy{"Enforce": "enforce", " hold ": "hold", "annotate": "annotate", "inherit": "", "": ""} {
		if got, err := ticketing.ParsePolicy(s); err != nil || got != want {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
	if _, err := ticketing.ParsePolicy("quarantine"); ticketing.KindOf(err) != ticketing.KindInvalid {
		t.Errorf("quarantine: %v", err)
	}
}

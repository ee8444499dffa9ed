package ticketing

import "github.com/mxdesk/mxdesk/ticketing/store"

// speech is what a mail may do on a ticket: who is speaking decides it, not
// what is said.
type speech struct {
	hold     string      // reason to set the mail aside, "" = none
	kind     CommentKind // of the comment
	verified bool        // the From domain vouches for the mail
	share    bool        // the words go to the other participants
	join     bool        // the author becomes a participant
	invite   bool        // people the mail names become participants
	active   bool        // a person speaks: the ticket opens again
}

// speaker is what is known of a mail's author with regard to a ticket.
type speaker struct {
	aligned     bool
	released    bool   // an agent let the mail through that was held
	policyFails bool   // the From domain's own policy, or ours, sets the mail aside
	policy      string // the reason
	annotated   bool   // it would be set aside were it not for the policy here
	machine     bool
	bulk        bool // it says of itself that it goes to many: other customers need not have it
	owner       bool // From is the owner of the token the mail came in on
	participant bool
	removed     bool // was a participant, and is no more
	answered    bool // an agent has answered on the ticket
}

// judge decides what a mail may do. The rules are promise 7's: identity is
// checked, and shown.
func judge(by threadBy, s speaker) speech {
	if s.policyFails && !s.released {
		return speech{hold: s.policy}
	}
	sp := speech{kind: CommentPublic, verified: s.aligned, active: !s.machine}
	switch {
	case by == byNothing:
		sp.invite = !s.machine
	case by == byToken && s.owner:
		sp.share = !s.machine && !s.bulk
		sp.invite = s.aligned && !s.machine
	case by == byToken && (s.machine || s.aligned || s.released):
		sp.kind = CommentInternal
	case by == byToken:
		return speech{hold: "token-of-another"}
	case s.participant:
		sp.invite = s.aligned && !s.machine
	case s.aligned && !s.answered && !s.machine && !s.removed:
		// A colleague answers to all before we did: same ticket, and in it.
		sp.join, sp.invite = true, true
	default:
		sp.kind = CommentInternal
	}
	if by != byNothing && s.annotated && !s.aligned && !s.released {
		// Agents take the risk of a forged mail, and not for other customers.
		sp.kind, sp.share = CommentInternal, false
	}
	return sp
}

// speech gathers what judge needs.
func (rx *receiver) speech(th thread) (speech, error) {
	m, v := rx.in.Message, rx.verdict
	s := speaker{
		aligned:     v.Aligned(),
		released:    rx.in.Release,
		policyFails: v.Verdict.Action != ActionAccept,
		policy:      v.Verdict.Reason,
		annotated:   rx.in.Verdict.Verdict.Action != ActionAccept,
		machine:     !m.Machine.Class.hasAuthor(),
		bulk:        m.Machine.Class == MachineBulk,
	}
	if th.ours && !rx.in.Release {
		return speech{hold: "own-mail-returned"}, nil
	}
	if th.ticket != nil {
		author := normalAddress(m.Author().Address)
		s.answered = th.ticket.Answered != nil
		// No policy is asked about a Sender, who is the author where there is no
		// From: that would be a way round the policy of the owner's domain.
		s.owner = th.owner != "" && th.owner == author && m.HasFrom()
		p, err := find[Participant](rx.tx, participantKey(th.ticket.Project, th.ticket.IID, author))
		if err != nil {
			return speech{}, err
		}
		s.participant, s.removed = p != nil && !p.Removed, p != nil && p.Removed
	}
	return judge(th.by, s), nil
}

// hold sets a mail aside for an agent to look at, with what led to the project.
func (rx *receiver) hold(p *Project, reason string, group []Recipient) (Outcome, error) {
	if err := rx.tx.AddBlob(rx.in.Raw); err != nil {
		return Outcome{}, err
	}
	m := rx.in.Message
	h := Held{
		ID: rx.in.Envelope.ID, Project: p.ID, At: rx.now, Reason: reason, Envelope: *rx.in.Envelope,
		From: clipPerson(m.Author()), Subject: clip(m.Subject, maxField), MessageID: m.MessageID,
		Raw: rx.in.Raw.Hash, Size: rx.in.Size, Auth: rx.verdict.clip(),
		FromDomain: rx.verdict.FromDomain,
	}
	h.Envelope.Recipients = group[:min(len(group), maxHeldRcpts)]
	k := heldKey(heldID(h.ID, p.ID))
	if err := rx.tx.Emit(store.Change{Kind: "held", Key: k}); err != nil {
		return Outcome{}, err
	}
	return Outcome{Decision: JournalHeld, Reason: reason}, save(rx.tx, k, h)
}

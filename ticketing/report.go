package ticketing

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// tokenTicket is the token of a route and its ticket; nil if either is gone.
func (rx *receiver) tokenTicket(route Route) (*Token, *Ticket, error) {
	token, err := find[Token](rx.tx, tokenKey(route.Token))
	if err != nil || token == nil {
		return nil, nil, err
	}
	t, err := find[Ticket](rx.tx, ticketKey(token.Project, token.Ticket))
	return token, t, err
}

// report takes what comes back to the envelope sender of one of our mails:
// delivery reports, automatic answers, and now and then a person's words.
func (rx *receiver) report(p *Project, t *Ticket, o *Outgoing) (Outcome, error) {
	before := *t
	note := rx.deliveryNote(o)
	kind := CommentInternal
	if err := rx.comment(t, speech{kind: kind, verified: rx.verdict.Aligned()}); err != nil {
		return Outcome{}, err
	}
	reason := "answer-to-bounce-address"
	if note != "" {
		reason = "delivery-report"
		if err := system(rx.tx, t, rx.now, "%s", note); err != nil {
			return Outcome{}, err
		}
	}
	t.UpdatedAt = rx.now
	if err := rx.markBounced(o); err != nil {
		return Outcome{}, err
	}
	ref := Ref{Project: p.Name, IID: t.IID}.String()
	return Outcome{Decision: JournalAccepted, Reason: reason, Ticket: ref}, saveTicket(rx.tx, &before, t)
}

// deliveryNote says in words what the report says, "" if it reports nothing.
func (rx *receiver) deliveryNote(o *Outgoing) string {
	var lines []string
	for _, r := range rx.in.Message.Deliveries {
		who := cmp.Or(r.Recipient, o.Recipient.Address)
		why := strings.TrimSpace(strings.Join([]string{r.Status, oneLine(r.Diagnostic, 300)}, " "))
		switch r.Action {
		case "failed":
			lines = append(lines, fmt.Sprintf("The mail to %s could not be delivered: %s", who, cmp.Or(why, r.Reason, "no reason given")))
		case "delayed":
			lines = append(lines, fmt.Sprintf("The mail to %s is delayed: %s", who, cmp.Or(why, "no reason given")))
		case "complaint":
			lines = append(lines, fmt.Sprintf("%s marked the mail as unwanted", who))
		}
	}
	return strings.Join(lines, "\n")
}

// markBounced notes a failure report on the copy it is about.
func (rx *receiver) markBounced(o *Outgoing) error {
	for _, r := range rx.in.Message.Deliveries {
		if r.Action != "failed" {
			continue
		}
		before := *o
		o.State = DeliveryBounced
		o.addAttempt(Attempt{At: rx.now, Host: "report", Enhanced: r.Status, Text: oneLine(cmp.Or(r.Diagnostic, r.Reason), 500)})
		return saveOutgoing(rx.tx, &before, o)
	}
	return nil
}

// unsubscribe takes the owner of the address off the ticket. An agent sees it
// there and can add them again.
func (rx *receiver) unsubscribe(p *Project, t *Ticket, token *Token) (Outcome, error) {
	before := *t
	out := Outcome{Decision: JournalAccepted, Reason: "unsubscribed", Ticket: Ref{Project: p.Name, IID: t.IID}.String()}
	k := participantKey(p.ID, t.IID, token.Participant)
	who, err := load[Participant](rx.tx, k)
	if err != nil {
		return Outcome{}, err
	}
	// Whatever else the mail says is for agents' eyes.
	if err := rx.comment(t, speech{kind: CommentInternal, verified: rx.verdict.Aligned()}); err != nil {
		return Outcome{}, err
	}
	if !who.Removed {
		if err := removeParticipant(rx.tx, t, who); err != nil {
			return Outcome{}, err
		}
		if err := system(rx.tx, t, rx.now, "%s unsubscribed by e-mail", who.Address); err != nil {
			return Outcome{}, err
		}
	}
	t.UpdatedAt = rx.now
	return out, saveTicket(rx.tx, &before, t)
}

// removeParticipant stops a person's mails and makes their reply address
// unknown.
func removeParticipant(tx store.Tx, t *Ticket, who *Participant) error {
	who.Removed = true
	addr := normalAddress(who.Address)
	rest := make([]string, 0, len(t.Addresses))
	for _, a := range t.Addresses {
		if a != addr {
			rest = append(rest, a)
		}
	}
	t.Addresses = rest
	row, err := load[Token](tx, tokenKey(who.Token))
	if err != nil {
		return err
	}
	row.Revoked = true
	if err := save(tx, tokenKey(who.Token), row); err != nil {
		return err
	}
	return save(tx, participantKey(t.Project, t.IID, addr), who)
}

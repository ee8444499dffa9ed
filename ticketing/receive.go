package ticketing

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// Inbound is a message on its way to a ticket: read, judged and staged.
type Inbound struct {
	Envelope *Envelope
	Message  *Message
	Verdict  *Verdict
	Raw      *store.Staged
	Octets   io.ReaderAt // of the raw mail: read when its body must be compared
	Size     int64
	// Release is set when an agent lets a held mail through: it is neither held
	// again nor taken for a duplicate of itself, and released only once.
	Release bool
}

// Receive makes of a message what it is to become, for every recipient, in one
// transaction: tickets, comments, held mail, delivery reports, participants,
// the intents of outgoing mail and the journal entry. Recipients that lead to
// the same project make one outcome; the reply token comes first. The outcomes
// are in the order of the recipients and all share the transaction's fate.
func (d *Desk) Receive(ctx context.Context, in Inbound) []Outcome {
	if in.mayFollowUp() {
		in.Message.Reply() // not while others wait for the transaction
	}
	draw, b := d.draw(), &bodies{known: make(map[store.Hash]*store.Hash), wanted: in.Raw.Hash}
	var byRecipient map[string]Outcome
	err := errBodyUnknown // needed anyway where there is no Message-ID
	if in.Message.MessageID != "" {
		byRecipient, err = d.receive(ctx, in, draw, b)
	}
	for errors.Is(err, errBodyUnknown) {
		if err = d.learn(ctx, &in, b); err == nil {
			byRecipient, err = d.receive(ctx, in, draw, b)
		}
	}
	outs := make([]Outcome, len(in.Envelope.Recipients))
	for i, r := range in.Envelope.Recipients {
		outs[i] = byRecipient[r.Address]
		if err != nil {
			e := AsError(err)
			outs[i] = Outcome{Recipient: r.Address, Decision: JournalDeferred, Reason: e.Reason, Err: err}
		}
	}
	return outs
}

// receive is the transaction.
func (d *Desk) receive(ctx context.Context, in Inbound, draw func() *Draw, b *bodies) (byRecipient map[string]Outcome, err error) {
	err = d.update(ctx, func(tx store.Tx) error {
		byRecipient = make(map[string]Outcome)
		groups := groupByProject(in.Envelope.Recipients)
		if len(groups) > maxProjects {
			return errorf(KindTooLarge, "too-many-projects", "a mail goes to at most %d projects", maxProjects)
		}
		rx := &receiver{desk: d, tx: tx, in: in, draw: draw(), bodies: b, now: in.Envelope.ReceivedAt.UTC(), projects: len(groups)}
		for _, group := range groups {
			out, err := rx.project(group)
			if err != nil {
				return err
			}
			for _, r := range group {
				out.Recipient = r.Address
				byRecipient[r.Address] = out
			}
		}
		return saveJournal(tx, rx.entry(byRecipient))
	})
	return byRecipient, err
}

// groupByProject puts the recipients of each project together, in the order in
// which the projects were first named, the most telling route first.
func groupByProject(rs []Recipient) [][]Recipient {
	var groups [][]Recipient
	at := make(map[uint64]int)
	for _, r := range rs {
		i, ok := at[r.Route.Project]
		if !ok {
			i = len(groups)
			at[r.Route.Project] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], r)
	}
	rank := []RouteKind{RouteReply, RouteBounce, RouteUnsubscribe, RouteProject}
	for _, g := range groups {
		slices.SortStableFunc(g, func(a, b Recipient) int {
			return cmp.Compare(slices.Index(rank, a.Route.Kind), slices.Index(rank, b.Route.Kind))
		})
	}
	return groups
}

// receiver works on one message inside one transaction.
type receiver struct {
	desk     *Desk
	tx       store.Tx
	in       Inbound
	verdict  *Verdict // on the message, as the policy of the project at hand has it
	draw     *Draw
	now      time.Time
	projects int // that the message goes to
	bodies   *bodies
	kept     bool // a ticket of the project at hand has the raw mail now
}

// project decides and writes what one project gets.
func (rx *receiver) project(group []Recipient) (Outcome, error) {
	route := group[0].Route
	p, err := load[Project](rx.tx, projectKey(route.Project))
	if err != nil {
		return Outcome{}, err
	}
	if err := rx.judge(p, group); err != nil {
		return Outcome{}, err
	}
	is, old, err := rx.identify(p.ID)
	if err != nil {
		return Outcome{}, err
	}
	if old != nil && !(rx.in.Release && old.Ticket == "") { // it was taken, and not only held
		return Outcome{Decision: JournalDuplicate, Reason: "delivered-before", Ticket: old.Ticket}, is.split()
	}
	rx.kept = false
	out, err := rx.decide(p, route, group)
	if err != nil {
		return Outcome{}, err
	}
	return out, is.remember(out)
}

// judge puts the verdict under the policy of a project. A mail that some other
// project takes can be refused no more, so it is held.
func (rx *receiver) judge(p *Project, group []Recipient) error {
	rx.verdict = rx.in.Verdict
	if rx.verdict.Verdict.Action == ActionAccept {
		return nil
	}
	policy, err := rx.desk.policy(rx.tx, p, group)
	rx.verdict = rx.verdict.Under(milder(policy, PolicyHold))
	return err
}

func (rx *receiver) decide(p *Project, route Route, group []Recipient) (Outcome, error) {
	if route.Kind == RouteBounce || route.Kind == RouteUnsubscribe {
		token, t, err := rx.tokenTicket(route)
		if err != nil {
			return Outcome{}, err
		}
		if t != nil && route.Kind == RouteUnsubscribe {
			return rx.unsubscribe(p, t, token)
		}
		if t != nil {
			o, err := load[Outgoing](rx.tx, outgoingKey(token.Outgoing))
			if err != nil {
				return Outcome{}, err
			}
			return rx.report(p, t, o)
		}
	}
	th, err := findThread(rx.tx, p.ID, route.Token, rx.in.Message, rx.verdict.Aligned())
	if err != nil {
		return Outcome{}, err
	}
	s, err := rx.speech(th)
	if err != nil {
		return Outcome{}, err
	}
	switch {
	case s.hold != "":
		return rx.hold(p, s.hold, group)
	case th.ticket == nil:
		return rx.open(p, route, labelsOf(group, maxLabels/rx.projects), s)
	default:
		return rx.follow(p, th, s)
	}
}

func labelsOf(group []Recipient, max int) []string {
	var labels []string
	for _, r := range group {
		if l, err := parseLabel(r.Route.Label); err == nil {
			labels = append(labels, l)
		}
	}
	slices.Sort(labels)
	labels = slices.Compact(labels)
	return labels[:min(len(labels), max)]
}

// entry is the transaction's journal entry.
func (rx *receiver) entry(outs map[string]Outcome) JournalEntry {
	m, env := rx.in.Message, rx.in.Envelope
	e := journalOf(env)
	e.MessageID, e.Subject, e.From = m.MessageID, m.Subject, m.Author().Address
	e.Size, e.Verdict, e.Code, e.Enhanced, e.Stage = rx.in.Size, rx.in.Verdict, 250, "2.6.0", "data"
	if rx.projects == 1 {
		e.Verdict = rx.verdict // as its policy has it
	}
	differ, first := false, outs[env.Recipients[0].Address]
	for _, r := range env.Recipients {
		o := outs[r.Address]
		e.Outcomes = append(e.Outcomes, JournalOutcome{Recipient: r.Address, Decision: o.Decision, Reason: o.Reason, Ticket: o.Ticket})
		if e.Decision == "" || e.Decision == JournalDuplicate {
			e.Decision, e.Reason = o.Decision, o.Reason
		}
		e.Ticket = cmp.Or(e.Ticket, o.Ticket)
		differ = differ || o.Decision != first.Decision || o.Reason != first.Reason || o.Ticket != first.Ticket
	}
	if !differ {
		e.Outcomes = nil
	}
	return e
}

package ticketing

import (
	"cmp"
	"context"
	"crypto/sha256"
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
	Size     int64
	// Release is set when an agent lets a held mail through: it is neither held
	// again nor taken for a duplicate of itself, and released only once.
	Release bool
}

// identityKept is how long a message is recognised when it comes again.
const identityKept = 90 * 24 * time.Hour

// Receive makes of a message what it is to become, for every recipient, in one
// transaction: tickets, comments, held mail, delivery reports, participants,
// the intents of outgoing mail and the journal entry. Recipients that lead to
// the same project make one outcome; the reply token comes first. The outcomes
// are in the order of the recipients and all share the transaction's fate.
func (d *Desk) Receive(ctx context.Context, in Inbound) []Outcome {
	if in.mayFollowUp() {
		in.Message.Reply() // not while others wait for the transaction
	}
	draw := d.draw()
	var byRecipient map[string]Outcome
	err := d.update(ctx, func(tx store.Tx) error {
		byRecipient = make(map[string]Outcome)
		groups := groupByProject(in.Envelope.Recipients)
		if len(groups) > maxProjects {
			return errorf(KindTooLarge, "too-many-projects", "a mail goes to at most %d projects", maxProjects)
		}
		rx := &receiver{desk: d, tx: tx, in: in, draw: draw(), now: in.Envelope.ReceivedAt.UTC(), projects: len(groups)}
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
	identity := rx.identity(p.ID)
	if old, err := rx.seen(p.ID, identity); err != nil || old != nil {
		return cmp.Or(old, &Outcome{}).duplicate(), err
	}
	out, err := rx.decide(p, route, group)
	if err != nil {
		return Outcome{}, err
	}
	return out, rx.remember(p.ID, identity, out)
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

func (o *Outcome) duplicate() Outcome {
	return Outcome{Decision: JournalDuplicate, Reason: "delivered-before", Ticket: o.Ticket}
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

// identity tells a message from every other one of its project: Message-ID, or
// without one From, Date and Subject, and the body as DKIM's relaxed form has
// it. A message with neither Message-ID nor Date is only itself when every
// octet is the same: an alarm that says the same thing next week is news.
func (rx *receiver) identity(project uint64) []byte {
	m := rx.in.Message
	h := sha256.New()
	if m.MessageID != "" {
		h.Write([]byte("id\x00" + m.MessageID + "\x00"))
	} else {
		if m.Date.IsZero() {
			h.Write(rx.in.Raw.Hash[:])
		}
		h.Write([]byte("none\x00" + m.Author().Address + "\x00" + m.Date.UTC().Format(time.RFC3339) + "\x00" + m.Subject + "\x00"))
	}
	h.Write(rx.in.Verdict.BodyHash[:])
	return h.Sum(nil)
}

// seenRow is a message that was taken before.
type seenRow struct {
	At     time.Time `json:"at"`
	Ticket string    `json:"ticket"`
	ID     string    `json:"id"` // of the first transaction
}

func (rx *receiver) seen(project uint64, identity []byte) (*Outcome, error) {
	row, err := find[seenRow](rx.tx, seenKey(project, identity))
	if err != nil || row == nil || rx.now.Sub(row.At) > identityKept {
		return nil, err
	}
	if rx.in.Release && row.Ticket == "" {
		return nil, nil // it was taken, and only held
	}
	return &Outcome{Ticket: row.Ticket}, nil
}

func (rx *receiver) remember(project uint64, identity []byte, out Outcome) error {
	err := save(rx.tx, seenKey(project, identity), seenRow{At: rx.now, Ticket: out.Ticket, ID: rx.in.Envelope.ID})
	if err != nil {
		return err
	}
	return rx.tx.Put(seenAtKey(rx.now, project, identity), ref)
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

package ticketing

import (
	"slices"
	"strings"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// maxTitle bounds a ticket's title, in characters.
const maxTitle = 255

// noSubject is the title of a ticket whose mail has no subject.
const noSubject = "(no subject)"

// open makes a ticket of a mail.
func (rx *receiver) open(p *Project, route Route, labels []string, s speech) (Outcome, error) {
	m := rx.in.Message
	iid, err := next(rx.tx, ticketSeqKey(p.ID))
	if err != nil {
		return Outcome{}, err
	}
	t := &Ticket{
		Project: p.ID, IID: iid, State: StateOpen, Title: oneLine(clip(m.Subject, 4*maxTitle), maxTitle), Labels: labels,
		Requester: clipPerson(rx.requester()), CreatedAt: rx.now, UpdatedAt: rx.now,
		MessageID: m.MessageID, LastMessageID: m.MessageID, Address: route.Address,
	}
	if t.Title == "" {
		t.Title = noSubject
	}
	if t.Address == "" {
		t.Address = p.Address
	}
	t.ThreadID = "thread." + rx.draw.ID() + "@" + sendingDomain(t, rx.in.Envelope)
	if err := save(rx.tx, messageIDKey(p.ID, t.ThreadID), messageRow{Ticket: iid, Comment: 1}); err != nil {
		return Outcome{}, err
	}
	if err := rx.comment(t, s); err != nil {
		return Outcome{}, err
	}
	requester, err := rx.join(t, t.Requester, RoleRequester, false)
	if err != nil {
		return Outcome{}, err
	}
	if s.invite {
		if err := rx.invite(t); err != nil {
			return Outcome{}, err
		}
	}
	if requester != nil {
		if err := rx.thank(p, t, requester); err != nil {
			return Outcome{}, err
		}
	}
	ref := Ref{Project: p.Name, IID: iid}.String()
	return Outcome{Decision: JournalAccepted, Reason: "new-ticket", Ticket: ref}, saveTicket(rx.tx, nil, t)
}

// requester is who wrote first: the author, or where the mail names none, the
// envelope sender.
func (rx *receiver) requester() Person {
	if a := rx.in.Message.Author(); a.Address != "" {
		return a
	}
	return Person{Address: rx.in.Envelope.MailFrom}
}

// sendingDomain is the domain that our ids and addresses of a ticket are in.
func sendingDomain(t *Ticket, env *Envelope) string {
	if d := domainOf(t.Address); d != "" {
		return d
	}
	return domainOf(env.Recipients[0].Address)
}

// comment writes the mail as a comment of the ticket.
func (rx *receiver) comment(t *Ticket, s speech) error {
	m := rx.in.Message
	if err := rx.tx.AddBlob(rx.in.Raw); err != nil {
		return err
	}
	rx.kept = true
	raw := rx.in.Raw.Hash
	c := &Comment{
		Kind: s.kind, Author: rx.requester(),
		CreatedAt: rx.now, MessageID: m.MessageID, Verified: s.verified, Auth: rx.verdict,
		Attachments: m.Attachments, Raw: &raw, RawSize: rx.in.Size, HTMLPart: m.HTMLPart,
		Machine: m.Machine, Journal: rx.in.Envelope.ID, Warnings: m.Warnings, Forwarded: m.Forwarded,
	}
	c.setText(m, t.Comments == 0)
	if rx.desk.text != nil {
		c.leaveText(rx.projects)
	}
	if err := clipComment(c, rx.projects); err != nil {
		return err
	}
	return addComment(rx.tx, t, c)
}

// follow adds the mail to the ticket it belongs to.
func (rx *receiver) follow(p *Project, th thread, s speech) (Outcome, error) {
	before := *th.ticket
	t := th.ticket
	if err := rx.comment(t, s); err != nil {
		return Outcome{}, err
	}
	t.UpdatedAt = rx.now
	if s.kind == CommentPublic && rx.in.Message.MessageID != "" {
		t.LastMessageID = rx.in.Message.MessageID
	}
	if s.join {
		if _, err := rx.join(t, rx.in.Message.Author(), RoleCc, false); err != nil {
			return Outcome{}, err
		}
	}
	if s.invite {
		if err := rx.invite(t); err != nil {
			return Outcome{}, err
		}
	}
	if s.share {
		if err := rx.passOn(p, t); err != nil {
			return Outcome{}, err
		}
	}
	if err := rx.reopen(t, s); err != nil {
		return Outcome{}, err
	}
	ref := Ref{Project: p.Name, IID: t.IID}.String()
	return Outcome{Decision: JournalAccepted, Reason: "follow-up-by-" + string(th.by), Ticket: ref}, saveTicket(rx.tx, &before, t)
}

// reopen opens a ticket again when a person speaks. That a closed one was
// opened shows on it.
func (rx *receiver) reopen(t *Ticket, s speech) error {
	was := t.State
	if !s.active || was == StateOpen {
		return nil
	}
	t.State = StateOpen
	if was != StateClosed {
		return nil
	}
	return system(rx.tx, t, rx.now, "A mail from %s opened the ticket again", rx.requester().Address)
}

// invite makes participants of the people that the mail names beside the desk.
// Nothing is sent to them before an agent's first answer.
func (rx *receiver) invite(t *Ticket) error {
	m := rx.in.Message
	room := MaxParticipants / rx.projects
	for _, person := range slices.Concat(m.To, m.Cc) {
		if len(t.Addresses) >= room {
			break
		}
		if _, err := rx.join(t, person, RoleCc, true); err != nil {
			return err
		}
	}
	return nil
}

// join makes a person a participant, with a reply and an unsubscribe address of
// their own. It returns nil for an address that nothing can be sent to, that is
// the desk's own, or that left the ticket before.
func (rx *receiver) join(t *Ticket, who Person, role string, fromCc bool) (*Participant, error) {
	addr := normalAddress(who.Address)
	if !validAddress(addr) || len(t.Addresses) >= MaxParticipants {
		return nil, nil
	}
	if own, err := rx.desk.routes.ownIn(rx.tx, addr); err != nil || own {
		return nil, err // the desk does not write to itself
	}
	k := participantKey(t.Project, t.IID, addr)
	if len(t.Addresses) > 0 { // on a new ticket there is nobody to be found
		old, err := find[Participant](rx.tx, k)
		if err != nil || old != nil {
			return nil, err
		}
	}
	p := &Participant{
		Address: strings.TrimSpace(who.Address), Name: oneLine(clip(who.Name, maxField), 200), Role: role, AddedAt: rx.now, FromCc: fromCc,
		Token: rx.draw.Token(), Leave: rx.draw.Token(),
	}
	for token, kind := range map[string]RouteKind{p.Token: RouteReply, p.Leave: RouteUnsubscribe} {
		row := Token{Kind: kind, Project: t.Project, Ticket: t.IID, Participant: addr}
		if err := save(rx.tx, tokenKey(token), row); err != nil {
			return nil, err
		}
	}
	t.Addresses = append(t.Addresses, addr)
	return p, save(rx.tx, k, p)
}

// participants lists who gets a ticket's mails.
func participants(r store.Reader, t *Ticket) ([]*Participant, error) {
	all, err := scan[Participant](r, store.Prefix("participant", t.Project, t.IID), false, 0)
	return slices.DeleteFunc(all, func(p *Participant) bool { return p.Removed }), err
}

// Budgets of automatic mail, per hour.
const (
	thanksPerAddress  = 5  // robots without headers write again and again
	thanksPerDomain   = 20 // when the From domain does not vouch for the mail
	passedOnPerAuthor = 20 // mails, on one ticket
)

// thank answers a new ticket, if a person is there to read it. The author gets
// it only when the From domain vouches for the mail, or within a budget: a
// forged From must not make the desk an amplifier. Nobody gets it for a mail
// that only a policy here, and no agent, let in.
//
// https://www.rfc-editor.org/rfc/rfc3834#section-2
func (rx *receiver) thank(p *Project, t *Ticket, to *Participant) error {
	m := rx.in.Message
	if m.Machine.Class != MachineNone || m.SuppressReply || rx.in.Envelope.MailFrom == "" || isRobot(to.Address) {
		return nil
	}
	if rx.in.Verdict.Verdict.Action != ActionAccept && !rx.in.Release {
		return nil
	}
	ok, err := spend(rx.tx, "thanks", normalAddress(to.Address), rx.now, thanksPerAddress)
	if err != nil || !ok {
		return err
	}
	if !rx.verdict.Aligned() {
		ok, err := spend(rx.tx, "thanks-unverified", domainOf(to.Address), rx.now, thanksPerDomain)
		if err != nil || !ok {
			return err
		}
	}
	return send(rx.tx, rx.draw, p, t, to, mailing{kind: OutgoingThankYou, comment: 1, author: p.Name, text: thankYouText(t), at: rx.now})
}

// isRobot tells whether an address names a machine that should get no
// automatic mail.
func isRobot(addr string) bool {
	local, _, _ := splitAddress(addr)
	local = strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == '.' {
			return -1
		}
		return r
	}, local)
	for _, s := range []string{"noreply", "donotreply", "mailerdaemon", "postmaster", "bounce", "bounces"} {
		if local == s || strings.HasPrefix(local, "noreply") || strings.HasPrefix(local, "donotreply") {
			return true
		}
	}
	return false
}

// passOn sends a participant's words to the other participants. People who
// were only named in Cc wait for an agent's first answer.
func (rx *receiver) passOn(p *Project, t *Ticket) error {
	author := rx.in.Message.Author()
	people, err := participants(rx.tx, t)
	if err != nil {
		return err
	}
	people = slices.DeleteFunc(people, func(to *Participant) bool {
		return normalAddress(to.Address) == normalAddress(author.Address) || (to.FromCc && t.Answered == nil)
	})
	if len(people) == 0 {
		return nil
	}
	who := normalAddress(author.Address) + " " + Ref{Project: p.Name, IID: t.IID}.String()
	ok, err := spend(rx.tx, "passed-on", who, rx.now, passedOnPerAuthor)
	if err != nil || !ok {
		return err
	}
	for _, to := range people {
		m := mailing{kind: OutgoingRelay, comment: t.Comments, author: publicName(author), at: rx.now}
		if err := send(rx.tx, rx.draw, p, t, to, m); err != nil {
			return err
		}
	}
	return nil
}

// publicName is what other people see of a person: never the address.
func publicName(p Person) string {
	for _, s := range []string{p.Name, p.Address} {
		name, _, _ := strings.Cut(oneLine(clip(s, maxField), 200), "@")
		if name = strings.TrimSpace(name); name != "" {
			return name
		}
	}
	return ""
}

// spend takes one from an hourly budget; false when nothing is left.
func spend(tx store.Tx, name, who string, now time.Time, limit uint64) (bool, error) {
	k := budgetKey(name, term(who), now.Truncate(time.Hour))
	c, err := find[counter](tx, k)
	if err != nil {
		return false, err
	}
	if c == nil {
		c = &counter{}
	}
	if c.Last >= limit {
		return false, nil
	}
	c.Last++
	return true, save(tx, k, c)
}

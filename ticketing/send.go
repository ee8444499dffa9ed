package ticketing

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// mailing is what all copies of one mail have in common.
type mailing struct {
	kind      OutgoingKind
	comment   uint64
	author    string // display name in From
	text      string // Markdown, "" = the body of the comment
	messageID string // one for all copies; "" = one of its own
	at        time.Time
}

// deliveryTime is how long the queue tries before a copy has failed.
const deliveryTime = 5 * 24 * time.Hour

func thankYouText(t *Ticket) string {
	return fmt.Sprintf("Thank you for your request. It is ticket #%d, and we will answer by e-mail as soon as we can.\n\n"+
		"To add something, reply to this mail.", t.IID)
}

// replyPrefixes are the tokens by which clients mark an answer.
var replyPrefixes = regexp.MustCompile(`(?i)^\s*((re|aw|antw|antwort|sv|vs|odp|ynt|res|rif)(\[\d+\])?\s*[:：]\s*)+`)

// ownRef is the reference of another ticket that an answer brought along.
var ownRef = regexp.MustCompile(`(\s*\(#\d{1,15}\))+\s*$`)

// subjectOf is the subject of everything sent about a ticket. It never changes
// while the title does not.
func subjectOf(t *Ticket) string {
	title := ownRef.ReplaceAllString(replyPrefixes.ReplaceAllString(t.Title, ""), "")
	if title == "" {
		title = noSubject
	}
	return fmt.Sprintf("Re: %s (#%d)", title, t.IID)
}

// writesFrom is the desk's side of a talk: the address it began at, or the
// project's when that takes no mail any more; "" if there is none.
func writesFrom(r store.Reader, p *Project, t *Ticket) (string, error) {
	if t.Address == "" {
		return p.Address, nil
	}
	local, domain, _ := splitAddress(t.Address)
	route, err := routeIn(r, local, domain)
	if _, refused := errors.AsType[*Error](err); refused || err == nil && route.Project != p.ID {
		return p.Address, nil
	}
	return t.Address, err
}

// send writes the intent of one copy. All that shows in the mail is fixed here;
// the queue renders and signs it.
func send(tx store.Tx, draw *Draw, p *Project, t *Ticket, to *Participant, m mailing) error {
	from, err := writesFrom(tx, p, t)
	if err != nil {
		return err
	}
	domain := domainOf(from)
	if domain == "" {
		return nil // a project without an address cannot write
	}
	id, verp := draw.ID(), draw.Token()
	o := Outgoing{
		ID: id, Kind: m.kind, Project: p.ID, Ticket: t.IID, Comment: m.comment, Ref: Ref{Project: p.Name, IID: t.IID}.String(),
		Recipient: Person{Name: to.Name, Address: to.Address}, From: Person{Name: m.author, Address: from},
		Envelope:    bounceLocal + "+" + verp + "@" + domain,
		ReplyTo:     Person{Name: p.Name, Address: replyAddress(from, to.Token)},
		Unsubscribe: unsubscribeLocal + "+" + to.Leave + "@" + domain,
		Subject:     subjectOf(t), MessageID: m.messageID, Text: m.text, CreatedAt: m.at,
		State: DeliveryPending, Due: m.at, Deadline: m.at.Add(deliveryTime),
	}
	if o.MessageID == "" {
		o.MessageID = ourMessageID(draw, domain)
		if err := save(tx, messageIDKey(p.ID, o.MessageID), messageRow{Ticket: t.IID, Comment: m.comment, Ours: true}); err != nil {
			return err
		}
	}
	o.InReplyTo, o.References = threading(t)
	if err := save(tx, tokenKey(verp), Token{Kind: RouteBounce, Project: p.ID, Ticket: t.IID, Outgoing: id}); err != nil {
		return err
	}
	for _, k := range []store.Key{outgoingTicketKey(p.ID, t.IID, m.comment, id), outgoingByKey(to.Address, id), outgoingByKey(o.MessageID, id)} {
		if err := tx.Put(k, ref); err != nil {
			return err
		}
	}
	return saveOutgoing(tx, nil, &o)
}

func ourMessageID(draw *Draw, domain string) string { return "mxdesk." + draw.ID() + "@" + domain }

// replyAddress is the participant's way back to the ticket.
func replyAddress(from, token string) string {
	local, domain, _ := splitAddress(from)
	if len(local)+1+len(token) > maxLocal {
		local = replyLocal
	}
	return local + "+" + token + "@" + domain
}

// threading makes the customer's own mail the root of the thread in the
// customer's client.
//
// https://www.rfc-editor.org/rfc/rfc5322#section-3.6.4
func threading(t *Ticket) (inReplyTo string, references []string) {
	for _, id := range []string{t.MessageID, t.ThreadID, t.LastMessageID} {
		if id != "" && len(id) <= maxThreadID && !slices.Contains(references, id) {
			references = append(references, id)
		}
	}
	for _, id := range []string{t.LastMessageID, t.MessageID} {
		if slices.Contains(references, id) {
			return id, references
		}
	}
	return t.ThreadID, references
}

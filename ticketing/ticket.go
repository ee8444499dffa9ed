package ticketing

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// State is where a ticket stands.
type State string

// The states of a ticket.
const (
	StateOpen    State = "open"    // an agent is to do something
	StateWaiting State = "waiting" // the customer is
	StateClosed  State = "closed"
)

// ParseState reads a state's name.
func ParseState(s string) (State, error) {
	st := State(strings.ToLower(strings.TrimSpace(s)))
	if st != StateOpen && st != StateWaiting && st != StateClosed {
		return "", errorf(KindInvalid, "bad-state", "%q is no state: open, waiting or closed", s)
	}
	return st, nil
}

// Ticket is one request and everything said about it.
type Ticket struct {
	Project   uint64    `json:"project"`
	IID       uint64    `json:"iid"` // number within the project
	Title     string    `json:"title"`
	State     State     `json:"state"`
	Requester Person    `json:"requester"`
	Assignee  string    `json:"assignee"` // agent's e-mail, "" = nobody
	Labels    []string  `json:"labels"`   // sorted
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	// MessageID is the id of the mail that opened the ticket: the root of
	// References in everything we send about it.
	MessageID string `json:"message_id"`
	// ThreadID is an id of ours that stands in References of every mail we
	// send. It locates the ticket and grants nothing.
	ThreadID string `json:"thread_id"`
	// LastMessageID is the latest mail from outside, answered by In-Reply-To.
	LastMessageID string `json:"last_message_id"`
	// Address is the alias the first mail was sent to: our side of the talk.
	Address  string     `json:"address"`
	Comments uint64     `json:"comments"` // how many there are; they are numbered from 1
	Answered *time.Time `json:"answered"` // first public answer of an agent
	// Addresses are the participants' addresses, for the index by participant.
	Addresses []string `json:"addresses"`
}

// CommentKind says who may see a comment.
type CommentKind string

// The kinds of comment.
const (
	CommentPublic   CommentKind = "public"
	CommentInternal CommentKind = "internal" // agents' eyes only, never mailed
	CommentSystem   CommentKind = "system"
)

// Comment is one entry of a ticket. Comment 1 is the opening mail.
type Comment struct {
	ID        uint64      `json:"id"` // number within the ticket, from 1
	Kind      CommentKind `json:"kind"`
	Author    Person      `json:"author"`
	FromAgent bool        `json:"from_agent"`
	Body      string      `json:"body"`
	// Quoted is the history and signature that Body leaves out.
	Quoted string `json:"quoted,omitempty"`
	// Truncated is set when Body and Quoted are longer than is kept here; the
	// whole text is in the raw mail.
	Truncated bool `json:"truncated,omitempty"`
	// InRaw is set when the store has Body and Quoted in the raw mail only; the
	// desk fills them in when it gives the comment out.
	InRaw       bool         `json:"in_raw,omitempty"`
	CreatedAt   time.Time    `json:"created_at"`
	MessageID   string       `json:"message_id"`
	Verified    bool         `json:"verified"` // the From domain vouches for the mail
	Auth        *Verdict     `json:"auth,omitempty"`
	Attachments []Attachment `json:"attachments,omitempty"`
	Raw         *store.Hash  `json:"raw,omitempty"` // the mail as received
	RawSize     int64        `json:"raw_size,omitempty"`
	HTMLPart    string       `json:"html_part,omitempty"`
	Machine     Machine      `json:"machine"`
	Journal     string       `json:"journal,omitempty"` // id of the transaction it came in with
	Warnings    []string     `json:"warnings,omitempty"`
	Forwarded   *Forwarded   `json:"forwarded,omitempty"`
	// Copies is how many copies Reply has just written; it is not stored.
	Copies int `json:"-"`
}

// Participant is a person who gets a ticket's mails.
type Participant struct {
	Address string    `json:"address"`
	Name    string    `json:"name"`
	Role    string    `json:"role"` // requester or cc
	AddedAt time.Time `json:"added_at"`
	Token   string    `json:"token"`       // reply address
	Leave   string    `json:"unsubscribe"` // unsubscribe address
	Removed bool      `json:"removed"`
	// FromCc is set while the person was only named by somebody else: nothing
	// is sent to them before an agent's first answer.
	FromCc bool `json:"from_cc"`
}

// Roles of a participant.
const (
	RoleRequester = "requester"
	RoleCc        = "cc"
)

// MaxParticipants bounds the people on one ticket.
const MaxParticipants = 100

// Token is what a reply, bounce or unsubscribe address stands for.
type Token struct {
	Kind        RouteKind `json:"kind"`
	Project     uint64    `json:"project"`
	Ticket      uint64    `json:"ticket"`
	Participant string    `json:"participant,omitempty"`
	Outgoing    string    `json:"outgoing,omitempty"`
	Revoked     bool      `json:"revoked,omitempty"`
}

// messageRow finds a ticket by a Message-ID, theirs or ours.
type messageRow struct {
	Ticket  uint64 `json:"ticket"`
	Comment uint64 `json:"comment"`
	Ours    bool   `json:"ours"`
}

// Ref names a ticket: "project#12".
type Ref struct {
	Project string
	IID     uint64
}

func (r Ref) String() string { return fmt.Sprintf("%s#%d", r.Project, r.IID) }

// ParseRef reads "project#12".
func ParseRef(s string) (Ref, error) {
	name, num, ok := strings.Cut(strings.TrimSpace(s), "#")
	iid, err := strconv.ParseUint(num, 10, 64)
	if !ok || name == "" || err != nil || iid == 0 {
		return Ref{}, errorf(KindInvalid, "bad-ticket", "%q names no ticket: write project#number, e.g. support#12", s)
	}
	return Ref{Project: strings.ToLower(name), IID: iid}, nil
}

var labelPattern = regexp.MustCompile(`^[\p{L}\p{N}][\p{L}\p{N} ._:/@-]{0,62}$`)

func parseLabel(s string) (string, error) {
	s = strings.ToLower(strings.TrimSpace(s))
	if !labelPattern.MatchString(s) {
		return "", errorf(KindInvalid, "bad-label", "%q is no label: letters, digits, blank and ._:/@-, at most 63", s)
	}
	return s, nil
}

// indexKeys are the rows by which lists find a ticket, newest first.
func (t *Ticket) indexKeys() []store.Key {
	at := store.Desc(t.UpdatedAt)
	st := string(t.State)
	ks := []store.Key{
		store.K("ticket.all", at, t.Project, t.IID),
		store.K("ticket.state", st, at, t.Project, t.IID),
		store.K("ticket.project", t.Project, at, t.Project, t.IID),
		store.K("ticket.project.state", t.Project, st, at, t.Project, t.IID),
		store.K("ticket.assignee", t.Assignee, st, at, t.Project, t.IID),
	}
	for _, l := range t.Labels {
		ks = append(ks, store.K("ticket.label", t.Project, l, at, t.Project, t.IID))
	}
	for _, a := range t.Addresses {
		ks = append(ks, store.K("ticket.participant", term(a), at, t.Project, t.IID))
	}
	return ks
}

// saveTicket writes a ticket and moves its index rows. before is the ticket as
// it was read, nil for a new one.
func saveTicket(tx store.Tx, before, t *Ticket) error {
	var old []store.Key
	if before != nil {
		old = before.indexKeys()
	}
	now := t.indexKeys()
	for _, k := range old {
		if !slices.Contains(now, k) {
			if err := tx.Delete(k); err != nil {
				return err
			}
		}
	}
	for _, k := range now {
		if !slices.Contains(old, k) {
			if err := tx.Put(k, ref); err != nil {
				return err
			}
		}
	}
	k := ticketKey(t.Project, t.IID)
	if err := tx.Emit(store.Change{Kind: "ticket", Key: k}); err != nil {
		return err
	}
	return save(tx, k, t)
}

// addComment numbers a comment and writes it with the rows that find it.
func addComment(tx store.Tx, t *Ticket, c *Comment) error {
	t.Comments++
	c.ID = t.Comments
	if c.MessageID != "" {
		k := messageIDKey(t.Project, c.MessageID)
		old, err := find[messageRow](tx, k)
		if err != nil {
			return err
		}
		if old == nil {
			if err := save(tx, k, messageRow{Ticket: t.IID, Comment: c.ID, Ours: c.FromAgent}); err != nil {
				return err
			}
		}
	}
	k := commentKey(t.Project, t.IID, c.ID)
	if err := tx.Emit(store.Change{Kind: "comment", Key: k}); err != nil {
		return err
	}
	return save(tx, k, c)
}

// system appends a system comment.
func system(tx store.Tx, t *Ticket, now time.Time, format string, args ...any) error {
	return addComment(tx, t, &Comment{
		Kind: CommentSystem, Author: Person{Name: BotName}, FromAgent: true, CreatedAt: now,
		Body: clip(fmt.Sprintf(format, args...), maxBody), Machine: Machine{Class: MachineNone},
	})
}

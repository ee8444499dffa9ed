package api

import (
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
)

// The shapes that scripts rely on. Fields are added, never renamed.

// Ticket is one line of a ticket list.
type Ticket struct {
	Project   string          `json:"project"`
	IID       uint64          `json:"iid"`
	Title     string          `json:"title"`
	State     ticketing.State `json:"state"`
	Requester string          `json:"requester"`
	Name      string          `json:"requester_name"`
	Assignee  string          `json:"assignee"`
	Labels    []string        `json:"labels"`
	CreatedAt time.Time       `json:"created_at"`
	UpdatedAt time.Time       `json:"updated_at"`
	MessageID string          `json:"message_id"`
	Entries   uint64          `json:"entries"` // comments and what the desk noted
}

// Thread is a whole ticket.
type Thread struct {
	Project      string          `json:"project"`
	IID          uint64          `json:"iid"`
	Title        string          `json:"title"`
	State        ticketing.State `json:"state"`
	Requester    string          `json:"requester"`
	Name         string          `json:"requester_name"`
	Assignee     string          `json:"assignee"`
	Labels       []string        `json:"labels"`
	CreatedAt    time.Time       `json:"created_at"`
	UpdatedAt    time.Time       `json:"updated_at"`
	MessageID    string          `json:"message_id"`
	Participants []Participant   `json:"participants"`
	Comments     []Comment       `json:"comments"`
}

// Participant is a person who gets the ticket's mails.
type Participant struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Role    string `json:"role"`
}

// Comment is one entry of a ticket.
type Comment struct {
	ID          uint64                 `json:"id"`
	Author      string                 `json:"author"`
	Name        string                 `json:"author_name"`
	FromAgent   bool                   `json:"from_agent"`
	Kind        ticketing.CommentKind  `json:"kind"`
	Body        string                 `json:"body"`
	Quoted      string                 `json:"quoted"`
	CreatedAt   time.Time              `json:"created_at"`
	MessageID   string                 `json:"message_id"`
	Verified    bool                   `json:"verified"`
	Auth        *ticketing.Verdict     `json:"auth"`
	Machine     ticketing.Machine      `json:"machine"`
	Attachments []ticketing.Attachment `json:"attachments"`
	Deliveries  []Delivery             `json:"deliveries"`
	Transaction string                 `json:"transaction"`
	Warnings    []string               `json:"warnings"`
}

// Delivery is one recipient's copy of an outgoing mail.
type Delivery struct {
	ID        string                  `json:"id"`
	Kind      ticketing.OutgoingKind  `json:"kind"`
	Recipient string                  `json:"recipient"`
	State     ticketing.DeliveryState `json:"state"`
	Due       *time.Time              `json:"due"` // of the next attempt; null while one is under way
	Sending   bool                    `json:"sending"`
	Attempts  []ticketing.Attempt     `json:"attempts"`
}

// Outgoing is one line of the queue.
type Outgoing struct {
	ID        string                  `json:"id"`
	Kind      ticketing.OutgoingKind  `json:"kind"`
	Ticket    string                  `json:"ticket"`
	Recipient string                  `json:"recipient"`
	Sender    string                  `json:"mail_from"`
	Subject   string                  `json:"subject"`
	MessageID string                  `json:"message_id"`
	State     ticketing.DeliveryState `json:"state"`
	CreatedAt time.Time               `json:"created_at"`
	// Due is when the next attempt is due; null while one is under way (Sending)
	// and after the last.
	Due      *time.Time          `json:"due"`
	Sending  bool                `json:"sending"`
	Tries    int                 `json:"tries"`
	Attempts []ticketing.Attempt `json:"attempts"`
}

// Transaction is one line of a trace: a mail that came in, was refused, or
// went out.
type Transaction struct {
	ID        string             `json:"id"`
	At        time.Time          `json:"at"`
	Direction string             `json:"direction"` // in or out
	Client    string             `json:"client"`
	Helo      string             `json:"helo"`
	MailFrom  string             `json:"mail_from"`
	RcptTo    []string           `json:"rcpt_to"`
	MessageID string             `json:"message_id"`
	Decision  string             `json:"decision"`
	Reason    string             `json:"reason"`
	Ticket    string             `json:"ticket"`
	Protocol  string             `json:"protocol"`
	Session   string             `json:"session"`
	Stage     string             `json:"stage"`
	Code      int                `json:"code"`
	Enhanced  string             `json:"enhanced"`
	Subject   string             `json:"subject"`
	From      string             `json:"from"`
	Size      int64              `json:"size"`
	Count     int                `json:"count"` // transactions folded into this line
	Auth      *ticketing.Verdict `json:"auth"`

	Outcomes []ticketing.JournalOutcome `json:"outcomes"`
	Held     string                     `json:"held"` // the held mail that was released with it
}

// Held is one line of the held mail.
type Held struct {
	Name      string             `json:"name"`
	At        time.Time          `json:"at"`
	Reason    string             `json:"reason"`
	MailFrom  string             `json:"mail_from"`
	From      string             `json:"from"`
	Subject   string             `json:"subject"`
	MessageID string             `json:"message_id"`
	Size      int64              `json:"size"`
	Auth      *ticketing.Verdict `json:"auth"`
}

// Done answers a command that changes something.
type Done struct {
	Ticket  string `json:"ticket,omitempty"`
	Comment uint64 `json:"comment,omitempty"`
	Project string `json:"project,omitempty"`
	Alias   string `json:"alias,omitempty"`
	Domain  string `json:"domain,omitempty"`
	Agent   string `json:"agent,omitempty"`
	Message string `json:"message"`
}

// list makes an absent list an empty one: scripts index it without asking.
func list[T any](in []T) []T {
	if in == nil {
		return []T{}
	}
	return in
}

func ticketView(t ticketing.TicketView) Ticket {
	return Ticket{
		Project: t.ProjectName, IID: t.IID, Title: t.Title, State: t.State, Requester: t.Requester.Address, Name: t.Requester.Name,
		Assignee: t.Assignee, Labels: list(t.Labels), CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt, MessageID: t.MessageID, Entries: t.Comments,
	}
}

func threadView(th *ticketing.Thread) Thread {
	t := ticketView(th.TicketView)
	out := Thread{
		Project: t.Project, IID: t.IID, Title: t.Title, State: t.State, Requester: t.Requester, Name: t.Name, Assignee: t.Assignee,
		Labels: t.Labels, CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt, MessageID: t.MessageID,
		Participants: []Participant{}, Comments: []Comment{},
	}
	for _, p := range th.Participants {
		out.Participants = append(out.Participants, Participant{Name: p.Name, Address: p.Address, Role: p.Role})
	}
	for _, e := range th.Entries {
		out.Comments = append(out.Comments, commentView(e))
	}
	return out
}

func commentView(e ticketing.Entry) Comment {
	c := Comment{
		ID: e.ID, Author: e.Author.Address, Name: e.Author.Name, FromAgent: e.FromAgent, Kind: e.Kind, Body: e.Body, Quoted: e.Quoted,
		CreatedAt: e.CreatedAt, MessageID: e.MessageID, Verified: e.Verified, Auth: e.Auth, Machine: e.Machine,
		Attachments: list(e.Attachments), Deliveries: []Delivery{}, Transaction: e.Journal, Warnings: list(e.Warnings),
	}
	if c.Author == "" {
		c.Author = c.Name
	}
	for _, o := range e.Deliveries {
		d := Delivery{ID: o.ID, Kind: o.Kind, Recipient: o.Recipient.Address, State: o.State, Attempts: list(o.Attempts)}
		d.Due, d.Sending = nextTry(o)
		c.Deliveries = append(c.Deliveries, d)
	}
	return c
}

func outgoingView(o *ticketing.Outgoing) Outgoing {
	v := Outgoing{
		ID: o.ID, Kind: o.Kind, Ticket: o.Ref, Recipient: o.Recipient.Address, Sender: o.Envelope, Subject: o.Subject,
		MessageID: o.MessageID, State: o.State, CreatedAt: o.CreatedAt, Tries: o.Tries, Attempts: list(o.Attempts),
	}
	v.Due, v.Sending = nextTry(o)
	return v
}

// nextTry is when the next attempt is due. While one is under way it is not: Due
// is the end of the claim then.
func nextTry(o *ticketing.Outgoing) (due *time.Time, sending bool) {
	switch {
	case o.State.Final():
		return nil, false
	case o.Claim != "":
		return nil, true
	}
	return &o.Due, false
}

func entryView(e *ticketing.JournalEntry) Transaction {
	return Transaction{
		ID: e.ID, At: e.At, Direction: "in", Client: e.Client, Helo: e.Helo, MailFrom: e.MailFrom, RcptTo: list(e.RcptTo), MessageID: e.MessageID,
		Decision: string(e.Decision), Reason: e.Reason, Ticket: e.Ticket, Protocol: e.Protocol, Session: e.Session, Stage: e.Stage,
		Code: e.Code, Enhanced: e.Enhanced, Subject: e.Subject, From: e.From, Size: e.Size, Count: max(e.Count, 1), Auth: e.Verdict, Outcomes: list(e.Outcomes), Held: e.Held,
	}
}

// sentView shows an outgoing copy as a transaction: what the last attempt came
// to.
func sentView(o *ticketing.Outgoing) Transaction {
	t := Transaction{
		ID: o.ID, At: o.CreatedAt, Direction: "out", MailFrom: o.Envelope, RcptTo: []string{o.Recipient.Address}, MessageID: o.MessageID,
		Decision: string(o.State), Reason: string(o.Kind), Ticket: o.Ref, Subject: o.Subject, From: o.From.Address, Count: 1,
		Outcomes: []ticketing.JournalOutcome{},
	}
	if n := len(o.Attempts); n > 0 {
		a := o.Attempts[n-1]
		t.At, t.Client, t.Code, t.Enhanced, t.Reason = a.At, a.Host, a.Code, a.Enhanced, a.Text
	}
	return t
}

func heldView(h *ticketing.Held) Held {
	return Held{Name: h.Name(), At: h.At, Reason: h.Reason, MailFrom: h.Envelope.MailFrom, From: h.From.Address,
		Subject: h.Subject, MessageID: h.MessageID, Size: h.Size, Auth: h.Auth}
}

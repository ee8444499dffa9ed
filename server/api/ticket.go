package api

import (
	"context"
	"fmt"

	"github.com/mxdesk/mxdesk/ticketing"
)

// ListRequest selects tickets.
type ListRequest struct {
	Project string `json:"project"`
	State   string `json:"state"`
	Limit   int    `json:"limit"` // 0 = all
}

func (a *api) ticketList(ctx context.Context, req ListRequest) ([]Ticket, error) {
	f := ticketing.TicketFilter{Project: req.Project, Limit: req.Limit}
	if req.State != "" {
		var err error
		if f.State, err = ticketing.ParseState(req.State); err != nil {
			return nil, err
		}
	}
	ts, err := a.Desk.Tickets(ctx, f)
	out := make([]Ticket, len(ts))
	for i, t := range ts {
		out[i] = ticketView(t)
	}
	return out, err
}

// TicketRequest names a ticket and says what to do with it, as whom.
type TicketRequest struct {
	Ticket string   `json:"ticket"` // project#number
	As     string   `json:"as"`     // agent's e-mail, "" = the admin
	Body   string   `json:"body,omitempty"`
	State  string   `json:"state,omitempty"`
	To     string   `json:"to,omitempty"`
	Add    []string `json:"add,omitempty"`
	Remove []string `json:"remove,omitempty"`
}

func (a *api) ticketShow(ctx context.Context, req TicketRequest) ([]Thread, error) {
	ref, err := ticketing.ParseRef(req.Ticket)
	if err != nil {
		return nil, err
	}
	th, err := a.Desk.Thread(ctx, ref)
	if err != nil {
		return nil, err
	}
	for i := range th.Entries {
		c := &th.Entries[i].Comment
		if !c.Truncated {
			continue
		}
		if c.Body, c.Quoted, err = a.Body.FullText(ctx, c); err != nil {
			return nil, err
		}
	}
	return []Thread{threadView(th)}, nil
}

// on runs one change of a ticket and reports it.
func on(ticket string, done string, change func(ticketing.Ref) (*ticketing.Comment, error)) ([]Done, error) {
	ref, err := ticketing.ParseRef(ticket)
	if err != nil {
		return nil, err
	}
	c, err := change(ref)
	if err != nil {
		return nil, err
	}
	d := Done{Ticket: ref.String(), Message: fmt.Sprintf("%s: %s", ref, done)}
	if c != nil {
		d.Comment = c.ID
	}
	return []Done{d}, nil
}

// mailedTo says how many people get a mail.
func mailedTo(copies int) string {
	switch copies {
	case 0:
		return ", but nobody gets mail about this ticket"
	case 1:
		return " and queued for 1 participant"
	}
	return fmt.Sprintf(" and queued for %d participants", copies)
}

func (a *api) ticketReply(ctx context.Context, req TicketRequest) ([]Done, error) {
	copies := 0
	ds, err := on(req.Ticket, "reply kept", func(ref ticketing.Ref) (*ticketing.Comment, error) {
		c, err := a.Desk.Reply(ctx, ref, req.As, req.Body)
		if c != nil {
			copies = c.Copies
		}
		return c, err
	})
	for i := range ds {
		ds[i].Message += mailedTo(copies)
	}
	return ds, err
}

func (a *api) ticketNote(ctx context.Context, req TicketRequest) ([]Done, error) {
	return on(req.Ticket, "note added", func(ref ticketing.Ref) (*ticketing.Comment, error) {
		return a.Desk.Note(ctx, ref, req.As, req.Body)
	})
}

func (a *api) ticketState(ctx context.Context, req TicketRequest) ([]Done, error) {
	return on(req.Ticket, req.State, func(ref ticketing.Ref) (*ticketing.Comment, error) {
		st, err := ticketing.ParseState(req.State)
		if err != nil {
			return nil, err
		}
		return nil, a.Desk.SetState(ctx, ref, req.As, st)
	})
}

func (a *api) ticketAssign(ctx context.Context, req TicketRequest) ([]Done, error) {
	done := "assigned to " + req.To
	if req.To == "" {
		done = "assigned to nobody"
	}
	return on(req.Ticket, done, func(ref ticketing.Ref) (*ticketing.Comment, error) {
		return nil, a.Desk.Assign(ctx, ref, req.As, req.To)
	})
}

func (a *api) ticketLabel(ctx context.Context, req TicketRequest) ([]Done, error) {
	return on(req.Ticket, "labels set", func(ref ticketing.Ref) (*ticketing.Comment, error) {
		return nil, a.Desk.Label(ctx, ref, req.As, req.Add, req.Remove)
	})
}

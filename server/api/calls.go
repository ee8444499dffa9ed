package api

import (
	"context"
	"fmt"
	"io"
	"strings"

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

// NameRequest names a project, alias, domain, agent, held mail or queue entry.
type NameRequest struct {
	Name    string   `json:"name"`
	Project string   `json:"project,omitempty"`
	Aliases []string `json:"aliases,omitempty"`
	State   string   `json:"state,omitempty"`
	Limit   int      `json:"limit,omitempty"`
}

func (a *api) ensureKeys(ctx context.Context, addrs ...string) error {
	for _, addr := range addrs {
		domain := strings.ToLower(strings.TrimSpace(addr[strings.LastIndexByte(addr, '@')+1:]))
		if err := a.Keys.Ensure(ctx, strings.TrimSuffix(domain, ".")); err != nil {
			return err
		}
	}
	return nil
}

func (a *api) projectCreate(ctx context.Context, req NameRequest) ([]Done, error) {
	p, err := a.Desk.CreateProject(ctx, req.Name, req.Aliases)
	if err != nil {
		return nil, err
	}
	return []Done{{Project: p.Name, Message: "project " + p.Name + " created"}}, a.ensureKeys(ctx, req.Aliases...)
}

// Project is one line of the project list.
type Project struct {
	ID      uint64   `json:"id"`
	Name    string   `json:"name"`
	Address string   `json:"address"`
	Aliases []string `json:"aliases"`
}

func (a *api) projectList(ctx context.Context, _ struct{}) ([]Project, error) {
	ps, err := a.Desk.Projects(ctx)
	if err != nil {
		return nil, err
	}
	as, err := a.Desk.Aliases(ctx)
	by := make(map[uint64][]string)
	for _, al := range as {
		by[al.Project] = append(by[al.Project], al.Address)
	}
	out := make([]Project, len(ps))
	for i, p := range ps {
		out[i] = Project{ID: p.ID, Name: p.Name, Address: p.Address, Aliases: list(by[p.ID])}
	}
	return out, err
}

func (a *api) aliasAdd(ctx context.Context, req NameRequest) ([]Done, error) {
	if err := a.Desk.AddAlias(ctx, req.Project, req.Name); err != nil {
		return nil, err
	}
	return []Done{{Alias: req.Name, Project: req.Project, Message: req.Name + " leads to " + req.Project}}, a.ensureKeys(ctx, req.Name)
}

func (a *api) aliasRemove(ctx context.Context, req NameRequest) ([]Done, error) {
	if err := a.Desk.RemoveAlias(ctx, req.Name); err != nil {
		return nil, err
	}
	return []Done{{Alias: req.Name, Message: "alias " + req.Name + " removed"}}, nil
}

// Alias is one line of the alias list.
type Alias struct {
	Alias   string `json:"alias"`
	Project string `json:"project"`
}

func (a *api) aliasList(ctx context.Context, _ struct{}) ([]Alias, error) {
	ps, err := a.Desk.Projects(ctx)
	if err != nil {
		return nil, err
	}
	names := make(map[uint64]string)
	for _, p := range ps {
		names[p.ID] = p.Name
	}
	as, err := a.Desk.Aliases(ctx)
	out := make([]Alias, len(as))
	for i, al := range as {
		out[i] = Alias{Alias: al.Address, Project: names[al.Project]}
	}
	return out, err
}

func (a *api) domainAdd(ctx context.Context, req NameRequest) ([]Done, error) {
	d, err := a.Desk.AddDomain(ctx, req.Name)
	if err != nil {
		return nil, err
	}
	return []Done{{Domain: d.Name, Message: "domain " + d.Name + " is served"}}, a.ensureKeys(ctx, d.Name)
}

func (a *api) domainRemove(ctx context.Context, req NameRequest) ([]Done, error) {
	if err := a.Desk.RemoveDomain(ctx, req.Name); err != nil {
		return nil, err
	}
	return []Done{{Domain: req.Name, Message: "domain " + req.Name + " is no longer served"}}, nil
}

// Domain is one line of the domain list.
type Domain struct {
	Domain   string `json:"domain"`
	CatchAll bool   `json:"catch_all"`
}

func (a *api) domainList(ctx context.Context, _ struct{}) ([]Domain, error) {
	ds, err := a.Desk.Domains(ctx)
	out := make([]Domain, len(ds))
	for i, d := range ds {
		out[i] = Domain{Domain: d.Name, CatchAll: d.CatchAll}
	}
	return out, err
}

// Agent is one line of the agent list.
type Agent struct {
	Email string `json:"email"`
	Name  string `json:"name"`
	Admin bool   `json:"admin"`
}

// AgentRequest describes an agent to be made.
type AgentRequest struct {
	Email string `json:"email"`
	Name  string `json:"name,omitempty"`
	Admin bool   `json:"admin,omitempty"`
}

func (a *api) agentAdd(ctx context.Context, req AgentRequest) ([]Done, error) {
	g, err := a.Desk.CreateAgent(ctx, ticketing.Agent{Email: req.Email, Name: req.Name, Admin: req.Admin})
	if err != nil {
		return nil, err
	}
	return []Done{{Message: "agent " + g.Email + " added"}}, nil
}

func (a *api) agentList(ctx context.Context, _ struct{}) ([]Agent, error) {
	as, err := a.Desk.Agents(ctx)
	out := make([]Agent, len(as))
	for i, g := range as {
		out[i] = Agent{Email: g.Email, Name: g.Name, Admin: g.Admin}
	}
	return out, err
}

// Record is a DNS record that a served domain wants published.
type Record struct {
	Domain string `json:"domain"`
	Name   string `json:"name"`
	Type   string `json:"type"`
	Value  string `json:"value"`
}

func (a *api) domainShow(ctx context.Context, req NameRequest) ([]Record, error) {
	ds, err := a.Desk.Domains(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range ds {
		if strings.EqualFold(d.Name, strings.TrimSuffix(strings.TrimSpace(req.Name), ".")) {
			return a.Keys.Records(ctx, d.Name)
		}
	}
	return nil, &ticketing.Error{Kind: ticketing.KindNotFound, Reason: "domain-not-found", Message: "there is no domain " + req.Name}
}

// Link is a one-time sign-in link.
type Link struct {
	Agent string `json:"agent"`
	Link  string `json:"link"`
}

func (a *api) agentLink(ctx context.Context, req NameRequest) ([]Link, error) {
	email := req.Name
	if email == "" {
		admin, err := a.Desk.Admin(ctx)
		if err != nil {
			return nil, err
		}
		email = admin.Email
	}
	link, err := a.SignIn.Link(ctx, email)
	return []Link{{Agent: email, Link: link}}, err
}

func (a *api) queueList(ctx context.Context, req NameRequest) ([]Outgoing, error) {
	var state ticketing.DeliveryState
	if req.State != "" {
		var err error
		if state, err = ticketing.ParseDeliveryState(req.State); err != nil {
			return nil, err
		}
	}
	os, err := a.Desk.Outgoing(ctx, state, req.Limit)
	out := make([]Outgoing, len(os))
	for i, o := range os {
		out[i] = outgoingView(o)
	}
	return out, err
}

// RawMessage is the bytes of a mail.
type RawMessage struct {
	Raw []byte `json:"raw"`
}

func (a *api) queueShow(ctx context.Context, req NameRequest) ([]RawMessage, error) {
	raw, err := a.Desk.RawOutgoing(ctx, req.Name)
	return []RawMessage{{Raw: raw}}, err
}

func (a *api) heldList(ctx context.Context, req NameRequest) ([]Held, error) {
	hs, err := a.Desk.HeldMail(ctx, req.Limit)
	out := make([]Held, len(hs))
	for i, h := range hs {
		out[i] = heldView(h)
	}
	return out, err
}

func (a *api) heldShow(ctx context.Context, req NameRequest) ([]RawMessage, error) {
	h, err := a.Desk.HeldByName(ctx, req.Name)
	if err != nil {
		return nil, err
	}
	blob, err := a.Desk.OpenRaw(ctx, h.Raw)
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	raw, err := io.ReadAll(io.NewSectionReader(blob, 0, blob.Size()))
	return []RawMessage{{Raw: raw}}, err
}

func (a *api) heldRelease(ctx context.Context, req NameRequest) ([]Done, error) {
	o, err := a.Release.Release(ctx, req.Name)
	return []Done{{Ticket: o.Ticket, Message: "released: " + o.Ticket}}, err
}

func (a *api) heldDelete(ctx context.Context, req NameRequest) ([]Done, error) {
	return []Done{{Message: "deleted"}}, a.Desk.ForgetHeld(ctx, req.Name)
}

// trace tells what happened to a mail, in and out, oldest first.
func (a *api) trace(ctx context.Context, req NameRequest) ([]Transaction, error) {
	in, err := a.Desk.Trace(ctx, req.Name)
	if err != nil {
		return nil, err
	}
	out := make([]Transaction, 0, len(in))
	for _, e := range in {
		out = append(out, entryView(e))
	}
	sent, err := a.Desk.TraceOutgoing(ctx, req.Name)
	for _, o := range sent {
		out = append(out, sentView(o))
	}
	return out, err
}

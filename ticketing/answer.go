package ticketing

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// edit changes one ticket as an agent: it loads both, runs change, and writes
// the ticket back with its index rows.
func (d *Desk) edit(ctx context.Context, ref Ref, as string, change func(e *editing) error) error {
	draw := d.draw()
	return d.update(ctx, func(tx store.Tx) error {
		dr := draw()
		e := &editing{tx: tx, draw: dr, now: dr.now}
		var err error
		if e.agent, err = actor(tx, as); err != nil {
			return err
		}
		if e.project, err = projectByName(tx, ref.Project); err != nil {
			return err
		}
		if e.ticket, err = mustFind[Ticket](tx, ticketKey(e.project.ID, ref.IID), "ticket", ref.String()); err != nil {
			return err
		}
		before := *e.ticket
		before.Labels, before.Addresses = slices.Clone(before.Labels), slices.Clone(before.Addresses)
		if err := change(e); err != nil {
			return err
		}
		e.ticket.UpdatedAt = e.now
		return saveTicket(tx, &before, e.ticket)
	})
}

// editing is one agent's change to one ticket.
type editing struct {
	tx      store.Tx
	draw    *Draw
	now     time.Time
	agent   *Agent
	project *Project
	ticket  *Ticket
}

func checkBody(body string) (string, error) {
	body = strings.TrimSpace(strings.ReplaceAll(strings.ToValidUTF8(body, "\uFFFD"), "\x00", ""))
	if body == "" {
		return "", errorf(KindInvalid, "empty-body", "there is no text to send")
	}
	if len(body) > maxBody {
		return "", errorf(KindTooLarge, "body-too-large", "the text is longer than %d KiB", maxBody>>10)
	}
	return body, nil
}

// Reply adds an agent's public comment and writes one outgoing copy for every
// participant, each with a reply address of its own. It returns the comment.
func (d *Desk) Reply(ctx context.Context, ref Ref, as, body string) (*Comment, error) {
	body, err := checkBody(body)
	if err != nil {
		return nil, err
	}
	var c *Comment
	err = d.edit(ctx, ref, as, func(e *editing) error {
		from, err := writesFrom(e.tx, e.project, e.ticket)
		if err != nil {
			return err
		}
		if from == "" {
			return errorf(KindConflict, "no-address", "project %s has no address to write from: add an alias first", e.project.Name)
		}
		id := ourMessageID(e.draw, domainOf(from))
		c = &Comment{
			Kind: CommentPublic, Author: Person{Name: e.agent.Name, Address: e.agent.Email}, FromAgent: true,
			Body: body, CreatedAt: e.now, MessageID: id, Verified: true, Machine: Machine{Class: MachineNone},
		}
		if err := addComment(e.tx, e.ticket, c); err != nil {
			return err
		}
		people, err := participants(e.tx, e.ticket)
		if err != nil {
			return err
		}
		c.Copies = len(people)
		for _, p := range people {
			m := mailing{kind: OutgoingNote, comment: c.ID, author: e.agent.Name, messageID: id, at: e.now}
			if err := send(e.tx, e.draw, e.project, e.ticket, p, m); err != nil {
				return err
			}
		}
		if e.ticket.Answered == nil {
			e.ticket.Answered = &e.now
		}
		return nil
	})
	return c, err
}

// Note adds an internal comment. Nothing is ever mailed of it.
func (d *Desk) Note(ctx context.Context, ref Ref, as, body string) (*Comment, error) {
	body, err := checkBody(body)
	if err != nil {
		return nil, err
	}
	var c *Comment
	err = d.edit(ctx, ref, as, func(e *editing) error {
		c = &Comment{
			Kind: CommentInternal, Author: Person{Name: e.agent.Name, Address: e.agent.Email}, FromAgent: true,
			Body: body, CreatedAt: e.now, Verified: true, Machine: Machine{Class: MachineNone},
		}
		return addComment(e.tx, e.ticket, c)
	})
	return c, err
}

// SetState closes, reopens or parks a ticket. The state it is in already is a
// KindConflict.
func (d *Desk) SetState(ctx context.Context, ref Ref, as string, st State) error {
	return d.edit(ctx, ref, as, func(e *editing) error {
		if e.ticket.State == st {
			return errorf(KindConflict, "state-unchanged", "ticket %s is %s already", ref, st)
		}
		was := e.ticket.State
		e.ticket.State = st
		return system(e.tx, e.ticket, e.now, "%s changed the state from %s to %s", e.agent.Name, was, st)
	})
}

// Assign gives a ticket to an agent; "" takes it from whoever has it.
func (d *Desk) Assign(ctx context.Context, ref Ref, as, to string) error {
	return d.edit(ctx, ref, as, func(e *editing) error {
		if to == "" {
			e.ticket.Assignee = ""
			return system(e.tx, e.ticket, e.now, "%s removed the assignee", e.agent.Name)
		}
		a, err := FindAgent(e.tx, to)
		if err != nil {
			return err
		}
		e.ticket.Assignee = a.Email
		return system(e.tx, e.ticket, e.now, "%s assigned %s", e.agent.Name, a.Name)
	})
}

// maxLabels bounds the labels of one ticket.
const maxLabels = 50

// Label adds and removes labels.
func (d *Desk) Label(ctx context.Context, ref Ref, as string, add, remove []string) error {
	return d.edit(ctx, ref, as, func(e *editing) error {
		labels := slices.Clone(e.ticket.Labels)
		for _, s := range add {
			l, err := parseLabel(s)
			if err != nil {
				return err
			}
			labels = append(labels, l)
		}
		for _, s := range remove {
			l, err := parseLabel(s)
			if err != nil {
				return err
			}
			labels = slices.DeleteFunc(labels, func(x string) bool { return x == l })
		}
		slices.Sort(labels)
		labels = slices.Compact(labels)
		if len(labels) > maxLabels {
			return errorf(KindTooLarge, "too-many-labels", "a ticket has at most %d labels", maxLabels)
		}
		if slices.Equal(labels, e.ticket.Labels) {
			return nil
		}
		e.ticket.Labels = labels
		return system(e.tx, e.ticket, e.now, "%s set the labels: %s", e.agent.Name, strings.Join(labels, ", "))
	})
}

package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/mxdesk/mxdesk/server/api"
	"github.com/mxdesk/mxdesk/ticketing"
)

// TicketCmd groups the commands on tickets.
type TicketCmd struct {
	List   TicketListCmd   `cmd:"" help:"List tickets, the latest changed first."`
	Show   TicketShowCmd   `cmd:"" help:"Show a ticket with its comments and deliveries."`
	Reply  TicketReplyCmd  `cmd:"" help:"Answer: a public comment, mailed to every participant."`
	Note   TicketNoteCmd   `cmd:"" help:"Add an internal note, never mailed."`
	Close  TicketCloseCmd  `cmd:"" help:"Close a ticket."`
	Reopen TicketReopenCmd `cmd:"" help:"Open a ticket again."`
	Wait   TicketWaitCmd   `cmd:"" help:"Mark a ticket as waiting for the customer."`
	Assign TicketAssignCmd `cmd:"" help:"Give a ticket to an agent."`
	Label  TicketLabelCmd  `cmd:"" help:"Add or remove labels."`
}

// TicketListCmd lists tickets.
type TicketListCmd struct {
	Project string `help:"Only tickets of this project."`
	State   string `help:"Only tickets in this state: open, waiting or closed."`
	Limit   int    `help:"At most this many, 0 = all." default:"50"`
}

// Run lists tickets.
func (c TicketListCmd) Run(e *Env) error {
	if err := checkLimit(c.Limit); err != nil {
		return err
	}
	req := api.ListRequest{Project: c.Project, State: c.State, Limit: c.Limit}
	return ask(e, "ticket.list", req, func(ts []api.Ticket) error {
		if len(ts) == 0 {
			return none(e.Stdout, "tickets")
		}
		rows := [][]string{{"TICKET", "STATE", "UPDATED", "REQUESTER", "ENTRIES", "TITLE"}}
		for _, t := range ts {
			rows = append(rows, []string{
				fmt.Sprintf("%s#%d", t.Project, t.IID), string(t.State), when(t.UpdatedAt), cell(t.Requester, 32),
				strconv.FormatUint(t.Entries, 10), cell(t.Title, 60),
			})
		}
		table(e.Stdout, rows)
		return nil
	})
}

// checkLimit looks at the flag that cuts a list.
func checkLimit(n int) error {
	if n < 0 {
		return exitf(exitUsage, "--limit is 0 or more")
	}
	return nil
}

// TicketShowCmd shows a ticket.
type TicketShowCmd struct {
	Ticket string `arg:"" help:"project#number, e.g. support#12." placeholder:"P#N"`
}

// Run shows a ticket.
func (c TicketShowCmd) Run(e *Env) error {
	return ask(e, "ticket.show", api.TicketRequest{Ticket: c.Ticket}, func(ts []api.Thread) error {
		for _, t := range ts {
			showThread(e.Stdout, t)
		}
		return nil
	})
}

func showThread(w io.Writer, t api.Thread) {
	fmt.Fprintf(w, "%s\n%s#%d · %s · %s", cell(t.Title, 200), t.Project, t.IID, t.State, clean(t.Requester))
	if t.Assignee != "" {
		fmt.Fprintf(w, " · assigned to %s", clean(t.Assignee))
	}
	if len(t.Labels) > 0 {
		fmt.Fprintf(w, " · %s", clean(strings.Join(t.Labels, ", ")))
	}
	fmt.Fprintln(w)
	for _, c := range t.Comments {
		showComment(w, c)
	}
	var people []string
	for _, p := range t.Participants {
		people = append(people, clean(p.Address))
	}
	fmt.Fprintf(w, "\nParticipants: %s\n", strings.Join(people, ", "))
}

func showComment(w io.Writer, c api.Comment) {
	who := clean(c.Author)
	if c.Name != "" && c.Name != c.Author {
		who = fmt.Sprintf("%s <%s>", cell(c.Name, 60), who)
	}
	if c.Kind == ticketing.CommentSystem {
		fmt.Fprintf(w, "\n· %s  %s\n", clean(c.Body), when(c.CreatedAt))
		return
	}
	marks := ""
	if c.Kind == ticketing.CommentInternal {
		marks += "  [internal]"
	}
	if c.Machine.Class != "" && c.Machine.Class != ticketing.MachineNone {
		marks += "  [" + strings.ReplaceAll(string(c.Machine.Class), "_", " ") + "]"
	}
	if !c.FromAgent {
		marks += map[bool]string{true: "  [verified]", false: "  [not verified]"}[c.Verified]
	}
	fmt.Fprintf(w, "\n%d  %s  %s%s\n", c.ID, who, when(c.CreatedAt), marks)
	if strings.TrimSpace(c.Body) != "" {
		fmt.Fprintln(w, indent(c.Body, "   "))
	} else if !c.FromAgent {
		fmt.Fprintln(w, "   (no visible text)")
	}
	for _, a := range c.Attachments {
		fmt.Fprintf(w, "   + %s  %s  %s\n", cell(a.Name, 60), clean(a.Type), size(a.Size))
	}
	for _, d := range c.Deliveries {
		fmt.Fprintf(w, "   → %s%s: %s%s\n", clean(d.Recipient), map[bool]string{true: " (automatic thank-you)"}[d.Kind == ticketing.OutgoingThankYou],
			d.State, lastAttempt(d.Attempts))
		if d.Due != nil {
			fmt.Fprintf(w, "     next try %s\n", when(*d.Due))
		}
		if d.Sending {
			fmt.Fprintln(w, "     being sent now")
		}
	}
}

func lastAttempt(as []ticketing.Attempt) string {
	if len(as) == 0 {
		return ""
	}
	a := as[len(as)-1]
	parts := []string{}
	for _, s := range []string{a.Host, a.TLS} {
		if s != "" {
			parts = append(parts, clean(s))
		}
	}
	reply := strings.TrimSpace(a.Enhanced + " " + cell(a.Text, 100))
	if a.Code != 0 {
		reply = fmt.Sprintf("%d %s", a.Code, reply)
	}
	parts = append(parts, reply, when(a.At))
	return " — " + strings.Join(parts, ", ")
}

// size is a number of octets as people read it.
func size(n int64) string {
	switch {
	case n >= 10<<20:
		return fmt.Sprintf("%d MB", n>>20)
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%d KB", n>>10)
	}
	return fmt.Sprintf("%d B", n)
}

// onTicket are the flags of every change of a ticket.
type onTicket struct {
	Ticket string `arg:"" help:"project#number, e.g. support#12." placeholder:"P#N"`
	As     string `help:"E-mail of the agent who acts; the admin if not given." placeholder:"EMAIL"`
}

func (o onTicket) request() api.TicketRequest { return api.TicketRequest{Ticket: o.Ticket, As: o.As} }

// TicketReplyCmd answers a ticket.
type TicketReplyCmd struct {
	onTicket
	Body string `required:"" help:"Text in Markdown, - for standard input." placeholder:"TEXT"`
}

// Run answers a ticket.
func (c TicketReplyCmd) Run(e *Env) error { return e.say("ticket.reply", c.request(), c.Body) }

// TicketNoteCmd adds an internal note.
type TicketNoteCmd struct {
	onTicket
	Body string `required:"" help:"Text in Markdown, - for standard input." placeholder:"TEXT"`
}

// Run adds an internal note.
func (c TicketNoteCmd) Run(e *Env) error { return e.say("ticket.note", c.request(), c.Body) }

// maxStdin bounds a text read from standard input.
const maxStdin = 1 << 20

func (e *Env) say(call string, req api.TicketRequest, body string) error {
	if body == "-" {
		text, err := io.ReadAll(io.LimitReader(e.Stdin, maxStdin))
		if err != nil {
			return err
		}
		body = string(text)
	}
	req.Body = body
	return e.done(call, req)
}

// TicketCloseCmd closes a ticket.
type TicketCloseCmd struct{ onTicket }

// Run closes a ticket.
func (c TicketCloseCmd) Run(e *Env) error { return e.setState(c.onTicket, ticketing.StateClosed) }

// TicketReopenCmd opens a ticket again.
type TicketReopenCmd struct{ onTicket }

// Run opens a ticket again.
func (c TicketReopenCmd) Run(e *Env) error { return e.setState(c.onTicket, ticketing.StateOpen) }

// TicketWaitCmd marks a ticket as waiting for the customer.
type TicketWaitCmd struct{ onTicket }

// Run marks a ticket as waiting.
func (c TicketWaitCmd) Run(e *Env) error { return e.setState(c.onTicket, ticketing.StateWaiting) }

func (e *Env) setState(o onTicket, st ticketing.State) error {
	req := o.request()
	req.State = string(st)
	return e.done("ticket.state", req)
}

// TicketAssignCmd gives a ticket to an agent.
type TicketAssignCmd struct {
	onTicket
	To string `arg:"" optional:"" help:"E-mail of the agent; nobody if not given." placeholder:"EMAIL"`
}

// Run assigns a ticket.
func (c TicketAssignCmd) Run(e *Env) error {
	req := c.request()
	req.To = c.To
	return e.done("ticket.assign", req)
}

// TicketLabelCmd adds and removes labels.
type TicketLabelCmd struct {
	onTicket
	Labels []string `arg:"" optional:"" help:"Labels to add." placeholder:"LABEL"`
	Remove []string `help:"Label to remove. May be repeated." placeholder:"LABEL"`
}

// Run changes labels.
func (c TicketLabelCmd) Run(e *Env) error {
	if len(c.Labels)+len(c.Remove) == 0 {
		return exitf(exitUsage, "name a label to add, or one to --remove")
	}
	req := c.request()
	req.Remove = c.Remove
	for _, l := range c.Labels {
		if name, ok := strings.CutPrefix(l, "-"); ok {
			req.Remove = append(req.Remove, name)
			continue
		}
		req.Add = append(req.Add, l)
	}
	return e.done("ticket.label", req)
}

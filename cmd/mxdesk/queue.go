package main

import (
	"strconv"

	"github.com/mxdesk/mxdesk/server/api"
)

// QueueCmd groups the commands on outgoing mail.
type QueueCmd struct {
	List QueueListCmd `cmd:"" help:"List outgoing mail, the newest first."`
	Show QueueShowCmd `cmd:"" help:"Print an outgoing mail as it is sent."`
}

// QueueListCmd lists outgoing mail.
type QueueListCmd struct {
	State string `help:"Only this state: pending, deferred, delivered, failed, captured, bounced or cancelled."`
	Limit int    `help:"At most this many, 0 = all." default:"50"`
}

// Run lists outgoing mail.
func (c QueueListCmd) Run(e *Env) error {
	if err := checkLimit(c.Limit); err != nil {
		return err
	}
	return ask(e, "queue.list", api.NameRequest{State: c.State, Limit: c.Limit}, func(os []api.Outgoing) error {
		if len(os) == 0 {
			return none(e.Stdout, "outgoing mail")
		}
		rows := [][]string{{"ID", "STATE", "CREATED", "TICKET", "RECIPIENT", "TRIES", "LAST"}}
		for _, o := range os {
			last := ""
			if n := len(o.Attempts); n > 0 {
				last = cell(o.Attempts[n-1].Text, 60)
			}
			rows = append(rows, []string{o.ID, string(o.State), when(o.CreatedAt), o.Ticket, cell(o.Recipient, 40), strconv.Itoa(o.Tries), last})
		}
		table(e.Stdout, rows)
		return nil
	})
}

// QueueShowCmd prints an outgoing mail.
type QueueShowCmd struct {
	ID string `arg:"" help:"Id, as listed."`
}

// Run prints an outgoing mail.
func (c QueueShowCmd) Run(e *Env) error {
	return ask(e, "queue.show", api.NameRequest{Name: c.ID}, e.printRaw)
}

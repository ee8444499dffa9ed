package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/mxdesk/mxdesk/server/api"
)

// QueueCmd groups the commands on outgoing mail.
type QueueCmd struct {
	List   QueueListCmd   `cmd:"" help:"List outgoing mail, the newest first."`
	Show   QueueShowCmd   `cmd:"" help:"Print an outgoing mail as it is sent."`
	Retry  QueueRetryCmd  `cmd:"" help:"Send mail now that waits for a later attempt."`
	Cancel QueueCancelCmd `cmd:"" help:"End mail that waits: it is not sent any more, and its ticket says so."`
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

// QueueRetryCmd makes waiting mail due now.
type QueueRetryCmd struct {
	IDs []string `arg:"" optional:"" name:"id" help:"Id, as listed. May be repeated." placeholder:"ID"`
	To  string   `help:"All that waits for recipients of this domain." placeholder:"DOMAIN"`
	All bool     `help:"All that waits."`
}

// Run makes waiting mail due now.
func (c QueueRetryCmd) Run(e *Env) error {
	if given(len(c.IDs) > 0, c.To != "", c.All) != 1 {
		return exitf(exitUsage, "name mails by their id, or give --to DOMAIN, or --all")
	}
	return e.operate("queue.retry", api.QueueRequest{IDs: c.IDs, To: c.To, All: c.All})
}

// QueueCancelCmd ends waiting mail.
type QueueCancelCmd struct {
	IDs []string `arg:"" optional:"" name:"id" help:"Id, as listed. May be repeated." placeholder:"ID"`
	To  string   `help:"All that waits for recipients of this domain." placeholder:"DOMAIN"`
}

// Run ends waiting mail.
func (c QueueCancelCmd) Run(e *Env) error {
	if given(len(c.IDs) > 0, c.To != "") != 1 {
		return exitf(exitUsage, "name mails by their id, or give --to DOMAIN")
	}
	return e.operate("queue.cancel", api.QueueRequest{IDs: c.IDs, To: c.To})
}

// given counts what is true.
func given(bs ...bool) (n int) {
	for _, b := range bs {
		if b {
			n++
		}
	}
	return n
}

// operate runs a call on the queue and shows what was done. What was not done is
// the command's error.
func (e *Env) operate(name string, req api.QueueRequest) error {
	rows := [][]string{{"ID", "TICKET", "RECIPIENT", "NOW"}}
	var not []string
	err := e.call(name, req, func(line []byte) error {
		var d api.QueueDone
		if err := json.Unmarshal(line, &d); err != nil {
			return fmt.Errorf("the answer of the server: %w", err)
		}
		if d.Done {
			rows = append(rows, []string{d.ID, d.Ticket, cell(d.Recipient, 40), d.Message})
		} else {
			not = append(not, clean(d.Message))
		}
		if e.Global.JSON {
			_, err := e.Stdout.Write(line)
			return err
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case e.Global.JSON:
	case len(rows) > 1:
		table(e.Stdout, rows)
	case len(not) == 0:
		return none(e.Stdout, "mail that waits")
	}
	if len(not) > 0 {
		return exitf(exitRefused, "%s", strings.Join(not, "\n"))
	}
	return nil
}

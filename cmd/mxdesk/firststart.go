package main

import (
	"context"
	"fmt"
	"io"
	"net"

	"github.com/mxdesk/mxdesk/ticketing"
)

// FirstStart is what the first start on an empty store made.
type FirstStart struct {
	Admin   string // e-mail
	Link    string // one-time sign-in link
	Address string // of the first project, "" when none was made
}

// The project that a first start makes where nobody configured anything.
const (
	firstProject = "support"
	firstAlias   = "support@localhost"
)

// firstStart makes the Support Bot, an admin and, without a config file, a
// project to try things with.
func (a *App) firstStart(ctx context.Context) (*FirstStart, error) {
	f := &FirstStart{Admin: "admin@" + a.cfg.Hostname}
	bot := ticketing.Agent{Email: ticketing.BotAddress, Name: ticketing.BotName, Bot: true}
	if _, err := a.Desk.CreateAgent(ctx, bot); err != nil {
		return nil, err
	}
	if _, err := a.Desk.CreateAgent(ctx, ticketing.Agent{Email: f.Admin, Name: "Admin", Admin: true}); err != nil {
		return nil, err
	}
	if !a.cfg.FromFile {
		f.Address = firstAlias
		if _, err := a.Desk.CreateProject(ctx, firstProject, []string{firstAlias}); err != nil {
			return nil, err
		}
	}
	if err := a.keys.Ensure(ctx, domainOf(f.Address, a.cfg.Hostname)); err != nil {
		return nil, err
	}
	var err error
	f.Link, err = a.login.Link(ctx, f.Admin)
	return f, err
}

func domainOf(address, otherwise string) string {
	for i := len(address) - 1; i >= 0; i-- {
		if address[i] == '@' {
			return address[i+1:]
		}
	}
	return otherwise
}

// greet tells a person what there is and what to do next.
func (a *App) greet(w io.Writer) {
	row := func(name, value string) { fmt.Fprintf(w, "  %-9s %s\n", name, value) }
	fmt.Fprintf(w, "mxdesk %s\n\n", version())
	row("data", a.cfg.Data)
	for _, l := range a.cfg.SMTP.Listen {
		row("smtp", l)
	}
	for _, l := range a.cfg.LMTP.Listen {
		row("lmtp", l)
	}
	row("pages", a.publicURL())
	row("metrics", a.cfg.Metrics.Listen)
	if a.cfg.Queue.Relay == "capture" {
		row("outgoing", "captured: kept and shown, never sent (set queue.relay to send)")
	} else {
		row("outgoing", a.cfg.Queue.Relay)
	}
	if a.first == nil {
		return
	}
	fmt.Fprintf(w, "\nFirst start: made the admin %s and the DKIM keys.\n", a.first.Admin)
	fmt.Fprintf(w, "Sign in once with this link, within 60 minutes (a new one: mxdesk agent link):\n\n  %s\n", a.first.Link)
	if a.first.Address == "" || len(a.cfg.SMTP.Listen) == 0 {
		fmt.Fprint(w, "\nMake a project next:\n\n  mxdesk project create support --alias support@desk.example.org\n\n")
		return
	}
	fmt.Fprintf(w, "\nSend a first mail to project %s and see it at %s/tickets:\n\n", firstProject, a.publicURL())
	fmt.Fprintf(w, "  printf 'From: Ann <ann@customer.example>\\nTo: %[1]s\\nSubject: Printer on fire\\n\\nIt burns.\\n' |\n"+
		"    curl -sS --crlf smtp://%[2]s --mail-from ann@customer.example --mail-rcpt %[1]s --upload-file -\n\n",
		a.first.Address, dialable(a.cfg.SMTP.Listen[0]))
}

// dialable is a listen address as a client on this machine would write it.
func dialable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil || (host != "" && host != "0.0.0.0" && host != "::") {
		return listen
	}
	return net.JoinHostPort("127.0.0.1", port)
}

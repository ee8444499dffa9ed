package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"github.com/mxdesk/mxdesk/ticketing"
)

// FirstStart is what the first start on an empty store made.
type FirstStart struct {
	Admin   string // e-mail
	Address string // of the first project, "" when none was made
}

// The project that a first start makes where nobody configured anything.
const (
	firstProject = "support"
	firstAlias   = "support@localhost"
)

// firstMark is the file that is there from the first start on until one has
// told a person what to do next. A start that was cut short is made up for.
const firstMark = "first-start"

func (a *App) markFirst() error { return writeFile(filepath.Join(a.cfg.Data, firstMark), nil) }

func (a *App) isFirst() bool {
	_, err := os.Stat(filepath.Join(a.cfg.Data, firstMark))
	return err == nil
}

// firstStart makes the Support Bot, an admin and, without a config file, a
// project to try things with. What an earlier try has made stays.
func (a *App) firstStart(ctx context.Context) (*FirstStart, error) {
	f := &FirstStart{}
	bot := ticketing.Agent{Email: ticketing.BotAddress, Name: ticketing.BotName, Bot: true}
	if _, err := a.Desk.CreateAgent(ctx, bot); unlessThere(err) != nil {
		return nil, err
	}
	admin, err := a.Desk.Admin(ctx)
	if ticketing.KindOf(err) == ticketing.KindNotFound {
		var made ticketing.Agent
		made, err = a.Desk.CreateAgent(ctx, ticketing.Agent{Email: "admin@" + a.cfg.Hostname, Name: "Admin", Admin: true})
		admin = &made
	}
	if err != nil {
		return nil, err
	}
	f.Admin = admin.Email
	if !a.cfg.FromFile {
		f.Address = firstAlias
		if _, err := a.Desk.CreateProject(ctx, firstProject, []string{firstAlias}); unlessThere(err) != nil {
			return nil, err
		}
	}
	return f, a.keys.Ensure(ctx, domainOf(f.Address, a.cfg.Hostname))
}

// unlessThere returns err, nil if it says that something exists already.
func unlessThere(err error) error {
	if ticketing.KindOf(err) == ticketing.KindConflict {
		return nil
	}
	return err
}

func domainOf(address, otherwise string) string {
	for i := len(address) - 1; i >= 0; i-- {
		if address[i] == '@' {
			return address[i+1:]
		}
	}
	return otherwise
}

// greet tells a person what there is and, at the first start, what to do next.
// Its error means that there is no sign-in link; the next start tries again.
func (a *App) greet(ctx context.Context, w io.Writer) error {
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
		return nil
	}
	link, err := a.login.Link(ctx, a.first.Admin)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\nFirst start: made the admin %s and the DKIM keys.\n", a.first.Admin)
	fmt.Fprintf(w, "Sign in once with this link, within 60 minutes (a new one: mxdesk agent link):\n\n  %s\n", link)
	a.nextSteps(w)
	if err := os.Remove(filepath.Join(a.cfg.Data, firstMark)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// nextSteps tells how the first mail gets in.
func (a *App) nextSteps(w io.Writer) {
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

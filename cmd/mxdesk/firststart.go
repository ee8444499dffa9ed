package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"github.com/mxdesk/mxdesk/auth/keyring"
	"github.com/mxdesk/mxdesk/queue"
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

func (a *App) markFirst() error {
	return keyring.WriteSecret(filepath.Join(a.cfg.Data, firstMark), nil)
}

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
	if a.cfg.File == "" {
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
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "  %-9s %s\n", name, value)
		}
	}
	fmt.Fprintf(w, "mxdesk %s\n\n", version())
	row("data", a.cfg.Data)
	for _, l := range a.cfg.SMTP.Listen {
		row("smtp", l)
	}
	for _, l := range a.cfg.LMTP.Listen {
		row("lmtp", l)
	}
	row("pages", a.pages())
	row("metrics", a.cfg.Metrics.Listen)
	if a.captures() {
		row("outgoing", "captured: kept and shown, never sent (set queue.relay to send)")
	} else {
		route, err := queue.ParseRoute(a.cfg.Queue.Relay)
		if err != nil {
			return err
		}
		row("outgoing", route.String()) // without its password
	}
	if a.first == nil {
		return nil
	}
	fmt.Fprintf(w, "\nFirst start: made the admin %s and the DKIM keys.\n", a.first.Admin)
	if a.cfg.HTTP.Listen != "" {
		link, err := a.login.Link(ctx, a.first.Admin)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "Sign in once with this link, within 60 minutes (a new one: %s agent link):\n\n  %s\n", a.command(), link)
	}
	a.nextSteps(w)
	if err := os.Remove(filepath.Join(a.cfg.Data, firstMark)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// pages is where agents find their pages, "" if there are none.
func (a *App) pages() string {
	switch {
	case a.cfg.HTTP.Listen == "":
		return ""
	case a.cfg.HTTP.PublicURL != "":
		return a.publicURL() + " (listens on " + a.cfg.HTTP.Listen + ")"
	}
	return a.publicURL()
}

// command is how the other commands find this server.
func (a *App) command() string {
	words := "mxdesk"
	if a.cfg.File != "" {
		words += " --config " + a.cfg.File
	}
	if a.cfg.Elsewhere || a.cfg.File == "" && a.cfg.Data != DefaultConfig().Data {
		words += " --data " + a.cfg.Data
	}
	return words
}

// nextSteps tells how the first mail gets in.
func (a *App) nextSteps(w io.Writer) {
	if a.first.Address == "" || len(a.cfg.SMTP.Listen) == 0 {
		fmt.Fprintf(w, "\nMake a project next:\n\n  %s project create support --alias support@desk.example.org\n\n", a.command())
		return
	}
	where := a.command() + " ticket list"
	if a.cfg.HTTP.Listen != "" {
		where = a.publicURL() + "/tickets"
	}
	fmt.Fprintf(w, "\nSend a first mail to project %s and see it at %s:\n\n", firstProject, where)
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

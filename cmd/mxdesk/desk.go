package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/mxdesk/mxdesk/auth/keyring"
	"github.com/mxdesk/mxdesk/server/api"
)

// ProjectCmd groups the commands on projects.
type ProjectCmd struct {
	Create ProjectCreateCmd `cmd:"" help:"Make a project."`
	List   ProjectListCmd   `cmd:"" help:"List the projects."`
	Set    ProjectSetCmd    `cmd:"" help:"Change settings of a project."`
}

// ProjectSetCmd changes settings of a project.
type ProjectSetCmd struct {
	Name   string `arg:"" help:"Project."`
	Policy string `required:"" help:"What is done with mail that authentication speaks against: ${policies}. inherit: as its domain." enum:"enforce,hold,annotate,inherit" placeholder:"POLICY"`
}

// Run changes settings of a project.
func (c ProjectSetCmd) Run(e *Env) error {
	return e.done("project.set", api.SettingsRequest{Name: c.Name, Policy: c.Policy})
}

// ProjectCreateCmd makes a project.
type ProjectCreateCmd struct {
	Name  string   `arg:"" help:"Short name: letters, digits, dot, dash, underscore."`
	Alias []string `help:"Address that leads to it. May be repeated; its domain is served from then on." placeholder:"ADDR"`
}

// Run makes a project.
func (c ProjectCreateCmd) Run(e *Env) error {
	return e.done("project.create", api.NameRequest{Name: c.Name, Aliases: c.Alias})
}

// ProjectListCmd lists the projects.
type ProjectListCmd struct{}

// Run lists the projects.
func (ProjectListCmd) Run(e *Env) error {
	return ask(e, "project.list", struct{}{}, func(ps []api.Project) error {
		if len(ps) == 0 {
			return none(e.Stdout, "projects")
		}
		rows := [][]string{{"PROJECT", "ID", "POLICY", "ALIASES"}}
		for _, p := range ps {
			rows = append(rows, []string{p.Name, strconv.FormatUint(p.ID, 10), p.Policy, strings.Join(p.Aliases, ", ")})
		}
		table(e.Stdout, rows)
		return nil
	})
}

// AliasCmd groups the commands on aliases.
type AliasCmd struct {
	Add    AliasAddCmd    `cmd:"" help:"Lead an address to a project; its domain is served from then on."`
	Remove AliasRemoveCmd `cmd:"" help:"Make an address unknown."`
	List   AliasListCmd   `cmd:"" help:"List the addresses."`
}

// AliasAddCmd adds an alias.
type AliasAddCmd struct {
	Project string `arg:"" help:"Project."`
	Addr    string `arg:"" help:"Address, e.g. support@desk.example.org."`
}

// Run adds an alias.
func (c AliasAddCmd) Run(e *Env) error {
	return e.done("alias.add", api.NameRequest{Project: c.Project, Name: c.Addr})
}

// AliasRemoveCmd removes an alias.
type AliasRemoveCmd struct {
	Addr string `arg:"" help:"Address."`
}

// Run removes an alias.
func (c AliasRemoveCmd) Run(e *Env) error {
	return e.done("alias.remove", api.NameRequest{Name: c.Addr})
}

// AliasListCmd lists the aliases.
type AliasListCmd struct{}

// Run lists the aliases.
func (AliasListCmd) Run(e *Env) error {
	return ask(e, "alias.list", struct{}{}, func(as []api.Alias) error {
		if len(as) == 0 {
			return none(e.Stdout, "aliases")
		}
		rows := [][]string{{"ALIAS", "PROJECT"}}
		for _, a := range as {
			rows = append(rows, []string{a.Alias, a.Project})
		}
		table(e.Stdout, rows)
		return nil
	})
}

// DomainCmd groups the commands on domains.
type DomainCmd struct {
	Add    DomainAddCmd    `cmd:"" help:"Serve a domain."`
	Remove DomainRemoveCmd `cmd:"" help:"Stop serving a domain."`
	List   DomainListCmd   `cmd:"" help:"List the served domains."`
	Show   DomainShowCmd   `cmd:"" help:"Show the DNS records that a domain is to publish."`
	Set    DomainSetCmd    `cmd:"" help:"Change settings of a domain."`
}

// DomainSetCmd changes settings of a domain.
type DomainSetCmd struct {
	Domain string `arg:"" help:"Domain."`
	Policy string `required:"" help:"What is done with mail that authentication speaks against: ${policies}. inherit: as the setting auth.policy." enum:"enforce,hold,annotate,inherit" placeholder:"POLICY"`
}

// Run changes settings of a domain.
func (c DomainSetCmd) Run(e *Env) error {
	return e.done("domain.set", api.SettingsRequest{Name: c.Domain, Policy: c.Policy})
}

// DomainShowCmd shows the DNS records of a domain.
type DomainShowCmd struct {
	Domain string `arg:"" help:"Domain."`
	Zone   bool   `help:"Write lines for a zone file, with the long texts cut as they have to be there."`
}

// Run shows the DNS records of a domain.
func (c DomainShowCmd) Run(e *Env) error {
	return ask(e, "domain.show", api.NameRequest{Name: c.Domain}, func(rs []api.Record) error {
		for _, r := range rs {
			printRecord(e.Stdout, r, c.Zone)
		}
		return nil
	})
}

func printRecord(w io.Writer, r api.Record, zone bool) {
	switch {
	case zone && r.Type == "TXT":
		zoneText(w, r.Name, keyring.Key{Record: r.Value}.Strings())
	case zone:
		fmt.Fprintf(w, "%s. %d IN %s %s\n", r.Name, zoneTTL, r.Type, clean(r.Value))
	default:
		fmt.Fprintf(w, "%s.  %s  %s\n", r.Name, r.Type, clean(r.Value))
	}
}

// DomainAddCmd serves a domain.
type DomainAddCmd struct {
	Domain string `arg:"" help:"Domain, e.g. desk.example.org."`
}

// Run serves a domain.
func (c DomainAddCmd) Run(e *Env) error {
	return e.done("domain.add", api.NameRequest{Name: c.Domain})
}

// DomainRemoveCmd stops serving a domain.
type DomainRemoveCmd struct {
	Domain string `arg:"" help:"Domain."`
}

// Run stops serving a domain.
func (c DomainRemoveCmd) Run(e *Env) error {
	return e.done("domain.remove", api.NameRequest{Name: c.Domain})
}

// DomainListCmd lists the domains.
type DomainListCmd struct{}

// Run lists the domains.
func (DomainListCmd) Run(e *Env) error {
	return ask(e, "domain.list", struct{}{}, func(ds []api.Domain) error {
		if len(ds) == 0 {
			return none(e.Stdout, "domains")
		}
		rows := [][]string{{"DOMAIN", "POLICY"}}
		for _, d := range ds {
			rows = append(rows, []string{d.Domain, d.Policy})
		}
		table(e.Stdout, rows)
		return nil
	})
}

// printRaw writes mails as they are, made harmless for a terminal.
func (e *Env) printRaw(rs []api.RawMessage) error {
	for _, r := range rs {
		if _, err := fmt.Fprint(e.Stdout, clean(string(r.Raw))); err != nil {
			return err
		}
	}
	return nil
}

// HeldCmd groups the commands on held mail.
type HeldCmd struct {
	List    HeldListCmd    `cmd:"" help:"List held mail, the newest first."`
	Show    HeldShowCmd    `cmd:"" help:"Print a held mail as it was received."`
	Release HeldReleaseCmd `cmd:"" help:"Let a held mail through."`
	Delete  HeldDeleteCmd  `cmd:"" help:"Delete a held mail."`
}

// HeldListCmd lists held mail.
type HeldListCmd struct {
	Limit int `help:"At most this many, 0 = all." default:"50"`
}

// Run lists held mail.
func (c HeldListCmd) Run(e *Env) error {
	if err := checkLimit(c.Limit); err != nil {
		return err
	}
	return ask(e, "held.list", api.NameRequest{Limit: c.Limit}, func(hs []api.Held) error {
		if len(hs) == 0 {
			return none(e.Stdout, "held mail")
		}
		rows := [][]string{{"NAME", "AT", "REASON", "FROM", "SUBJECT"}}
		for _, h := range hs {
			rows = append(rows, []string{h.Name, when(h.At), h.Reason, cell(h.From, 40), cell(h.Subject, 60)})
		}
		table(e.Stdout, rows)
		return nil
	})
}

// HeldShowCmd prints a held mail.
type HeldShowCmd struct {
	Name string `arg:"" help:"Name as listed, or the id in the reply to the sender."`
}

// Run prints a held mail.
func (c HeldShowCmd) Run(e *Env) error {
	return ask(e, "held.show", api.NameRequest{Name: c.Name}, e.printRaw)
}

// HeldReleaseCmd lets a held mail through.
type HeldReleaseCmd struct {
	Name string `arg:"" help:"Name as listed, or the id in the reply to the sender."`
}

// Run lets a held mail through.
func (c HeldReleaseCmd) Run(e *Env) error {
	return e.done("held.release", api.NameRequest{Name: c.Name})
}

// HeldDeleteCmd deletes a held mail.
type HeldDeleteCmd struct {
	Name string `arg:"" help:"Name as listed, or the id in the reply to the sender."`
}

// Run deletes a held mail.
func (c HeldDeleteCmd) Run(e *Env) error {
	return e.done("held.delete", api.NameRequest{Name: c.Name})
}

// TraceCmd tells what happened to a mail.
type TraceCmd struct {
	Key string `arg:"" help:"Message-ID, address, client address, ticket, or the id of a reply or of outgoing mail."`
}

// Run tells what happened to a mail.
func (c TraceCmd) Run(e *Env) error {
	return ask(e, "trace", api.NameRequest{Name: c.Key}, func(ts []api.Transaction) error {
		for i, t := range ts {
			if i > 0 {
				fmt.Fprintln(e.Stdout)
			}
			showTransaction(e, t)
		}
		return nil
	})
}

// replyText is what the client was answered, and at which command.
func replyText(t api.Transaction) string {
	reply := strings.TrimSpace(fmt.Sprintf("%d %s", t.Code, t.Enhanced))
	if t.Stage == "" {
		return reply
	}
	return reply + " at " + strings.ToUpper(t.Stage)
}

func showTransaction(e *Env, t api.Transaction) {
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(e.Stdout, "  %-9s %s\n", name, cell(value, 200))
		}
	}
	fmt.Fprintf(e.Stdout, "%s  %s  %s\n", when(t.At), t.ID, strings.ToUpper(t.Decision))
	row("reason", t.Reason)
	if t.Code != 0 {
		row("reply", replyText(t))
	}
	row("ticket", t.Ticket)
	row("releases", t.Held)
	row("client", strings.TrimSpace(t.Client+" "+t.Helo))
	row("sender", "<"+t.MailFrom+">")
	row("to", strings.Join(t.RcptTo, ", "))
	row("from", t.From)
	row("subject", t.Subject)
	row("message", t.MessageID)
	if t.Auth != nil {
		row("checks", t.Auth.AuthenticationResults)
		for _, h := range t.Auth.Lists.Hits {
			row("list", fmt.Sprintf("%s lists %s: %s, weight %d %s", h.Zone, h.Listed, h.Answer, h.Weight, h.Text))
		}
	}
	if t.Count > 1 {
		row("count", fmt.Sprintf("%d transactions of this client", t.Count))
	}
	for _, o := range t.Outcomes {
		row("outcome", fmt.Sprintf("%s: %s, %s %s", o.Recipient, o.Decision, o.Reason, o.Ticket))
	}
}

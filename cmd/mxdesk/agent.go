package main

import (
	"fmt"

	"github.com/mxdesk/mxdesk/server/api"
)

// AgentCmd groups the commands on agents.
type AgentCmd struct {
	Add     AgentAddCmd     `cmd:"" help:"Make an agent."`
	List    AgentListCmd    `cmd:"" help:"List the agents."`
	Link    AgentLinkCmd    `cmd:"" help:"Make a one-time sign-in link, valid for 60 minutes."`
	SignOut AgentSignOutCmd `cmd:"" help:"End all sessions of an agent, and sign-in links that were not used."`
	Remove  AgentRemoveCmd  `cmd:"" help:"Take an agent off the desk, signed out at once. What they wrote keeps their name."`
}

// AgentAddCmd makes an agent.
type AgentAddCmd struct {
	Email string `arg:"" help:"E-mail address."`
	Name  string `help:"Name that customers see; what stands before the @ if not given."`
	Admin bool   `help:"May do everything."`
}

// Run makes an agent.
func (c AgentAddCmd) Run(e *Env) error {
	return e.done("agent.add", api.AgentRequest{Email: c.Email, Name: c.Name, Admin: c.Admin})
}

// AgentListCmd lists the agents.
type AgentListCmd struct{}

// Run lists the agents.
func (AgentListCmd) Run(e *Env) error {
	return ask(e, "agent.list", struct{}{}, func(as []api.Agent) error {
		rows := [][]string{{"AGENT", "NAME", "ADMIN"}}
		for _, a := range as {
			rows = append(rows, []string{a.Email, cell(a.Name, 40), map[bool]string{true: "yes"}[a.Admin]})
		}
		table(e.Stdout, rows)
		return nil
	})
}

// AgentLinkCmd makes a sign-in link.
type AgentLinkCmd struct {
	Email string `arg:"" optional:"" help:"Agent; the admin if not given."`
}

// Run makes a sign-in link.
func (c AgentLinkCmd) Run(e *Env) error {
	return ask(e, "agent.link", api.NameRequest{Name: c.Email}, func(ls []api.Link) error {
		for _, l := range ls {
			fmt.Fprintln(e.Stdout, l.Link)
		}
		return nil
	})
}

// AgentSignOutCmd signs an agent out everywhere.
type AgentSignOutCmd struct {
	Email string `arg:"" help:"Agent."`
}

// Run signs an agent out everywhere.
func (c AgentSignOutCmd) Run(e *Env) error {
	return e.done("agent.signout", api.NameRequest{Name: c.Email})
}

// AgentRemoveCmd removes an agent.
type AgentRemoveCmd struct {
	Email string `arg:"" help:"Agent."`
}

// Run removes an agent.
func (c AgentRemoveCmd) Run(e *Env) error {
	return e.done("agent.remove", api.NameRequest{Name: c.Email})
}

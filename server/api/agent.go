package api

import (
	"context"
	"fmt"
	"strings"

	"github.com/mxdesk/mxdesk/auth/login"
	"github.com/mxdesk/mxdesk/ticketing"
)

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

func (a *api) agentSignOut(ctx context.Context, req NameRequest) ([]Done, error) {
	ended, err := a.SignIn.SignOut(ctx, req.Name)
	return []Done{{Agent: agentName(req.Name), Message: agentName(req.Name) + " is signed out: " + endedText(ended)}}, err
}

func (a *api) agentRemove(ctx context.Context, req NameRequest) ([]Done, error) {
	n, err := a.Desk.Assigned(ctx, req.Name)
	if err != nil {
		return nil, err
	}
	ended, err := a.SignIn.Remove(ctx, req.Name)
	done := Done{Agent: agentName(req.Name), Message: "agent " + agentName(req.Name) + " removed: " + endedText(ended)}
	if n > 0 {
		done.Message += fmt.Sprintf("; %s not closed and still assigned to them, as \"mxdesk ticket list\" with --json shows", plural(n, "ticket is", "tickets are"))
	}
	return []Done{done}, err
}

func agentName(email string) string { return strings.ToLower(strings.TrimSpace(email)) }

// endedText says what was ended.
func endedText(e login.Ended) string {
	text := plural(e.Sessions, "session", "sessions") + " ended"
	if e.Links > 0 {
		text += ", " + plural(e.Links, "sign-in link", "sign-in links") + " void"
	}
	return text
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

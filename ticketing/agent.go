package ticketing

import (
	"context"
	"slices"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// BotName is who speaks when nobody does.
const BotName = "Support Bot"

// BotAddress is the key of the Support Bot among the agents. It is no address:
// nobody can write to it or sign in as it.
const BotAddress = "support-bot"

// Agent is a person who answers tickets.
type Agent struct {
	Email     string    `json:"email"` // lower case
	Name      string    `json:"name"`
	Admin     bool      `json:"admin"`
	Bot       bool      `json:"bot,omitempty"`
	CreatedAt time.Time `json:"created_at"`
}

// CreateAgent makes an agent. One that exists is a KindConflict.
func (d *Desk) CreateAgent(ctx context.Context, a Agent) (Agent, error) {
	a.Email = normalAddress(a.Email)
	if !a.Bot && !validAddress(a.Email) {
		return Agent{}, errorf(KindInvalid, "bad-address", "%q is no e-mail address", a.Email)
	}
	a.Name = publicName(Person{Name: a.Name, Address: a.Email})
	a.CreatedAt = d.now()
	err := d.update(ctx, func(tx store.Tx) error {
		old, err := find[Agent](tx, agentKey(a.Email))
		if err != nil {
			return err
		}
		if old != nil {
			return errorf(KindConflict, "agent-exists", "agent %s exists already", a.Email)
		}
		return save(tx, agentKey(a.Email), a)
	})
	return a, err
}

// Agents lists the people who answer tickets, by e-mail.
func (d *Desk) Agents(ctx context.Context) ([]*Agent, error) {
	return view(ctx, d, func(r store.Reader) ([]*Agent, error) {
		as, err := scan[Agent](r, store.Prefix("agent"), false, 0)
		return slices.DeleteFunc(as, func(a *Agent) bool { return a.Bot }), err
	})
}

// Agent returns an agent by e-mail.
func (d *Desk) Agent(ctx context.Context, email string) (*Agent, error) {
	return view(ctx, d, func(r store.Reader) (*Agent, error) { return agentByEmail(r, email) })
}

func agentByEmail(r store.Reader, email string) (*Agent, error) {
	a, err := mustFind[Agent](r, agentKey(normalAddress(email)), "agent", email)
	if err == nil && a.Bot {
		return nil, errorf(KindNotFound, "agent-not-found", "there is no agent %s", email)
	}
	return a, err
}

// Admin returns the first admin by e-mail: who acts when nobody is named.
func (d *Desk) Admin(ctx context.Context) (*Agent, error) {
	return view(ctx, d, admin)
}

func admin(r store.Reader) (*Agent, error) {
	as, err := scan[Agent](r, store.Prefix("agent"), false, 0)
	if err != nil {
		return nil, err
	}
	for _, a := range as {
		if a.Admin && !a.Bot {
			return a, nil
		}
	}
	return nil, errorf(KindNotFound, "no-admin", "there is no admin")
}

// actor returns the agent who acts: the named one, or the admin.
func actor(r store.Reader, email string) (*Agent, error) {
	if email == "" {
		return admin(r)
	}
	return agentByEmail(r, email)
}

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
	Email string `json:"email"` // lower case
	Name  string `json:"name"`
	Admin bool   `json:"admin"`
	Bot   bool   `json:"bot,omitempty"`
	// Removed says that the person answers no more. The row stays for the
	// tickets that name it.
	Removed   bool      `json:"removed,omitempty"`
	CreatedAt time.Time `json:"created_at"`
}

// CreateAgent makes an agent, also of one that was removed. One that exists is a
// KindConflict.
func (d *Desk) CreateAgent(ctx context.Context, a Agent) (Agent, error) {
	a.Email = normalAddress(a.Email)
	if !a.Bot && !validAddress(a.Email) {
		return Agent{}, errorf(KindInvalid, "bad-address", "%q is no e-mail address", a.Email)
	}
	a.Name = publicName(Person{Name: a.Name, Address: a.Email})
	a.CreatedAt, a.Removed = d.now(), false
	err := d.update(ctx, func(tx store.Tx) error {
		old, err := find[Agent](tx, agentKey(a.Email))
		if err != nil {
			return err
		}
		if old != nil && !old.Removed {
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
		return slices.DeleteFunc(as, func(a *Agent) bool { return !a.answers() }), err
	})
}

// Agent returns an agent by e-mail.
func (d *Desk) Agent(ctx context.Context, email string) (*Agent, error) {
	return view(ctx, d, func(r store.Reader) (*Agent, error) { return FindAgent(r, email) })
}

// answers tells whether it is a person who answers tickets.
func (a *Agent) answers() bool { return !a.Bot && !a.Removed }

// FindAgent is [Desk.Agent] within a transaction.
func FindAgent(r store.Reader, email string) (*Agent, error) {
	a, err := mustFind[Agent](r, agentKey(normalAddress(email)), "agent", email)
	if err == nil && !a.answers() {
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
		if a.Admin && a.answers() {
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
	return FindAgent(r, email)
}

// RemoveAgent takes an agent off the desk, within a transaction: nobody signs in
// or acts as them, and no ticket is given to them. What they wrote keeps their
// name, and their tickets stay with them until somebody else gets them. The only
// admin is a KindConflict.
func RemoveAgent(tx store.Tx, email string) (*Agent, error) {
	a, err := FindAgent(tx, email)
	if err != nil {
		return nil, err
	}
	a.Removed = true
	if err := save(tx, agentKey(a.Email), a); err != nil {
		return nil, err
	}
	switch _, err := admin(tx); {
	case err == nil || !a.Admin:
		return a, nil
	case KindOf(err) == KindNotFound:
		return nil, errorf(KindConflict, "last-admin", "%s is the only admin: make another one first, with \"mxdesk agent add --admin\"", a.Email)
	default:
		return nil, err
	}
}

// Assigned counts the tickets of an agent, removed or not, that are not closed.
func (d *Desk) Assigned(ctx context.Context, email string) (int, error) {
	return view(ctx, d, func(r store.Reader) (n int, err error) {
		for _, st := range []State{StateOpen, StateWaiting} {
			for _, err := range r.Scan(store.Prefix("ticket.assignee", normalAddress(email), string(st)), false) {
				if err != nil {
					return 0, err
				}
				n++
			}
		}
		return n, nil
	})
}

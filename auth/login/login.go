// Package login lets agents in: one-time sign-in links and the sessions that
// follow from them.
//
// Links and sessions are bearer secrets of 130 random bits. The store keeps
// their SHA-256 only, so that a copy of it opens nothing; logs never see them.
package login

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"strings"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/store"
)

// How long things last and how many an agent has at most.
const (
	LinkTime    = 60 * time.Minute    // a link, unless it is spent before
	SessionTime = 30 * 24 * time.Hour // a session since it was last used
	slideEvery  = time.Hour           // how often use is written down
	maxLinks    = 5                   // unspent, of one agent
	maxSessions = 20                  // of one agent
)

// Options of a Login. Zero fields are the defaults.
type Options struct {
	Now       func() time.Time // default time.Now
	PublicURL string           // where the pages are, without a slash at its end
}

// Login signs agents in and out. It is safe for concurrent use.
type Login struct {
	db   *store.DB
	desk *ticketing.Desk
	o    Options
}

// New returns the sign-in of a desk; db is the desk's own store.
func New(db *store.DB, desk *ticketing.Desk, o Options) *Login {
	if o.Now == nil {
		o.Now = time.Now
	}
	o.PublicURL = strings.TrimSuffix(o.PublicURL, "/")
	return &Login{db: db, desk: desk, o: o}
}

// Link makes a sign-in link for an agent: good once, for LinkTime. The oldest
// of more than a handful of unspent links stops working. An unknown agent is a
// KindNotFound.
func (l *Login) Link(ctx context.Context, email string) (string, error) {
	token, now := rand.Text(), l.now()
	err := l.update(ctx, func(tx store.Tx) error {
		a, err := ticketing.FindAgent(tx, email)
		if err != nil {
			return err
		}
		return links.add(tx, digest(token), grant{Agent: a.Email, Until: now.Add(LinkTime)}, now)
	})
	if err != nil {
		return "", err
	}
	return l.o.PublicURL + "/sign-in/" + token, nil
}

// Redeem spends the token of a link and begins a session, both in one
// transaction. A link that is spent, too old or unknown is a KindDenied, and
// there is no telling which.
func (l *Login) Redeem(ctx context.Context, token string) (session string, agent ticketing.Agent, err error) {
	now := l.now()
	session = rand.Text()
	var g grant
	err = l.update(ctx, func(tx store.Tx) error {
		link, err := links.find(tx, digest(token), now)
		if err != nil {
			return err
		}
		if link == nil {
			return errLink()
		}
		if err := links.remove(tx, digest(token), *link); err != nil {
			return err
		}
		g = grant{Agent: link.Agent, Until: now.Add(SessionTime), Used: now}
		return sessions.add(tx, digest(session), g, now)
	})
	if err != nil {
		return "", ticketing.Agent{}, err
	}
	a, err := l.desk.Agent(ctx, g.Agent)
	if err != nil {
		return "", ticketing.Agent{}, err
	}
	return session, *a, nil
}

// Session returns the agent of a session and, at most once an hour, moves its
// end to SessionTime from now. A session that ended or never was is a
// KindDenied with the reason "signed-out".
func (l *Login) Session(ctx context.Context, session string) (*ticketing.Agent, error) {
	now := l.now()
	var g *grant
	err := l.db.View(ctx, func(r store.Reader) (err error) {
		g, err = sessions.find(r, digest(session), now)
		return err
	})
	if err != nil {
		return nil, wrap(err)
	}
	if g == nil {
		return nil, errSession()
	}
	if now.Sub(g.Used) >= slideEvery {
		if err := l.slide(ctx, session, now); err != nil {
			return nil, err
		}
	}
	return l.desk.Agent(ctx, g.Agent)
}

// slide notes the use of a session, which may have ended meanwhile.
func (l *Login) slide(ctx context.Context, session string, now time.Time) error {
	return l.update(ctx, func(tx store.Tx) error {
		g, err := sessions.find(tx, digest(session), now)
		if err != nil {
			return err
		}
		if g == nil {
			return errSession()
		}
		g.Used, g.Until = now, now.Add(SessionTime)
		return sessions.save(tx, digest(session), *g)
	})
}

// End ends a session; one that ended before is no error.
func (l *Login) End(ctx context.Context, session string) error {
	return l.update(ctx, func(tx store.Tx) error {
		g, err := sessions.load(tx, digest(session))
		if err != nil || g == nil {
			return err
		}
		return sessions.remove(tx, digest(session), *g)
	})
}

// Ended is how many links and sessions were ended before their time.
type Ended struct{ Links, Sessions int }

// SignOut ends all sessions of an agent, and unspent links with them. An unknown
// agent is a KindNotFound.
func (l *Login) SignOut(ctx context.Context, email string) (ended Ended, err error) {
	return l.end(ctx, func(tx store.Tx) (*ticketing.Agent, error) { return ticketing.FindAgent(tx, email) })
}

// Remove is [ticketing.RemoveAgent] and SignOut in one transaction: an agent of
// the same address who comes later finds no session of the one before.
func (l *Login) Remove(ctx context.Context, email string) (ended Ended, err error) {
	return l.end(ctx, func(tx store.Tx) (*ticketing.Agent, error) { return ticketing.RemoveAgent(tx, email) })
}

// end ends what the agent has that whom returns.
func (l *Login) end(ctx context.Context, whom func(store.Tx) (*ticketing.Agent, error)) (ended Ended, err error) {
	now := l.now()
	err = l.update(ctx, func(tx store.Tx) error {
		a, err := whom(tx)
		if err != nil {
			return err
		}
		if ended.Links, err = links.end(tx, a.Email, now); err != nil {
			return err
		}
		ended.Sessions, err = sessions.end(tx, a.Email, now)
		return err
	})
	return ended, err
}

func (l *Login) now() time.Time { return l.o.Now().UTC().Round(0) }

func (l *Login) update(ctx context.Context, f func(store.Tx) error) error {
	return wrap(l.db.Update(ctx, f))
}

func digest(secret string) store.Hash { return sha256.Sum256([]byte(secret)) }

func errLink() error {
	return &ticketing.Error{Kind: ticketing.KindDenied, Reason: "bad-link", Message: "this sign-in link has been used or withdrawn, or is older than an hour"}
}

func errSession() error {
	return &ticketing.Error{Kind: ticketing.KindDenied, Reason: "signed-out", Message: "you are signed out"}
}

// wrap makes the store's own errors safe to show.
func wrap(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*ticketing.Error](err); ok {
		return e
	}
	return &ticketing.Error{
		Kind: ticketing.KindUnavailable, Reason: "store-unavailable", Message: "the store cannot be used now, try again later", Cause: err,
	}
}

// Package web serves the agents' pages: server-rendered HTML that works
// without scripts, from templates and assets inside the program.
package web

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
)

// Login signs agents in and out.
type Login interface {
	// Redeem spends the token of a sign-in link and begins a session.
	Redeem(ctx context.Context, token string) (session string, agent ticketing.Agent, err error)
	// Session returns the agent of a session; KindDenied when it has ended.
	Session(ctx context.Context, session string) (*ticketing.Agent, error)
	End(ctx context.Context, session string) error
}

// Options of the pages. Zero fields are the defaults.
type Options struct {
	Log     *slog.Logger     // default: discards
	Now     func() time.Time // default time.Now
	Secure  bool             // the pages are reached by https: cookies say so
	Capture bool             // outgoing mail is kept and not sent: every page says so
}

// New returns the handler of all pages.
func New(desk *ticketing.Desk, l Login, o Options) http.Handler {
	return http.NotFoundHandler()
}

// Package web serves the agents' pages: server-rendered HTML that works
// without scripts, from templates and assets inside the program.
//
// Everything in a ticket was written by strangers. It reaches a page only as
// text through html/template, and its attachments only as downloads.
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

// Bounds of a request.
const (
	maxRequestBody = 4 << 10 // octets: no form of these pages has fields
	pageTime       = 30 * time.Second
)

// site is what all handlers share. It does not change once it is made.
type site struct {
	desk   *ticketing.Desk
	login  Login
	o      Options
	assets assets
	views  views
}

// New returns the handler of all pages.
func New(desk *ticketing.Desk, l Login, o Options) http.Handler {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &site{desk: desk, login: l, o: o, assets: loadAssets(), views: parseViews()}
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, &ticketing.Error{Kind: ticketing.KindDenied, Reason: "cross-origin", Message: "the request came from another site"})
	}))
	return http.MaxBytesHandler(secured(guard.Handler(s.routes())), maxRequestBody)
}

func (s *site) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /assets/{name}", s.serveAsset)

	mux.HandleFunc("GET /sign-in", s.showSignInHelp)
	mux.HandleFunc("GET /sign-in/{token}", s.showSignIn)
	mux.HandleFunc("POST /sign-in/{token}", s.signIn)
	mux.HandleFunc("POST /sign-out", s.signOut)

	mux.Handle("GET /{$}", http.RedirectHandler("/tickets", http.StatusSeeOther))
	mux.HandleFunc("GET /tickets", s.signedIn(s.showTickets))
	mux.HandleFunc("GET /tickets/{project}/{iid}", s.signedIn(s.showTicket))
	mux.HandleFunc("GET /tickets/{project}/{iid}/comments/{comment}/original", s.signedIn(s.downloadOriginal))
	mux.HandleFunc("GET /tickets/{project}/{iid}/comments/{comment}/attachments/{attachment}", s.signedIn(s.downloadAttachment))
	mux.HandleFunc("GET /held", s.signedIn(s.showHeld))
	mux.HandleFunc("GET /journal", s.signedIn(s.showJournal))

	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { s.fail(w, r, errNoPage()) })
	return mux
}

// contentPolicy lets a page load our own style, script and icon and nothing else,
// and nobody show it in a frame.
const contentPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// secured sets the headers of every answer; handlers may make them stricter.
//
// The referrer stays within the site. It is not "no-referrer", which would make
// browsers send "Origin: null" with our own forms, and where the pages are not
// reached by https that is all the cross-origin check has to go by.
func secured(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", contentPolicy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Cache-Control", "no-store")
		h.ServeHTTP(w, r)
	})
}

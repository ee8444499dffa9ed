package web

import (
	"net/http"

	"github.com/mxdesk/mxdesk/ticketing"
)

// errorPage says what happened, what it means and what to do.
type errorPage struct {
	frame
	Status int
	What   string // the error's own words, "" when they would help nobody
	Do     string
	Reason string // for whoever is asked for help
	SignIn bool   // nobody is signed in
}

func (errorPage) view() string { return "error.html" }

func errNoPage() error {
	return &ticketing.Error{Kind: ticketing.KindNotFound, Reason: "no-page", Message: "there is no page at this address"}
}

func errQuery(name string) error {
	return &ticketing.Error{Kind: ticketing.KindInvalid, Reason: "bad-" + name, Message: "the address of the page has a bad value for " + name}
}

// problem is how a kind of error is told.
type problem struct {
	status    int
	title, do string
	quiet     bool // the error's own words are for the log only
}

func problemOf(k ticketing.Kind) problem {
	switch k {
	case ticketing.KindInvalid:
		return problem{http.StatusUnprocessableEntity, "This cannot be done", "Go back and check the address of the page.", false}
	case ticketing.KindNotFound:
		return problem{http.StatusNotFound, "Not found", "It may have been removed, or the link is incomplete.", false}
	case ticketing.KindConflict:
		return problem{http.StatusConflict, "Something changed meanwhile", "Load the page again and look.", false}
	case ticketing.KindDenied:
		return problem{http.StatusForbidden, "Not allowed", "Go back to where you came from, or get a new sign-in link.", false}
	case ticketing.KindTooLarge:
		return problem{http.StatusRequestEntityTooLarge, "Too large", "Make it smaller and try again.", false}
	case ticketing.KindUnavailable:
		return problem{http.StatusServiceUnavailable, "Not available now", "Nothing was lost. Try again in a minute.", true}
	}
	return problem{http.StatusInternalServerError, "Something went wrong here", "Nothing was lost. Try again; if it stays, the log has the details.", true}
}

// fail answers with the page of an error. It is the one place where errors
// become HTTP.
func (s *site) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := ticketing.AsError(err)
	if e.Temporary() {
		s.o.Log.Error("page", "route", r.Pattern, "reason", e.Reason, "error", err)
	}
	p := problemOf(e.Kind)
	view := errorPage{frame: s.frame(p.title), Status: p.status, Do: p.do, Reason: e.Reason, SignIn: s.stranger(r)}
	if !p.quiet {
		view.What = e.Message
	}
	s.render(w, r, p.status, view)
}

// Package api is the admin interface of a running server: HTTP with JSON over
// a unix socket that only its owner and root can use. Every call is a POST
// with one JSON object; the answer is JSON lines. The commands of mxdesk are
// its client.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/mxdesk/mxdesk/auth/keyring"
	"github.com/mxdesk/mxdesk/auth/login"
	"github.com/mxdesk/mxdesk/metrics"
	"github.com/mxdesk/mxdesk/ticketing"
)

// Keys has the DKIM keys of the served domains.
type Keys interface {
	// Ensure makes the keys of a domain that is served from now on.
	Ensure(ctx context.Context, domain string) error
	// Generate makes the first keys of a domain, served or not.
	Generate(ctx context.Context, domain string, bits int) ([]keyring.Key, error)
	// Domains lists the domains that have keys.
	Domains(ctx context.Context) ([]string, error)
	// Keys lists the keys of a domain.
	Keys(ctx context.Context, domain string) ([]keyring.Key, error)
	// Check asks the DNS about each of the keys.
	Check(ctx context.Context, keys []keyring.Key) []keyring.Publication
	// Rotate takes the next step to new keys.
	Rotate(ctx context.Context, domain string, o keyring.RotateOptions) (keyring.Rotation, error)
	// Abort throws the next keys away.
	Abort(ctx context.Context, domain string) (keyring.Rotation, error)
}

// Releaser takes a held mail in again.
type Releaser interface {
	Release(ctx context.Context, name string) (ticketing.Outcome, error)
}

// Body reads the whole text of a comment whose kept text was cut.
type Body interface {
	FullText(ctx context.Context, c *ticketing.Comment) (body, quoted string, err error)
}

// SignIn lets agents in and out.
type SignIn interface {
	// Link makes a one-time sign-in link.
	Link(ctx context.Context, email string) (string, error)
	// SignOut ends all sessions and links of an agent.
	SignOut(ctx context.Context, email string) (login.Ended, error)
	// Remove is SignOut of an agent who does not come back.
	Remove(ctx context.Context, email string) (login.Ended, error)
}

// Options are the parts that the API drives.
type Options struct {
	Desk     *ticketing.Desk
	Keys     Keys
	Release  Releaser
	Body     Body
	SignIn   SignIn
	Queue    *metrics.Queue              // nil: nothing is counted
	Store    *Store                      // nil: no calls on the store as a whole
	Ready    func(context.Context) error // nil when mail is taken
	Log      *slog.Logger
	Hostname string // the mail exchanger that domains are to name
}

// maxRequest bounds a request's JSON, in octets: more than the longest text
// that a client reads, so that it is told what is too long.
const maxRequest = 8 << 20

// callTime bounds one call.
const callTime = 60 * time.Second

// Handler serves the API.
func Handler(o Options) http.Handler {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	a := &api{Options: o}
	mux := http.NewServeMux()
	handle(mux, a, "ticket.list", a.ticketList)
	handle(mux, a, "ticket.show", a.ticketShow)
	handle(mux, a, "ticket.reply", a.ticketReply)
	handle(mux, a, "ticket.note", a.ticketNote)
	handle(mux, a, "ticket.state", a.ticketState)
	handle(mux, a, "ticket.assign", a.ticketAssign)
	handle(mux, a, "ticket.label", a.ticketLabel)
	handle(mux, a, "project.create", a.projectCreate)
	handle(mux, a, "project.list", a.projectList)
	handle(mux, a, "project.set", a.projectSet)
	handle(mux, a, "alias.add", a.aliasAdd)
	handle(mux, a, "alias.remove", a.aliasRemove)
	handle(mux, a, "alias.list", a.aliasList)
	handle(mux, a, "domain.add", a.domainAdd)
	handle(mux, a, "domain.remove", a.domainRemove)
	handle(mux, a, "domain.list", a.domainList)
	handle(mux, a, "domain.set", a.domainSet)
	handle(mux, a, "domain.show", a.domainShow)
	handle(mux, a, "dkim.keygen", a.dkimKeygen)
	handle(mux, a, "dkim.list", a.dkimList)
	handle(mux, a, "dkim.rotate", a.dkimRotate)
	handle(mux, a, "dkim.dns", a.dkimDNS)
	handle(mux, a, "agent.add", a.agentAdd)
	handle(mux, a, "agent.list", a.agentList)
	handle(mux, a, "agent.link", a.agentLink)
	handle(mux, a, "agent.signout", a.agentSignOut)
	handle(mux, a, "agent.remove", a.agentRemove)
	handle(mux, a, "queue.list", a.queueList)
	handle(mux, a, "queue.show", a.queueShow)
	handle(mux, a, "queue.retry", a.queueRetry)
	handle(mux, a, "queue.cancel", a.queueCancel)
	handle(mux, a, "held.list", a.heldList)
	handle(mux, a, "held.show", a.heldShow)
	handle(mux, a, "held.release", a.heldRelease)
	handle(mux, a, "held.delete", a.heldDelete)
	handle(mux, a, "trace", a.trace)
	if o.Store != nil {
		calls := StoreHandler(*o.Store)
		for _, call := range storeCalls {
			mux.Handle("POST /"+call, calls)
		}
	}
	handle(mux, a, "ready", a.ready)
	return mux
}

type api struct{ Options }

// handle mounts one call: decode, run, encode one line for each value.
func handle[Req any, Resp any](mux *http.ServeMux, a *api, name string, call func(context.Context, Req) ([]Resp, error)) {
	mux.HandleFunc("POST /"+name, func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), callTime)
		defer cancel()
		var req Req
		if err := decode(http.MaxBytesReader(w, r.Body, maxRequest), &req); err != nil {
			a.fail(w, name, &ticketing.Error{Kind: ticketing.KindInvalid, Reason: "bad-request", Message: "the request is not understood", Cause: err})
			return
		}
		values, err := call(ctx, req)
		if err != nil {
			a.fail(w, name, err)
			return
		}
		w.Header().Set("Content-Type", "application/x-ndjson")
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		for _, v := range values {
			if err := enc.Encode(v); err != nil {
				return // the client is gone
			}
		}
	})
}

func (a *api) ready(ctx context.Context, _ struct{}) ([]Done, error) {
	if err := a.Ready(ctx); err != nil {
		return nil, err
	}
	return []Done{{Message: "mail is taken"}}, nil
}

// decode reads one JSON object and nothing after it; no object at all is an
// empty one.
func decode(r io.Reader, req any) error {
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	if err := dec.Decode(req); err != nil {
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the request")
	}
	return nil
}

// Failure is the body of an answer that is not 200.
type Failure struct {
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

func (a *api) fail(w http.ResponseWriter, name string, err error) {
	e := ticketing.AsError(err)
	if e.Temporary() && name != "ready" { // to which no is an answer, and asked again and again
		a.Log.Error("admin call", "call", name, "error", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(Status(e.Kind))
	json.NewEncoder(w).Encode(Failure{Reason: e.Reason, Message: e.Message})
}

// Status is the HTTP status of a kind of error.
func Status(k ticketing.Kind) int {
	switch k {
	case ticketing.KindInvalid:
		return http.StatusUnprocessableEntity
	case ticketing.KindNotFound:
		return http.StatusNotFound
	case ticketing.KindConflict:
		return http.StatusConflict
	case ticketing.KindDenied:
		return http.StatusForbidden
	case ticketing.KindTooLarge:
		return http.StatusRequestEntityTooLarge
	case ticketing.KindUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

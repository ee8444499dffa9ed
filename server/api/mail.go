package api

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/mxdesk/mxdesk/ticketing"
)

// RawMessage is the bytes of a mail.
type RawMessage struct {
	Raw []byte `json:"raw"`
}

func (a *api) heldList(ctx context.Context, req NameRequest) ([]Held, error) {
	hs, err := a.Desk.HeldMail(ctx, req.Limit)
	out := make([]Held, len(hs))
	for i, h := range hs {
		out[i] = heldView(h)
	}
	return out, err
}

func (a *api) heldShow(ctx context.Context, req NameRequest) ([]RawMessage, error) {
	h, err := a.Desk.HeldByName(ctx, req.Name)
	if err != nil {
		return nil, err
	}
	blob, err := a.Desk.OpenRaw(ctx, h.Raw)
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	raw, err := io.ReadAll(io.NewSectionReader(blob, 0, blob.Size()))
	return []RawMessage{{Raw: raw}}, err
}

func (a *api) heldRelease(ctx context.Context, req NameRequest) ([]Done, error) {
	o, err := a.Release.Release(ctx, req.Name)
	return []Done{{Ticket: o.Ticket, Message: "released: " + o.Ticket}}, err
}

func (a *api) heldDelete(ctx context.Context, req NameRequest) ([]Done, error) {
	return []Done{{Message: "deleted"}}, a.Desk.ForgetHeld(ctx, req.Name)
}

// trace tells what happened to a mail, in and out, oldest first. A mail that
// nobody knows is an error, like a ticket that nobody knows.
func (a *api) trace(ctx context.Context, req NameRequest) ([]Transaction, error) {
	in, err := a.Desk.Trace(ctx, req.Name)
	if err != nil {
		return nil, err
	}
	out := make([]Transaction, 0, len(in))
	for _, e := range in {
		out = append(out, entryView(e))
	}
	sent, err := a.Desk.TraceOutgoing(ctx, req.Name)
	for _, o := range sent {
		out = append(out, sentView(o))
	}
	if err == nil && len(out) == 0 {
		return nil, &ticketing.Error{Kind: ticketing.KindNotFound, Reason: "mail-not-found",
			Message: fmt.Sprintf("no mail with %s is known: write an address, Message-ID or id whole; refused mail is kept for 14 days", req.Name)}
	}
	slices.SortStableFunc(out, func(a, b Transaction) int { return a.At.Compare(b.At) })
	return out, err
}

package api

import (
	"context"

	"github.com/mxdesk/mxdesk/ticketing"
)

func (a *api) queueList(ctx context.Context, req NameRequest) ([]Outgoing, error) {
	var state ticketing.DeliveryState
	if req.State != "" {
		var err error
		if state, err = ticketing.ParseDeliveryState(req.State); err != nil {
			return nil, err
		}
	}
	os, err := a.Desk.Outgoing(ctx, state, req.Limit)
	out := make([]Outgoing, len(os))
	for i, o := range os {
		out[i] = outgoingView(o)
	}
	return out, err
}

func (a *api) queueShow(ctx context.Context, req NameRequest) ([]RawMessage, error) {
	raw, err := a.Desk.RawOutgoing(ctx, req.Name)
	return []RawMessage{{Raw: raw}}, err
}

// QueueRequest selects outgoing copies: by their ids, by the domain of their
// recipients, or all that wait.
type QueueRequest struct {
	IDs []string `json:"ids,omitempty"`
	To  string   `json:"to,omitempty"`
	All bool     `json:"all,omitempty"`
}

func (r QueueRequest) selection() ticketing.Selection {
	return ticketing.Selection{IDs: r.IDs, Domain: r.To, All: r.All}
}

// QueueDone tells what became of one selected copy. Done is false where nothing
// was changed, and Reason is one word for why.
type QueueDone struct {
	ID        string                  `json:"id"`
	Ticket    string                  `json:"ticket"`
	Recipient string                  `json:"recipient"`
	State     ticketing.DeliveryState `json:"state"`
	Sending   bool                    `json:"sending"`
	Done      bool                    `json:"done"`
	Reason    string                  `json:"reason"`
	Message   string                  `json:"message"`
}

func (a *api) queueRetry(ctx context.Context, req QueueRequest) ([]QueueDone, error) {
	done, err := a.Desk.Retry(ctx, req.selection())
	return queueViews(done, "due now"), err
}

func (a *api) queueCancel(ctx context.Context, req QueueRequest) ([]QueueDone, error) {
	done, err := a.Desk.Cancel(ctx, req.selection())
	for _, c := range done {
		if c.Err == nil {
			last := c.Copy.Attempts[len(c.Copy.Attempts)-1]
			a.Queue.Finished(string(c.Copy.State), last.At.Sub(c.Copy.CreatedAt))
		}
	}
	return queueViews(done, "cancelled"), err
}

func queueViews(all []ticketing.CopyDone, word string) []QueueDone {
	out := make([]QueueDone, len(all))
	for i, c := range all {
		v := QueueDone{ID: c.ID, Done: c.Err == nil, Message: word}
		if o := c.Copy; o != nil {
			v.Ticket, v.Recipient, v.State = o.Ref, o.Recipient.Address, o.State
			_, v.Sending = nextTry(o)
		}
		switch {
		case c.Err != nil:
			e := ticketing.AsError(c.Err)
			v.Reason, v.Message = e.Reason, e.Message
		case v.Sending:
			v.Message = "being sent now"
		}
		out[i] = v
	}
	return out
}

package ticketing

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// TicketFilter selects tickets; zero fields select all.
type TicketFilter struct {
	Project string
	State   State
	Limit   int // 0 = all
}

// TicketView is a ticket with what a reader wants beside it.
type TicketView struct {
	Ticket
	ProjectName string
}

// Ref names the ticket.
func (t *TicketView) Ref() Ref { return Ref{Project: t.ProjectName, IID: t.IID} }

// Tickets lists tickets, the latest changed first.
func (d *Desk) Tickets(ctx context.Context, f TicketFilter) ([]TicketView, error) {
	return view(ctx, d, func(r store.Reader) ([]TicketView, error) {
		rg, err := f.index(r)
		if err != nil {
			return nil, err
		}
		keys, err := ticketKeys(r, rg, f.Limit)
		if err != nil {
			return nil, err
		}
		names, err := projectNames(r)
		if err != nil {
			return nil, err
		}
		tickets, err := loadAll[Ticket](r, keys)
		views := make([]TicketView, len(tickets))
		for i, t := range tickets {
			views[i] = TicketView{Ticket: *t, ProjectName: names[t.Project]}
		}
		return views, err
	})
}

// index is the list that serves the filter.
func (f TicketFilter) index(r store.Reader) (store.Range, error) {
	if f.Project == "" {
		if f.State == "" {
			return store.Prefix("ticket.all"), nil
		}
		return store.Prefix("ticket.state", string(f.State)), nil
	}
	p, err := projectByName(r, f.Project)
	if err != nil {
		return store.Range{}, err
	}
	if f.State == "" {
		return store.Prefix("ticket.project", p.ID), nil
	}
	return store.Prefix("ticket.project.state", p.ID, string(f.State)), nil
}

// ticketKeys reads the ticket keys that the rows of a list end in.
func ticketKeys(r store.Reader, rg store.Range, limit int) ([]store.Key, error) {
	var keys []store.Key
	for it, err := range r.Scan(rg, false) {
		if err != nil {
			return nil, err
		}
		parts, err := it.Key.Split()
		if err != nil {
			return nil, err
		}
		n := len(parts)
		project, _ := parts[n-2].(uint64)
		iid, _ := parts[n-1].(uint64)
		if keys = append(keys, ticketKey(project, iid)); len(keys) == limit {
			break
		}
	}
	return keys, nil
}

func projectNames(r store.Reader) (map[uint64]string, error) {
	ps, err := scan[Project](r, store.Prefix("project"), false, 0)
	names := make(map[uint64]string, len(ps))
	for _, p := range ps {
		names[p.ID] = p.Name
	}
	return names, err
}

// Thread is a whole ticket: its participants, comments and the deliveries of
// each comment.
type Thread struct {
	TicketView
	Participants []*Participant
	Entries      []Entry
}

// Entry is a comment with the copies that went out for it.
type Entry struct {
	Comment
	Deliveries []*Outgoing
}

// Thread returns a whole ticket.
func (d *Desk) Thread(ctx context.Context, ref Ref) (*Thread, error) {
	th, err := view(ctx, d, func(r store.Reader) (*Thread, error) {
		p, err := projectByName(r, ref.Project)
		if err != nil {
			return nil, err
		}
		t, err := mustFind[Ticket](r, ticketKey(p.ID, ref.IID), "ticket", ref.String())
		if err != nil {
			return nil, err
		}
		th := &Thread{TicketView: TicketView{Ticket: *t, ProjectName: p.Name}}
		if th.Participants, err = participants(r, t); err != nil {
			return nil, err
		}
		comments, err := scan[Comment](r, store.Prefix("comment", p.ID, t.IID), false, 0)
		if err != nil {
			return nil, err
		}
		deliveries, err := deliveriesOf(r, p.ID, t.IID)
		for _, c := range comments {
			th.Entries = append(th.Entries, Entry{Comment: *c, Deliveries: deliveries[c.ID]})
		}
		return th, err
	})
	if err != nil {
		return nil, err
	}
	for i := range th.Entries {
		c := &th.Entries[i].Comment
		if err := d.fillText(ctx, c); ctx.Err() != nil {
			return nil, storeError(err)
		} else if err != nil { // the rest of the ticket is still good
			c.Warnings = append(c.Warnings, "the text cannot be read from the raw mail: "+AsError(err).Message)
		}
	}
	return th, nil
}

func deliveriesOf(r store.Reader, project, iid uint64) (map[uint64][]*Outgoing, error) {
	ids, err := lastStrings(r, store.Prefix("out.ticket", project, iid), 0)
	if err != nil {
		return nil, err
	}
	keys := make([]store.Key, len(ids))
	for i, id := range ids {
		keys[i] = outgoingKey(id)
	}
	all, err := loadAll[Outgoing](r, keys)
	by := make(map[uint64][]*Outgoing)
	for _, o := range all {
		by[o.Comment] = append(by[o.Comment], o)
	}
	return by, err
}

// OpenRaw opens a raw mail that a comment or held mail refers to.
func (d *Desk) OpenRaw(ctx context.Context, h store.Hash) (store.BlobReader, error) {
	b, err := d.db.OpenBlob(ctx, h)
	return b, storeError(err)
}

// Stage prepares the raw bytes of a message for Receive.
func (d *Desk) Stage(ctx context.Context, raw Raw) (*store.Staged, error) {
	s, err := d.db.Stage(ctx, raw.Size(), raw.SHA256(), raw)
	return s, storeError(err)
}

func (d *Desk) stage(ctx context.Context, b []byte) (*store.Staged, error) {
	return d.db.Stage(ctx, int64(len(b)), sha256.Sum256(b), bytes.NewReader(b))
}

// maxBlobInMemory bounds what is read whole.
const maxBlobInMemory = 64 << 20

func (d *Desk) blob(ctx context.Context, h store.Hash) ([]byte, error) {
	b, err := d.db.OpenBlob(ctx, h)
	if err != nil {
		return nil, storeError(err)
	}
	defer b.Close()
	raw, err := io.ReadAll(io.NewSectionReader(b, 0, min(b.Size(), maxBlobInMemory)))
	return raw, storeError(err)
}

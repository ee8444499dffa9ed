package ticketing

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// Held is a mail that was accepted and set aside: its sender may not be who it
// says. An agent releases or deletes it.
type Held struct {
	ID        string     `json:"id"` // of the transaction
	Project   uint64     `json:"project"`
	At        time.Time  `json:"at"`
	Reason    string     `json:"reason"`
	Envelope  Envelope   `json:"envelope"` // with the recipients of this project
	From      Person     `json:"from"`
	Subject   string     `json:"subject"`
	MessageID string     `json:"message_id"`
	Raw       store.Hash `json:"raw"`
	Size      int64      `json:"size"`
	Auth      *Verdict   `json:"auth"`

	// FromDomain is not kept with the verdict, and a release needs it.
	FromDomain string `json:"from_domain"`
}

// Verdict is the verdict on a held mail as it was when the mail came in.
func (h *Held) Verdict() *Verdict {
	v := *h.Auth
	v.FromDomain = h.FromDomain
	return &v
}

// heldID tells the held mails of one transaction apart, one for each project.
func heldID(transaction string, project uint64) string {
	return fmt.Sprintf("%s.%d", transaction, project)
}

// Name is what commands and pages call a held mail.
func (h *Held) Name() string { return heldID(h.ID, h.Project) }

// HeldMail lists held mail, newest first; limit 0 = all.
func (d *Desk) HeldMail(ctx context.Context, limit int) ([]*Held, error) {
	return view(ctx, d, func(r store.Reader) ([]*Held, error) {
		return scan[Held](r, store.Prefix("held"), true, limit)
	})
}

// HeldByName returns one held mail, by its name or by the id of its transaction,
// which is in the reply to the sender and in the log: KindNotFound where there is
// none, KindConflict where several projects hold it.
func (d *Desk) HeldByName(ctx context.Context, name string) (*Held, error) {
	return view(ctx, d, func(r store.Reader) (*Held, error) { return heldNamed(r, name) })
}

// heldNamed finds a held mail by its name, or by the id of its transaction.
func heldNamed(r store.Reader, name string) (*Held, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	id, _, whole := strings.Cut(name, ".")
	hs, err := scan[Held](r, store.Range{Start: heldKey(id + "."), End: heldKey(id + ".\xff")}, false, maxProjects)
	if whole {
		hs = slices.DeleteFunc(hs, func(h *Held) bool { return h.Name() != name })
	}
	switch {
	case err != nil:
		return nil, err
	case len(hs) == 0:
		return nil, errorf(KindNotFound, "held-mail-not-found", "there is no held mail %s: it was released, deleted or never held, and a trace of it tells which mail it was", name)
	case len(hs) > 1:
		var names []string
		for _, h := range hs {
			names = append(names, h.Name())
		}
		return nil, errorf(KindConflict, "held-by-several", "several projects hold %s: name one of %s", name, strings.Join(names, ", "))
	}
	return hs[0], nil
}

// ForgetHeld removes a held mail, deleted by an agent or released before. It is
// named as for HeldByName.
func (d *Desk) ForgetHeld(ctx context.Context, name string) error {
	return d.update(ctx, func(tx store.Tx) error {
		h, err := heldNamed(tx, name)
		if err != nil {
			return err
		}
		if err := tx.ReleaseBlob(h.Raw); err != nil {
			return err
		}
		return tx.Delete(heldKey(h.Name()))
	})
}

// ReleasedEnvelope is the envelope with which a held mail is received again.
func (h *Held) ReleasedEnvelope(now time.Time) *Envelope {
	env := h.Envelope
	env.ID, env.ReceivedAt, env.Held = NewID(now), now, h.Name()
	return &env
}

package web

import (
	"net/http"
	"slices"

	"github.com/mxdesk/mxdesk/ticketing"
)

// maxHeld bounds the list of held mail.
const maxHeld = 200

// heldPage lists mail that waits for an agent's decision.
type heldPage struct {
	frame
	Mails []heldMail
	More  bool // there are more than are shown
}

func (heldPage) view() string { return "held.html" }

type heldMail struct {
	Name    string
	From    person
	Subject string
	Project string
	Cause   string
	Size    string
	At      stamp
	Shield  *shield
	Journal string
}

func (s *site) showHeld(w http.ResponseWriter, r *http.Request, me *ticketing.Agent) error {
	held, err := s.desk.HeldMail(r.Context(), maxHeld+1)
	if err != nil {
		return err
	}
	projects, err := s.desk.Projects(r.Context())
	if err != nil {
		return err
	}
	fr, err := s.shell(r, "Held mail", me, filter{})
	if err != nil {
		return err
	}
	p := heldPage{frame: fr, More: len(held) > maxHeld}
	now := s.o.Now()
	for _, h := range held[:min(len(held), maxHeld)] {
		m := heldMail{
			Name: h.Name(), From: personOf(h.From), Subject: domainOr(h.Subject, "(no subject)"), Cause: heldCause(h.Reason),
			Size: size(h.Size), At: relative(h.At, now), Journal: "/journal?q=" + h.ID,
		}
		if h.Auth != nil {
			m.Shield = shieldFor(h.Auth, h.Auth.DMARC.AlignedSPF || h.Auth.DMARC.AlignedDKIM)
		}
		if i := slices.IndexFunc(projects, func(p *ticketing.Project) bool { return p.ID == h.Project }); i >= 0 {
			m.Project = projects[i].Name
		}
		p.Mails = append(p.Mails, m)
	}
	s.render(w, r, http.StatusOK, p)
	return nil
}

// heldCause says in words why a mail was set aside.
func heldCause(reason string) string {
	switch reason {
	case ticketing.ReasonDMARCQuarantine:
		return "The sender’s domain does not vouch for it, and asks to set such mail aside."
	case ticketing.ReasonDMARCReject:
		return "The sender’s domain asks to refuse it. It came through a relay of ours, so it was kept instead."
	case ticketing.ReasonManyFrom:
		return "It does not name exactly one sender."
	case ticketing.ReasonImpossibleFrom:
		return "The domain of its From address cannot exist, so nobody can vouch for it."
	case ticketing.ReasonTempError:
		return "A name server did not answer, so the sender could not be checked."
	case ticketing.ReasonListed:
		return "Block lists speak against where it comes from."
	case ticketing.ReasonVerifierFailed:
		return "It could not be checked whole."
	case "token-of-another":
		return "It answers on somebody else’s reply address, and its sender could not be verified."
	case "own-mail-returned":
		return "It is a mail of ours that came back."
	}
	return "It was set aside: " + reason + "."
}

package ticketing

import (
	"regexp"
	"slices"
	"strconv"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// How a mail was found to belong to a ticket.
type threadBy string

const (
	byToken     threadBy = "reply-token"
	byMessageID threadBy = "message-id"
	bySubject   threadBy = "subject"
	byNothing   threadBy = "new"
)

// thread is the ticket a mail belongs to, with the token's owner when it came
// in on one.
type thread struct {
	by     threadBy
	ticket *Ticket // nil = a new one
	owner  string  // address of the participant whose token it was
	ours   bool    // the mail's own Message-ID is one of ours: it came back
}

// maxThreadIDs bounds how many ids of a mail are looked up.
const maxThreadIDs = 100

// findThread decides which ticket of a project a mail belongs to. First hit:
// the reply token of the envelope, one in a recipient field, In-Reply-To and
// References from the nearest on, and for an aligned participant the reference
// in the subject.
func findThread(r store.Reader, project uint64, token string, m *Message, aligned bool) (thread, error) {
	if m.MessageID != "" {
		row, err := find[messageRow](r, messageIDKey(project, m.MessageID))
		if err != nil {
			return thread{}, err
		}
		if row != nil && row.Ours {
			return thread{by: byNothing, ours: true}, nil
		}
	}
	for _, try := range []func() (thread, error){
		func() (thread, error) { return threadByToken(r, project, token) },
		func() (thread, error) { return threadByHeader(r, project, m) },
		func() (thread, error) { return threadByID(r, project, m) },
		func() (thread, error) { return threadBySubject(r, project, m, aligned) },
	} {
		t, err := try()
		if err != nil || t.ticket != nil {
			return t, err
		}
	}
	return thread{by: byNothing}, nil
}

// mayFollowUp tells whether findThread may find a ticket.
func (in *Inbound) mayFollowUp() bool {
	m := in.Message
	for _, r := range in.Envelope.Recipients {
		if r.Route.Token != "" {
			return true
		}
	}
	return len(m.InReplyTo)+len(m.References)+len(m.Deliveries) > 0 || subjectRef.MatchString(m.Subject) ||
		slices.ContainsFunc(slices.Concat(m.To, m.Cc), func(p Person) bool { return tokenIn(p.Address) != "" })
}

func threadByToken(r store.Reader, project uint64, token string) (thread, error) {
	if token == "" {
		return thread{}, nil
	}
	row, err := find[Token](r, tokenKey(token))
	if err != nil || row == nil || row.Revoked || row.Kind != RouteReply || row.Project != project {
		return thread{}, err
	}
	t, err := find[Ticket](r, ticketKey(project, row.Ticket))
	return thread{by: byToken, ticket: t, owner: row.Participant}, err
}

// threadByHeader looks for a reply token in the recipient fields. It counts
// only inside the project that the envelope named.
func threadByHeader(r store.Reader, project uint64, m *Message) (thread, error) {
	tries := 0
	for _, p := range slices.Concat(m.To, m.Cc) {
		token := tokenIn(p.Address)
		if token == "" {
			continue
		}
		if tries++; tries > 10 {
			break
		}
		if t, err := threadByToken(r, project, token); err != nil || t.ticket != nil {
			return t, err
		}
	}
	return thread{}, nil
}

// tokenIn returns the token of an address's sub-address, "" without one.
func tokenIn(addr string) string {
	local, _, ok := splitAddress(addr)
	if !ok || len(local) <= tokenLen || local[len(local)-tokenLen-1] != '+' {
		return ""
	}
	if t := local[len(local)-tokenLen:]; isToken(t) {
		return t
	}
	return ""
}

func threadByID(r store.Reader, project uint64, m *Message) (thread, error) {
	refs := slices.Clone(m.References)
	slices.Reverse(refs)
	ids := slices.Concat(m.InReplyTo, refs)
	for _, d := range m.Deliveries {
		ids = append(ids, d.MessageID)
	}
	ids = ids[:min(len(ids), maxThreadIDs)]
	keys := make([]store.Key, len(ids))
	for i, id := range ids {
		keys[i] = messageIDKey(project, id)
	}
	rows, err := r.GetMulti(keys)
	if err != nil {
		return thread{}, err
	}
	for _, b := range rows {
		if b == nil {
			continue
		}
		row, err := decode[messageRow](b)
		if err != nil {
			return thread{}, err
		}
		t, err := find[Ticket](r, ticketKey(project, row.Ticket))
		if err != nil || t != nil {
			return thread{by: byMessageID, ticket: t}, err
		}
	}
	return thread{}, nil
}

// subjectRef is how our own subjects name a ticket.
var subjectRef = regexp.MustCompile(`\(#(\d{1,15})\)`)

func threadBySubject(r store.Reader, project uint64, m *Message, aligned bool) (thread, error) {
	hits := subjectRef.FindAllStringSubmatch(m.Subject, 8)
	if !aligned || len(hits) == 0 {
		return thread{}, nil
	}
	iid, _ := strconv.ParseUint(hits[len(hits)-1][1], 10, 64)
	p, err := find[Participant](r, participantKey(project, iid, normalAddress(m.Author().Address)))
	if err != nil || p == nil || p.Removed {
		return thread{}, err
	}
	t, err := find[Ticket](r, ticketKey(project, iid))
	return thread{by: bySubject, ticket: t}, err
}

package web

import (
	"net/http"
	"strconv"

	"github.com/mxdesk/mxdesk/ticketing"
)

// Bounds of the comments that one page shows, the newest first to be chosen.
const (
	maxComments = 500
	maxWeight   = 1 << 20 // octets, about; one comment is always shown
)

// ticketPage is one ticket, with the list it was opened from beside it.
type ticketPage struct {
	frame
	List     list
	Ref      string
	Heading  string
	State    state
	Opened   stamp
	Comments []comment
	Earlier  string // address of what comes before, "" = nothing
	Newest   string // address of the newest comments, "" = shown
	Side     side
}

func (ticketPage) view() string { return "ticket.html" }

// side is what stands beside the talk.
type side struct {
	Requester    person
	Participants []participant
	Assignee     *person
	Labels       []string
	Address      string // our side of the talk
	Updated      stamp
	Answered     *stamp
}

type participant struct {
	person
	Role string
	Note string
}

func (s *site) showTicket(w http.ResponseWriter, r *http.Request, me *ticketing.Agent) error {
	f, err := readFilter(r.URL.Query())
	if err != nil {
		return err
	}
	before, err := readBefore(r)
	if err != nil {
		return err
	}
	th, err := s.thread(r)
	if err != nil {
		return err
	}
	l, err := s.list(r, f)
	if err != nil {
		return err
	}
	for i := range l.Rows {
		l.Rows[i].Current = l.Rows[i].ref == th.Ref()
	}
	fr, err := s.shell(r, th.Title, me, f)
	if err != nil {
		return err
	}
	p := ticketPage{
		frame: fr, List: l, Ref: th.Ref().String(), Heading: th.Title, State: stateOf(th.State),
		Opened: absolute(th.CreatedAt, s.o.Now()), Side: s.side(th),
	}
	s.fillComments(&p, th, f, before, me)
	s.render(w, r, http.StatusOK, p)
	return nil
}

// readBefore reads the number of the comment before which to show, 0 = the
// newest.
func readBefore(r *http.Request) (uint64, error) {
	v := r.URL.Query().Get("before")
	if v == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(v, 10, 63)
	if err != nil || n < 2 {
		return 0, errQuery("before")
	}
	return n, nil
}

// thread reads the ticket that the path names.
func (s *site) thread(r *http.Request) (*ticketing.Thread, error) {
	iid, err := strconv.ParseUint(r.PathValue("iid"), 10, 63)
	if err != nil || iid == 0 {
		return nil, errNoPage()
	}
	return s.desk.Thread(r.Context(), ticketing.Ref{Project: r.PathValue("project"), IID: iid})
}

// window chooses the newest entries before a number that fit in one page.
func window(entries []ticketing.Entry, before uint64) []ticketing.Entry {
	end := len(entries)
	for end > 0 && before > 0 && entries[end-1].ID >= before {
		end--
	}
	start, total := end, 0
	for start > 0 && end-start < maxComments {
		if total += weight(&entries[start-1]); total > maxWeight && start < end {
			break
		}
		start--
	}
	return entries[start:end]
}

// weight is about how many octets an entry adds to a page.
func weight(e *ticketing.Entry) int {
	const item = 500 // an attachment, a copy or an attempt with its markup
	n := len(e.Body) + len(e.Quoted) + item*len(e.Attachments)
	for _, d := range e.Deliveries {
		n += item * (1 + len(d.Attempts))
	}
	return n
}

func (s *site) fillComments(p *ticketPage, th *ticketing.Thread, f filter, before uint64, me *ticketing.Agent) {
	here := ticketURL(th.Ref())
	shown := window(th.Entries, before)
	for i := range shown {
		p.Comments = append(p.Comments, commentOf(&shown[i], here, me, s.o.Now()))
	}
	if len(shown) > 0 && shown[0].ID > th.Entries[0].ID {
		p.Earlier = here + addQuery(f.query(), "before="+strconv.FormatUint(shown[0].ID, 10))
	}
	if before > 0 {
		p.Newest = here + f.query()
	}
}

func addQuery(query, pair string) string {
	if query == "" {
		return "?" + pair
	}
	return query + "&" + pair
}

func (s *site) side(th *ticketing.Thread) side {
	now := s.o.Now()
	v := side{
		Requester: personOf(th.Requester), Labels: th.Labels, Address: th.Address, Updated: relative(th.UpdatedAt, now),
	}
	if th.Assignee != "" {
		p := personOf(ticketing.Person{Address: th.Assignee})
		v.Assignee = &p
	}
	if th.Answered != nil {
		at := absolute(*th.Answered, now)
		v.Answered = &at
	}
	for _, p := range th.Participants {
		v.Participants = append(v.Participants, participantOf(p, th.Answered != nil))
	}
	return v
}

func participantOf(p *ticketing.Participant, answered bool) participant {
	v := participant{person: personOf(ticketing.Person{Name: p.Name, Address: p.Address}), Role: "Copied in"}
	if p.Role == ticketing.RoleRequester {
		v.Role = "Requester"
	}
	switch {
	case p.Removed:
		v.Note = "Removed: gets nothing more"
	case p.FromCc && !answered:
		v.Note = "Gets mail from the first answer on"
	}
	return v
}

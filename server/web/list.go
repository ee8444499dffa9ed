package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
)

// Bounds of a list of tickets.
const (
	pageSize = 50
	maxPage  = 100
)

// filter says which tickets a list shows. It stands in the address of the list
// and of every ticket opened from it.
type filter struct {
	State   ticketing.State
	Project string
	Page    int // from 1
}

func readFilter(q url.Values) (filter, error) {
	f := filter{Project: q.Get("project"), Page: 1}
	if len(f.Project) > 255 {
		return f, errQuery("project")
	}
	if s := q.Get("state"); s != "" {
		st, err := ticketing.ParseState(s)
		if err != nil {
			return f, err
		}
		f.State = st
	}
	if s := q.Get("page"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxPage {
			return f, errQuery("page")
		}
		f.Page = n
	}
	return f, nil
}

// query is the filter as it stands in an address, "" or "?…".
func (f filter) query() string {
	q := url.Values{}
	if f.State != "" {
		q.Set("state", string(f.State))
	}
	if f.Project != "" {
		q.Set("project", f.Project)
	}
	if f.Page > 1 {
		q.Set("page", strconv.Itoa(f.Page))
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

func (f filter) url() string { return "/tickets" + f.query() }

// at is the same list at another page.
func (f filter) at(page int) filter {
	f.Page = page
	return f
}

// title names the list.
func (f filter) title() string {
	if f.State == "" {
		return "All tickets"
	}
	return stateOf(f.State).Word + " tickets"
}

// state is how a state looks: always a shape and a word.
type state struct {
	Icon string
	Word string
}

func stateOf(s ticketing.State) state {
	switch s {
	case ticketing.StateWaiting:
		return state{"waiting", "Waiting"}
	case ticketing.StateClosed:
		return state{"closed", "Closed"}
	}
	return state{"open", "Open"}
}

// ticketsPage is a list of tickets.
type ticketsPage struct {
	frame
	List list
}

func (ticketsPage) view() string { return "tickets.html" }

// list is the pane of tickets, on its own or beside one of them.
type list struct {
	Title   string
	Project string // "" = all
	URL     string
	Rows    []row
	Newer   string // address, "" = none
	Older   string
	Last    bool // no page after this one is shown although there are more
}

// row is one ticket of a list.
type row struct {
	URL       string
	Title     string
	Ref       string // without the project where the list has only one
	State     state
	Requester person
	Labels    []string
	Assignee  *person
	Updated   stamp
	Current   bool
	ref       ticketing.Ref
}

func (s *site) showTickets(w http.ResponseWriter, r *http.Request, me *ticketing.Agent) error {
	f, err := readFilter(r.URL.Query())
	if err != nil {
		return err
	}
	l, err := s.list(r, f)
	if err != nil {
		return err
	}
	fr, err := s.shell(r, f.title(), me, f)
	if err != nil {
		return err
	}
	s.render(w, r, http.StatusOK, ticketsPage{frame: fr, List: l})
	return nil
}

// list reads one page of tickets, the latest changed first.
func (s *site) list(r *http.Request, f filter) (list, error) {
	end := f.Page * pageSize
	tickets, err := s.desk.Tickets(r.Context(), ticketing.TicketFilter{Project: f.Project, State: f.State, Limit: end + 1})
	if err != nil {
		return list{}, err
	}
	l := list{Title: f.title(), Project: f.Project, URL: f.url()}
	if f.Page > 1 {
		l.Newer = f.at(f.Page - 1).url()
	}
	if len(tickets) > end {
		tickets = tickets[:end]
		if l.Last = f.Page == maxPage; !l.Last {
			l.Older = f.at(f.Page + 1).url()
		}
	}
	now := s.o.Now()
	for _, t := range tickets[min(len(tickets), end-pageSize):] {
		l.Rows = append(l.Rows, rowOf(t, f, now))
	}
	return l, nil
}

func rowOf(t ticketing.TicketView, f filter, now time.Time) row {
	v := row{
		URL: ticketURL(t.Ref()) + f.query(), Title: t.Title, ref: t.Ref(), Ref: t.Ref().String(), State: stateOf(t.State),
		Requester: personOf(t.Requester), Labels: t.Labels, Updated: relative(t.UpdatedAt, now),
	}
	if f.Project != "" {
		v.Ref = fmt.Sprintf("#%d", t.IID)
	}
	if t.Assignee != "" {
		p := personOf(ticketing.Person{Address: t.Assignee})
		v.Assignee = &p
	}
	return v
}

func ticketURL(ref ticketing.Ref) string {
	return "/tickets/" + url.PathEscape(ref.Project) + "/" + strconv.FormatUint(ref.IID, 10)
}

package web

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mxdesk/mxdesk/ticketing"
)

// Bounds of a search in the journal.
const (
	maxSearch = 1000 // octets of the question
	maxFound  = 200  // rows shown, the newest
)

// journalPage answers "where is the mail that X says they sent?".
type journalPage struct {
	frame
	Query string
	Rows  []transaction
	More  bool
}

func (journalPage) view() string { return "journal.html" }

// transaction is a mail that came in, was refused, or went out.
type transaction struct {
	look
	ID      string
	At      stamp
	From    string
	To      string
	Subject string
	Why     string
	Ticket  string
	URL     string // of the ticket
	Facts   []fact
	Checks  []check
	at      time.Time
}

type fact struct{ Name, Value string }

func (s *site) showJournal(w http.ResponseWriter, r *http.Request, me *ticketing.Agent) error {
	q := strings.TrimSpace(r.URL.Query().Get("q"))
	if len(q) > maxSearch || !utf8.ValidString(q) {
		return errQuery("q")
	}
	fr, err := s.shell(r, "Journal", me, filter{})
	if err != nil {
		return err
	}
	p := journalPage{frame: fr, Query: q}
	if q != "" {
		if p.Rows, err = s.transactions(r, q); err != nil {
			return err
		}
	}
	if p.More = len(p.Rows) > maxFound; p.More {
		p.Rows = p.Rows[:maxFound]
	}
	s.render(w, r, http.StatusOK, p)
	return nil
}

// transactions finds what a question leads to, the newest first.
func (s *site) transactions(r *http.Request, q string) ([]transaction, error) {
	in, err := s.desk.Trace(r.Context(), q)
	if err != nil {
		return nil, err
	}
	out, err := s.desk.TraceOutgoing(r.Context(), q)
	if err != nil {
		return nil, err
	}
	now := s.o.Now()
	var rows []transaction
	for _, o := range out { // first, as an answer is newer than the mail of the same instant
		rows = append(rows, outgoing(o, now))
	}
	for _, e := range in {
		rows = append(rows, incoming(e, now))
	}
	slices.SortStableFunc(rows, func(a, b transaction) int { return b.at.Compare(a.at) })
	return rows, nil
}

func decisionLook(d ticketing.JournalDecision) look {
	switch d {
	case ticketing.JournalAccepted:
		return look{"ok", "check", "Accepted"}
	case ticketing.JournalHeld:
		return look{"attention", "held", "Held"}
	case ticketing.JournalDuplicate:
		return look{"quiet", "check", "Delivered before"}
	case ticketing.JournalRejected:
		return look{"danger", "failed", "Refused"}
	case ticketing.JournalDeferred:
		return look{"info", "clock", "Asked to try again"}
	}
	return look{"quiet", "clock", string(d)}
}

func incoming(e *ticketing.JournalEntry, now time.Time) transaction {
	t := transaction{
		look: decisionLook(e.Decision), ID: e.ID, At: absolute(e.At, now), at: e.At,
		From: domainOr(domainOr(e.From, e.MailFrom), "no sender"), To: strings.Join(firstOf(e.RcptTo, 3), ", "),
		Subject: e.Subject, Why: e.Reason, Ticket: e.Ticket,
	}
	if e.Count > 1 {
		t.Why += fmt.Sprintf(", %d times", e.Count)
	}
	if ref, err := ticketing.ParseRef(e.Ticket); err == nil {
		t.URL = ticketURL(ref)
	}
	reply := strings.TrimSpace(fmt.Sprintf("%d %s", e.Code, e.Enhanced))
	t.Facts = facts("Transaction", e.ID, "Envelope sender", "<"+e.MailFrom+">", "Recipients", strings.Join(e.RcptTo, ", "),
		"Client", e.Client, "Greeting", e.Helo, "Protocol", e.Protocol, "Stage", e.Stage, "Reply", strings.TrimPrefix(reply, "0"),
		"Message-ID", e.MessageID, "Session", e.Session, "Released held mail", e.Held)
	if e.Size > 0 {
		t.Facts = append(t.Facts, fact{"Size", size(e.Size)})
	}
	for _, o := range e.Outcomes {
		t.Facts = append(t.Facts, fact{o.Recipient, strings.TrimSpace(fmt.Sprintf("%s (%s) %s", o.Decision, o.Reason, o.Ticket))})
	}
	if e.Verdict != nil {
		t.Checks = checks(e.Verdict)
	}
	return t
}

func outgoing(o *ticketing.Outgoing, now time.Time) transaction {
	t := transaction{
		look: deliveryLook(o.State), ID: o.ID, At: absolute(o.CreatedAt, now), at: o.CreatedAt,
		From: o.From.Address, To: o.Recipient.Address, Subject: o.Subject, Why: "sent by us", Ticket: o.Ref,
	}
	if ref, err := ticketing.ParseRef(o.Ref); err == nil {
		t.URL = ticketURL(ref)
	}
	t.Facts = facts("Copy", o.ID, "Kind", domainOr(kindWord(o.Kind), "Reply"), "Message-ID", o.MessageID)
	for _, a := range o.Attempts {
		t.Facts = append(t.Facts, fact{absolute(a.At, now).Short, attemptText(a)})
	}
	return t
}

// firstOf is at most max of a list; a last element says how many more.
func firstOf(list []string, max int) []string {
	if len(list) <= max {
		return list
	}
	return append(slices.Clone(list[:max]), fmt.Sprintf("%d more", len(list)-max))
}

// facts pairs names with values and leaves out what is empty.
func facts(pairs ...string) []fact {
	var out []fact
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			out = append(out, fact{pairs[i], pairs[i+1]})
		}
	}
	return out
}

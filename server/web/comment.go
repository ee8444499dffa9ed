package web

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
)

// comment is one entry of a ticket.
type comment struct {
	ID     uint64
	Look   string // customer, agent, internal or system
	Label  string // word for what only agents see
	Author person
	You    bool
	To     string // who got it
	At     stamp
	Shield *shield

	Text      []run
	Quoted    []run
	Cut       bool // there is more in the original
	Forwarded string
	Machine   string
	Warnings  []string

	Files      []file
	Original   string // address of the raw mail, "" = none
	Journal    string // address of how it came in
	Deliveries *deliveries
}

// file is an attachment.
type file struct {
	Name string
	Size string
	Type string
	URL  string
}

func commentOf(e *ticketing.Entry, ticket string, me *ticketing.Agent, now time.Time) comment {
	c := comment{
		ID: e.ID, Look: lookOf(&e.Comment), Author: personOf(e.Author), You: e.FromAgent && e.Author.Address == me.Email,
		At: absolute(e.CreatedAt, now), Machine: machineWord(e.Machine.Class), Warnings: e.Warnings,
		Shield: shieldOf(&e.Comment), Deliveries: deliveriesOf(e.Deliveries, now),
	}
	c.Label = labelOf(&e.Comment)
	body, cutBody := shown(e.Body)
	quoted, cutQuoted := shown(e.Quoted)
	c.Text, c.Quoted, c.Cut = linkify(body), linkify(quoted), e.Truncated || cutBody || cutQuoted
	c.To = recipientsOf(e)
	c.Forwarded = forwardedLine(e.Forwarded)
	own := ticket + "/comments/" + strconv.FormatUint(e.ID, 10)
	if e.Raw != nil {
		c.Original = own + "/original"
		for i, a := range e.Attachments {
			c.Files = append(c.Files, file{Name: a.Name, Size: size(a.Size), Type: a.Type, URL: own + "/attachments/" + strconv.Itoa(i+1)})
		}
	}
	if e.Journal != "" {
		c.Journal = "/journal?q=" + e.Journal
	}
	return c
}

func lookOf(c *ticketing.Comment) string {
	switch {
	case c.Kind == ticketing.CommentSystem:
		return "system"
	case c.Kind == ticketing.CommentInternal:
		return "internal"
	case c.FromAgent:
		return "agent"
	}
	return "customer"
}

// labelOf tells, for what only agents see, why.
func labelOf(c *ticketing.Comment) string {
	switch {
	case c.Kind != ticketing.CommentInternal:
		return ""
	case c.FromAgent:
		return "Internal note"
	}
	return "For agents only: not passed on"
}

// recipientsOf names who got an agent's reply.
func recipientsOf(e *ticketing.Entry) string {
	if !e.FromAgent || len(e.Deliveries) == 0 {
		return ""
	}
	var to []ticketing.Person
	for _, d := range e.Deliveries {
		to = append(to, d.Recipient)
	}
	return names(to, 3)
}

func forwardedLine(f *ticketing.Forwarded) string {
	if f == nil {
		return ""
	}
	p := personOf(f.From)
	who := p.Name
	if p.Address != "" {
		who = fmt.Sprintf("%s <%s>", p.Name, p.Address)
	}
	parts := []string{"Forwarded from " + who}
	for _, s := range []string{f.Subject, f.Date} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, " · ")
}

func machineWord(c ticketing.MachineClass) string {
	switch c {
	case ticketing.MachineAutoReply:
		return "Automatic reply"
	case ticketing.MachineOutOfOffice:
		return "Out of office"
	case ticketing.MachineBounce:
		return "Delivery failure"
	case ticketing.MachineDelay:
		return "Delivery delay"
	case ticketing.MachineList:
		return "Mailing list"
	case ticketing.MachineBulk:
		return "Bulk mail"
	case ticketing.MachineMDN:
		return "Read receipt"
	case ticketing.MachineARF:
		return "Complaint"
	case ticketing.MachineReport:
		return "Report"
	case ticketing.MachineCalendar:
		return "Calendar"
	case ticketing.MachineOwnLoop:
		return "Our own mail come back"
	}
	return ""
}

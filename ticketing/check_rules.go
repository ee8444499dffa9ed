package ticketing

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// rules are what must hold of the rows of the domain.
func rules() []Rule {
	list := []Rule{
		{Kind: "meta", Row: checkMeta},
		{Kind: "domain", Row: ruled(checkDomain)},
		{Kind: "project", Row: ruled(checkProject)},
		{Kind: "project.name", Row: ruled(checkProjectName)},
		{Kind: "alias", Row: ruled(checkAlias)},
		{Kind: "agent", Row: ruled(checkAgent)},
		{Kind: "ticket", Row: ruled(checkTicket)},
		{Kind: "ticket.seq", Row: ruled(checkCounter)},
		{Kind: "comment", Row: ruled(checkComment)},
		{Kind: "participant", Row: ruled(checkParticipant)},
		{Kind: "token", Row: ruled(checkToken)},
		{Kind: "msgid", Row: ruled(checkMessageRow)},
		{Kind: "seen", Row: ruled(checkSeen)},
		{Kind: "seen.at", Row: checkSeenAt},
		{Kind: "out", Row: ruled(checkOutgoing)},
		{Kind: "journal", Row: ruled(checkJournal)},
		{Kind: "held", Row: ruled(checkHeld)},
		{Kind: "budget", Row: ruled(checkCounter)},
		{Kind: "project.alias", Source: lastText(aliasKey)},
		{Kind: "journal.by", Source: lastText(journalKey)},
		{Kind: "journal.refused", Source: lastText(journalKey)},
	}
	for _, kind := range []string{"out.due", "out.ticket", "out.by"} {
		list = append(list, Rule{Kind: kind, Source: lastText(outgoingKey)})
	}
	for _, kind := range []string{"all", "state", "project", "project.state", "assignee", "label", "participant"} {
		list = append(list, Rule{Kind: "ticket." + kind, Source: lastTicket})
	}
	return list
}

// ruled makes a rule of a check that wants the decoded value.
func ruled[T any](check func(c *Checking, row Row, v *T) error) func(*Checking, Row) error {
	return func(c *Checking, row Row) error {
		v, err := decode[struct {
			V int `json:"v"`
		}](row.Value)
		if err == nil && (v.V < 1 || v.V > SchemaVersion) {
			err = fmt.Errorf("version %d", v.V)
		}
		if err != nil {
			c.Bad(row.Key, "cannot be read: %v", err)
			return nil
		}
		value, err := decode[T](row.Value)
		if err != nil {
			c.Bad(row.Key, "cannot be read: %v", err)
			return nil
		}
		return check(c, row, value)
	}
}

// lastText is the source of index rows that end in its name.
func lastText(key func(string) store.Key) func([]any) (store.Key, bool) {
	return func(parts []any) (store.Key, bool) {
		name, ok := parts[len(parts)-1].(string)
		return key(name), ok
	}
}

// lastTicket is the source of index rows that end in a ticket's numbers.
func lastTicket(parts []any) (store.Key, bool) {
	n := len(parts)
	if n < 3 {
		return "", false
	}
	project, ok1 := parts[n-2].(uint64)
	iid, ok2 := parts[n-1].(uint64)
	return ticketKey(project, iid), ok1 && ok2
}

// at checks that a row is where its value says.
func (c *Checking) at(row Row, want store.Key) {
	if row.Key != want {
		c.Bad(row.Key, "holds what belongs to %v", want)
	}
}

// counted checks that a sequence has reached n.
func (c *Checking) counted(k, sequence store.Key, n uint64) error {
	last, known := c.counters[sequence]
	if !known {
		row, err := find[counter](c.r, sequence)
		if err != nil && !isUndecodable(err) {
			return err
		}
		if row != nil {
			last = row.Last
		}
		c.counters[sequence] = last
	}
	if n > last {
		c.Bad(k, "is beyond %v, which stands at %d", sequence, last)
	}
	return nil
}

// lookup reads a row that another one belongs to, nil when it is missing or
// cannot be read; both are told.
func lookup[T any](c *Checking, k, other store.Key) (*T, error) {
	if c.probing {
		return nil, nil
	}
	v, err := find[T](c.r, other)
	switch {
	case err != nil && isUndecodable(err):
		return nil, nil // told with that row
	case err == nil && v == nil:
		c.Bad(k, "belongs to %v, which is missing", other)
	}
	return v, err
}

func checkMeta(c *Checking, row Row) error {
	switch row.Key {
	case schemaKey():
		return ruled(func(c *Checking, row Row, v *schemaRow) error {
			if v.Version < 1 || v.Upgrade != nil {
				c.Bad(row.Key, "an upgrade is not finished: start mxdesk serve once")
			}
			return nil
		})(c, row)
	case projectSeqKey(), routingKey():
		return ruled(checkCounter)(c, row)
	case hashedKey():
		return ruled(func(*Checking, Row, *hashedRow) error { return nil })(c, row)
	}
	c.Bad(row.Key, "is of no known kind")
	return nil
}

func checkCounter(*Checking, Row, *counter) error { return nil }

func checkDomain(c *Checking, row Row, v *Domain) error {
	c.at(row, domainKey(v.Name))
	if v.Project == 0 {
		return nil
	}
	return c.Needs(row.Key, projectKey(v.Project))
}

func checkProject(c *Checking, row Row, v *Project) error {
	c.at(row, projectKey(v.ID))
	if err := c.counted(row.Key, projectSeqKey(), v.ID); err != nil {
		return err
	}
	name, err := lookup[projectNameRow](c, row.Key, projectName(v.Name))
	if err != nil || name == nil {
		return err
	}
	if name.Project != v.ID {
		c.Bad(row.Key, "its name %s leads to project %d", v.Name, name.Project)
	}
	if v.Address == "" {
		return nil
	}
	return c.Needs(row.Key, projectAlias(v.ID, v.Address))
}

func checkProjectName(c *Checking, row Row, v *projectNameRow) error {
	return c.Needs(row.Key, projectKey(v.Project))
}

func checkAlias(c *Checking, row Row, v *Alias) error {
	c.at(row, aliasKey(v.Address))
	return errors.Join(c.Owns(row.Key, refRows(projectAlias(v.Project, v.Address))...),
		c.Needs(row.Key, projectKey(v.Project)), c.Needs(row.Key, domainKey(domainOf(v.Address))))
}

func checkAgent(c *Checking, row Row, v *Agent) error {
	c.at(row, agentKey(v.Email))
	return nil
}

func checkTicket(c *Checking, row Row, v *Ticket) error {
	c.at(row, ticketKey(v.Project, v.IID))
	err := errors.Join(
		c.Owns(row.Key, refRows(v.indexKeys()...)...),
		c.Needs(row.Key, projectKey(v.Project)),
		c.Needs(row.Key, messageIDKey(v.Project, v.ThreadID)),
		c.Needs(row.Key, commentKey(v.Project, v.IID, v.Comments)),
	)
	if v.Assignee != "" {
		err = errors.Join(err, c.Needs(row.Key, agentKey(v.Assignee)))
	}
	if err != nil || c.probing {
		return err
	}
	if err := c.counted(row.Key, ticketSeqKey(v.Project), v.IID); err != nil {
		return err
	}
	return c.participants(row.Key, v)
}

// participants compares a ticket's addresses with its participants.
func (c *Checking) participants(k store.Key, t *Ticket) error {
	people, err := participants(c.r, t)
	if err != nil {
		if isUndecodable(err) {
			return nil
		}
		return err
	}
	var want []string
	for _, p := range people {
		want = append(want, normalAddress(p.Address))
	}
	got := slices.Clone(t.Addresses)
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		c.Bad(k, "names the participants %q, there are %q", got, want)
	}
	return nil
}

func checkComment(c *Checking, row Row, v *Comment) error {
	if v.Raw != nil {
		c.Refers(*v.Raw)
	}
	project, iid, ok := ticketNumbers(row.Parts)
	if !ok || row.Key != commentKey(project, iid, v.ID) {
		c.Bad(row.Key, "is not where its number says")
		return nil
	}
	t, err := lookup[Ticket](c, row.Key, ticketKey(project, iid))
	if err != nil || t == nil {
		return err
	}
	if v.ID < 1 || v.ID > t.Comments {
		c.Bad(row.Key, "is beyond the ticket's %d comments", t.Comments)
	}
	if v.ID > 1 {
		err = c.Needs(row.Key, commentKey(project, iid, v.ID-1))
	}
	if v.MessageID != "" {
		err = errors.Join(err, c.Needs(row.Key, messageIDKey(project, v.MessageID)))
	}
	if v.Journal != "" {
		err = errors.Join(err, c.Needs(row.Key, journalKey(v.Journal)))
	}
	return err
}

// ticketNumbers are the second and third element of a key.
func ticketNumbers(parts []any) (project, iid uint64, ok bool) {
	if len(parts) < 4 {
		return 0, 0, false
	}
	project, ok1 := parts[1].(uint64)
	iid, ok2 := parts[2].(uint64)
	return project, iid, ok1 && ok2
}

func checkParticipant(c *Checking, row Row, v *Participant) error {
	project, iid, ok := ticketNumbers(row.Parts)
	addr := normalAddress(v.Address)
	if !ok || row.Key != participantKey(project, iid, addr) {
		c.Bad(row.Key, "is not where its address says")
		return nil
	}
	if err := c.Needs(row.Key, ticketKey(project, iid)); err != nil {
		return err
	}
	for token, kind := range map[string]RouteKind{v.Token: RouteReply, v.Leave: RouteUnsubscribe} {
		row2, err := lookup[Token](c, row.Key, tokenKey(token))
		if err != nil || row2 == nil {
			return err
		}
		if row2.Kind != kind || row2.Project != project || row2.Ticket != iid || row2.Participant != addr {
			c.Bad(row.Key, "its %s address leads elsewhere", kind)
		}
		if v.Removed && kind == RouteReply && !row2.Revoked {
			c.Bad(row.Key, "is removed, and the reply address still works")
		}
	}
	return nil
}

func checkToken(c *Checking, row Row, v *Token) error {
	token, err := lastString(row.Key)
	if err != nil || token != strings.ToLower(token) {
		c.Bad(row.Key, "is no token")
		return nil
	}
	if v.Kind == RouteBounce {
		o, err := lookup[Outgoing](c, row.Key, outgoingKey(v.Outgoing))
		if err == nil && o != nil && tokenIn(o.Envelope) != token {
			c.Bad(row.Key, "is not the token of %v", outgoingKey(v.Outgoing))
		}
		return err
	}
	p, err := lookup[Participant](c, row.Key, participantKey(v.Project, v.Ticket, v.Participant))
	if err == nil && p != nil && p.Token != token && p.Leave != token {
		c.Bad(row.Key, "is not a token of the participant it names")
	}
	return err
}

func checkMessageRow(c *Checking, row Row, v *messageRow) error {
	project, ok := row.Parts[min(1, len(row.Parts)-1)].(uint64)
	if !ok {
		c.Bad(row.Key, "names no project")
		return nil
	}
	return c.Needs(row.Key, commentKey(project, v.Ticket, v.Comment))
}

func checkSeen(c *Checking, row Row, v *seenRow) error {
	if len(row.Parts) != 3 {
		c.Bad(row.Key, "is no identity")
		return nil
	}
	project, ok1 := row.Parts[1].(uint64)
	identity, ok2 := row.Parts[2].([]byte)
	if !ok1 || !ok2 {
		c.Bad(row.Key, "is no identity")
		return nil
	}
	return errors.Join(c.Needs(row.Key, seenAtKey(v.At, project, identity)), c.Needs(row.Key, projectKey(project)))
}

// checkSeenAt allows rows of an earlier time beside the one of the identity:
// it may have been taken anew.
func checkSeenAt(c *Checking, row Row) error {
	if len(row.Parts) != 4 {
		c.Bad(row.Key, "is no identity")
		return nil
	}
	at, ok1 := row.Parts[1].(time.Time)
	project, ok2 := row.Parts[2].(uint64)
	identity, ok3 := row.Parts[3].([]byte)
	if !ok1 || !ok2 || !ok3 {
		c.Bad(row.Key, "is no identity")
		return nil
	}
	seen, err := lookup[seenRow](c, row.Key, seenKey(project, identity))
	if err == nil && seen != nil && seen.At.Before(at) {
		c.Bad(row.Key, "is newer than what it finds")
	}
	if !bytes.Equal(row.Value, ref) {
		c.Bad(row.Key, "has another value than it should")
	}
	return err
}

func checkOutgoing(c *Checking, row Row, v *Outgoing) error {
	c.at(row, outgoingKey(v.ID))
	if v.Raw != nil {
		c.Refers(*v.Raw)
	}
	rows := refRows(outgoingTicketKey(v.Project, v.Ticket, v.Comment, v.ID),
		outgoingByKey(v.Recipient.Address, v.ID), outgoingByKey(v.MessageID, v.ID))
	if !v.State.Final() {
		due, err := encode(dueRow{State: v.State})
		if err != nil {
			return err
		}
		rows = append(rows, store.Item{Key: outgoingDueKey(v.Due, v.ID), Value: due})
	}
	return errors.Join(
		c.Owns(row.Key, rows...),
		c.Needs(row.Key, commentKey(v.Project, v.Ticket, v.Comment)),
		c.Needs(row.Key, messageIDKey(v.Project, v.MessageID)),
		c.Needs(row.Key, tokenKey(tokenIn(v.Envelope))),
	)
}

func checkJournal(c *Checking, row Row, v *JournalEntry) error {
	c.at(row, journalKey(v.ID))
	var keys []store.Key
	for _, t := range v.terms() {
		keys = append(keys, journalByKey(t, v.ID))
	}
	if v.Decision == JournalRejected || v.Decision == JournalDeferred {
		keys = append(keys, journalRefusedKey(v.ID))
	}
	return c.Owns(row.Key, refRows(keys...)...)
}

func checkHeld(c *Checking, row Row, v *Held) error {
	c.at(row, heldKey(v.Name()))
	c.Refers(v.Raw)
	return errors.Join(c.Needs(row.Key, projectKey(v.Project)), c.Needs(row.Key, journalKey(v.ID)))
}

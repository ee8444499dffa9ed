package ticketing

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// What a mail makes must fit into one transaction of the store, whatever is in
// it and however many projects it goes to: the bounds below are shared among
// the projects. What is left out is in the raw mail.
const (
	maxProjects   = 10        // that one mail goes to
	maxComment    = 400 << 10 // octets of all its comments
	maxBody       = 64 << 10  // octets of a comment's text
	maxAside      = 32 << 10  // octets of what it quotes, or forwards
	maxRecipients = 64 << 10  // octets of the recipients in a journal entry
	maxOutcomes   = 100       // rows in a journal entry
	maxHeldRcpts  = 100       // recipients kept with a held mail
	maxThreadID   = 300       // octets of an id in References of what we send
	maxField      = 1000      // octets of a header value in the journal
)

// clip cuts a text to max octets, between characters, and makes it valid UTF-8
// without controls other than line end and tab.
func clip(s string, max int) string {
	s = cut(s, max)
	if utf8.ValidString(s) && !strings.ContainsFunc(s, unstorable) {
		return s
	}
	return cut(strings.Map(func(r rune) rune {
		if unstorable(r) {
			return -1
		}
		return r
	}, s), max)
}

func cut(s string, max int) string {
	if len(s) <= max {
		return s
	}
	for max > 0 && !utf8.RuneStart(s[max]) {
		max--
	}
	return s[:max]
}

func unstorable(r rune) bool {
	return r < ' ' && r != '\n' && r != '\t' || r == 0x7f
}

// clipPerson bounds a person as a mail names it.
func clipPerson(p Person) Person {
	return Person{Name: oneLine(clip(p.Name, maxField), 200), Address: clip(p.Address, 2*maxAddress)}
}

// clipComment makes a comment fit where one mail makes n of them. Truncated
// tells that text was left out.
func clipComment(c *Comment, n int) error {
	c.clipText(n)
	c.Author, c.Warnings = clipPerson(c.Author), slices.Clone(c.Warnings)
	for i, w := range c.Warnings {
		c.Warnings[i] = clip(w, 200)
	}
	if c.Forwarded != nil {
		f := *c.Forwarded
		f.From, f.Subject, f.Date, f.Text = clipPerson(f.From), clip(f.Subject, maxField), clip(f.Date, maxField), clip(f.Text, maxAside/n)
		c.Forwarded = &f
	}
	c.Auth = c.Auth.clip()
	return clipAttachments(c, maxComment/n)
}

func (c *Comment) clipText(n int) {
	c.Truncated = c.Truncated || len(c.Body) > maxBody/n || len(c.Quoted) > maxAside/n
	c.Body, c.Quoted = clip(c.Body, maxBody/n), clip(c.Quoted, maxAside/n)
}

// clipAttachments keeps as many attachments as fit a comment of max octets.
func clipAttachments(c *Comment, max int) error {
	all := c.Attachments
	if len(all) == 0 {
		return nil
	}
	c.Attachments = nil
	b, err := encode(c)
	if err != nil {
		return err
	}
	room := max - len(b)
	for i, a := range all {
		b, err := json.Marshal(a)
		if err != nil {
			return err
		}
		if room -= len(b) + 1; room < 0 {
			c.Attachments = all[:i:i]
			c.Warnings = append(c.Warnings, fmt.Sprintf("%d more attachments are in the raw mail only", len(all)-i))
			return nil
		}
	}
	c.Attachments = all
	return nil
}

// clip returns the verdict with bounded texts.
func (v *Verdict) clip() *Verdict {
	if v == nil {
		return nil
	}
	w := *v
	w.AuthenticationResults = clip(w.AuthenticationResults, 4<<10)
	w.SPF.Explanation, w.ARC.Reason = clip(w.SPF.Explanation, maxField), clip(w.ARC.Reason, maxField)
	w.ARC.Sealers = w.ARC.Sealers[:min(len(w.ARC.Sealers), 20)]
	w.DKIM = slices.Clone(w.DKIM[:min(len(w.DKIM), 10)])
	for i := range w.DKIM {
		w.DKIM[i].Reason = clip(w.DKIM[i].Reason, 200)
	}
	return &w
}

// clip returns the entry with bounded texts and recipients, all of them such
// that they are read back as they were written: the entry's rows are found
// again by them.
func (e JournalEntry) clip() JournalEntry {
	for _, s := range []*string{&e.Helo, &e.MailFrom, &e.MessageID, &e.Subject, &e.From} {
		*s = clip(*s, maxField)
	}
	room := maxRecipients
	for i, to := range e.RcptTo {
		if room -= len(to); room < 0 {
			e.RcptTo = e.RcptTo[:i:i]
			break
		}
	}
	e.RcptTo = slices.Clone(e.RcptTo)
	for i, to := range e.RcptTo {
		e.RcptTo[i] = clip(to, maxField)
	}
	e.Outcomes = e.Outcomes[:min(len(e.Outcomes), maxOutcomes)]
	e.Verdict = e.Verdict.clip()
	return e
}

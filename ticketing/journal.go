package ticketing

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// JournalDecision is how a mail transaction ended.
type JournalDecision string

// The decisions.
const (
	JournalAccepted  JournalDecision = "accepted"  // ticket, comment or delivery report
	JournalHeld      JournalDecision = "held"      // kept, waiting for an agent
	JournalDuplicate JournalDecision = "duplicate" // delivered before, nothing changed
	JournalRejected  JournalDecision = "rejected"  // 5xx: theirs to mend
	JournalDeferred  JournalDecision = "deferred"  // 4xx: ours, or policy asks to come again
)

// JournalEntry tells what happened to one mail transaction.
type JournalEntry struct {
	ID        string          `json:"id"`
	At        time.Time       `json:"at"`
	Session   string          `json:"session"`
	Protocol  string          `json:"protocol"`
	Client    string          `json:"client"`
	Helo      string          `json:"helo"`
	MailFrom  string          `json:"mail_from"`
	RcptTo    []string        `json:"rcpt_to"`
	MessageID string          `json:"message_id"`
	Subject   string          `json:"subject,omitempty"`
	From      string          `json:"from,omitempty"`
	Size      int64           `json:"size,omitempty"`
	Decision  JournalDecision `json:"decision"`
	Reason    string          `json:"reason"`
	Stage     string          `json:"stage,omitempty"`
	Code      int             `json:"code,omitempty"`
	Enhanced  string          `json:"enhanced,omitempty"`
	// Ticket is the first ticket the mail touched; Outcomes has one row per
	// recipient when they differ.
	Ticket   string           `json:"ticket"`
	Outcomes []JournalOutcome `json:"outcomes,omitempty"`
	// Held is the name of the held mail that was released with this
	// transaction; the transaction that held it leads here, too.
	Held    string   `json:"held,omitempty"`
	Count   int      `json:"count,omitempty"` // > 1: entries of one client folded together
	Verdict *Verdict `json:"auth,omitempty"`
}

// JournalOutcome is one recipient's part of a transaction.
type JournalOutcome struct {
	Recipient string          `json:"recipient"`
	Decision  JournalDecision `json:"decision"`
	Reason    string          `json:"reason"`
	Ticket    string          `json:"ticket,omitempty"`
}

// journalOf begins the entry of a transaction.
func journalOf(env *Envelope) JournalEntry {
	e := JournalEntry{
		ID: env.ID, At: env.ReceivedAt, Session: env.Session, Protocol: env.Protocol,
		Helo: env.Helo, MailFrom: env.MailFrom, Held: env.Held,
	}
	if env.Client.IsValid() {
		e.Client = env.Client.Addr().Unmap().String()
	}
	for _, r := range env.Recipients {
		e.RcptTo = append(e.RcptTo, r.Address)
	}
	return e
}

// maxTerms bounds the rows by which an entry is found.
const maxTerms = 120

// saveJournal writes an entry and the rows that find it: Message-ID, addresses
// and the client.
func saveJournal(tx store.Tx, e JournalEntry) error {
	e = e.clip()
	for _, t := range e.terms() {
		if err := tx.Put(journalByKey(t, e.ID), ref); err != nil {
			return err
		}
	}
	k := journalKey(e.ID)
	if err := tx.Emit(store.Change{Kind: "journal", Key: k}); err != nil {
		return err
	}
	return save(tx, k, e)
}

// terms are what an entry is found by besides its id. That of a release is found
// by the transaction of the held mail.
func (e *JournalEntry) terms() []string {
	held, _, _ := strings.Cut(e.Held, ".")
	terms := []string{held, e.MessageID, e.MailFrom, e.From, e.Client, e.Ticket}
	for _, o := range e.Outcomes {
		if !slices.Contains(terms, o.Ticket) {
			terms = append(terms, o.Ticket)
		}
	}
	terms = slices.DeleteFunc(slices.Concat(terms, e.RcptTo), func(t string) bool { return t == "" })
	return terms[:min(len(terms), maxTerms)]
}

// Entry makes the journal entry of a refusal.
func (r Refusal) Entry() JournalEntry {
	env := r.Envelope
	env.Recipients = env.Recipients[:min(len(env.Recipients), maxRefusedRcpts)]
	e := journalOf(&env)
	if r.Recipient != "" && !slices.Contains(e.RcptTo, r.Recipient) {
		e.RcptTo = append(e.RcptTo, r.Recipient)
	}
	e.MessageID, e.From, e.Subject, e.Size, e.Verdict = r.MessageID, r.From, r.Subject, r.Size, r.Verdict
	e.Decision, e.Reason, e.Stage, e.Code, e.Enhanced = JournalRejected, r.Reason, r.Stage, r.Code, r.Enhanced
	if r.Code < 500 {
		e.Decision = JournalDeferred
	}
	return e.clip()
}

// Bounds of what is kept of refusals.
const (
	maxRefusedRcpts = 100 // recipients of one, beside the refused one
	RefusalsKept    = 14 * 24 * time.Hour
	MaxRefusals     = 200_000
)

// NoteRefusals writes entries of refusals. They carry ids of their own when a
// transaction has more than one.
func (d *Desk) NoteRefusals(ctx context.Context, entries []JournalEntry) error {
	for len(entries) > 0 {
		n := 0
		err := d.update(ctx, func(tx store.Tx) (err error) {
			n, err = noteRefusals(tx, entries)
			return err
		})
		if err != nil {
			return err
		}
		entries = entries[n:]
	}
	return nil
}

// noteRefusals writes the first entries of a list, as many as one transaction
// takes, and returns how many.
func noteRefusals(tx store.Tx, entries []JournalEntry) (n int, err error) {
	for room := store.MaxTxBytes / 2; n < len(entries) && room > 0; n++ {
		e := entries[n].clip()
		if err := saveJournal(tx, e); err != nil {
			return n, err
		}
		if err := tx.Put(journalRefusedKey(e.ID), ref); err != nil {
			return n, err
		}
		room -= 2 << 10
		if e.Verdict != nil {
			room -= 20 << 10
		}
		for _, to := range e.RcptTo {
			room -= 400 + 2*len(to)
		}
	}
	return n, nil
}

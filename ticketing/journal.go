package ticketing

import "time"

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
	Count    int              `json:"count,omitempty"` // > 1: entries of one client folded together
	Verdict  *Verdict         `json:"auth,omitempty"`
}

// JournalOutcome is one recipient's part of a transaction.
type JournalOutcome struct {
	Recipient string          `json:"recipient"`
	Decision  JournalDecision `json:"decision"`
	Reason    string          `json:"reason"`
	Ticket    string          `json:"ticket,omitempty"`
}

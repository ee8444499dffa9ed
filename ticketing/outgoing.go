package ticketing

import (
	"strings"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// OutgoingKind says why a mail goes out.
type OutgoingKind string

// The kinds of outgoing mail.
const (
	OutgoingThankYou       OutgoingKind = "thank_you"
	OutgoingNote           OutgoingKind = "new_note"        // a public comment of an agent
	OutgoingRelay          OutgoingKind = "participant"     // a participant's words for the other participants
	OutgoingNewParticipant OutgoingKind = "new_participant" // somebody was added
)

// Automatic tells whether a machine wrote the mail: such mail has a VERP
// envelope sender, Auto-Submitted, and answers no automatic mail.
func (k OutgoingKind) Automatic() bool {
	return k == OutgoingThankYou || k == OutgoingNewParticipant
}

// DeliveryState is where an outgoing copy stands.
type DeliveryState string

// The states. Delivered, Failed, Captured and Cancelled are final.
const (
	DeliveryPending   DeliveryState = "pending"   // waiting for its first attempt
	DeliveryDeferred  DeliveryState = "deferred"  // an attempt failed, another will follow
	DeliveryDelivered DeliveryState = "delivered" // the next hop took it
	DeliveryFailed    DeliveryState = "failed"    // the next hop refused it, or time ran out
	DeliveryCaptured  DeliveryState = "captured"  // kept, never sent: no relay is configured
	DeliveryBounced   DeliveryState = "bounced"   // delivered, and a report came back
	DeliveryCancelled DeliveryState = "cancelled" // an operator ended it
)

// ParseDeliveryState reads a state's name.
func ParseDeliveryState(s string) (DeliveryState, error) {
	st := DeliveryState(strings.ToLower(strings.TrimSpace(s)))
	switch st {
	case DeliveryPending, DeliveryDeferred, DeliveryDelivered, DeliveryFailed, DeliveryCaptured, DeliveryBounced, DeliveryCancelled:
		return st, nil
	}
	return "", errorf(KindInvalid, "bad-state", "%q is no state of outgoing mail: pending, deferred, delivered, failed, captured, bounced or cancelled", s)
}

// Final tells whether no further attempt will be made.
func (s DeliveryState) Final() bool { return s != DeliveryPending && s != DeliveryDeferred }

// Outgoing is one copy of one mail for one recipient. Everything that shows in
// the mail is fixed when the intent is written.
type Outgoing struct {
	ID        string       `json:"id"`
	Kind      OutgoingKind `json:"kind"`
	Project   uint64       `json:"project"`
	Ticket    uint64       `json:"ticket"` // iid
	Comment   uint64       `json:"comment"`
	Ref       string       `json:"ref"` // "project#12", as it was called then
	Recipient Person       `json:"recipient"`
	// Envelope is the envelope sender: our VERP address.
	Envelope string `json:"envelope"`
	From     Person `json:"from"`
	ReplyTo  Person `json:"reply_to"`
	// Unsubscribe is the address for List-Unsubscribe, "" for none.
	Unsubscribe string   `json:"unsubscribe,omitempty"`
	Subject     string   `json:"subject"`
	MessageID   string   `json:"message_id"`
	InReplyTo   string   `json:"in_reply_to"`
	References  []string `json:"references"`
	// Text is Markdown, "" where it is the body of the comment: that is kept
	// once, and [Desk.Claim] fills it in.
	Text      string    `json:"text,omitempty"`
	CreatedAt time.Time `json:"created_at"`

	State    DeliveryState `json:"state"`
	Due      time.Time     `json:"due"`      // of the next attempt
	Claim    string        `json:"claim"`    // who works on it, "" = nobody
	Deadline time.Time     `json:"deadline"` // after it, a deferral is a failure
	Raw      *store.Hash   `json:"raw"`      // rendered and signed bytes, nil before the first claim
	Attempts []Attempt     `json:"attempts"` // the last MaxAttempts
	Tries    int           `json:"tries"`    // attempts made in all
	// Retried is how many of them there were when the operator last asked for a
	// retry: the pauses begin anew from there.
	Retried int `json:"retried,omitempty"`
}

// MaxAttempts bounds the history kept with an outgoing copy.
const MaxAttempts = 50

// Attempt is one try to hand a copy to the next hop.
type Attempt struct {
	At       time.Time `json:"at"`
	Host     string    `json:"host"` // name and address of the next hop, "" if none was reached
	TLS      string    `json:"tls"`  // "TLS 1.3", "" for plain text
	Code     int       `json:"code"` // reply code, 0 without a reply
	Enhanced string    `json:"enhanced"`
	Text     string    `json:"text"` // reply text or error, one line, at most 500 octets
}

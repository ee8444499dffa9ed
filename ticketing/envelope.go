package ticketing

import (
	"io"
	"net/netip"
	"time"
)

// RouteKind says what an envelope recipient leads to.
type RouteKind string

// The kinds of route.
const (
	RouteProject     RouteKind = "project"     // a new ticket, or a follow-up found by thread
	RouteReply       RouteKind = "reply"       // a participant's reply address
	RouteBounce      RouteKind = "bounce"      // the envelope sender of one of our mails
	RouteUnsubscribe RouteKind = "unsubscribe" // a participant's way out
)

// Route is where an envelope recipient leads.
type Route struct {
	Kind    RouteKind `json:"kind"`
	Project uint64    `json:"project"`
	// Token is set for every kind but RouteProject.
	Token string `json:"token,omitempty"`
	// Label is the sub-address of `alias+label@`, lower case.
	Label string `json:"label,omitempty"`
	// Address is the desk's side of a talk that begins here: the alias or
	// project address without sub-address, "" for the project's own.
	Address string `json:"address,omitempty"`
}

// Recipient is one accepted RCPT with its route. Address is kept exactly as
// the client gave it.
type Recipient struct {
	Address string `json:"address"`
	Route   Route  `json:"route"`
}

// Envelope is everything known of a mail transaction besides the mail.
type Envelope struct {
	ID         string // transaction id: queue id in replies, journal id, log id
	Session    string // id of the connection
	Protocol   string // ESMTP, ESMTPS, LMTP, LMTPS … as in a Received field (RFC 3848)
	Client     netip.AddrPort
	Helo       string
	MailFrom   string // "" = null sender
	UTF8       bool   // SMTPUTF8 was asked for
	Recipients []Recipient
	ReceivedAt time.Time
	// TrustedUpstream is set when the client is a relay of our own: its mail
	// is never refused by policy, since that would make it bounce.
	TrustedUpstream bool
	// Hostname is our own name, as used in Received and Authentication-Results.
	Hostname string
	// Held is the name of the held mail that an agent lets through with this
	// transaction, "" for mail from outside.
	Held string `json:",omitempty"`
}

// Raw is a received message on its way in: Size octets readable from any
// offset, and their SHA-256.
type Raw interface {
	io.ReaderAt
	Size() int64
	SHA256() [32]byte
}

// Outcome is what became of a message for one recipient. Err is nil when it
// was accepted, held or recognised as delivered before; then everything that
// follows from the message is durable.
type Outcome struct {
	Recipient string
	Decision  JournalDecision
	Reason    string
	Ticket    string // "project#iid", "" when none was touched
	Err       error
}

// Refusal is a transaction, or a part of one, that ended without a message:
// what the journal keeps of it.
type Refusal struct {
	Envelope  Envelope
	Recipient string // the refused recipient, "" when another step was refused
	Stage     string // connect, helo, mail, rcpt, data
	Code      int    // SMTP reply code
	Enhanced  string // enhanced status code, "5.1.1"
	Reason    string

	// What is known of the message when it was refused after DATA.
	MessageID, From, Subject string
	Size                     int64
	Verdict                  *Verdict
}

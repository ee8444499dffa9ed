package ticketing

import (
	"slices"
	"time"
)

// Person is a name and an address as a header field gives them. Address is
// `local@domain` with the domain in lower case; a quoted local part is kept
// unquoted. Either may be empty.
type Person struct {
	Name    string `json:"name"`
	Address string `json:"address"`
}

// Message is what a mail says, read from its raw bytes. Reading never fails:
// what cannot be understood is left empty and named in Warnings. All text is
// valid UTF-8 without NUL.
type Message struct {
	Subject   string
	From      []Person // every usable address of every From field
	Sender    Person
	ReplyTo   []Person
	To, Cc    []Person
	MessageID string // without angle brackets; "" when absent or unusable
	// InReplyTo and References hold ids without angle brackets, in order.
	InReplyTo, References []string
	Date                  time.Time // zero when absent or unreadable

	Text     string // the whole visible text, made from HTML where there is no plain part
	IsHTML   bool   // the mail has an HTML body
	HTMLPart string // part path of the HTML body, "" without one
	// Trim separates what the writer says, never empty when Text is not, from
	// quoted history and signature. It is costly at its first call and not needed
	// for a mail that begins a talk. nil: all of Text is the writer's.
	Trim func() (reply, quoted string)

	Forwarded   *Forwarded
	Attachments []Attachment
	Machine     Machine
	Deliveries  []DeliveryReport
	// SuppressReply is set when the sender asks for no automatic answers
	// (X-Auto-Response-Suppress and the like) although a person wrote the mail.
	SuppressReply bool
	// Recipients are the addresses found in Delivered-To and similar fields, in
	// the order in which they are to be tried after To (SD-08).
	Recipients []string
	Warnings   []string
}

// Reply returns what the writer says, and what the mail repeats.
func (m *Message) Reply() (reply, quoted string) {
	if m.Trim == nil {
		return m.Text, ""
	}
	return m.Trim()
}

// Author returns the first From with a usable address, else Sender, else the
// first From, which has a name at best.
func (m *Message) Author() Person {
	for _, p := range m.From {
		if p.Address != "" {
			return p
		}
	}
	if m.Sender.Address == "" && len(m.From) > 0 {
		return m.From[0]
	}
	return m.Sender
}

// HasFrom tells whether the author is one of the From addresses.
func (m *Message) HasFrom() bool {
	return slices.ContainsFunc(m.From, func(p Person) bool { return p.Address != "" })
}

// Forwarded is the mail that another mail passes on.
type Forwarded struct {
	From    Person `json:"from"`
	Subject string `json:"subject"`
	Date    string `json:"date"` // RFC 3339 when it could be read, else as written
	Text    string `json:"text"`
}

// Attachment is a part of a mail that is not its text. Its bytes stay in the
// raw mail; Part, Offset and Length tell where.
type Attachment struct {
	Name      string `json:"name"`
	Type      string `json:"type"` // media type, lower case, without parameters
	Size      int64  `json:"size"` // decoded, octets
	Inline    bool   `json:"inline"`
	ContentID string `json:"content_id"` // without angle brackets
	SHA256    string `json:"sha256"`     // of the decoded bytes, hex
	Part      string `json:"part"`       // MIME part path, "1.2"
	Offset    int64  `json:"offset"`     // of the encoded body in the raw mail
	Length    int64  `json:"length"`     // encoded, octets
	Encoding  string `json:"encoding"`   // transfer encoding: "", base64, quoted-printable, x-uuencode
}

// MachineClass says what kind of machine wrote a mail.
type MachineClass string

// The classes. A mail has one: the most specific that fits.
const (
	MachineNone        MachineClass = "none"
	MachineAutoReply   MachineClass = "auto_reply"
	MachineOutOfOffice MachineClass = "out_of_office"
	MachineBounce      MachineClass = "bounce"
	MachineDelay       MachineClass = "delay"
	MachineList        MachineClass = "list"
	MachineBulk        MachineClass = "bulk"
	MachineMDN         MachineClass = "mdn"
	MachineARF         MachineClass = "arf"
	MachineReport      MachineClass = "report" // DMARC aggregate, TLS report
	MachineCalendar    MachineClass = "calendar"
	MachineOwnLoop     MachineClass = "own_loop"
)

// hasAuthor tells whether a person wants to say something with a mail of this
// class: other desks and mailing lists send people's words too.
func (c MachineClass) hasAuthor() bool {
	switch c {
	case MachineNone, MachineList, MachineBulk, MachineCalendar:
		return true
	}
	return false
}

// Machine is the classification of a mail with the signals that led to it,
// e.g. "auto-submitted: auto-replied".
type Machine struct {
	Class   MachineClass `json:"class"`
	Signals []string     `json:"signals"`
}

// DeliveryReport is what a delivery report, or a bounce in a private format,
// says of one recipient (RFC 3464).
type DeliveryReport struct {
	Recipient  string `json:"recipient"`
	Action     string `json:"action"` // failed, delayed, delivered, relayed, expanded; complaint for ARF
	Status     string `json:"status"` // enhanced status code, "" if unknown
	Diagnostic string `json:"diagnostic"`
	ReplyCode  string `json:"reply_code"` // SMTP code, "" if unknown
	Reason     string `json:"reason"`     // one word, e.g. userunknown
	Hard       bool   `json:"hard"`       // the address itself is dead
	// MessageID is the id of the mail that the report is about, if it says.
	MessageID string `json:"-"`
}

package smtpd

import (
	"fmt"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/mxdesk/mxdesk/ticketing"
)

// reply is an answer to the client, and the word for it in the journal.
type reply struct {
	code     int
	enhanced smtp.EnhancedCode
	reason   string
	text     string
}

// The replies of the server itself. Their text stands before the id.
var (
	replyShutdown           = reply{421, smtp.EnhancedCode{4, 3, 2}, "shutting-down", "service is being restarted, come again soon"}
	replyBusy               = reply{421, smtp.EnhancedCode{4, 3, 2}, "busy", "too many connections, come again soon"}
	replyTooManyConnections = reply{421, smtp.EnhancedCode{4, 7, 0}, "too-many-connections", "too many connections from your network"}
	replyTooOften           = reply{421, smtp.EnhancedCode{4, 7, 0}, "connecting-too-often", "too many new connections from your network, come again in a minute"}
	replyEarlyTalker        = reply{521, smtp.EnhancedCode{5, 5, 1}, "early-talker", "you spoke before the greeting"}
	replyIdle               = reply{421, smtp.EnhancedCode{4, 4, 2}, "idle", "no answer from you for too long"}
	replyTooSlow            = reply{421, smtp.EnhancedCode{4, 4, 2}, "too-slow", "message took too long"}
	replySessionTooLong     = reply{421, smtp.EnhancedCode{4, 7, 0}, "session-too-long", "session is too long, please connect again"}
	replyTooManyBytes       = reply{421, smtp.EnhancedCode{4, 7, 0}, "too-many-bytes", "session has sent too much, please connect again"}
	replyTooManyMessages    = reply{421, smtp.EnhancedCode{4, 7, 0}, "too-many-messages", "session has had enough messages, please connect again"}
	replyTooManyErrors      = reply{421, smtp.EnhancedCode{4, 7, 0}, "too-many-errors", "too many errors"}
	replyUnknownRecipients  = reply{421, smtp.EnhancedCode{4, 7, 0}, "unknown-recipients", "too many unknown recipients"}

	replyBadHelo           = reply{501, smtp.EnhancedCode{5, 5, 2}, "bad-helo", "not a host name in EHLO"}
	replyBadChunk          = reply{501, smtp.EnhancedCode{5, 5, 4}, "bad-chunk", "cannot tell how long the chunk is"}
	replyCommandLine       = reply{500, smtp.EnhancedCode{5, 5, 2}, "command-too-long", "the command is too long"}
	replyNoHello           = reply{503, smtp.EnhancedCode{5, 5, 1}, "no-hello", "say EHLO first"}
	replyNestedMail        = reply{503, smtp.EnhancedCode{5, 5, 1}, "nested-mail", "a transaction is open already"}
	replyBadSender         = reply{501, smtp.EnhancedCode{5, 1, 7}, "bad-sender", "not a valid sender address"}
	replyBadRecipient      = reply{501, smtp.EnhancedCode{5, 1, 3}, "bad-recipient", "not a valid recipient address"}
	replyNeedsUTF8         = reply{553, smtp.EnhancedCode{5, 6, 7}, "smtputf8-needed", "this address needs SMTPUTF8"}
	replyTooManyRecipients = reply{452, smtp.EnhancedCode{4, 5, 3}, "too-many-recipients", "too many recipients, send the others in the next transaction"}
	replyOverloaded        = reply{451, smtp.EnhancedCode{4, 3, 2}, "overloaded", "too much work, try again later"}
	replyNoTransaction     = reply{503, smtp.EnhancedCode{5, 5, 1}, "no-transaction", "no transaction is open"}

	replyTooLarge      = reply{552, smtp.EnhancedCode{5, 3, 4}, "too-large", "message is too large"}
	replyBareNewline   = reply{521, smtp.EnhancedCode{5, 5, 2}, "bare-newline", "message has a CR or LF that is not part of CR LF"}
	replyHeader        = reply{554, smtp.EnhancedCode{5, 6, 0}, "header-too-large", "message header is too large"}
	replyFields        = reply{554, smtp.EnhancedCode{5, 6, 0}, "too-many-fields", "message has too many header fields"}
	replyLine          = reply{554, smtp.EnhancedCode{5, 6, 0}, "line-too-long", "message has a line that is too long"}
	replyLoop          = reply{550, smtp.EnhancedCode{5, 4, 6}, "mail-loop", "too many Received fields, the message goes in circles"}
	replyLost          = reply{451, smtp.EnhancedCode{4, 4, 2}, "connection-lost", "connection broke during the message"}
	replyTruncated     = reply{451, smtp.EnhancedCode{4, 4, 2}, "truncated", "message is not complete"}
	noReply            = reply{reason: "aborted"}
	replyAborted       = reply{451, smtp.EnhancedCode{4, 5, 0}, "aborted", "transaction was given up"}
	replyDeadline      = reply{451, smtp.EnhancedCode{4, 4, 5}, "deadline", "took too long, try again later"}
	replyInternal      = reply{451, smtp.EnhancedCode{4, 3, 0}, "internal-error", "something is wrong here, try again later"}
	replyDiskFull      = reply{452, smtp.EnhancedCode{4, 3, 1}, "disk-full", "not enough storage, try again later"}
	replyVerifier      = reply{451, smtp.EnhancedCode{4, 4, 5}, "verifier-deadline", "took too long, try again later"}
	replyMixed         = reply{452, smtp.EnhancedCode{4, 5, 3}, "mixed-recipients", "send this recipient in a transaction of its own"}
	replyRelay         = reply{550, smtp.EnhancedCode{5, 7, 1}, "relay-denied", "no relaying"}
	replyDMARC         = reply{550, smtp.EnhancedCode{5, 7, 26}, "dmarc-reject", "the policy of the From domain asks to refuse this message"}
	replyDNS           = reply{451, smtp.EnhancedCode{4, 4, 3}, "dns-timeout", "a name server did not answer, try again later"}
	replyAuthTempError = reply{451, smtp.EnhancedCode{4, 7, 0}, "auth-temperror", "the sender's policy could not be looked up, try again later"}
)

// replyOf is the one place that turns an error of the domain into a reply:
// first by its reason, then by whose fault it is. The text is that of a
// *ticketing.Error, which leaks nothing; any other error is our own fault and
// tells nothing.
func replyOf(err error) reply {
	e := ticketing.AsError(err)
	r := replyFor(e)
	r.reason = e.Reason
	if e.Message != "" && e.Kind != ticketing.KindInternal {
		r.text = e.Message
	}
	return r
}

// ReplyCode says with which codes an error of the domain is answered.
func ReplyCode(err error) (code int, enhanced string) {
	r := replyOf(err)
	return r.code, r.status()
}

func replyFor(e *ticketing.Error) reply {
	for _, r := range []reply{
		replyDiskFull, replyDeadline, replyVerifier, replyDMARC, replyDNS, replyAuthTempError, replyLoop,
		replyTooLarge, replyTooManyRecipients, replyBadRecipient, replyOverloaded, replyRelay,
	} {
		// A reason must not make a fault of ours permanent, nor the reverse.
		if r.reason == e.Reason && r.temporary() == e.Temporary() {
			return r
		}
	}
	if e.Reason == replyMixed.reason { // nobody's fault, it has to come again
		return replyMixed
	}
	switch e.Kind {
	case ticketing.KindInvalid:
		return reply{554, smtp.EnhancedCode{5, 6, 0}, e.Reason, "message is not acceptable"}
	case ticketing.KindNotFound:
		return reply{550, smtp.EnhancedCode{5, 1, 1}, e.Reason, "no such address here"}
	case ticketing.KindConflict:
		return reply{550, smtp.EnhancedCode{5, 5, 0}, e.Reason, "refused"}
	case ticketing.KindDenied:
		return reply{550, smtp.EnhancedCode{5, 7, 1}, e.Reason, "refused by policy"}
	case ticketing.KindTooLarge:
		return replyTooLarge
	}
	return replyInternal
}

// temporary tells whether the client should come again.
func (r reply) temporary() bool { return r.code/100 == 4 }

// accepted is the reply to a message that is stored (trap S18: go-smtp has no
// other way to say its id).
func accepted(id string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: 250, EnhancedCode: smtp.EnhancedCode{2, 6, 0}, Message: "queued as " + id}
}

// err is the reply for go-smtp. It must reach go-smtp unwrapped (trap S6).
func (r reply) err(id string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: r.code, EnhancedCode: r.enhanced, Message: r.words(id)}
}

// line is the reply as it goes over the wire, CR LF included; "" for none.
func (r reply) line(id string) string {
	if r.code == 0 {
		return ""
	}
	return fmt.Sprintf("%d %s %s\r\n", r.code, r.status(), r.words(id))
}

// bare is the line without the id and CR LF.
func (r reply) bare() string { return fmt.Sprintf("%d %s %s", r.code, r.status(), r.text) }

// status is the enhanced status code as text, "" without a reply.
func (r reply) status() string {
	if r.code == 0 {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", r.enhanced[0], r.enhanced[1], r.enhanced[2])
}

// words is the text of the reply with the id, on one line of printable ASCII.
func (r reply) words(id string) string {
	text := r.text
	if len(text) > 400 {
		text = text[:400]
	}
	return strings.Map(printable, text) + " (id " + id + ")"
}

// printable replaces what does not belong into a reply.
func printable(c rune) rune {
	if c < ' ' || c > '~' {
		return '?'
	}
	return c
}

package smtpd

import (
	"bytes"
	"fmt"

	"github.com/emersion/go-smtp"
)

// phrase is what go-smtp says of itself, and what we say in its place. Its words
// are jocular in places, repeat what the client said, and some of its codes are
// not those of the RFCs.
type phrase struct {
	begins, ends string // how its line begins and ends; what is between differs
	ours         string // without the id, which is added to what refuses
}

// phrases is the one table of what go-smtp says. host is our own name.
//
// https://www.rfc-editor.org/rfc/rfc5321#section-4.2.2
// https://www.rfc-editor.org/rfc/rfc2034#section-4
func phrases(host string) []phrase {
	return []phrase{
		{"250 2.0.0 Roger, accepting mail from ", "", "250 2.1.0 sender ok"},
		{"250 2.0.0 I'll make sure ", "", "250 2.1.5 recipient ok"},
		{"354 Go ahead. ", "", "354 send the message and end it with <CRLF>.<CRLF>"},
		{"221 2.0.0 Bye", "", "221 2.0.0 " + host + " closes the connection"},
		// https://www.rfc-editor.org/rfc/rfc5321#section-4.1.1.1
		{"250-Hello ", "", "250-" + host},
		{"250 2.0.0 Hello ", "", "250 " + host},
		{"250 2.0.0 Session reset", "", "250 2.0.0 reset"},
		{"250 2.0.0 I have successfully done nothing", "", "250 2.0.0 ok"},
		{"250 2.0.0 Continue", "", "250 2.0.0 chunk received"},
		{"252 2.5.0 Cannot VRFY user", "", "252 2.5.0 not verified here, RCPT tells whether an address is known"},

		{"501 5.5.2 Domain/address argument required", "", replyBadHelo.bare()},
		{"500 5.5.1 This is a LMTP server", "", replyLMTP.bare()},
		{"500 5.5.1 This is not a LMTP server", "", replyNotLMTP.bare()},
		{"502 5.5.1 Please introduce yourself first", "", replyNoHello.bare()},
		{"502 5.5.1 ", " not allowed during message transfer", replyDuringChunks.bare()},
		{"502 5.5.1 Missing MAIL FROM command", "", replyNoTransaction.bare()},
		{"502 5.5.1 Missing RCPT TO command", "", replyNoRecipients.bare()},

		{"501 5.5.2 Was expecting MAIL arg syntax", "", replyMailSyntax.bare()},
		{"501 5.5.2 Was expecting RCPT arg syntax", "", replyRcptSyntax.bare()},
		{"501 5.5.4 Unable to parse ", "", replyParameter.bare()},
		{"501 5.5.4 Unknown BODY value", "", replyParameter.bare()},
		{"500 5.5.4 Malformed AUTH parameter ", "", replyParameter.bare()},
		// https://www.rfc-editor.org/rfc/rfc5321#section-4.1.1.11
		{"500 5.5.4 Unknown ", " argument", replyUnknownParameter.bare()},
		{"504 5.5.4 ", " is not implemented", replyUnknownParameter.bare()},
		{"552 5.3.4 Max message size exceeded", "", replyTooLarge.bare()},
		{"501 5.5.4 DATA command should not have any arguments", "", replyArguments.bare()},

		{"500 5.5.2 Error: bad syntax", "", replyUnknownCommand.bare()},
		{"501 5.5.2 Bad command", "", replyUnknownCommand.bare()},
		{"500 5.5.2 Syntax errors, ", " command unrecognized", replyUnknownCommand.bare()},
		{"502 5.5.1 ", " command not implemented", replyNotImplemented.bare()},
		{"502 5.5.1 TLS not supported", "", replyNoTLS.bare()},
		{"502 5.5.4 Missing parameter", "", replyNoAuth.bare()},
		{"454 4.7.0 Invalid base64 data", "", replyNoAuth.bare()},
		{"504 5.7.4 Unsupported authentication mechanism", "", replyNoAuth.bare()},
		{"500 5.5.1 Too many errors. ", "", replyTooManyErrors.bare()},
		{"421 4.0.0 ", "Internal server error", replyBroken.bare()},
	}
}

// The replies that only stand for those of go-smtp.
var (
	replyLMTP             = reply{500, smtp.EnhancedCode{5, 5, 1}, "", "this is LMTP, say LHLO"}
	replyNotLMTP          = reply{500, smtp.EnhancedCode{5, 5, 1}, "", "this is SMTP, say EHLO"}
	replyDuringChunks     = reply{503, smtp.EnhancedCode{5, 5, 1}, "", "a message is on its way, send its last chunk or RSET"}
	replyNoRecipients     = reply{503, smtp.EnhancedCode{5, 5, 1}, "", "no recipient was accepted"}
	replyMailSyntax       = reply{501, smtp.EnhancedCode{5, 5, 2}, "", "write MAIL FROM:<address>"}
	replyRcptSyntax       = reply{501, smtp.EnhancedCode{5, 5, 2}, "", "write RCPT TO:<address>"}
	replyParameter        = reply{501, smtp.EnhancedCode{5, 5, 4}, "", "a parameter has a value that is not understood"}
	replyUnknownParameter = reply{555, smtp.EnhancedCode{5, 5, 4}, "", "a parameter is not known here"}
	replyArguments        = reply{501, smtp.EnhancedCode{5, 5, 4}, "", "this command takes no arguments"}
	replyUnknownCommand   = reply{500, smtp.EnhancedCode{5, 5, 2}, "", "command not recognized"}
	replyNotImplemented   = reply{502, smtp.EnhancedCode{5, 5, 1}, "", "command not implemented"}
	replyNoTLS            = reply{502, smtp.EnhancedCode{5, 5, 1}, "", "STARTTLS is not offered now"}
	replyNoAuth           = reply{502, smtp.EnhancedCode{5, 5, 1}, "", "authentication is not offered"}
	replyBroken           = reply{421, smtp.EnhancedCode{4, 3, 0}, "", "something is wrong here, try again later"}
)

// rephrase returns a line to the client in our words, with the id to look it up
// by where it refuses. What is not in the table stays as it is: our own replies,
// and the keywords after EHLO.
func rephrase(table []phrase, line []byte, id string) []byte {
	text := bytes.TrimRight(line, "\r\n")
	for _, p := range table {
		if len(text) < len(p.begins)+len(p.ends) || string(text[:len(p.begins)]) != p.begins || string(text[len(text)-len(p.ends):]) != p.ends {
			continue
		}
		if p.ours[0] < '4' {
			return append([]byte(p.ours), "\r\n"...)
		}
		return fmt.Appendf(nil, "%s (id %s)\r\n", p.ours, id)
	}
	return line
}

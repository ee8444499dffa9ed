package dsn_test

import (
	"slices"
	"testing"

	"github.com/mxdesk/mxdesk/ticketing/mail/dsn"
)

// TestSystems reads reports as mail systems lay them out in private formats.
func TestSystems(t *testing.T) {
	for _, tt := range []struct {
		name, subject, text string
		want                []string
	}{
		{"james", "[BOUNCE]", "Hi. This is the James mail server at example.net.\nI'm afraid I wasn't able to deliver your message to the following addresses.\nThis is a permanent error; I've given up.\n\nFailed recipient(s):\nann@example.org\n\nError message below:\n552 - 5.2.2 mailbox full\n\nMessage details:\n  Subject: x\n  MAIL FROM: desk@example.net\n  RCPT TO: ann@example.org\n",
			[]string{"ann@example.org failed 5.2.2 552 mailboxfull soft"}},
		{"biglobe", "Returned mail:", "   ----- The following addresses had delivery problems -----\nann@example.org\n\n   ----- Non-delivered information -----\nThe number of messages in recipient's mailbox exceeded the local limit.\n", []string{"ann@example.org failed   mailboxfull soft"}},
		{"active hunter", "FAILURE NOTICE :", "  ----- The following addresses had permanent fatal errors -----\n\n>>> ann@example.org <ann@example.org>\n\n  ----- Transcript of session follows -----\n550 5.1.1 sorry, no mailbox here by that name\n\n", []string{"ann@example.org failed 5.1.1 550 userunknown hard"}},
		{"mail marshal", "Undeliverable Mail: \"x\"", "Your message:\n   From:    desk@example.net\n   Subject: x\nCould not be delivered because of\n\n550 5.1.1 User unknown\n\nThe following recipients were affected: \n    ann@example.org\n\nAdditional Information\n======================\n", []string{"ann@example.org failed 5.1.1 550 userunknown hard"}},
		{"imail, unknown", "Undeliverable Mail", "Unknown user: ann@example.org\n\nOriginal message follows.\n\nReceived: from example.net\n", []string{"ann@example.org failed   userunknown hard"}},
		{"imail, full", "Undeliverable Mail", "User mailbox exceeds allowed size: ann@example.org\n\nOriginal message follows.\n\n", []string{"ann@example.org failed   mailboxfull soft"}},
		{"imail, expired", "Undeliverable Mail", "Delivery failed 20 attempts: ann@example.org\n\nOriginal message follows.\n\n", []string{"ann@example.org failed   expired soft"}},
		{"surfcontrol", "Message could not be delivered", "Your message could not be sent.\nA transcript of the attempts to send the message follows.\nThe number of attempts made: 1\nAddressed To: ann@example.org\n\nThu 29 Apr 2010 23:34:45 +0900\nFailed to send to identified host,\nann@example.org: [192.0.2.5], 550 5.1.1 No such user\n--- Message non-deliverable.\n", []string{"ann@example.org failed 5.1.1 550 userunknown hard"}},
		{"mxlogic", "Mail delivery failed: returning message to sender", "This message was created automatically by mail delivery software.\n\nA message that you sent could not be delivered to one or more of its\nrecipients. This is a permanent error. The following address failed:\n\n  <ann@example.org>: 550 5.1.1 user unknown\n\nIncluded is a copy of the message header:\n-----------------------------------------------------------------\nReceived: from x\n", []string{"ann@example.org failed 5.1.1 550 userunknown hard"}},
		{"transcript of an error", "There was an error sending your mail", "We had trouble delivering your message. Full details follow:\n\nSubject: 'x'\nDate: 'Thu, 29 Apr 2012 23:34:45 +0900'\n\n1 error(s):\n\nSMTP Server <mx.example.org> rejected recipient <ann@example.org> \n  (Error following RCPT command). It responded as follows: [550 5.1.1 User unknown]", []string{"ann@example.org failed 5.1.1 550 userunknown hard"}},
		{"gmail, old", "Delivery Status Notification (Failure)", "Delivery to the following recipient failed permanently:\n\n     ann@example.org\n\nTechnical details of permanent failure: \nGoogle tried to deliver your message, but it was rejected by the recipient domain. The error that the other server returned was: 550 550 Unknown user ann@example.org (state 14).\n\n   ----- Original message -----\n\n", []string{"ann@example.org failed 5.0.0 550 userunknown hard"}},
		{"au", "Mail System Error - Returned Mail", "The user(s) account is temporarily over quota.\n\n<ann@ezweb.ne.jp>: 550 user unknown (in reply to RCPT TO command)\n", []string{"ann@ezweb.ne.jp failed 5.0.0 550 mailboxfull soft"}},
		{"exchange, french", "Non remis : x", "Échec de la remise pour ces destinataires ou listes de distribution :\n\nann@example.org\nL'adresse de messagerie est introuvable.\n\nInformations de diagnostic pour les administrateurs :\n\nServeur de génération : example.net\n\nann@example.org\n#550 5.1.1 RESOLVER.ADR.RecipNotFound; not found ##\n", []string{"ann@example.org failed 5.1.1 550 userunknown hard"}},
		{"kddi", "Mail Undeliverable", "Your mail sent on: Thu, 29 Apr 2010 11:04:47 +0900 \n    Could not be delivered to: <ann@example.org> \n    As their mailbox is full.\n", []string{"ann@example.org failed   mailboxfull soft"}},
		{"mail.ru", "Mail delivery failed: returning message to sender", "This message was created automatically by mail delivery software.\n\nA message that you sent could not be delivered to one or more of its\nrecipients. This is a permanent error.\n\n   **********************\n\n   This message was created automatically by mail.ru\n\n  ann@example.org\n    SMTP error from remote mail server after RCPT TO:<ann@example.org>:\n    host mx.example.org [192.0.2.1]: 550 5.1.1 user not found\n", []string{"ann@example.org failed 5.1.1 550 userunknown hard"}},
		{"1&1", "Mail delivery failed: returning message to sender", "This message was created automatically by mail delivery software.\n\nA message that you sent could not be delivered to one or more of\nits recipients. The following addresses failed:\n\nann@example.org\n\nFor the following reason:\n\nMail size limit exceeded. For explanation visit\nhttp://postmaster.example.net/\n\n--- The header of the original message is following. ---\n", []string{"ann@example.org failed   mesgtoobig soft"}},
	} {
		if got := summaries(parse(mailFrom(daemon, tt.subject, tt.text))); !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n got %q\nwant %q", tt.name, got, tt.want)
		}
	}
}

// TestProviderCodes asks for the reasons that providers document for their codes.
func TestProviderCodes(t *testing.T) {
	for _, tt := range []struct{ status, code, text, want string }{
		{"5.1.1", "550", "550 5.1.1 Adresse d au moins un destinataire invalide. Invalid recipient. OFR_416 [416]", "userunknown"},
		{"5.1.1", "552", "552 5.1.1 Boite du destinataire pleine. Recipient overquota. OFR_417 [417]", "mailboxfull"},
		{"5.5.0", "550", "550 5.5.0 Boite du destinataire archivee. Archived recipient. LPN007_420", "suspend"},
		{"4.2.0", "421", "421 mwinf Trop de connexions, veuillez verifier votre configuration. Too many connections, slow down. LPN105_104", "toomanyconn"},
		{"", "550", "550 http://mail.i.ua/err/4/", "mailboxfull"},
		{"", "550", "550 http://mail.i.ua/err/2/", "userunknown"},
		{"", "550", "550 5.1.0 <a@example.org> sender rejected : AUP#CXSNDR", "rejected"},
		{"", "421", "421 cox too many sessions from 192.0.2.1 AUP#CXCNCT", "toomanyconn"},
		{"", "554", "554 resimta cox 192.0.2.1 AUP#CXDNS", "requireptr"},
		{"5.7.1", "550", "550 5.7.1 [CS01] Message rejected due to local policy. Please visit https://support.apple.com/en-us/HT204137", "policyviolation"},
		{"", "553", "553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1", "blocked"},
		{"5.7.1", "550", "550 5.1.1 RCP-P1 http://postmaster.facebook.com/response_codes", "userunknown"},
		{"5.7.606", "550", "550 5.7.606 Access denied, banned sending IP [192.0.2.1]", "blocked"},
		{"5.7.511", "550", "550 5.7.511 Access denied, banned sender[192.0.2.1]", "blocked"},
		{"5.7.64", "550", "550 5.7.64 TenantAttribution; Relay Access Denied", "norelaying"},
		{"5.7.27", "550", "550 5.7.27 SPF check did not pass", "authfailure"},
		{"5.7.27", "550", "550 5.7.27 sender address has null mx", "notaccept"},
		{"5.1.1", "550", "550 5.1.1 user unknown", "userunknown"},
	} {
		if got, hard := dsn.Reason(tt.status, tt.code, tt.text); got != tt.want || hard != (got == "userunknown" || got == "notaccept") {
			t.Errorf("%s: %s (hard %v), want %s", tt.text, got, hard, tt.want)
		}
	}
}

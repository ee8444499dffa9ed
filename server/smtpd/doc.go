// Package smtpd takes mail from outside: it is the MX (SMTP) and the LMTP end
// point of the desk.
//
// go-smtp speaks the protocol. Around it stands a guard (conn, listener): a
// net.Conn that does STARTTLS, keeps the deadlines, counts and limits, closes
// what goes wrong, and gives go-smtp one line at a time. Inside it a session
// answers MAIL and RCPT, reads the text after DATA from the guard through a strict
// checker into a spool, and hands it to the Desk.
//
// What the client is told comes from one table in reply.go. Every refusal has
// an enhanced status code and the id of the transaction, by which the journal
// and the logs know it too.
//
// A message is answered 250 only after Desk.Deliver has returned without an
// error; whatever else happens, the answer is 4xx or 5xx, or the connection is
// closed without one.
package smtpd

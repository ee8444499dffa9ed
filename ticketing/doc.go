// Package ticketing is the domain of mxdesk: projects, addresses, tickets,
// comments, participants, agents, the journal of every mail transaction and
// the intents of outgoing mail. It decides what a message becomes and writes
// it through the store's port in one transaction.
//
// It knows no SMTP, HTTP, SQL, Badger or Prometheus: it imports the standard
// library and ticketing/store only.
//
// Words: a project owns tickets and the addresses that lead to it. A ticket is
// opened by its requester and talked about by its participants, who get its
// mails, and by agents. A comment is public, internal (never mailed) or made
// by the system. An outgoing message is one copy for one recipient; its
// attempts are its delivery history. What was accepted but not trusted is held
// mail. Every mail transaction leaves a journal entry.
package ticketing

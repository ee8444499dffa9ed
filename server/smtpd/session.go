package smtpd

import (
	"log/slog"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/mxdesk/mxdesk/ticketing"
)

// session answers one client from EHLO on.
//
// go-smtp calls its methods from one goroutine, except that a message by BDAT
// is read in a goroutine of its own, which may still run, or not have begun,
// when Reset, Logout or the next Mail are called (trap S10). So everything
// about a transaction is in an object of its own behind a lock.
type session struct {
	srv   *Server
	o     *Options
	guard *conn
	smtp  *smtp.Conn
	log   *slog.Logger

	end  sync.Once
	over chan struct{} // closed when it is noted what became of the transaction

	mu     sync.Mutex
	txn    *transaction
	chunks *transfer // the last message by BDAT
}

// transaction is what MAIL began. Its fields are fixed when the data begins.
type transaction struct {
	envelope ticketing.Envelope
	asked    []recipient // one per RCPT accepted, in order
	log      *slog.Logger
	begun    time.Time
	refused  int  // recipients refused
	claimed  bool // its message is complete and being delivered
	ended    bool // it has been counted and logged
}

// recipient is an accepted RCPT.
type recipient struct {
	key string // as go-smtp knows it (trap S22)
	n   int    // index into Envelope.Recipients, where nobody stands twice
}

// newSession is called at the first EHLO.
func (s *Server) newSession(c *smtp.Conn) (smtp.Session, error) {
	guard, ok := c.Conn().(*conn)
	if !ok {
		return nil, replyInternal.err("")
	}
	t := &session{srv: s, o: &s.o, guard: guard, smtp: c, over: make(chan struct{})}
	t.log = s.log.With("session", guard.id, "client", clientName(guard))
	guard.begin()
	if !isDomain(c.Hostname()) {
		return nil, t.refuse(nil, "helo", "", replyBadHelo)
	}
	guard.session.Store(t) // Shutdown waits for its Logout
	return t, nil
}

// clientName is the client in logs.
func clientName(g *conn) string {
	if !g.client.IsValid() {
		return "local"
	}
	return g.client.String()
}

// current returns the open transaction, nil without one.
func (t *session) current() *transaction {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.txn
}

// claim returns the transaction a complete message belongs to. Each can be
// claimed once.
func (t *session) claim() *transaction {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.txn == nil || t.txn.claimed || t.txn.ended {
		return nil
	}
	t.txn.claimed = true
	return t.txn
}

// Reset ends the transaction: after its message was answered, at RSET, at
// EHLO. go-smtp holds its lock meanwhile.
func (t *session) Reset() {
	t.mu.Lock()
	txn := t.txn
	t.txn = nil
	t.mu.Unlock()
	if txn != nil {
		t.abandon(txn)
	}
}

// Logout ends the session.
func (t *session) Logout() error {
	t.Reset()
	t.end.Do(func() { close(t.over) })
	return nil
}

// protocol is the word for the Received field.
//
// https://www.rfc-editor.org/rfc/rfc3848#section-4
// https://www.rfc-editor.org/rfc/rfc6531#section-4.3
func (t *session) protocol(smtputf8 bool) string {
	p := "ESMTP"
	switch {
	case t.o.LMTP && smtputf8:
		p = "UTF8LMTP"
	case t.o.LMTP:
		p = "LMTP"
	case smtputf8:
		p = "UTF8SMTP"
	}
	if t.guard.secured() != "" {
		p += "S"
	}
	return p
}

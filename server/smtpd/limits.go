package smtpd

import "time"

// counts are what a connection has used up. They outlive STARTTLS and
// transactions.
type counts struct {
	received   int64 // octets
	junk       int   // reply lines since the last progress in a transaction
	messages   int   // MAIL commands accepted
	errors     int   // commands refused
	unknown    int   // recipients that do not exist
	recipients int   // recipients accepted
}

// mayMail returns the last words for a client that should begin its next
// message, of the size it declares, in a new connection. To break off a message
// half-way would cost both sides more.
func (g *conn) mayMail(size int64) *reply {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.draining:
		return &replyShutdown // there may be many commands that came ahead
	case g.clock.born.Add(limit(g.o.MaxSession)).Before(time.Now()):
		return &replySessionTooLong
	case g.trusted:
		return nil
	case over(g.counts.messages+1, g.o.MaxMessages):
		return &replyTooManyMessages
	case g.counts.messages > 0 && over(g.counts.received+expected(size, g.o), g.o.MaxSessionBytes):
		return &replyTooManyBytes
	}
	return nil
}

// expected is how many octets to expect of a message that declares size, 0 for
// nothing.
func expected(size int64, o *Options) int64 {
	if size > 0 {
		return size
	}
	return max(o.MaxMessageBytes, 0)
}

// mailed counts an accepted MAIL.
func (g *conn) mailed() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.counts.messages++
	g.counts.junk = 0
	g.clock.mailing = true
	g.clock.enter(phaseCommand, time.Now())
}

// mistake counts a refused command. It returns how long to hold the answer
// back, and the last words when the client has made too many.
//
// Unknown recipients beyond UnknownLimit are slow for everybody; a client none
// of whose recipients was ever known is guessing and has to go.
func (g *conn) mistake(unknown bool) (delay time.Duration, last *reply) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := &g.counts
	c.errors++
	if unknown {
		c.unknown++
	}
	if g.trusted {
		return 0, nil
	}
	if over(c.errors, g.o.SoftErrors) {
		delay = g.o.ErrorDelay
	}
	if unknown && over(c.unknown+1, g.o.UnknownLimit) {
		delay = g.o.UnknownDelay
	}
	switch {
	case over(c.errors, g.o.HardErrors):
		last = &replyTooManyErrors
	case unknown && over(c.unknown, g.o.UnknownLimit) && c.recipients == 0:
		last = &replyUnknownRecipients
	}
	return delay, last
}

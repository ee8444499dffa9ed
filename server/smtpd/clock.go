package smtpd

import (
	"math"
	"time"
)

// phase is what a connection waits for.
type phase int

const (
	phaseCommand phase = iota // the next command
	phaseData                 // the text after DATA
	phaseChunks               // BDAT commands and their chunks
)

// never is a time longer than any connection lives.
const never = time.Duration(math.MaxInt64 / 4)

// clock knows how long a connection may wait. It is a plain value: times come
// in as arguments.
type clock struct {
	o       *Options
	born    time.Time
	phase   phase
	since   time.Time     // when the phase began
	left    time.Duration // patience left in this wait or, in a transfer, in all
	mailing bool          // a MAIL has been accepted
}

func newClock(o *Options, now time.Time) clock {
	c := clock{o: o, born: now}
	c.enter(phaseCommand, now)
	return c
}

// enter begins a phase with fresh patience.
func (c *clock) enter(p phase, now time.Time) {
	c.phase, c.since = p, now
	c.left = c.patience()
}

// patience is how long the client may be silent in the phase.
func (c *clock) patience() time.Duration {
	switch {
	case c.transferring():
		return limit(c.o.DataIdle)
	case c.mailing:
		return limit(c.o.Idle)
	}
	return limit(c.o.FirstMailIdle)
}

// transferring tells whether a message is on its way.
func (c *clock) transferring() bool { return c.phase == phaseData || c.phase == phaseChunks }

// hurry shortens the wait for a command while the server is crowded.
func (c *clock) hurry() {
	if c.phase == phaseCommand {
		c.left = min(c.left, limit(c.o.CrowdedIdle))
	}
}

// wait returns how long to wait for the client now. When it is nothing, last
// has the last words.
func (c *clock) wait(now time.Time) (d time.Duration, last *reply) {
	end, words := c.born.Add(limit(c.o.MaxSession)), &replySessionTooLong
	if c.transferring() {
		end, words = c.since.Add(limit(c.o.DataMax)), &replyTooSlow
	}
	d, last = c.left, &replyIdle
	if whole := end.Sub(now); whole < d {
		d, last = whole, words
	}
	if d > 0 {
		return d, nil
	}
	return 0, last
}

// spent takes off what a wait has cost and adds what its n octets are worth. A
// command line starts afresh; in a transfer octets win patience
// back at the lowest rate allowed, so that neither silence longer than DataIdle
// nor a lasting trickle passes.
func (c *clock) spent(took time.Duration, n int) {
	c.left -= took
	switch {
	case n == 0:
	case c.transferring() && c.o.DataMinRate > 0:
		worth := time.Duration(n) * time.Second / time.Duration(c.o.DataMinRate)
		c.left = min(c.left+worth, c.patience())
	default:
		c.left = c.patience()
	}
}

// limit returns d, or never if d is negative.
func limit(d time.Duration) time.Duration {
	if d < 0 {
		return never
	}
	return d
}

// over tells whether n has passed a limit that is not switched off.
func over[T int | int64](n, limit T) bool { return limit >= 0 && n > limit }

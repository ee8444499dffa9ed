package queue

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
)

// Pauses between tries to record an attempt. The time of one recording is
// bounded by their sum and storeTimeout each.
var recordRetry = [...]time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second}

// courier works for one destination until nothing waits there, keeping its
// connection from one copy to the next.
func (q *Queue) courier(d *destination) {
	line := &line{q: q}
	defer q.leave(d)
	defer line.hangUp()
	for {
		c, ok := q.nextCopy(d, line)
		if !ok {
			return
		}
		q.makeWay()
		out := q.serve(c, line)
		q.done(d, out.failure == nil)
		if out.failure != nil && out.failure.scope == scopeDestination {
			q.giveBack(d, out)
		}
	}
}

// busyPause is the time between attempts while something is more urgent. Two
// signatures take about 1 ms of a processor, the rest of an attempt as much: a
// flood of mail leaves the queue a tenth of one core, and 50 mails a second.
const busyPause = 20 * time.Millisecond

// makeWay holds an attempt back while something is more urgent.
func (q *Queue) makeWay() {
	q.turn <- struct{}{}
	defer func() { <-q.turn }()
	if q.o.Busy() && !q.isStopping() {
		time.Sleep(busyPause)
	}
}

// giveBack ends the attempts of everything that waits for a destination which
// has just turned out to be unreachable: each copy counts it as an attempt of
// its own, without another connection.
func (q *Queue) giveBack(d *destination, out outcome) {
	for _, c := range q.drain(d) {
		if c.bad == nil && !q.late(c) {
			q.settle(c, out)
		}
		q.done(d, false)
	}
}

// late tells that the lease might end during an attempt. Such a copy is left
// alone: it comes back by itself.
func (q *Queue) late(c claimed) bool { return q.o.Now().Add(q.o.AttemptTimeout).After(c.until) }

// outcome is what came of one attempt.
type outcome struct {
	host    string
	tls     string
	reply   reply
	failure *failure // nil: delivered, or captured
}

// serve makes one attempt and records it.
func (q *Queue) serve(c claimed, line *line) (out outcome) {
	// A panic while recording leaves the copy to its lease.
	defer q.recovered(c, line, &out)
	switch {
	case q.late(c):
		return outcome{failure: temporary(scopeCopy, "4.3.0", "the lease is about to end")}
	case q.isStopping():
		out = outcome{failure: interrupted(nil)}
	default:
		start := time.Now()
		out = q.attempt(c, line)
		q.o.Metrics.Attempted(time.Since(start))
	}
	q.settle(c, out)
	return out
}

// recovered turns a panic into a failure of the one copy. To be deferred.
func (q *Queue) recovered(c claimed, line *line, out *outcome) {
	if r := recover(); r != nil {
		q.o.Log.Error("queue: panic", "copy", c.ID, "panic", r, "stack", string(debug.Stack()))
		line.drop()
		*out = outcome{failure: temporary(scopeCopy, "4.3.0", "internal error")}
	}
}

// attempt renders and sends one copy. A panic becomes a deferral.
func (q *Queue) attempt(c claimed, line *line) (out outcome) {
	ctx, cancel := context.WithTimeout(q.work, q.o.AttemptTimeout)
	defer cancel()
	defer q.recovered(c, line, &out)
	raw, f := q.bytes(ctx, c)
	if f == nil {
		out, f = line.deliver(ctx, c, raw)
	}
	switch {
	case f == nil || f.permanent():
	case q.work.Err() != nil:
		f = interrupted(f)
	case ctx.Err() != nil:
		f = temporary(f.scope, "4.4.7", fmt.Sprintf("the attempt took more than %v; %s", q.o.AttemptTimeout, f.text))
	}
	out.failure = f
	return out
}

// interrupted is the failure of an attempt that our own stop ended with f, or
// kept from beginning.
func interrupted(f *failure) *failure {
	text := "interrupted: this server is stopping"
	if f != nil && f.scope == scopeLost {
		text += " (the mail may have been taken)"
	}
	return &failure{enhanced: "4.3.2", text: text, again: true}
}

// bytes returns the bytes of a copy, rendering them at its first attempt.
func (q *Queue) bytes(ctx context.Context, c claimed) ([]byte, *failure) {
	if c.bad != nil {
		return nil, permanent("5.1.3", "the recipient's address cannot be used in a mail")
	}
	if c.Raw == nil {
		raw, err := q.render.Render(ctx, c.Outgoing)
		if err == nil {
			err = q.box.Rendered(ctx, c.ID, q.o.Owner, raw)
		}
		if err != nil {
			return nil, q.internal(c, "render", err)
		}
	}
	raw, err := q.box.RawOutgoing(ctx, c.ID)
	if err != nil {
		return nil, q.internal(c, "read", err)
	}
	return raw, checkBody(raw)
}

// internal makes a failure of our own error, which is logged and not shown.
func (q *Queue) internal(c claimed, what string, err error) *failure {
	q.o.Log.Error("queue: "+what, "copy", c.ID, "error", err)
	e := ticketing.AsError(err)
	text := what + ": " + e.Message
	if e.Kind == ticketing.KindInvalid || e.Kind == ticketing.KindTooLarge {
		return permanent("5.6.0", text)
	}
	return temporary(scopeCopy, "4.3.0", text)
}

// settle records an attempt with what follows from it.
func (q *Queue) settle(c claimed, out outcome) {
	now := q.o.Now()
	a := ticketing.Attempt{At: now.UTC(), Host: out.host, TLS: out.tls}
	state, due := ticketing.DeliveryDelivered, time.Time{}
	switch f := out.failure; {
	case f != nil:
		a.Code, a.Enhanced, a.Text = f.code, f.enhanced, f.text
		if state, due = q.after(c, f, now); state == ticketing.DeliveryFailed && !f.permanent() {
			a.Text = oneLine("given up, time ran out: " + f.text)
		}
	case q.route.Mode == Capture || q.route.Mode == "":
		a.Text = "no relay is configured"
		state = ticketing.DeliveryCaptured
	default:
		a.Code, a.Enhanced, a.Text = out.reply.code, out.reply.enhanced, out.reply.text()
	}
	q.record(c, a, state, due)
}

// after tells what a failure makes of a copy: given up, or due again.
func (q *Queue) after(c claimed, f *failure, now time.Time) (ticketing.DeliveryState, time.Time) {
	if f.permanent() {
		return ticketing.DeliveryFailed, time.Time{}
	}
	if f.again {
		return ticketing.DeliveryDeferred, now
	}
	deadline := c.Deadline
	if deadline.IsZero() {
		deadline = c.CreatedAt.Add(lifetime)
	}
	due, ok := next(c.Tries-c.Retried+1, deadline, now, q.o.Rand())
	if !ok {
		return ticketing.DeliveryFailed, time.Time{}
	}
	return ticketing.DeliveryDeferred, due
}

// orNever is a time for the log; that of a copy which is not tried again is "".
func orNever(due time.Time) any {
	if due.IsZero() {
		return ""
	}
	return due
}

// record writes an attempt, trying again while the store is unwell: what is
// lost here is sent a second time.
func (q *Queue) record(c claimed, a ticketing.Attempt, state ticketing.DeliveryState, due time.Time) {
	log := q.o.Log.With("copy", c.ID, "ticket", c.Ref, "state", string(state), "host", a.Host, "code", a.Code, "enhanced", a.Enhanced)
	for i := 0; ; i++ {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(q.work), storeTimeout)
		err := q.box.Record(ctx, c.ID, q.o.Owner, a, state, due)
		cancel()
		switch {
		case err == nil:
			log.Info("queue: attempt", "tls", a.TLS, "text", ticketing.MaskTokens(a.Text), "due", orNever(due))
			q.o.Metrics.Recorded(string(state), a.TLS)
			if state.Final() {
				q.o.Metrics.Finished(string(state), a.At.Sub(c.CreatedAt))
			}
			return
		case ticketing.KindOf(err) == ticketing.KindConflict:
			log.Warn("queue: lease lost", "error", err)
			q.o.Metrics.Lost()
			return
		case i == len(recordRetry) || q.work.Err() != nil:
			log.Error("queue: attempt not recorded", "error", err)
			return
		}
		log.Warn("queue: record", "error", err)
		select {
		case <-time.After(recordRetry[i]):
		case <-q.work.Done():
		}
	}
}

// isStopping tells that no further attempt is to be begun.
func (q *Queue) isStopping() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.stopping
}

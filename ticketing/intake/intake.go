// Package intake is the one road from raw bytes to the store: read the
// message, judge it, decide, commit. The SMTP and LMTP servers and the release
// of held mail all take it.
package intake

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/mxdesk/mxdesk/metrics"
	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/mail"
)

// Verifier judges whether a message is from whom it says. It never fails: what
// cannot be found out is a temperror in the verdict.
type Verifier interface {
	Verify(ctx context.Context, env *ticketing.Envelope, raw ticketing.Raw) *ticketing.Verdict
}

// Store tells whether mail can be kept.
type Store interface {
	Err() error
	FreeBytes() (free, total uint64, err error)
}

// Options of an Intake. MaxMessageBytes is the largest message that is taken;
// twice as much room, or a twentieth of the disk, must be free.
type Options struct {
	MaxMessageBytes int64  // default 50 MiB
	Hostname        string // our own name, as in Authentication-Results
	// HelpURL is shown to those whose mail policy refuses; "{reason}" in it
	// stands for the reason. Default none.
	HelpURL string
	// Reply says how an error is told to the client, for the journal; required.
	Reply   func(err error) (code int, enhanced string)
	Log     *slog.Logger
	Metrics *metrics.Intake
	Now     func() time.Time
}

// Intake takes messages in. It is safe for concurrent use.
type Intake struct {
	desk     *ticketing.Desk
	verifier Verifier
	store    Store
	refusals *refusals
	o        Options
	latest   atomic.Int64 // time of the latest Deliver, in Unix nanoseconds
}

// New returns an Intake. [Intake.Run] keeps its journal of refusals.
func New(desk *ticketing.Desk, store Store, v Verifier, o Options) *Intake {
	if o.MaxMessageBytes == 0 {
		o.MaxMessageBytes = 50 << 20
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Intake{desk: desk, verifier: v, store: store, refusals: newRefusals(o.Now), o: o}
}

// Run writes the journal of refusals until ctx ends, and then what is left.
func (in *Intake) Run(ctx context.Context) { in.refusals.run(ctx, in.desk, in.o.Log, in.o.Metrics) }

// Route says where an envelope recipient leads.
func (in *Intake) Route(ctx context.Context, rcpt string) (ticketing.Route, error) {
	return in.desk.Route(ctx, rcpt)
}

// Ready is nil when mail can be taken: the store takes writes and has room.
func (in *Intake) Ready(context.Context) error {
	if err := in.store.Err(); err != nil {
		return &ticketing.Error{Kind: ticketing.KindUnavailable, Reason: "store-failed", Message: "the store takes no mail now, try again later", Cause: err}
	}
	room, err := in.Room()
	if err != nil {
		return &ticketing.Error{Kind: ticketing.KindUnavailable, Reason: "disk-unknown", Message: "the disk cannot be examined now, try again later", Cause: err}
	}
	if room.Known && room.Free < room.Reserve {
		return &ticketing.Error{Kind: ticketing.KindUnavailable, Reason: "disk-full", Message: "too little room is left, try again later",
			Cause: fmt.Errorf("%d bytes are free, %d must be", room.Free, room.Reserve)}
	}
	return nil
}

// busyTime is how long after a message more of them are expected.
const busyTime = 100 * time.Millisecond

// Busy tells whether mail is coming in: work that can wait then should.
func (in *Intake) Busy() bool { return in.o.Now().UnixNano()-in.latest.Load() < int64(busyTime) }

// Room is what the disk has left and what must be left for mail to be taken,
// in octets.
type Room struct {
	Known         bool // false: a store without a disk
	Free, Reserve uint64
}

// Room examines the disk.
func (in *Intake) Room() (Room, error) {
	free, total, err := in.store.FreeBytes()
	return Room{Known: total > 0, Free: free, Reserve: max(2*uint64(in.o.MaxMessageBytes), total/20)}, err
}

// Refused notes a refusal in the journal. It never blocks.
func (in *Intake) Refused(r ticketing.Refusal) {
	if !in.refusals.add(r.Entry()) {
		in.o.Metrics.RefusalDropped()
	}
}

// Deliver reads, judges and stores a message for every recipient of the
// envelope. It returns one outcome for each, in their order, after everything
// that follows from the message is durable.
func (in *Intake) Deliver(ctx context.Context, env *ticketing.Envelope, raw ticketing.Raw) []ticketing.Outcome {
	start := in.o.Now()
	in.latest.Store(start.UnixNano())
	msg, verdict := in.read(ctx, env, raw)
	in.o.Metrics.Stage("judge", in.o.Now().Sub(start))
	outs := in.decide(ctx, env, raw, msg, verdict)
	in.o.Metrics.Stage("all", in.o.Now().Sub(start))
	for i, o := range outs {
		in.o.Metrics.Outcome(string(o.Decision), o.Reason)
		if o.Err == nil {
			in.o.Metrics.Taken(in.o.Now())
		}
		in.o.Log.Info("message", "id", env.ID, "session", env.Session, "rcpt", ticketing.MaskTokens(env.Recipients[i].Address), "decision", o.Decision,
			"reason", o.Reason, "ticket", o.Ticket, "message_id", msg.MessageID, "size", raw.Size(), failure(o.Err))
	}
	return outs
}

func (in *Intake) decide(ctx context.Context, env *ticketing.Envelope, raw ticketing.Raw, msg *ticketing.Message, v *ticketing.Verdict) []ticketing.Outcome {
	session, err := in.session(ctx, env, v)
	if err == nil {
		err = refusal(session, in.o.HelpURL)
	}
	if err != nil {
		return in.refuse(env, raw, msg, session, err)
	}
	start := in.o.Now()
	staged, err := in.desk.Stage(ctx, raw)
	if err != nil {
		return in.refuse(env, raw, msg, v, err)
	}
	outs := in.desk.Receive(ctx, ticketing.Inbound{Envelope: env, Message: msg, Verdict: v, Raw: staged, Octets: raw, Size: raw.Size()})
	in.o.Metrics.Stage("commit", in.o.Now().Sub(start))
	if err := outs[0].Err; err != nil { // they all share the transaction's fate
		return in.refuse(env, raw, msg, v, err)
	}
	return outs
}

// session is the verdict that the reply goes by: under the mildest policy of
// those the mail is for. Each project judges by its own.
func (in *Intake) session(ctx context.Context, env *ticketing.Envelope, v *ticketing.Verdict) (*ticketing.Verdict, error) {
	if v.Verdict.Action == ticketing.ActionAccept {
		return v, nil
	}
	policy, err := in.desk.Mildest(ctx, env.Recipients)
	return v.Under(policy), err
}

// read parses and verifies at the same time: the one waits for name servers,
// the other for the processor.
func (in *Intake) read(ctx context.Context, env *ticketing.Envelope, raw ticketing.Raw) (*ticketing.Message, *ticketing.Verdict) {
	verdict := make(chan *ticketing.Verdict, 1)
	go func() { verdict <- in.verifier.Verify(ctx, env, raw) }()
	msg := mail.Parse(raw, raw.Size(), in.parseOptions(ctx))
	return msg, <-verdict
}

func (in *Intake) parseOptions(ctx context.Context) mail.Options {
	return mail.Options{Hostname: in.o.Hostname, Own: mail.Own{Addresses: func(addr string) bool {
		own, err := in.desk.Owns(ctx, addr)
		return err == nil && own
	}}}
}

// refuse notes in the journal why nothing was stored, and tells every
// recipient.
func (in *Intake) refuse(env *ticketing.Envelope, raw ticketing.Raw, msg *ticketing.Message, v *ticketing.Verdict, err error) []ticketing.Outcome {
	e := ticketing.AsError(err)
	decision := ticketing.JournalRejected
	if e.Temporary() {
		decision = ticketing.JournalDeferred
	}
	code, enhanced := in.o.Reply(err)
	in.Refused(ticketing.Refusal{
		Envelope: *env, Stage: "data", Code: code, Enhanced: enhanced, Reason: e.Reason,
		MessageID: msg.MessageID, From: msg.Author().Address, Subject: msg.Subject, Size: raw.Size(), Verdict: v,
	})
	outs := make([]ticketing.Outcome, len(env.Recipients))
	for i, r := range env.Recipients {
		outs[i] = ticketing.Outcome{Recipient: r.Address, Decision: decision, Reason: e.Reason, Err: err}
	}
	return outs
}

// Release takes a held mail in again, past what held it, and forgets it.
func (in *Intake) Release(ctx context.Context, name string) (ticketing.Outcome, error) {
	h, err := in.desk.HeldByName(ctx, name)
	if err != nil {
		return ticketing.Outcome{}, err
	}
	blob, err := in.desk.OpenRaw(ctx, h.Raw)
	if err != nil {
		return ticketing.Outcome{}, err
	}
	defer blob.Close()
	raw := stored{BlobReader: blob, hash: h.Raw}
	staged, err := in.desk.Stage(ctx, raw)
	if err != nil {
		return ticketing.Outcome{}, err
	}
	outs := in.desk.Receive(ctx, ticketing.Inbound{
		Envelope: h.ReleasedEnvelope(in.o.Now()), Message: mail.Parse(raw, raw.Size(), in.parseOptions(ctx)),
		Verdict: h.Verdict(), Raw: staged, Octets: raw, Size: h.Size, Release: true,
	})
	if outs[0].Err != nil {
		return outs[0], outs[0].Err
	}
	return outs[0], in.desk.ForgetHeld(ctx, h.Name())
}

// failure is the log attribute of an error, nothing without one.
func failure(err error) slog.Attr {
	if err == nil {
		return slog.Attr{}
	}
	return slog.Any("error", err)
}

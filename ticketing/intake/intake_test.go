package intake

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
)

type mem struct{ *bytes.Reader }

func (m mem) Size() int64 { return m.Reader.Size() }

func (m mem) SHA256() [32]byte {
	b := make([]byte, m.Size())
	m.ReadAt(b, 0)
	return sha256.Sum256(b)
}

func raw(s string) mem { return mem{bytes.NewReader([]byte(strings.ReplaceAll(s, "\n", "\r\n")))} }

const burning = "From: Ann <ann@customer.test>\nTo: support@desk.test\nSubject: Printer on fire\nMessage-ID: <1@customer.test>\n\nIt burns.\n"

// verdict is a Verifier that always says the same.
type verdict ticketing.Verdict

func (v verdict) Verify(_ context.Context, _ *ticketing.Envelope, r ticketing.Raw) *ticketing.Verdict {
	w := ticketing.Verdict(v)
	return &w
}

func envelope(t *testing.T, in *Intake, rcpts ...string) *ticketing.Envelope {
	t.Helper()
	env := &ticketing.Envelope{ID: ticketing.NewID(in.o.Now()), MailFrom: "ann@customer.test", ReceivedAt: in.o.Now()}
	for _, a := range rcpts {
		r, err := in.Route(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		env.Recipients = append(env.Recipients, ticketing.Recipient{Address: a, Route: r})
	}
	return env
}

func TestVerdictsBecomeOutcomes(t *testing.T) {
	for _, tc := range []struct {
		action   ticketing.Action
		reason   string
		decision ticketing.JournalDecision
		kind     ticketing.Kind // of the error
		code     int
	}{
		{ticketing.ActionAccept, ticketing.ReasonDMARCPass, ticketing.JournalAccepted, -1, 250},
		{ticketing.ActionHold, ticketing.ReasonDMARCQuarantine, ticketing.JournalHeld, -1, 250},
		{ticketing.ActionReject, ticketing.ReasonDMARCReject, ticketing.JournalRejected, ticketing.KindDenied, 550},
		{ticketing.ActionReject, ticketing.ReasonListed, ticketing.JournalRejected, ticketing.KindDenied, 550},
		{ticketing.ActionTempfail, ticketing.ReasonTempError, ticketing.JournalDeferred, ticketing.KindUnavailable, 451},
		{ticketing.ActionTempfail, ticketing.ReasonVerifierFailed, ticketing.JournalDeferred, ticketing.KindUnavailable, 451},
	} {
		t.Run(string(tc.action)+" "+tc.reason, func(t *testing.T) {
			in, desk, db := newIntake(t, time.Now, verdict{Verdict: ticketing.Decision{Action: tc.action, Reason: tc.reason}}, nil)
			defer db.Close(context.Background())
			env := envelope(t, in, "support@desk.test", "support+x@desk.test")
			outs := in.Deliver(t.Context(), env, raw(burning))
			if len(outs) != 2 || outs[0].Recipient != "support@desk.test" || outs[1].Recipient != "support+x@desk.test" {
				t.Fatalf("outcomes = %+v", outs)
			}
			for _, o := range outs {
				if o.Decision != tc.decision || (o.Err == nil) != (tc.kind < 0) || o.Err != nil && ticketing.KindOf(o.Err) != tc.kind {
					t.Errorf("outcome = %+v", o)
				}
			}
			if err := desk.NoteRefusals(t.Context(), in.refusals.take(true)); err != nil {
				t.Fatal(err)
			}
			es, err := desk.Trace(t.Context(), env.ID)
			if err != nil || len(es) != 1 || es[0].Decision != tc.decision || es[0].Code != tc.code || es[0].MessageID != "1@customer.test" {
				t.Errorf("journal = %+v, %v", es, err)
			}
			if tc.kind >= 0 && es[0].Enhanced[1:] != " "+tc.reason {
				t.Errorf("the reply to %s is %d %s", tc.reason, es[0].Code, es[0].Enhanced)
			}
		})
	}
}

// What fails for our own reasons is in the journal, too.
func TestFailuresAreNoted(t *testing.T) {
	in, _, db := newIntake(t, time.Now, verdict{Verdict: ticketing.Decision{Action: ticketing.ActionAccept}}, nil)
	env := envelope(t, in, "support@desk.test")
	db.Close(context.Background())
	outs := in.Deliver(t.Context(), env, raw(burning))
	if e := ticketing.AsError(outs[0].Err); !e.Temporary() || outs[0].Decision != ticketing.JournalDeferred {
		t.Fatalf("outcome = %+v", outs[0])
	}
	es := in.refusals.take(true)
	if len(es) != 1 || es[0].Decision != ticketing.JournalDeferred || es[0].Code != 451 || es[0].From != "ann@customer.test" {
		t.Errorf("journal = %+v", es)
	}
}

func TestReleaseForgetsHeldMail(t *testing.T) {
	v := verdict{Verdict: ticketing.Decision{Action: ticketing.ActionHold, Reason: ticketing.ReasonDMARCQuarantine}}
	in, desk, db := newIntake(t, time.Now, v, nil)
	defer db.Close(context.Background())
	in.Deliver(t.Context(), envelope(t, in, "support+vip@desk.test"), raw(burning))
	held, err := desk.HeldMail(t.Context(), 0)
	if err != nil || len(held) != 1 {
		t.Fatalf("held = %+v, %v", held, err)
	}
	out, err := in.Release(t.Context(), held[0].ID)
	if err != nil || out.Ticket != "support#1" {
		t.Fatalf("released = %+v, %v", out, err)
	}
	for _, key := range []string{held[0].ID, held[0].Name()} {
		es, err := desk.Trace(t.Context(), key)
		if err != nil || len(es) != 2 || es[0].Decision != ticketing.JournalHeld || es[1].Held != held[0].Name() || es[1].Ticket != "support#1" {
			t.Errorf("trace of %s: %+v, %v", key, es, err)
		}
	}
	th, err := desk.Thread(t.Context(), ticketing.Ref{Project: "support", IID: 1})
	if err != nil || strings.TrimSpace(th.Entries[0].Body) != "It burns." || !slices.Equal(th.Labels, []string{"vip"}) {
		t.Errorf("ticket = %+v, %v", th, err)
	}
	if b, err := desk.OpenRaw(t.Context(), *th.Entries[0].Raw); err != nil {
		t.Errorf("raw mail: %v", err)
	} else {
		b.Close()
	}
	if _, err := in.Release(t.Context(), held[0].Name()); ticketing.KindOf(err) != ticketing.KindNotFound {
		t.Errorf("released twice: %v", err)
	}
	if outs := in.Deliver(t.Context(), envelope(t, in, "support@desk.test"), raw(burning)); outs[0].Decision != ticketing.JournalDuplicate {
		t.Errorf("delivered again after the release: %+v", outs[0])
	}
}

// Two held mails that share a Message-ID are two mails, also when they are
// released, and what was found out about them is not forgotten.
func TestReleaseKeepsMailsApart(t *testing.T) {
	v := verdict{FromDomain: "customer.test", Verdict: ticketing.Decision{Action: ticketing.ActionHold, Reason: ticketing.ReasonDMARCQuarantine}}
	v.DMARC.AlignedDKIM = true
	in, desk, db := newIntake(t, time.Now, v, nil)
	defer db.Close(context.Background())
	for _, text := range []string{burning, burning + "And smokes.\n"} {
		in.Deliver(t.Context(), envelope(t, in, "support@desk.test"), raw(text))
	}
	held, err := desk.HeldMail(t.Context(), 0)
	if err != nil || len(held) != 2 {
		t.Fatalf("held = %+v, %v", held, err)
	}
	for i, h := range held {
		out, err := in.Release(t.Context(), h.Name())
		if err != nil || out.Decision != ticketing.JournalAccepted {
			t.Errorf("release %d = %+v, %v", i, out, err)
		}
	}
	th, err := desk.Thread(t.Context(), ticketing.Ref{Project: "support", IID: 1})
	if err != nil || !th.Entries[0].Verified {
		t.Errorf("the released mail is not verified any more: %v", err)
	}
}

// disk is a Store with so much room.
type disk struct {
	failed, broken error
	free, total    uint64
}

func (d disk) Err() error                         { return d.failed }
func (d disk) FreeBytes() (uint64, uint64, error) { return d.free, d.total, d.broken }

func TestReady(t *testing.T) {
	const mib = 1 << 20
	for name, tc := range map[string]struct {
		disk
		reason string
	}{
		"room":                   {disk{free: 100 * mib, total: 1000 * mib}, ""},
		"unknown size":           {disk{}, ""},
		"less than two messages": {disk{free: 100*mib - 1, total: 1000 * mib}, "disk-full"},
		"less than five percent": {disk{free: 499 * mib, total: 10_000 * mib}, "disk-full"},
		"five percent":           {disk{free: 500 * mib, total: 10_000 * mib}, ""},
		"failed store":           {disk{failed: errors.New("sync"), free: 100 * mib, total: 100 * mib}, "store-failed"},
		"disk that says nothing": {disk{broken: errors.New("statfs")}, "disk-unknown"},
		"nothing left":           {disk{total: 1}, "disk-full"},
	} {
		in := New(nil, tc.disk, nil, Options{})
		err := in.Ready(t.Context())
		if tc.reason == "" && err != nil || tc.reason != "" && (err == nil || ticketing.AsError(err).Reason != tc.reason || !ticketing.AsError(err).Temporary()) {
			t.Errorf("%s: %v, want %q", name, err, tc.reason)
		}
	}
}

package ticketing_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/memdb"
)

// world is a desk with project support at support@desk.test and admin Mika.
type world struct {
	*ticketing.Desk
	t      *testing.T
	engine *memdb.DB
	db     *store.DB
	now    time.Time
	n      uint64
}

func newWorld(t *testing.T) *world { return newWorldWith(t, ticketing.PolicyInherit) }

// newWorldWith makes a world whose server has a policy.
func newWorldWith(t *testing.T, p ticketing.Policy) *world {
	t.Helper()
	engine := memdb.New(memdb.Options{})
	w := newWorldOn(t, engine, p)
	w.engine = engine
	return w
}

// newWorldOn makes a world on an engine.
func newWorldOn(t *testing.T, engine store.Engine, p ticketing.Policy) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	w.db = store.Open(engine, store.Options{RunTwice: true})
	t.Cleanup(func() { w.db.Close(context.Background()) })
	w.Desk = ticketing.New(w.db, ticketing.Options{
		Policy: p, HashBody: hashText,
		Now: func() time.Time { return w.now },
		Seed: func() (s [32]byte) {
			w.n++
			binary.BigEndian.PutUint64(s[:], w.n)
			return s
		},
	})
	fresh, err := w.Migrate(t.Context())
	if err != nil || !fresh {
		t.Fatalf("Migrate = %v, %v; want fresh", fresh, err)
	}
	w.ok(w.CreateProject(t.Context(), "support", []string{"support@desk.test"}))
	w.ok(w.CreateAgent(t.Context(), ticketing.Agent{Email: "mika@corp.test", Name: "Mika", Admin: true}))
	return w
}

// ok fails the test on an error and drops the value before it.
func (w *world) ok(_ any, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// mailing is a message of a test; zero fields have sensible values.
type mailing struct {
	from, to, cc, subject, text, id, inReplyTo string
	mailFrom                                   *string
	aligned                                    bool
	action                                     ticketing.Action
	machine                                    ticketing.MachineClass
	deliveries                                 []ticketing.DeliveryReport
	release                                    bool
	rcpts                                      []string // default: to
}

func people(list string) []ticketing.Person {
	var out []ticketing.Person
	for a := range strings.FieldsSeq(list) {
		out = append(out, ticketing.Person{Address: a})
	}
	return out
}

// textMark is before the body in the octets of a test's message.
const textMark = "\x00text\x00"

// hashText hashes the body of a test's message.
func hashText(raw io.ReaderAt, size int64) (store.Hash, error) {
	b, err := io.ReadAll(io.NewSectionReader(raw, 0, size))
	_, text, _ := bytes.Cut(b, []byte(textMark))
	return sha256.Sum256(text), err
}

// inbound makes of a test's message what the intake would hand in.
func (w *world) inbound(m mailing) ticketing.Inbound {
	w.t.Helper()
	if m.to == "" {
		m.to = "support@desk.test"
	}
	if m.machine == "" {
		m.machine = ticketing.MachineNone
	}
	if m.action == "" {
		m.action = ticketing.ActionAccept
	}
	if len(m.rcpts) == 0 {
		m.rcpts = strings.Fields(m.to)
	}
	env := &ticketing.Envelope{ID: ticketing.NewID(w.now), Protocol: "ESMTP", Helo: "mx.customer.test", MailFrom: m.from, ReceivedAt: w.now}
	if m.mailFrom != nil {
		env.MailFrom = *m.mailFrom
	}
	for _, a := range m.rcpts {
		r, err := w.Route(w.t.Context(), a)
		if err != nil {
			w.t.Fatalf("route %s: %v", a, err)
		}
		env.Recipients = append(env.Recipients, ticketing.Recipient{Address: a, Route: r})
	}
	msg := &ticketing.Message{
		Subject: m.subject, From: people(m.from), To: people(m.to), Cc: people(m.cc), MessageID: m.id,
		Text: m.text, Machine: ticketing.Machine{Class: m.machine}, Deliveries: m.deliveries,
	}
	if m.inReplyTo != "" {
		msg.InReplyTo = []string{m.inReplyTo}
	}
	raw := fmt.Appendf(nil, "%+v%s%s", m, textMark, m.text)
	staged, err := w.db.Stage(w.t.Context(), int64(len(raw)), sha256.Sum256(raw), bytes.NewReader(raw))
	if err != nil {
		w.t.Fatal(err)
	}
	v := &ticketing.Verdict{Verdict: ticketing.Decision{Action: m.action, Reason: "test"}}
	_, v.FromDomain, _ = strings.Cut(m.from, "@")
	v.DMARC.AlignedDKIM = m.aligned
	return ticketing.Inbound{Envelope: env, Message: msg, Verdict: v, Raw: staged, Octets: bytes.NewReader(raw), Size: int64(len(raw)), Release: m.release}
}

// receive delivers a message to its one recipient.
func (w *world) receive(m mailing) ticketing.Outcome {
	w.t.Helper()
	outs := w.Receive(w.t.Context(), w.inbound(m))
	if outs[0].Err != nil {
		w.t.Fatal(outs[0].Err)
	}
	return outs[0]
}

func (w *world) thread(ref string) *ticketing.Thread {
	w.t.Helper()
	r, err := ticketing.ParseRef(ref)
	if err != nil {
		w.t.Fatal(err)
	}
	th, err := w.Thread(w.t.Context(), r)
	if err != nil {
		w.t.Fatal(err)
	}
	return th
}

func (w *world) reply(ref, body string) *ticketing.Comment {
	w.t.Helper()
	r, _ := ticketing.ParseRef(ref)
	c, err := w.Reply(w.t.Context(), r, "", body)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// copies lists the outgoing copies as "kind recipient".
func (w *world) copies() []string {
	w.t.Helper()
	list, err := w.Outgoing(w.t.Context(), "", 0)
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, o := range list {
		out = append(out, string(o.Kind)+" "+o.Recipient.Address)
	}
	return out
}

// rows lists the keys under first elements.
func (w *world) rows(firsts ...string) (keys []string) {
	w.t.Helper()
	err := w.db.View(w.t.Context(), func(r store.Reader) error {
		keys = nil
		for _, f := range firsts {
			for it, err := range r.Scan(store.Prefix(f), false) {
				if err != nil {
					return err
				}
				keys = append(keys, it.Key.String())
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return keys
}

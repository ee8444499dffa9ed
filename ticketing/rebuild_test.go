package ticketing_test

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/store"
)

// indexRows are the rows by which lists find a ticket, as they follow from the
// ticket and its participants alone.
func indexRows(th *ticketing.Thread) []string {
	at, p, n := store.Desc(th.UpdatedAt), th.Project, th.IID
	st := string(th.State)
	keys := []store.Key{
		store.K("ticket.all", at, p, n), store.K("ticket.state", st, at, p, n), store.K("ticket.project", p, at, p, n),
		store.K("ticket.project.state", p, st, at, p, n), store.K("ticket.assignee", th.Assignee, st, at, p, n),
	}
	for _, l := range th.Labels {
		keys = append(keys, store.K("ticket.label", p, l, at, p, n))
	}
	for _, who := range th.Participants {
		term := strings.ToLower(who.Address)
		if len(term) > 200 {
			term = fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(term)))
		}
		keys = append(keys, store.K("ticket.participant", term, at, p, n))
	}
	rows := make([]string, len(keys))
	for i, k := range keys {
		rows[i] = k.String()
	}
	return rows
}

// After any sequence of what people and machines do, the lists show what the
// tickets say, no more and no less.
func TestIndexRowsAreThoseOfARebuild(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t)
			w.ok(w.CreateProject(t.Context(), "billing", []string{"billing@desk.test"}))
			w.ok(w.CreateAgent(t.Context(), ticketing.Agent{Email: "noa@corp.test"}))
			rnd := rand.New(rand.NewPCG(seed, 1))
			for i := range 60 {
				w.now = w.now.Add(time.Duration(rnd.IntN(3e6)) * time.Microsecond)
				w.randomStep(rnd, i)
			}
			w.checkIndex()
		})
	}
}

// randomStep does one thing; that the desk refuses some is fine.
func (w *world) randomStep(rnd *rand.Rand, i int) {
	w.t.Helper()
	pick := func(s ...string) string { return s[rnd.IntN(len(s))] }
	ctx := w.t.Context()
	ts, err := w.Tickets(ctx, ticketing.TicketFilter{})
	if err != nil {
		w.t.Fatal(err)
	}
	people := []string{"ann@a.test", "Bob@b.test", "carl@c.test", strings.Repeat("x", 220) + "@d.test"}
	m := mailing{
		from: pick(people...), cc: pick(people...) + " " + pick(people...), to: pick("support@desk.test", "billing@desk.test", "support+vip@desk.test"),
		id: fmt.Sprintf("%d@x", i), text: "words", subject: "s", aligned: rnd.IntN(2) == 0,
	}
	if len(ts) == 0 || rnd.IntN(4) == 0 {
		w.Receive(ctx, w.inbound(m))
		return
	}
	tk := ts[rnd.IntN(len(ts))]
	ref := tk.Ref()
	th := w.thread(ref.String())
	switch rnd.IntN(9) {
	case 0:
		w.Reply(ctx, ref, "", "answer")
	case 1:
		w.Note(ctx, ref, "noa@corp.test", "note")
	case 2:
		w.SetState(ctx, ref, "", ticketing.State(pick("open", "closed", "waiting")))
	case 3:
		w.Assign(ctx, ref, "", pick("", "noa@corp.test", "mika@corp.test", "nobody@x"))
	case 4:
		w.Label(ctx, ref, "", []string{pick("a", "b", "c d")}, []string{pick("a", "b", "vip")})
	case 5:
		m.inReplyTo, m.to = tk.MessageID, pick("support@desk.test", "billing@desk.test")
		w.Receive(ctx, w.inbound(m))
	case 6, 7, 8:
		if len(th.Participants) == 0 {
			return
		}
		p := th.Participants[rnd.IntN(len(th.Participants))]
		m.to, m.from = "support+"+p.Token+"@desk.test", pick(p.Address, m.from)
		if rnd.IntN(3) == 0 {
			m.to = "u+" + p.Leave + "@desk.test"
		}
		w.Receive(ctx, w.inbound(m))
	}
}

func (w *world) checkIndex() {
	w.t.Helper()
	ts, err := w.Tickets(w.t.Context(), ticketing.TicketFilter{})
	if err != nil {
		w.t.Fatal(err)
	}
	var want []string
	for _, tk := range ts {
		want = append(want, indexRows(w.thread(tk.Ref().String()))...)
	}
	got := w.rows("ticket.all", "ticket.state", "ticket.project", "ticket.project.state", "ticket.assignee", "ticket.label", "ticket.participant")
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		w.t.Errorf("%d index rows, a rebuild gives %d:\n%s\n--\n%s", len(got), len(want), strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

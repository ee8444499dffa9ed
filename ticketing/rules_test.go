package ticketing

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/memdb"
)

// The table of docs/flow.md, and what it does not say.
func TestJudge(t *testing.T) {
	const nobody = CommentKind("")
	for _, tc := range []struct {
		name string
		by   threadBy
		s    speaker
		kind CommentKind // nobody = held
		opts string      // share join invite active
	}{
		{"owner, aligned", byToken, speaker{owner: true, aligned: true}, CommentPublic, "share invite active"},
		{"owner, not aligned", byToken, speaker{owner: true}, CommentPublic, "share active"},
		{"owner, policy fails", byToken, speaker{owner: true, policyFails: true}, nobody, ""},
		{"owner, policy fails, released", byToken, speaker{owner: true, policyFails: true, released: true}, CommentPublic, "share active"},
		{"owner, annotated", byToken, speaker{owner: true, annotated: true}, CommentInternal, "active"},
		{"owner, annotated, aligned", byToken, speaker{owner: true, annotated: true, aligned: true}, CommentPublic, "share invite active"},
		{"owner, annotated, released", byToken, speaker{owner: true, annotated: true, released: true}, CommentPublic, "share active"},
		{"another, annotated", byToken, speaker{annotated: true}, nobody, ""},
		{"participant by id, annotated", byMessageID, speaker{participant: true, annotated: true}, CommentInternal, "active"},
		{"new, annotated", byNothing, speaker{annotated: true}, CommentPublic, "invite active"},
		{"owner's machine", byToken, speaker{owner: true, aligned: true, machine: true}, CommentPublic, ""},
		{"another, aligned", byToken, speaker{aligned: true}, CommentInternal, "active"},
		{"another participant, aligned", byToken, speaker{aligned: true, participant: true}, CommentInternal, "active"},
		{"another, not aligned", byToken, speaker{}, nobody, ""},
		{"another, not aligned, released", byToken, speaker{released: true}, CommentInternal, "active"},
		{"another's machine", byToken, speaker{machine: true}, CommentInternal, ""},
		{"participant by id, aligned", byMessageID, speaker{participant: true, aligned: true, answered: true}, CommentPublic, "invite active"},
		{"participant by id, not aligned", byMessageID, speaker{participant: true, answered: true}, CommentPublic, "active"},
		{"colleague before the answer", byMessageID, speaker{aligned: true}, CommentPublic, "join invite active"},
		{"colleague not aligned", byMessageID, speaker{}, CommentInternal, "active"},
		{"colleague's machine", byMessageID, speaker{aligned: true, machine: true}, CommentInternal, ""},
		{"colleague after the answer", byMessageID, speaker{aligned: true, answered: true}, CommentInternal, "active"},
		{"who left", byMessageID, speaker{aligned: true, removed: true}, CommentInternal, "active"},
		{"participant by subject", bySubject, speaker{participant: true, aligned: true}, CommentPublic, "invite active"},
		{"new", byNothing, speaker{}, CommentPublic, "invite active"},
		{"new, policy fails", byNothing, speaker{aligned: true, policyFails: true}, nobody, ""},
		{"new, machine", byNothing, speaker{machine: true}, CommentPublic, ""},
	} {
		sp := judge(tc.by, tc.s)
		var opts []string
		for _, o := range []struct {
			on   bool
			name string
		}{{sp.share, "share"}, {sp.join, "join"}, {sp.invite, "invite"}, {sp.active, "active"}} {
			if o.on {
				opts = append(opts, o.name)
			}
		}
		held := sp.hold != "" || tc.s.policyFails && !tc.s.released
		if sp.kind != tc.kind || held != (tc.kind == nobody) || strings.Join(opts, " ") != tc.opts {
			t.Errorf("%s: %q %v, held %v; want %q %s", tc.name, sp.kind, opts, held, tc.kind, tc.opts)
		}
		if sp.kind != nobody && sp.verified != tc.s.aligned {
			t.Errorf("%s: verified %v", tc.name, sp.verified)
		}
	}
}

func TestAligned(t *testing.T) {
	for name, tc := range map[string]struct {
		v    Verdict
		want bool
	}{
		"nothing":             {Verdict{FromDomain: "x.test"}, false},
		"dkim":                {Verdict{FromDomain: "x.test", DMARC: DMARCResult{AlignedDKIM: true}}, true},
		"spf":                 {Verdict{FromDomain: "x.test", DMARC: DMARCResult{AlignedSPF: true}}, true},
		"sealer":              {Verdict{FromDomain: "x.test", Verdict: Decision{Reason: ReasonTrustedARC}}, true},
		"several From fields": {Verdict{DMARC: DMARCResult{AlignedDKIM: true}}, false},
		"DMARC pass by name":  {Verdict{FromDomain: "x.test", Verdict: Decision{Reason: ReasonDMARCPass}}, false},
	} {
		if tc.v.Aligned() != tc.want {
			t.Errorf("%s: aligned %v", name, !tc.want)
		}
	}
}

func TestIsRobot(t *testing.T) {
	for addr, want := range map[string]bool{
		"no-reply@x": true, "noreply+123@x": true, "No_Reply@x": true, "do.not.reply@x": true, "donotreply-news@x": true,
		"MAILER-DAEMON@x": true, "postmaster@x": true, "bounces@x": true, "bounce@x": true,
		"ann@x": false, "reply@x": false, "norepl@x": false, "ann.noreply@x": false, "": false,
	} {
		if isRobot(addr) != want {
			t.Errorf("isRobot(%q) = %v", addr, !want)
		}
	}
}

func TestSubjects(t *testing.T) {
	for title, want := range map[string]string{
		"Printer":            "Re: Printer (#7)",
		"Re: Printer":        "Re: Printer (#7)",
		"AW: RE: Re[2]: Hey": "Re: Hey (#7)",
		"Antwort： Hey":       "Re: Hey (#7)",
		"Re:":                "Re: (no subject) (#7)",
		"Re: re:":            "Re: (no subject) (#7)",
		"(no subject)":       "Re: (no subject) (#7)",
		"Fwd: Hey (#3)":      "Re: Fwd: Hey (#7)",
		"Research":           "Re: Research (#7)",
	} {
		if got := subjectOf(&Ticket{Title: title, IID: 7}); got != want {
			t.Errorf("%q: %q, want %q", title, got, want)
		}
	}
}

func TestThreading(t *testing.T) {
	long := strings.Repeat("x", maxThreadID+1)
	for name, tc := range map[string]struct {
		t    Ticket
		in   string
		refs string
	}{
		"usual":             {Ticket{MessageID: "a", ThreadID: "t", LastMessageID: "z"}, "z", "a t z"},
		"only the first":    {Ticket{MessageID: "a", ThreadID: "t", LastMessageID: "a"}, "a", "a t"},
		"no ids":            {Ticket{ThreadID: "t"}, "t", "t"},
		"no id of the last": {Ticket{MessageID: "a", ThreadID: "t"}, "a", "a t"},
		"too long":          {Ticket{MessageID: long, ThreadID: "t", LastMessageID: "z"}, "z", "t z"},
		"both too long":     {Ticket{MessageID: long, ThreadID: "t", LastMessageID: long}, "t", "t"},
	} {
		in, refs := threading(&tc.t)
		if in != tc.in || strings.Join(refs, " ") != tc.refs {
			t.Errorf("%s: %s, %v", name, in, refs)
		}
	}
}

func TestReplyAddress(t *testing.T) {
	tok := strings.Repeat("t", tokenLen)
	for n, want := range map[int]string{1: strings.Repeat("a", 1), 37: strings.Repeat("a", 37), 38: "r", 64: "r"} {
		got := replyAddress(strings.Repeat("a", n)+"@desk.test", tok)
		if got != want+"+"+tok+"@desk.test" || strings.IndexByte(got, '@') > maxLocal {
			t.Errorf("alias of %d octets: %s", n, got)
		}
	}
}

func TestNamesOfTickets(t *testing.T) {
	for s, want := range map[string]string{"support#1": "support#1", " Support#012 ": "support#12", "a.b-c#9": "a.b-c#9"} {
		if r, err := ParseRef(s); err != nil || r.String() != want {
			t.Errorf("%q: %v, %v", s, r, err)
		}
	}
	for _, s := range []string{"", "#1", "support", "support#", "support#0", "support#-1", "support#x", "support#1#2", "support#99999999999999999999"} {
		if r, err := ParseRef(s); KindOf(err) != KindInvalid {
			t.Errorf("%q: %v, %v", s, r, err)
		}
	}
	for s, ok := range map[string]bool{"open": true, " Waiting": true, "CLOSED": true, "": false, "done": false} {
		if _, err := ParseState(s); (err == nil) != ok {
			t.Errorf("state %q: %v", s, err)
		}
	}
	for s, ok := range map[string]bool{
		"VIP": true, "größe": true, "a b": true, "a/b:c@d.e-f_g": true, "": false, " ": false, "-a": false, "a\nb": false,
		"<b>": false, strings.Repeat("x", 63): true, strings.Repeat("x", 64): false,
	} {
		if _, err := parseLabel(s); (err == nil) != ok {
			t.Errorf("label %q: %v", s, err)
		}
	}
}

func TestSpend(t *testing.T) {
	db := store.Open(memdb.New(memdb.Options{}), store.Options{RunTwice: true})
	defer db.Close(t.Context())
	at := someDay
	take := func(name, who string) (ok bool) {
		t.Helper()
		err := db.Update(t.Context(), func(tx store.Tx) (err error) {
			ok, err = spend(tx, name, who, at, 2)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	long := strings.Repeat("x", 5000)
	var got []string
	for _, step := range []struct {
		who  string
		wait time.Duration
	}{{"a", 0}, {"A", 0}, {"a", 59 * time.Minute}, {"b", 0}, {"a", time.Minute}, {long, 0}, {long, 0}, {long, 0}} {
		at = at.Add(step.wait)
		got = append(got, fmt.Sprint(take("n", step.who)))
	}
	if want := strings.Fields("true true false true true true true false"); !slices.Equal(got, want) {
		t.Errorf("spent %v, want %v", got, want)
	}
	if !take("other", long) {
		t.Error("budgets share a name")
	}
}

// More refusals than are kept: the oldest go, and their rows with them.
func TestSweepOfExcessRefusals(t *testing.T) {
	db := store.Open(memdb.New(memdb.Options{}), store.Options{RunTwice: true})
	defer db.Close(t.Context())
	d := New(db, Options{Now: func() time.Time { return someDay }})
	var es []JournalEntry
	for i := range 30 {
		at := someDay.Add(time.Duration(i-30) * time.Minute)
		es = append(es, JournalEntry{ID: NewID(at), At: at, MailFrom: fmt.Sprintf("%d@x", i)})
	}
	if err := d.NoteRefusals(t.Context(), es); err != nil {
		t.Fatal(err)
	}
	err := db.Update(t.Context(), func(tx store.Tx) error {
		s, err := sweepRefusals(tx, someDay, 10)
		if err == nil && (s.rows != 10 || s.more) {
			err = fmt.Errorf("swept %+v", s)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range es {
		got, err := d.Trace(t.Context(), e.MailFrom)
		if err != nil || (len(got) == 1) != (i >= 10) {
			t.Errorf("refusal %d: %d entries, %v", i, len(got), err)
		}
	}
}

func TestClipKeepsWhatFits(t *testing.T) {
	c := &Comment{Body: "text", Attachments: []Attachment{{Name: "a"}}, Warnings: []string{"w"}, Forwarded: &Forwarded{Text: "f"}}
	if err := clipComment(c, 1); err != nil || c.Truncated || len(c.Attachments) != 1 || len(c.Warnings) != 1 || c.Forwarded.Text != "f" {
		t.Errorf("clipped %+v, %v", c, err)
	}
	e := JournalEntry{Subject: "s", RcptTo: []string{"a@x"}}.clip()
	if e.Subject != "s" || len(e.RcptTo) != 1 || e.Verdict != nil {
		t.Errorf("clipped %+v", e)
	}
	for in, want := range map[string]string{"äöü": "äö", "abc": "abc", "a\x00b": "ab", "\xff": "\ufffd"} {
		if got := clip(in, 5); got != want {
			t.Errorf("clip(%q, 5) = %q, want %q", in, got, want)
		}
	}
}

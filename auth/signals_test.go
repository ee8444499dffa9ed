package auth

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/mxdesk/mxdesk/auth/dns"
	"github.com/mxdesk/mxdesk/auth/dnsbl"
	"github.com/mxdesk/mxdesk/ticketing"
)

// list answers every query with the same hits, and notes what it was asked.
type list struct {
	dnsbl.Result
	asked dnsbl.Query
}

func (l *list) Check(_ context.Context, q dnsbl.Query) dnsbl.Result {
	l.asked = q
	return l.Result
}

func hits(score int, refuse bool) dnsbl.Result {
	return dnsbl.Result{Score: score, Hits: []dnsbl.Hit{
		{Zone: "bl.example", Query: "192.0.2.1", Answer: netip.MustParseAddr("127.0.0.4"), Weight: score, Refuse: refuse, Text: "spam source"},
	}}
}

func TestLists(t *testing.T) {
	r := keyedZone(t)
	passing := sign(t, "reject.example", from("ann@reject.example"))
	for _, tt := range []struct {
		name  string
		text  string
		lists dnsbl.Result
		score int
		want  string
	}{
		{"nothing found", plainMail, dnsbl.Result{}, 5, "accept none"},
		{"a signal only", plainMail, hits(5, false), 0, "accept none"},
		{"below the score", plainMail, hits(5, false), 6, "accept none"},
		{"at the score", plainMail, hits(5, false), 5, "reject listed"},
		{"one that refuses", plainMail, hits(1, true), 0, "reject listed"},
		{"one that refuses, outweighed", plainMail, hits(-2, true), 0, "accept none"},
		{"vouched for all the same", passing, hits(1, true), 0, "reject listed"},
		{"a list that failed", plainMail, dnsbl.Result{Failed: []string{"bl.example"}}, 1, "accept none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := New(r, Options{Lists: &list{Result: tt.lists}, ListScore: tt.score}).Verify(t.Context(), envelope(""), raw(tt.text))
			if s := string(got.Verdict.Action) + " " + got.Verdict.Reason; s != tt.want {
				t.Errorf("%s, want %s", s, tt.want)
			}
			if got.Lists.Score != tt.lists.Score || len(got.Lists.Hits) != len(tt.lists.Hits) || !slices.Equal(got.Lists.Failed, tt.lists.Failed) {
				t.Errorf("lists = %+v", got.Lists)
			}
		})
	}
}

func TestListsAreAskedAbout(t *testing.T) {
	r := keyedZone(t)
	ask := func(client string, upstream bool, text string) dnsbl.Query {
		l := &list{}
		env := envelope("bounces@Mail.example.net")
		env.Client, env.Helo, env.TrustedUpstream = netip.MustParseAddrPort(client), "mx.example.org", upstream
		New(r, Options{Lists: l}).Verify(t.Context(), env, raw(text))
		return l.asked
	}
	q := ask("192.0.2.1:25", false, plainMail)
	if q.Client.String() != "192.0.2.1" || !slices.Equal(q.Domains, []string{"mail.example.net", "example.com", "mx.example.org"}) {
		t.Errorf("asked about %+v", q)
	}
	for _, private := range []string{"127.0.0.1:25", "10.1.2.3:25", "[fe80::1]:25", "[::1]:25"} {
		if q := ask(private, false, plainMail); q.Client.IsValid() {
			t.Errorf("asked about %v", q.Client)
		}
	}
	const received = "Received: from a.example.edu (a.example.edu [203.0.113.7]) by front\r\n"
	if q := ask("192.0.2.1:25", true, received+plainMail); q.Client.String() != "203.0.113.7" || q.Domains[2] != "a.example.edu" {
		t.Errorf("behind an upstream: asked about %+v", q)
	}
}

func TestClientSignals(t *testing.T) {
	z, err := dns.ParseZone([]byte(`{"1.2.0.192.in-addr.arpa": [["PTR", "mx.example.com"]], "mx.example.com": [["A", "192.0.2.1"]],
		"2.2.0.192.in-addr.arpa": [["TIMEOUT"]]}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ client, helo, iprev, name, helos, results string }{
		{"192.0.2.1:25", "mx.example.com", "pass", "mx.example.com", "pass", "iprev=pass policy.iprev=192.0.2.1"},
		{"[::ffff:192.0.2.1]:25", "other.example.com", "pass", "mx.example.com", "unresolvable", "iprev=pass policy.iprev=192.0.2.1"},
		{"192.0.2.2:25", "desk.example", "temperror", "", "own", "iprev=temperror policy.iprev=192.0.2.2"},
		{"[2001:db8::7]:25", "", "permerror", "", "", `iprev=permerror policy.iprev="2001:db8::7"`},
		{"127.0.0.1:25", "localhost", "", "", "", ""},
	} {
		env := envelope("")
		env.Client, env.Helo = netip.MustParseAddrPort(tt.client), tt.helo
		got := New(z, Options{Hostname: "desk.example"}).Verify(t.Context(), env, raw(plainMail))
		if got.IPRev != (ticketing.IPRevResult{Result: tt.iprev, Name: tt.name}) || got.Helo.Result != tt.helos {
			t.Errorf("%s: %+v %+v", tt.client, got.IPRev, got.Helo)
		}
		if strings.Contains(got.AuthenticationResults, "iprev") != (tt.results != "") || !strings.Contains(got.AuthenticationResults, tt.results) {
			t.Errorf("%s: %s", tt.client, got.AuthenticationResults)
		}
	}
}

// An allow list stands in the results as RFC 8904 has it.
func TestAllowListInResults(t *testing.T) {
	l := &list{Result: hits(-3, false)}
	got := New(keyedZone(t), Options{Lists: l}).Verify(t.Context(), envelope(""), raw(plainMail)).AuthenticationResults
	if !strings.HasSuffix(got, "; dnswl=pass dns.zone=bl.example policy.ip=127.0.0.4") {
		t.Error(got)
	}
}

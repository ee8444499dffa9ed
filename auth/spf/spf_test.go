package spf_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/mxdesk/mxdesk/auth/dns"
	"github.com/mxdesk/mxdesk/auth/spf"
)

var zoneText = `{
 "pass.test": [["TXT",["v=spf1 ","ip4:192.0.2.0/24 ~all"]]],
 "deny.test": [["TXT","v=spf1 -all exp=why.deny.test"]],
 "why.deny.test": [["TXT",["%{i} is not %{o}'s, ","says %{r} at %{t}"]]],
 "six.test": [["TXT","v=spf1 ip6:2001:db8::/32 -all"]],
 "xn--bcher-kva.test": [["TXT","v=spf1 a:%{o} ?all"],["A","192.0.2.1"]],
 "local.test": [["TXT","v=spf1 exists:%{l}.l.test include:%{l}.i.test redirect=%{l}.r.test"]],
 "localdeny.test": [["TXT","v=spf1 -exists:%{l}.l.test -all exp=text.test"]],
 "text.test": [["TXT","no %{l}"]],
 "nasty.test": [["TXT","v=spf1 -all exp=helo.test"]],
 "helo.test": [["TXT","you said %{h}"]],
 "long.test": [["TXT","v=spf1 -all exp=longtext.test"]],
 "longtext.test": [["TXT","` + strings.Repeat("%{d}", 120) + `"]],
 "redir.test": [["TXT","v=spf1 redirect=deny.test exp=text.test"]],
 "incl.test": [["TXT","v=spf1 Include:pass.test -all"]],
 "incldeny.test": [["TXT","v=spf1 include:deny.test ?all exp=text.test"]],
 "two.test": [["TXT","v=spf1 -all"],["TXT","v=spf1 +all"]],
 "bad.test": [["TXT","v=spf1 +all ip4:oops"]],
 "slow.test": [["TIMEOUT"]],
 "slowa.test": [["TXT","v=spf1 a:slow.test -all"]],
 "slowmx.test": [["TXT","v=spf1 mx -all"],["MX",[1,"slow.test"]]],
 "slowptr.test": [["TXT","v=spf1 ptr -all"]],
 "5.2.0.192.in-addr.arpa": [["TIMEOUT"]],
 "plain.test": [["TXT","v=spf1 include:%{h}.test -all"]],
 "none.test": [["TXT","something else"]]
}`

func checker(t testing.TB, zone string, o spf.Options) *spf.Checker {
	t.Helper()
	z, err := dns.ParseZone([]byte(zone))
	if err != nil {
		t.Fatal(err)
	}
	return spf.New(z, o)
}

func clock() time.Time { return time.Unix(1700000000, 0) }

func TestCheck(t *testing.T) {
	c := checker(t, zoneText, spf.Options{Now: clock})
	for _, c2 := range []struct{ ip, helo, from, want string }{
		{"192.0.2.7", "x", "a@pass.test", `pass mfrom pass.test ip4:192.0.2.0/24 ""`},
		{"::ffff:192.0.2.7", "x", "a@Pass.Test.", `pass mfrom pass.test ip4:192.0.2.0/24 ""`},
		{"192.0.3.7", "x", "a@pass.test", `softfail mfrom pass.test all ""`},
		{"192.0.2.7", "pass.test", "", `pass helo pass.test ip4:192.0.2.0/24 ""`},
		{"192.0.2.7", "pass.test", "a@none.test", `none mfrom none.test  ""`},
		{"192.0.2.7", "host", "", `none helo   ""`},
		{"192.0.2.7", "[192.0.2.7]", "", `none helo   ""`},
		{"192.0.2.7", "x", "a@[IPv6:::1]", `none mfrom   ""`},
		{"192.0.2.7", "x", "postmaster", `none mfrom   ""`},
		{"192.0.2.7", "x", "a@", `none mfrom   ""`},
		{"192.0.2.7", "x", "a@x y.test", `none mfrom   ""`},
		{"192.0.2.7", "x", "a@" + strings.Repeat("long.", 60) + "test", `none mfrom   ""`},
		{"192.0.2.7", "x", "a@missing.test", `none mfrom missing.test  ""`},
		{"192.0.2.7", "x", `"a@b"@pass.test`, `pass mfrom pass.test ip4:192.0.2.0/24 ""`},
		{"2001:db8::1", "x", "a@six.test", `pass mfrom six.test ip6:2001:db8::/32 ""`},
		{"2001:db8::1%eth0", "x", "a@six.test", `pass mfrom six.test ip6:2001:db8::/32 ""`},
		{"192.0.2.1", "x", "a@BÜCHER.test", `pass mfrom xn--bcher-kva.test a:%{o} ""`},
		{"192.0.2.9", "x", "a@deny.test", `fail mfrom deny.test all "192.0.2.9 is not deny.test's, says rx.test at 1700000000"`},
		{"192.0.2.9", "x", "a@redir.test", `fail mfrom redir.test all "192.0.2.9 is not redir.test's, says rx.test at 1700000000"`},
		{"192.0.2.9", "x", "a@incl.test", `pass mfrom incl.test Include:pass.test ""`},
		{"192.0.2.9", "x", "a@incldeny.test", `neutral mfrom incldeny.test all ""`},
		{"192.0.2.9", "x", "jürgen@local.test", `neutral mfrom local.test default ""`},
		{"192.0.2.9", "x", "jürgen@localdeny.test", `fail mfrom localdeny.test all ""`},
		{"192.0.2.9", "x", "jane@localdeny.test", `fail mfrom localdeny.test all "no jane"`},
		{"192.0.2.9", "a\r\n250 ok", "a@nasty.test", `fail mfrom nasty.test all ""`},
		{"192.0.2.9", "bücher.test", "a@nasty.test", `fail mfrom nasty.test all "you said xn--bcher-kva.test"`},
		{"192.0.2.9", "x", "a@two.test", `permerror mfrom two.test  ""`},
		{"192.0.2.9", "x", "a@bad.test", `permerror mfrom bad.test  ""`},
		{"192.0.2.9", "x..y", "a@plain.test", `permerror mfrom plain.test  ""`},
		{"192.0.2.9", "\r\n", "a@plain.test", `permerror mfrom plain.test  ""`},
		{"192.0.2.9", "x", "a@slow.test", `temperror mfrom slow.test  ""`},
		{"192.0.2.9", "x", "a@slowa.test", `temperror mfrom slowa.test  ""`},
		{"192.0.2.9", "x", "a@slowmx.test", `temperror mfrom slowmx.test  ""`},
		{"192.0.2.5", "x", "a@slowptr.test", `fail mfrom slowptr.test all ""`},
	} {
		r := c.Check(t.Context(), spf.Query{IP: netip.MustParseAddr(c2.ip), Helo: c2.helo, MailFrom: c2.from, Receiver: "rx.test"})
		got := fmt.Sprintf("%s %s %s %s %q", r.Result, r.Scope, r.Domain, r.Mechanism, r.Explanation)
		if got != c2.want {
			t.Errorf("%s %q %q:\n got %s (%s)\nwant %s", c2.ip, c2.helo, c2.from, got, r.Reason, c2.want)
		}
		if strings.ContainsFunc(r.Reason, unicode.IsControl) {
			t.Errorf("%q: reason %q", c2.from, r.Reason)
		}
		if needs := r.Mechanism == ""; needs != (r.Reason != "") {
			t.Errorf("%q: result %s with reason %q", c2.from, r.Result, r.Reason)
		}
	}
}

func TestNoClientAddress(t *testing.T) {
	r := checker(t, zoneText, spf.Options{}).Check(t.Context(), spf.Query{MailFrom: "a@pass.test"})
	if r.Result != spf.None || r.Domain != "pass.test" {
		t.Errorf("got %+v", r)
	}
}

func TestLongExplanation(t *testing.T) {
	r := checker(t, zoneText, spf.Options{}).Check(t.Context(), spf.Query{IP: netip.MustParseAddr("192.0.2.1"), MailFrom: "a@long.test"})
	if len(r.Explanation) != 1000 || !strings.HasPrefix(r.Explanation, "long.testlong.test") {
		t.Errorf("%d octets", len(r.Explanation))
	}
}

// limitZone has the things that limits are about.
func limitZone(policy string) string {
	var s strings.Builder
	fmt.Fprintf(&s, `{"p.test": [["TXT",%q],["A","203.0.113.1"],["MX",[1,"a.test"]]],
		"a.test": [["A","203.0.113.1"]], "none.test": [["TXT","v=spf1 ?all"]], "hit.test": [["A","192.0.2.1"]],
		"deep.test": [["TXT","v=spf1 a a a"],["A","203.0.113.1"]],
		"loop.test": [["TXT","v=spf1 include:loop.test"]], "circle.test": [["TXT","v=spf1 redirect=circle.test"]],
		"badnames.test": [["MX",[0,""]],["MX",[1,"void1.test"]],["MX",[2,"void2.test"]],["MX",[3,"void3.test"]],["MX",[4,"hit.test"]]]`, policy)
	for _, n := range []int{10, 11} {
		fmt.Fprintf(&s, `, "mx%d.test": [`, n)
		for i := range n - 1 {
			fmt.Fprintf(&s, `["MX",[%d,"a.test"]],`, i)
		}
		s.WriteString(`["MX",[99,"hit.test"]]]`)
	}
	s.WriteString(`, "1.2.0.192.in-addr.arpa": [`)
	for range 9 {
		s.WriteString(`["PTR","a.test"],`)
	}
	s.WriteString(`["PTR","hit.test"],["PTR","late.test"]], "late.test": [["A","192.0.2.1"]]}`)
	return s.String()
}

func TestLimits(t *testing.T) {
	for policy, want := range map[string]string{
		strings.Repeat(" a", 10) + " ?all": spf.Neutral,
		strings.Repeat(" a", 11) + " ?all": spf.PermError,
		" mx ptr:x.test exists:a.y.test include:none.test" + strings.Repeat(" a", 6) + " -all": spf.Fail,
		" mx ptr:x.test exists:a.y.test include:none.test" + strings.Repeat(" a", 7) + " -all": spf.PermError,
		strings.Repeat(" ip4:10.0.0.1 ip6:::1", 30) + " exp=x.test -all":                       spf.Fail,
		strings.Repeat(" a", 9) + " redirect=none.test":                                        spf.Neutral,
		strings.Repeat(" a", 10) + " redirect=none.test":                                       spf.PermError,
		strings.Repeat(" a", 6) + " include:deep.test -all":                                    spf.Fail,
		strings.Repeat(" a", 7) + " include:deep.test -all":                                    spf.PermError,
		strings.Repeat(" a", 11) + " +all":                                                     spf.PermError,
		" +all" + strings.Repeat(" a", 11):                                                     spf.Pass,
		" include:loop.test":                                                                   spf.PermError,
		" redirect=circle.test":                                                                spf.PermError,
		" exists:%{p}.test" + strings.Repeat(" a", 8) + " -all":                                spf.Fail,
		" exists:%{p}.test" + strings.Repeat(" a", 9) + " -all":                                spf.PermError,
		" exists:%{p}.test exists:%{p}.test" + strings.Repeat(" a", 7) + " -all":               spf.Fail,
		" a:x.test mx:y.test -all":                                                             spf.Fail,
		" a:x.test mx:y.test exists:z.test -all":                                               spf.PermError,
		" a:x.test mx:y.test ip4:192.0.2.1 exists:z.test -all":                                 spf.Pass,
		" mx:a.test mx:a.test mx:a.test -all":                                                  spf.PermError,
		" mx:badnames.test -all":                                                               spf.Pass,
		" mx:mx10.test -all":                                                                   spf.Pass,
		" mx:mx11.test -all":                                                                   spf.PermError,
		" ptr:hit.test -all":                                                                   spf.Pass,
		" ptr:late.test -all":                                                                  spf.Fail,
		" ptr:a.test -all":                                                                     spf.Fail,
		" ptr:it.test -all":                                                                    spf.Fail,
	} {
		r := checker(t, limitZone("v=spf1"+policy), spf.Options{}).Check(t.Context(),
			spf.Query{IP: netip.MustParseAddr("192.0.2.1"), MailFrom: "a@p.test"})
		if r.Result != want {
			t.Errorf("%s: got %s (%s), want %s", policy, r.Result, r.Reason, want)
		}
	}
}

// TestExplanationIsNotCounted has a policy that uses its ten lookups up.
func TestExplanationIsNotCounted(t *testing.T) {
	zone := strings.TrimSuffix(limitZone("v=spf1"+strings.Repeat(" a", 10)+" -all exp=%{p}.e.test"), "}") +
		`, "hit.test.e.test": [["TXT","%{p} may not"]]}`
	r := checker(t, zone, spf.Options{}).Check(t.Context(), spf.Query{IP: netip.MustParseAddr("192.0.2.1"), MailFrom: "a@p.test"})
	if r.Result != spf.Fail || r.Explanation != "hit.test may not" {
		t.Errorf("got %+v", r)
	}
}

func TestLimitsAreSettings(t *testing.T) {
	q := spf.Query{IP: netip.MustParseAddr("192.0.2.1"), MailFrom: "a@p.test"}
	o := spf.Options{MaxLookups: 1, MaxVoidLookups: 1}
	for policy, want := range map[string]string{
		"v=spf1 a ?all":           spf.Neutral,
		"v=spf1 a a ?all":         spf.PermError,
		"v=spf1 a:void.test -all": spf.Fail,
	} {
		if r := checker(t, limitZone(policy), o).Check(t.Context(), q); r.Result != want {
			t.Errorf("%s: got %s, want %s", policy, r.Result, want)
		}
	}
}

// stuck answers policies and lets every other lookup wait for the end of its context.
type stuck struct{ *dns.Zone }

func (stuck) A(ctx context.Context, name string) ([]netip.Addr, bool, error) {
	<-ctx.Done()
	return nil, false, fmt.Errorf("%s: %w", name, dns.ErrTemporary)
}

// slowClient answers everything but what is asked about the client's names.
type slowClient struct{ *dns.Zone }

func (slowClient) A(ctx context.Context, name string) ([]netip.Addr, bool, error) {
	<-ctx.Done()
	return nil, false, fmt.Errorf("%s: %w", name, dns.ErrTemporary)
}

// TXT is a name server that answers after a second.
func (s slowClient) TXT(ctx context.Context, name string) ([]string, bool, error) {
	select {
	case <-time.After(time.Second):
		return s.Zone.TXT(ctx, name)
	case <-ctx.Done():
		return nil, false, fmt.Errorf("%s: %w", name, dns.ErrTemporary)
	}
}

// A client whose name servers are slow on purpose is no better off than one that
// has none.
func TestSlowClientNamesDoNotHideAFail(t *testing.T) {
	names := `["PTR","a.p.test"],["PTR","b.p.test"],["PTR","c.p.test"]`
	zone, err := dns.ParseZone([]byte(`{"p.test": [["TXT","v=spf1 ptr include:i.test -all"]], "i.test": [["TXT","v=spf1 -all"]], "1.2.0.192.in-addr.arpa": [` + names + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		q := spf.Query{IP: netip.MustParseAddr("192.0.2.1"), MailFrom: "a@p.test"}
		if r := spf.New(slowClient{zone}, spf.Options{}).Check(t.Context(), q); r.Result != spf.Fail {
			t.Errorf("got %s: %s", r.Result, r.Reason)
		}
	})
}

func TestDeadlineAndCancellation(t *testing.T) {
	zone, err := dns.ParseZone([]byte(`{"p.test": [["TXT","v=spf1 a -all"]]}`))
	if err != nil {
		t.Fatal(err)
	}
	q := spf.Query{IP: netip.MustParseAddr("192.0.2.1"), MailFrom: "a@p.test"}
	synctest.Test(t, func(t *testing.T) {
		for timeout, want := range map[time.Duration]time.Duration{0: 10 * time.Second, time.Second: time.Second} {
			started := time.Now()
			r := spf.New(stuck{zone}, spf.Options{Timeout: timeout}).Check(t.Context(), q)
			if r.Result != spf.TempError || time.Since(started) != want {
				t.Errorf("time-out %v: got %s after %v", timeout, r.Result, time.Since(started))
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if r := spf.New(stuck{zone}, spf.Options{}).Check(ctx, q); r.Result != spf.TempError {
			t.Errorf("cancelled: got %s", r.Result)
		}
	})
}

// FuzzCheck evaluates one policy under hostile names: it ends, and says
// nothing that does not fit in a reply.
func FuzzCheck(f *testing.F) {
	f.Add("v=spf1 include:%{h} a:%{l1r+}.p.test mx ptr exists:%{i}.%{p} redirect=p.test exp=p.test", "a+b", "p.test")
	f.Add("v=spf1 -all exp=%{h}", "\xff", "p.test")
	f.Fuzz(func(t *testing.T, policy, local, helo string) {
		text, err := json.Marshal(policy)
		if err != nil {
			t.Fatal(err)
		}
		zone := `{"p.test": [["TXT",` + string(text) + `],["A","192.0.2.1"],["MX",[1,"p.test"]]],
			"1.2.0.192.in-addr.arpa": [["PTR","p.test"]]}`
		r := checker(t, zone, spf.Options{Now: clock}).Check(t.Context(),
			spf.Query{IP: netip.MustParseAddr("192.0.2.1"), Helo: helo, MailFrom: local + "@p.test"})
		if strings.ContainsFunc(r.Explanation, func(c rune) bool { return c < ' ' || c > '~' }) {
			t.Errorf("explanation %q", r.Explanation)
		}
		if strings.ContainsFunc(r.Reason, unicode.IsControl) {
			t.Errorf("reason %q", r.Reason)
		}
		if r.Result == "" || r.Domain != "p.test" {
			t.Errorf("%+v", r)
		}
	})
}

package iprev_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxdesk/mxdesk/auth/dns"
	"github.com/mxdesk/mxdesk/auth/iprev"
)

const records = `{
 "1.2.0.192.in-addr.arpa": [["PTR","Mail.Example.TEST."]],
 "mail.example.test": [["A","192.0.2.1"],["AAAA","2001:db8::1"]],
 "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa": [["PTR","mail.example.test"]],

 "2.2.0.192.in-addr.arpa": [["PTR","gone.test"],["PTR","other.test"],["PTR","second.test"],["PTR","third.test"],["PTR","SECOND.test"]],
 "other.test": [["A","203.0.113.1"]],
 "second.test": [["A","203.0.113.2"],["A","192.0.2.2"]],
 "third.test": [["A","192.0.2.2"]],

 "3.2.0.192.in-addr.arpa": [["PTR","other.test"]],
 "4.2.0.192.in-addr.arpa": [["PTR","gone.test"]],
 "5.2.0.192.in-addr.arpa": [["PTR","six.test"]],
 "six.test": [["AAAA","2001:db8::5"]],
 "6.2.0.192.in-addr.arpa": [["TIMEOUT"]],
 "7.2.0.192.in-addr.arpa": [["PTR","other.test"],["PTR","slow.test"]],
 "slow.test": [["TIMEOUT"]],
 "8.2.0.192.in-addr.arpa": [["PTR","slow.test"],["PTR","eight.test"]],
 "eight.test": [["A","192.0.2.8"]],
 "9.2.0.192.in-addr.arpa": [["TXT","no name here"]],
 "10.2.0.192.in-addr.arpa": [["PTR","bad\u0007bell.test"],["PTR","two words.test"],["PTR",""],["PTR","a\r\nb.test"],["PTR","ten.test"]],
 "ten.test": [["CNAME","real.ten.test"]],
 "real.ten.test": [["A","192.0.2.10"]],
 "11.2.0.192.in-addr.arpa": [["PTR","\u0000"]],
 "1.0.0.127.in-addr.arpa": [["PTR","localhost"]],
 "localhost": [["A","127.0.0.1"]],

 "exchange.test": [["MX",[10,"mail.example.test"]]],
 "null.test": [["MX",[0,""]]],
 "text.test": [["TXT","nothing else"]],
 "slowmx.test": [["A","192.0.2.200"]],
 "half.test": [["AAAA","2001:db8::99"],["TIMEOUT"]],
 "desk.test": [["A","198.51.100.1"],["AAAA","2001:db8:1::1"]],
 "brokendesk.test": [["TIMEOUT"]],
 "bare.test": [["TXT","our own name without address"]]
}`

func zone(t testing.TB, text string) *dns.Zone {
	t.Helper()
	z, err := dns.ParseZone([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func addr(s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	return netip.MustParseAddr(s)
}

func TestCheck(t *testing.T) {
	z := zone(t, records)
	for _, c := range []struct{ what, client, result, name, names string }{
		{"agreement", "192.0.2.1", "pass", "mail.example.test", "mail.example.test"},
		{"IPv4-mapped", "::ffff:192.0.2.1", "pass", "mail.example.test", "mail.example.test"},
		{"IPv6", "2001:db8::1", "pass", "mail.example.test", "mail.example.test"},
		{"IPv6 with zone", "2001:db8::1%eth0", "pass", "mail.example.test", "mail.example.test"},
		{"first of two that agree", "192.0.2.2", "pass", "second.test", "gone.test other.test second.test third.test"},
		{"other address", "192.0.2.3", "fail", "", "other.test"},
		{"name without records", "192.0.2.4", "fail", "", "gone.test"},
		{"name of the other family", "192.0.2.5", "fail", "", "six.test"},
		{"time-out of the reverse zone", "192.0.2.6", "temperror", "", ""},
		{"time-out of one name", "192.0.2.7", "temperror", "", "other.test slow.test"},
		{"time-out of one name, pass of another", "192.0.2.8", "pass", "eight.test", "slow.test eight.test"},
		{"no PTR record", "192.0.2.9", "permerror", "", ""},
		{"names that no host can have", "192.0.2.10", "pass", "ten.test", "ten.test"},
		{"only such a name", "192.0.2.11", "permerror", "", ""},
		{"no such name", "192.0.2.99", "permerror", "", ""},
		{"one label", "127.0.0.1", "pass", "localhost", "localhost"},
		{"no address", "", "permerror", "", ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			got := iprev.Check(t.Context(), z, addr(c.client))
			want := iprev.Result{Result: c.result, Name: c.name, Names: strings.Fields(c.names)}
			if len(want.Names) == 0 {
				want.Names = nil
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

// counter counts the lookups of addresses.
type counter struct {
	dns.Resolver
	lookups atomic.Int64
}

func (c *counter) A(ctx context.Context, name string) ([]netip.Addr, bool, error) {
	c.lookups.Add(1)
	return c.Resolver.A(ctx, name)
}

func (c *counter) AAAA(ctx context.Context, name string) ([]netip.Addr, bool, error) {
	c.lookups.Add(1)
	return c.Resolver.AAAA(ctx, name)
}

func TestCheckThousandNames(t *testing.T) {
	names := map[string][][]any{}
	reverse := "1.2.0.192.in-addr.arpa"
	for i := range 1000 {
		name := fmt.Sprintf("h%d.test", i)
		names[reverse] = append(names[reverse], []any{"PTR", name})
		names[name] = [][]any{{"A", "203.0.113.9"}}
	}
	names["h10.test"] = [][]any{{"A", "192.0.2.1"}} // the eleventh agrees
	text, err := json.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	r := &counter{Resolver: zone(t, string(text))}
	got := iprev.Check(t.Context(), r, addr("192.0.2.1"))
	if got.Result != iprev.Fail || len(got.Names) != 10 || got.Names[9] != "h9.test" {
		t.Errorf("got %+v", got)
	}
	if n := r.lookups.Load(); n != 10 {
		t.Errorf("%d lookups of addresses, want 10", n)
	}
}

// silent never answers about the names it holds, "*" being all; PTR is answered.
type silent struct {
	dns.Resolver
	names string
}

func (s silent) A(ctx context.Context, name string) ([]netip.Addr, bool, error) {
	if s.names == "*" || strings.Contains(s.names, name) {
		<-ctx.Done()
		return nil, false, fmt.Errorf("%w: %w", dns.ErrTemporary, ctx.Err())
	}
	return s.Resolver.A(ctx, name)
}

func TestCheckNamesThatNeverAnswer(t *testing.T) {
	for _, c := range []struct{ silent, result, name string }{
		{"*", iprev.TempError, ""},
		{"gone.test third.test", iprev.Pass, "second.test"},
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			got := iprev.Check(t.Context(), silent{zone(t, records), c.silent}, addr("192.0.2.2"))
			if got.Result != c.result || got.Name != c.name || len(got.Names) != 4 {
				t.Errorf("%s: got %+v", c.silent, got)
			}
			if took := time.Since(start); took != 10*time.Second {
				t.Errorf("%s: took %v", c.silent, took)
			}
		})
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	z := zone(t, records)
	if got := iprev.Check(ctx, z, addr("192.0.2.3")); got.Result != iprev.TempError {
		t.Errorf("iprev: %+v", got)
	}
	if got := iprev.CheckHelo(ctx, z, "gone.test", addr("192.0.2.3"), "desk.test"); got != iprev.HeloTempError {
		t.Errorf("HELO: %v", got)
	}
}

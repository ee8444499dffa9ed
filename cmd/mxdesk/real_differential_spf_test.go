package main

import (
	"cmp"
	"fmt"
	"strings"
)

// spfCheck is a case of SPF about a domain of its own, for which SELF stands.
type spfCheck struct {
	name, record string
	zone         string // more records: "name type data" lines
	ip, helo     string
	sender       string // "-" is the null sender
}

// mechanismChecks are about what a policy can say.
func mechanismChecks() []spfCheck {
	hosts := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "SELF MX %d m%d.SELF.\nm%d.SELF A 198.51.100.%d\n", i, i, i, i+1)
		}
		return b.String()
	}
	return []spfCheck{
		{name: "pass ip4", record: "v=spf1 ip4:192.0.2.10 -all"},
		{name: "pass ip4 net", record: "v=spf1 ip4:192.0.2.0/24 -all"},
		{name: "pass ip6", record: "v=spf1 ip6:2001:db8::/32 -all", ip: "2001:db8::1"},
		{name: "ip6 client, ip4 record", record: "v=spf1 ip4:192.0.2.10 -all", ip: "2001:db8::1"},
		{name: "fail", record: "v=spf1 ip4:198.51.100.1 -all"},
		{name: "softfail", record: "v=spf1 ip4:198.51.100.1 ~all"},
		{name: "neutral", record: "v=spf1 ip4:198.51.100.1 ?all"},
		{name: "default", record: "v=spf1 ip4:198.51.100.1"},
		{name: "empty record", record: "v=spf1"},
		{name: "no record", record: "nothing"},
		{name: "no domain", sender: "a@nothing.example"},
		{name: "two records", record: "v=spf1 -all", zone: `SELF TXT "v=spf1 +all"`},
		{name: "other text beside", record: "v=spf1 +all", zone: `SELF TXT "v=verification 1"`},
		{name: "version 10", record: "v=spf10 +all"},
		{name: "version in upper case", record: "V=SPF1 +ALL"},
		{name: "space within", record: "v=spf1   +all  "},
		{name: "record in parts", zone: `SELF TXT "v=spf1 ip4:192.0" ".2.10 -all"`},
		{name: "a", record: "v=spf1 a -all", zone: "SELF A 192.0.2.10"},
		{name: "a with net", record: "v=spf1 a/24 -all", zone: "SELF A 192.0.2.99"},
		{name: "a of another", record: "v=spf1 a:h.SELF -all", zone: "h.SELF A 192.0.2.10"},
		{name: "a by alias", record: "v=spf1 a:h.SELF -all", zone: "h.SELF CNAME g.SELF.\ng.SELF A 192.0.2.10"},
		{name: "a of ip6", record: "v=spf1 a//64 -all", zone: "SELF AAAA 2001:db8::2", ip: "2001:db8::1"},
		{name: "a of none", record: "v=spf1 a:none.SELF ~all"},
		{name: "mx", record: "v=spf1 mx -all", zone: "SELF MX 10 m.SELF.\nm.SELF A 192.0.2.10"},
		{name: "mx fails", record: "v=spf1 mx -all", zone: "SELF MX 10 m.SELF.\nm.SELF A 192.0.2.11"},
		{name: "mx with net", record: "v=spf1 mx/28 -all", zone: "SELF MX 10 m.SELF.\nm.SELF A 192.0.2.1"},
		{name: "mx ten", record: "v=spf1 mx -all", zone: hosts(10)},
		{name: "mx eleven", record: "v=spf1 mx -all", zone: hosts(11)},
		{name: "ptr", record: "v=spf1 ptr -all", ip: "192.0.2.77", zone: "77.2.0.192.in-addr.arpa PTR p.SELF.\np.SELF A 192.0.2.77"},
		{name: "ptr not confirmed", record: "v=spf1 ptr -all", ip: "192.0.2.78", zone: "78.2.0.192.in-addr.arpa PTR p.SELF.\np.SELF A 192.0.2.1"},
		{name: "ptr of nobody", record: "v=spf1 ptr ~all", ip: "192.0.2.79"},
		{name: "exists", record: "v=spf1 exists:%{ir}.list.SELF -all", zone: "10.2.0.192.list.SELF A 127.0.0.2"},
		{name: "exists not", record: "v=spf1 exists:%{ir}.list.SELF -all"},
		{name: "exists of local part", record: "v=spf1 exists:%{l1r-}.user.SELF -all", zone: "ann.user.SELF A 127.0.0.2", sender: "ann-bob@SELF"},
		{name: "exists with ip6", record: "v=spf1 exists:%{ir}.%{v}.SELF -all", ip: "2001:db8::1",
			zone: "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.SELF A 127.0.0.2"},
		{name: "macro of helo", record: "v=spf1 exists:%{h}.SELF -all", helo: "mx.helo.example", zone: "mx.helo.example.SELF A 127.0.0.2"},
		{name: "macro of sender", record: "v=spf1 exists:%{s2r}.SELF -all", sender: "ann@SELF", zone: "spf.ann.SELF A 127.0.0.2"},
		{name: "macro malformed", record: "v=spf1 exists:%{x}.SELF -all"},
		{name: "macro percent", record: "v=spf1 exists:%a.SELF -all"},
	}
}

// flowChecks are about policies that lead elsewhere, errors and limits.
func flowChecks() []spfCheck {
	chain := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "i%d.SELF TXT \"v=spf1 include:i%d.SELF ?all\"\n", i, i+1)
		}
		fmt.Fprintf(&b, "i%d.SELF TXT \"v=spf1 ip4:192.0.2.10 -all\"", n)
		return b.String()
	}
	return []spfCheck{
		{name: "include passes", record: "v=spf1 include:i.SELF -all", zone: `i.SELF TXT "v=spf1 ip4:192.0.2.10 -all"`},
		{name: "include fails", record: "v=spf1 include:i.SELF ?all", zone: `i.SELF TXT "v=spf1 -all"`},
		{name: "include of softfail", record: "v=spf1 include:i.SELF -all", zone: `i.SELF TXT "v=spf1 ~all"`},
		{name: "include of none", record: "v=spf1 include:i.SELF +all"},
		{name: "include of an error", record: "v=spf1 include:i.SELF +all", zone: `i.SELF TXT "v=spf1 nonsense -all"`},
		{name: "include not to be had", record: "v=spf1 include:x.lost.example +all"},
		{name: "include of itself", record: "v=spf1 include:SELF -all"},
		{name: "include ten", record: "v=spf1 include:i1.SELF -all", zone: chain(10)},
		{name: "include eleven", record: "v=spf1 include:i0.SELF -all", zone: chain(10)},
		{name: "redirect", record: "v=spf1 redirect=r.SELF", zone: `r.SELF TXT "v=spf1 ip4:192.0.2.10 -all"`},
		{name: "redirect with all", record: "v=spf1 redirect=r.SELF ~all", zone: `r.SELF TXT "v=spf1 +all"`},
		{name: "redirect to none", record: "v=spf1 redirect=r.SELF"},
		{name: "redirect twice", record: "v=spf1 redirect=r.SELF redirect=r.SELF", zone: `r.SELF TXT "v=spf1 +all"`},
		{name: "redirect a of target", record: "v=spf1 redirect=r.SELF", zone: "r.SELF TXT \"v=spf1 a -all\"\nr.SELF A 192.0.2.10"},
		{name: "modifier unknown", record: "v=spf1 moo=cow +all"},
		{name: "modifier unknown with macro", record: "v=spf1 moo=%{ +all"},
		{name: "mechanism unknown", record: "v=spf1 nonsense +all"},
		{name: "mechanism behind a match", record: "v=spf1 +all nonsense"},
		{name: "ip4 malformed", record: "v=spf1 ip4:192.0.2 +all"},
		{name: "ip4 net too long", record: "v=spf1 ip4:192.0.2.10/33 +all"},
		{name: "ip4 leading zero", record: "v=spf1 ip4:192.0.2.10/032 -all"},
		{name: "ip6 malformed", record: "v=spf1 ip6:2001 +all"},
		{name: "all with argument", record: "v=spf1 all:x.example"},
		{name: "a without name", record: "v=spf1 a: +all"},
		{name: "a of one label", record: "v=spf1 a:museum +all"},
		{name: "exp", record: "v=spf1 exp=e.SELF -all", zone: `e.SELF TXT "Not from %{i}."`},
		{name: "exp malformed", record: "v=spf1 exp= -all"},
		{name: "lookups ten", record: "v=spf1 a:h.SELF a:h.SELF a:h.SELF a:h.SELF a:h.SELF a:h.SELF a:h.SELF a:h.SELF a:h.SELF a:h.SELF ~all", zone: "h.SELF A 198.51.100.1"},
		{name: "lookups eleven", record: "v=spf1 a:h.SELF a:h.SELF a:h.SELF a:h.SELF a:h.SELF a:h.SELF a:h.SELF a:h.SELF a:h.SELF a:h.SELF a:h.SELF ~all", zone: "h.SELF A 198.51.100.1"},
		{name: "void two", record: "v=spf1 a:v1.SELF a:v2.SELF ~all"},
		{name: "void three", record: "v=spf1 a:v1.SELF a:v2.SELF a:v3.SELF ~all"},
		{name: "lost a", record: "v=spf1 a:x.lost.example ~all"},
		{name: "lost behind a match", record: "v=spf1 ip4:192.0.2.10 a:x.lost.example ~all"},
		{name: "lost record", sender: "a@x.lost.example"},
		{name: "null sender", record: "v=spf1 ip4:192.0.2.10 -all", sender: "-", helo: "SELF"},
		{name: "null sender fails", record: "v=spf1 -all", sender: "-", helo: "SELF"},
		{name: "null sender, helo is an address", sender: "-", helo: "[192.0.2.10]"},
		{name: "null sender, helo of one label", sender: "-", helo: "localhost"},
		{name: "helo fails, sender passes", record: "v=spf1 ip4:192.0.2.10 -all", helo: "h.SELF", zone: `h.SELF TXT "v=spf1 -all"`},
		{name: "no local part", record: "v=spf1 exists:%{l}.SELF -all", sender: "@SELF", zone: "postmaster.SELF A 127.0.0.2"},
		{name: "domain in upper case", record: "v=spf1 ip4:192.0.2.10 -all", sender: "ann@UPPER.SELF", zone: `upper.SELF TXT "v=spf1 ip4:192.0.2.10 -all"`},
		{name: "underscore", sender: "ann@_x.SELF", zone: `_x.SELF TXT "v=spf1 +all"`},
	}
}

func spfCases(w *world) {
	for i, c := range append(mechanismChecks(), flowChecks()...) {
		self := fmt.Sprintf("d%d.spf.example", i)
		here := func(s string) string { return strings.ReplaceAll(s, "SELF", self) }
		if c.record != "" {
			w.txt(self, here(c.record))
		}
		w.records(here(c.zone))
		sender := here(cmp.Or(c.sender, "ann@SELF"))
		w.add(mailCase{
			Name: "spf/" + c.name, IP: cmp.Or(c.ip, envelopeIP), Helo: here(cmp.Or(c.helo, "mx.spf.example")), Sender: strings.TrimPrefix(sender, "-"),
			Raw: "From: Ann <ann@spf.example>\r\nSubject: SPF\r\n\r\n" + c.name + "\r\n",
		})
	}
}

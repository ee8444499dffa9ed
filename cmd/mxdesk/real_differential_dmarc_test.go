package main

import (
	"cmp"
	"fmt"
	"strings"
)

// dmarcCheck is a case of DMARC about an organization of its own, for which
// SELF stands.
type dmarcCheck struct {
	name   string
	record string // of _dmarc.SELF
	zone   string // more records
	from   string // default ann@SELF
	spf    string // domain of the envelope sender, which passes; "!" before it, and it fails
	dkim   string // domain that signs
	header string // instead of the From field
}

const rejecting = "v=DMARC1; p=reject"

// policyChecks are about whose policy holds and who is aligned.
func policyChecks() []dmarcCheck {
	return []dmarcCheck{
		{name: "reject, nothing passes", record: rejecting},
		{name: "quarantine, nothing passes", record: "v=DMARC1; p=quarantine"},
		{name: "none, nothing passes", record: "v=DMARC1; p=none"},
		{name: "spf aligned", record: rejecting, spf: "SELF"},
		{name: "spf fails", record: rejecting, spf: "!SELF"},
		{name: "dkim aligned", record: rejecting, dkim: "SELF"},
		{name: "both aligned", record: rejecting, spf: "SELF", dkim: "SELF"},
		{name: "both of others", record: rejecting, spf: "third.example", dkim: "third.example"},
		{name: "spf below", record: rejecting, spf: "bounce.SELF"},
		{name: "dkim below", record: rejecting, dkim: "m.SELF"},
		{name: "spf above", record: rejecting, from: "ann@a.SELF", spf: "SELF"},
		{name: "dkim above", record: rejecting, from: "ann@a.SELF", dkim: "SELF"},
		{name: "siblings", record: rejecting, from: "ann@a.SELF", dkim: "b.SELF"},
		{name: "spf strict, same", record: rejecting + "; aspf=s", spf: "SELF"},
		{name: "spf strict, below", record: rejecting + "; aspf=s", spf: "a.SELF"},
		{name: "dkim strict, same", record: rejecting + "; adkim=s", dkim: "SELF"},
		{name: "dkim strict, below", record: rejecting + "; adkim=s", dkim: "a.SELF"},
		{name: "strict spf, relaxed dkim", record: rejecting + "; aspf=s", spf: "a.SELF", dkim: "a.SELF"},
		{name: "look-alike", record: rejecting, dkim: "x-SELF"},
		{name: "subdomain, no sp", record: rejecting, from: "ann@a.SELF", zone: "a.SELF A 192.0.2.1"},
		{name: "subdomain, sp=none", record: rejecting + "; sp=none", from: "ann@a.SELF", zone: "a.SELF A 192.0.2.1"},
		{name: "subdomain, sp=quarantine", record: rejecting + "; sp=quarantine", from: "ann@a.SELF", zone: "a.SELF A 192.0.2.1"},
		{name: "domain itself, sp", record: rejecting + "; sp=none"},
		{name: "subdomain that is not, np", record: "v=DMARC1; p=none; np=reject", from: "ann@a.SELF"},
		{name: "subdomain with own record", record: rejecting, from: "ann@a.SELF", zone: `_dmarc.a.SELF TXT "v=DMARC1; p=none"`},
		{name: "subdomain's subdomain of own record", record: "v=DMARC1; p=none", from: "ann@b.a.SELF", zone: "_dmarc.a.SELF TXT \"v=DMARC1; p=reject\"\nb.a.SELF A 192.0.2.1"},
		{name: "own record, organization vouches", record: rejecting, from: "ann@a.SELF", dkim: "SELF", zone: `_dmarc.a.SELF TXT "v=DMARC1; p=reject"`},
		{name: "organization by psd=n", record: rejecting, from: "ann@a.SELF", dkim: "SELF", zone: `_dmarc.a.SELF TXT "v=DMARC1; p=reject; psd=n"`},
		{name: "test mode", record: rejecting + "; t=y"},
		{name: "pct", record: rejecting + "; pct=0"},
	}
}

// recordChecks are about odd records and From fields.
func recordChecks() []dmarcCheck {
	return []dmarcCheck{
		{name: "no record"},
		{name: "no record, aligned", spf: "SELF", dkim: "SELF"},
		{name: "two records", record: rejecting, zone: `_dmarc.SELF TXT "v=DMARC1; p=none"`},
		{name: "other text beside", record: rejecting, zone: `_dmarc.SELF TXT "v=spf1 -all"`},
		{name: "no p", record: "v=DMARC1; sp=reject"},
		{name: "no p, report address", record: "v=DMARC1; rua=mailto:d@report.example"},
		{name: "p broken", record: "v=DMARC1; p=rejct"},
		{name: "p broken, report address", record: "v=DMARC1; p=rejct; rua=mailto:d@report.example"},
		{name: "p not second", record: "v=DMARC1; adkim=r; p=reject"},
		{name: "p in upper case", record: "v=DMARC1; p=REJECT"},
		{name: "version not first", record: "p=reject; v=DMARC1"},
		{name: "version in lower case", record: "v=dmarc1; p=reject"},
		{name: "space within", record: "v = DMARC1 ; p = reject ; "},
		{name: "unknown tag", record: "v=DMARC1; p=reject; zz=1"},
		{name: "tag twice", record: "v=DMARC1; p=none; p=reject"},
		{name: "record not to be had", from: "ann@x.lost.example"},
		{name: "from upper case", record: rejecting, from: "ann@SELF", dkim: "SELF", header: "From: Ann <ANN@UPPER>"},
		{name: "from without name", record: rejecting, dkim: "SELF", header: "From: ann@SELF"},
		{name: "from with comment", record: rejecting, dkim: "SELF", header: "From: (x@third.example) ann@SELF (y)"},
		{name: "from quoted name", record: rejecting, dkim: "SELF", header: "From: \"bob@third.example\" <ann@SELF>"},
		{name: "from two addresses, one domain", record: rejecting, header: "From: ann@SELF, bob@SELF"},
		{name: "from two domains", record: rejecting, dkim: "SELF", header: "From: ann@SELF, bob@third.example"},
		{name: "from twice", record: rejecting, dkim: "SELF", header: "From: ann@SELF\r\nFrom: bob@third.example"},
		{name: "from folded", record: rejecting, dkim: "SELF", header: "From: Ann\r\n <ann@SELF>"},
		{name: "from group", record: rejecting, header: "From: Staff: ann@SELF;"},
		{name: "from empty", record: rejecting, header: "From: <>"},
		{name: "from absent", record: rejecting, header: "X-From: ann@SELF"},
	}
}

func dmarcCases(w *world) {
	for i, c := range append(policyChecks(), recordChecks()...) {
		self := fmt.Sprintf("d%d.example", 500+i)
		here := strings.NewReplacer("SELF", self, "UPPER", strings.ToUpper(self)).Replace
		if c.record != "" {
			w.txt("_dmarc."+self, c.record)
		}
		w.records(here(c.zone))
		sender := ""
		if c.spf != "" {
			domain, fails := strings.CutPrefix(here(c.spf), "!")
			w.txt(domain, map[bool]string{true: "v=spf1 -all", false: "v=spf1 ip4:" + envelopeIP + " -all"}[fails])
			sender = "bounce@" + domain
		}
		header := here(cmp.Or(c.header, "From: Ann <"+cmp.Or(c.from, "ann@SELF")+">"))
		raw := header + "\r\nTo: desk@desk.example\r\nSubject: DMARC\r\nDate: Mon, 16 Jun 2025 12:00:00 +0000\r\nMessage-ID: <1@dmarc.example>\r\n\r\n" + c.name + "\r\n"
		if c.dkim != "" {
			domain := here(c.dkim)
			w.txt("small._domainkey."+domain, "v=DKIM1; k=rsa; p="+w.small.public())
			raw = signing{key: w.small, selector: "small", domain: domain, headers: "from:to:subject"}.put(raw)
		}
		w.add(mailCase{Name: "dmarc/" + c.name, Sender: sender, Raw: raw})
	}
}

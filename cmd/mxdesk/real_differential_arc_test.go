package main

import (
	"fmt"
	"strings"
)

// arcCases are mails that were forwarded. Every sealer has the same keys.
func arcCases(w *world) {
	for i := range 5 {
		for _, selector := range []string{"big", "edwards", "weak", "revoked"} {
			w.record(fmt.Sprintf("%s._domainkey.hop%d.example.", selector, i), "CNAME", selector+"._domainkey.sign.example.")
		}
	}
	add := func(name, raw string) { w.add(mailCase{Name: "arc/" + name, Raw: raw}) }
	hop := func(n int) sealing {
		s := sealing{key: w.big, selector: "big", instance: n, cv: "pass"}
		if n == 1 {
			s.cv = "none"
		}
		return s
	}
	author := signing{key: w.big, selector: "big"}.put(order)
	one := hop(1).put(author)
	two := hop(2).put(one)
	three := hop(3).put(two)
	list := strings.Replace(one, "Subject: The", "Subject: [list] The", 1) + "-- \r\nThe list\r\n"

	add("one hop", one)
	add("two hops", two)
	add("three hops", three)
	add("four hops", hop(4).put(three))
	add("unsigned mail sealed", hop(1).put(order))
	add("altered after one hop", list)
	add("altered and sealed anew", hop(2).put(list))
	add("altered, sealed and forwarded", hop(3).put(hop(2).put(list)))
	add("body altered after three hops", three+"More.\r\n")
	add("subject altered after three hops", strings.Replace(three, "order", "bill", 1))
	add("field added after three hops", "X-Added: 1\r\n"+three)
	add("author's signature taken away", strings.Replace(one, author[:strings.Index(author, "From:")], "", 1))

	for name, prefix := range map[string]string{"seal": "ARC-Seal: i=1;", "message signature": "ARC-Message-Signature: i=1;", "results": "ARC-Authentication-Results: i=1;"} {
		add("first "+name+" missing", withoutField(two, prefix))
		add("only "+name+" missing", withoutField(one, prefix))
		add("first "+name+" twice", duplicateField(two, prefix))
	}
	add("first set missing", withoutField(withoutField(withoutField(two, "ARC-Seal: i=1;"), "ARC-Message-Signature: i=1;"), "ARC-Authentication-Results: i=1;"))
	add("results altered", strings.Replace(two, "i=1; mx.hop1.example; spf=pass", "i=1; mx.hop1.example; spf=fail", 1))
	add("latest results altered", strings.Replace(two, "i=2; mx.hop2.example; spf=pass", "i=2; mx.hop2.example; spf=fail", 1))
	add("first seal altered", strings.Replace(two, "i=1; a=rsa-sha256; cv=none", "i=1; a=rsa-sha256; cv=none; q=1", 1))

	with := func(s sealing, change func(*sealing)) sealing { change(&s); return s }
	add("cv=fail first", with(hop(1), func(s *sealing) { s.cv = "fail" }).put(author))
	add("cv=fail second", with(hop(2), func(s *sealing) { s.cv = "fail" }).put(one))
	add("cv=pass first", with(hop(1), func(s *sealing) { s.cv = "pass" }).put(author))
	add("cv=none second", with(hop(2), func(s *sealing) { s.cv = "none" }).put(one))
	add("cv unknown", with(hop(1), func(s *sealing) { s.cv = "good" }).put(author))
	add("pass upon fail", hop(2).put(with(hop(1), func(s *sealing) { s.cv = "fail" }).put(author)))
	add("instance 0", with(hop(1), func(s *sealing) { s.instance = 0; s.cv = "none" }).put(author))
	add("instance 2 alone", with(hop(2), func(s *sealing) { s.cv = "none" }).put(author))
	add("instance left out", with(hop(3), func(s *sealing) { s.cv = "pass" }).put(one))
	add("wrong key", with(hop(1), func(s *sealing) { s.key = w.other }).put(author))
	add("weak key", with(hop(1), func(s *sealing) { s.key, s.selector = w.weak, "weak" }).put(author))
	add("revoked key", with(hop(1), func(s *sealing) { s.selector = "revoked" }).put(author))
	add("missing key", with(hop(1), func(s *sealing) { s.selector = "missing" }).put(author))
	add("key not to be had", with(hop(1), func(s *sealing) { s.domain = "lost.example" }).put(author))
	add("ed25519", with(hop(1), func(s *sealing) { s.key, s.selector = w.edwards, "edwards" }).put(author))
	add("rsa-sha1", with(hop(1), func(s *sealing) { s.alg = "rsa-sha1" }).put(author))
	for _, canon := range []string{"simple/simple", "simple/relaxed", "relaxed/simple"} {
		add("message signature "+canon, with(hop(1), func(s *sealing) { s.canon = canon }).put(author))
	}
	add("message signature expired", with(hop(1), func(s *sealing) { s.tags = "t=1000000000; x=1000086400; " }).put(author))
	add("message signature without from", with(hop(1), func(s *sealing) { s.headers = "to:subject" }).put(author))
	add("message signature with dkim", with(hop(1), func(s *sealing) { s.headers = "from:to:dkim-signature" }).put(author))
	add("message signature over seal", with(hop(2), func(s *sealing) { s.headers = "from:arc-seal" }).put(one))
	add("seal with h", with(hop(1), func(s *sealing) { s.sealTags = "h=from; " }).put(author))
	add("seal with unknown tag", with(hop(1), func(s *sealing) { s.sealTags = "zz=1; " }).put(author))
	add("sets in another order", swapped(two))
}

// fieldAt returns where a field is that begins so.
func fieldAt(raw, prefix string) (from, to int) {
	from = strings.Index(raw, prefix)
	end := fieldStart.FindStringIndex(raw[from:])
	return from, from + end[0] + 2
}

func withoutField(raw, prefix string) string {
	from, to := fieldAt(raw, prefix)
	return raw[:from] + raw[to:]
}

func duplicateField(raw, prefix string) string {
	from, to := fieldAt(raw, prefix)
	return raw[:to] + raw[from:to] + raw[to:]
}

// swapped puts the first seal on top, which changes nothing about a chain.
func swapped(raw string) string {
	from, to := fieldAt(raw, "ARC-Seal: i=1;")
	return raw[from:to] + raw[:from] + raw[to:]
}

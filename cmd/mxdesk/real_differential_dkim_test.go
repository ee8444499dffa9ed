package main

import (
	"fmt"
	"strings"

	"github.com/mxdesk/mxdesk/auth/dkim"
)

const (
	envelopeIP = "192.0.2.10"
	order      = "From: Ann <ann@sign.example>\r\nTo: Desk <desk@desk.example>\r\nSubject: The  order\r\n of May\r\nDate: Mon, 16 Jun 2025 12:00:00 +0000\r\n" +
		"Message-ID: <1@sign.example>\r\n\r\nGood  morning, \r\n\r\nwhere is it?\t\r\n\r\n\r\n"
)

// keys are those of the differential test.
type keys struct{ big, small, weak, tiny, other, edwards signingKey }

func newKeys() keys {
	return keys{rsaKey("big", 2048), rsaKey("small", 1024), rsaKey("weak", 768), rsaKey("tiny", 512), rsaKey("other", 2048), edwardsKey("edwards")}
}

// publish writes the keys to the zone.
func (k keys) publish(w *world) {
	big := k.big.public()
	half := len(big) / 2
	for selector, record := range map[string]string{
		"big":      "v=DKIM1; k=rsa; p=" + big,
		"small":    "v=DKIM1; k=rsa; p=" + k.small.public(),
		"weak":     "v=DKIM1; k=rsa; p=" + k.weak.public(),
		"tiny":     "v=DKIM1; k=rsa; p=" + k.tiny.public(),
		"other":    "v=DKIM1; k=rsa; p=" + k.other.public(),
		"edwards":  "v=DKIM1; k=ed25519; p=" + k.edwards.public(),
		"revoked":  "v=DKIM1; k=rsa; p=",
		"tlsrpt":   "v=DKIM1; k=rsa; s=tlsrpt; p=" + big,
		"services": "v=DKIM1; k=rsa; s=tlsrpt:email; p=" + big,
		"any":      "v=DKIM1; k=rsa; s=*; p=" + big,
		"sha1":     "v=DKIM1; k=rsa; h=sha1; p=" + big,
		"sha256":   "v=DKIM1; k=rsa; h=sha1:sha256; p=" + big,
		"strict":   "v=DKIM1; k=rsa; t=s; p=" + big,
		"testing":  "v=DKIM1; k=rsa; t=y; p=" + big,
		"version2": "v=DKIM2; k=rsa; p=" + big,
		"late":     "k=rsa; p=" + big + "; v=DKIM1",
		"bare":     "p=" + big,
		"dsa":      "v=DKIM1; k=dsa; p=" + big,
		"broken":   "v=DKIM1; k=rsa; p=AAAA" + big[4:200],
		"folded":   "v=DKIM1; k=rsa; p=" + big[:half] + "  " + big[half:] + ";",
		"notes":    "v=DKIM1; n=all=20is=20well; x_new=1; k=rsa; p=" + big,
		"hyphen":   "v=DKIM1; x-new=1; k=rsa; p=" + big,
		"upper":    "v=DKIM1; k=RSA; p=" + big,
		"lower":    "v=dkim1; k=rsa; p=" + big,
		"spaced":   " v = DKIM1 ; k = rsa ; p = " + big + " ; ",
		"stray":    "v=DKIM1;; k=rsa; p=" + big,
		"flags":    "v=DKIM1; k=rsa; t=y : s; p=" + big,
		"granular": "v=DKIM1; k=rsa; g=nobody; p=" + big,
		"twice":    "v=DKIM1; k=rsa; k=rsa; p=" + big,
		"nokey":    "v=DKIM1; k=rsa",
		"empty":    "",
	} {
		w.txt(selector+"._domainkey.sign.example", record)
	}
	w.txt("pair._domainkey.sign.example", "v=DKIM1; k=rsa; p="+k.other.public())
	w.txt("pair._domainkey.sign.example", "v=DKIM1; k=rsa; p="+big)
	w.record("alias._domainkey.sign.example.", "CNAME", "big._domainkey.sign.example.")
	w.record("address._domainkey.sign.example.", "A", "192.0.2.1")
}

func dkimCases(w *world) {
	w.publish(w)
	plain := func(name, raw string) { w.add(mailCase{Name: "dkim/" + name, Raw: raw}) }
	matrix(w, plain)
	for _, selector := range []string{
		"small", "revoked", "tlsrpt", "services", "any", "sha1", "sha256", "testing", "version2", "late", "bare", "dsa", "broken", "folded",
		"notes", "hyphen", "upper", "lower", "spaced", "stray", "flags", "granular", "twice", "nokey", "empty", "pair", "alias", "address", "missing", "other", "edwards",
	} {
		k := w.big
		if selector == "small" {
			k = w.small
		}
		plain("key "+selector, signing{key: k, selector: selector}.put(order))
	}
	plain("key weak", signing{key: w.weak, selector: "weak"}.put(order))
	plain("key tiny", signing{key: w.tiny, selector: "tiny"}.put(order))
	plain("key rsa for ed25519", signing{key: w.edwards, selector: "big"}.put(order))
	plain("key not to be had", signing{key: w.big, selector: "big", domain: "lost.example"}.put(order))
	plain("identity below a strict key", signing{key: w.big, selector: "strict", extra: "i=@sub.sign.example; "}.put(order))
	plain("identity of a strict key", signing{key: w.big, selector: "strict", extra: "i=ann@sign.example; "}.put(order))
	for name, tags := range map[string]string{
		"identity below":        "i=@sub.sign.example; ",
		"identity elsewhere":    "i=@example.org; ",
		"identity look-alike":   "i=@notsign.example; ",
		"identity quoted":       "i=a=20b@sign.example; ",
		"identity upper case":   "i=@SIGN.Example; ",
		"identity without at":   "i=sign.example; ",
		"time":                  "t=1750000000; ",
		"time ahead":            "t=4102444800; ",
		"time malformed":        "t=now; ",
		"expired":               "t=1000000000; x=1000086400; ",
		"expired without time":  "x=1000086400; ",
		"expires late":          "t=1750000000; x=4102444800; ",
		"expires before signed": "t=4102444800; x=4102444700; ",
		"expires when signed":   "t=1750000000; x=1750000000; ",
		"expires malformed":     "x=never; ",
		"query":                 "q=dns/txt; ",
		"query unknown":         "q=http/json; ",
		"query several":         "q=http/json:dns/txt; ",
		"tag unknown":           "zz=1; ",
		"tag twice":             "t=1; t=2; ",
		"tag without value":     "zz; ",
		"tag empty":             "zz=; ",
		"tag of upper case":     "T=yesterday; ",
		"copied fields":         "z=From:ann@sign.example|Subject:x; ",
		"semicolon twice":       "; ",
		"length malformed":      "l=all; ",
		"length beyond":         "l=100000; ",
		"query folded":          "q=dns/\r\n\t txt; ",
	} {
		plain("tag "+name, signing{key: w.big, selector: "big", extra: tags}.put(order))
	}
	plain("tag algorithm rsa-sha1", signing{key: w.big, selector: "big", alg: "rsa-sha1"}.put(order))
	plain("tag algorithm unknown", signing{key: w.big, selector: "big", alg: "rsa-sha512"}.put(order))
	plain("tag version absent", signing{key: w.big, selector: "big", version: " "}.put(order))
	plain("tag version 2", signing{key: w.big, selector: "big", version: "v=2; "}.put(order))
	plain("tag version last", signing{key: w.big, selector: "big", version: " ", tail: "; v=1"}.put(order))
	plain("tag canonicalisation absent", signing{key: w.big, selector: "big", canon: "-"}.put(order))
	plain("tag canonicalisation unknown", signing{key: w.big, selector: "big", canon: "nofws/simple"}.put(order))
	plain("tag body hash empty", signing{key: w.big, selector: "big", hash: " "}.put(order))
	plain("tag domain upper case", signing{key: w.big, selector: "BIG", domain: "Sign.EXAMPLE"}.put(order))
	plain("tag domain of one label", signing{key: w.big, selector: "big", domain: "example"}.put(order))
	plain("tag canonicalisation upper case", signing{key: w.big, selector: "big", canon: "Relaxed/Relaxed"}.put(order))
	plain("tag algorithm upper case", signing{key: w.big, selector: "big", alg: "RSA-SHA256"}.put(order))
	plain("tag domain with dot at its end", signing{key: w.big, selector: "big", domain: "sign.example."}.put(order))
	plain("tag canonicalisation half", signing{key: w.big, selector: "big", canon: "relaxed"}.put(order))
	lengths(w, plain)
	fieldCases(w, plain)
	several(w, plain)
	outgoing(w, plain)
}

// matrix is every algorithm with every canonicalisation, valid and altered.
func matrix(w *world, plain func(name, raw string)) {
	alter := []struct {
		name     string
		from, to string
	}{
		{"valid", "", ""},
		{"space in a field", "The  order", "The order"},
		{"field folded anew", "order\r\n of", "order of"},
		{"name in upper case", "\nSubject:", "\nSUBJECT:"},
		{"subject altered", "order", "bill"},
		{"space at line end", "morning, ", "morning,"},
		{"space within a line", "Good  morning", "Good morning"},
		{"empty lines at the end", "it?\t\r\n\r\n\r\n", "it?\t\r\n"},
		{"body altered", "where is it", "here it is"},
	}
	for _, alg := range []string{"big", "edwards"} {
		k := w.big
		if alg == "edwards" {
			k = w.edwards
		}
		for _, canon := range []string{"simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"} {
			signed := signing{key: k, selector: alg, canon: canon}.put(order)
			for _, a := range alter {
				raw := signed
				if a.from != "" {
					raw = strings.Replace(signed, a.from, a.to, 1)
				}
				if alg == "big" || a.name == "valid" || a.name == "body altered" {
					plain(fmt.Sprintf("%s %s %s", k.algorithm(), canon, a.name), raw)
				}
			}
		}
	}
}

// lengths are bodies of odd ends and signatures of a part of them.
func lengths(w *world, plain func(name, raw string)) {
	header, _, _ := strings.Cut(order, "\r\n\r\n")
	for _, canon := range []string{"simple/simple", "relaxed/relaxed"} {
		s := signing{key: w.big, selector: "big", canon: canon}
		for name, body := range map[string]string{
			"empty": "", "one empty line": "\r\n", "empty lines": "\r\n\r\n\r\n", "white space": " \t\r\n \r\n", "eight bit": "Gr\xc3\xbc\xc3\x9fe \xff\xfe\r\n",
			"long line": strings.Repeat("word ", 400) + "\r\n", "dots": ".\r\n..\r\n.a\r\n",
		} {
			plain("body "+name+" "+canon, s.put(header+"\r\n\r\n"+body))
		}
		part := s
		part.limit, part.extra = 10, "l=10; "
		plain("length of a part "+canon, part.put(order))
		plain("length and text appended "+canon, part.put(order)+"More.\r\n")
		plain("length and part altered "+canon, strings.Replace(part.put(order), "Good ", "Bad  ", 1))
	}
	none := signing{key: w.big, selector: "big", extra: "l=0; ", hash: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}
	plain("length of nothing", none.put(order))
}

// fieldCases are odd headers.
func fieldCases(w *world, plain func(name, raw string)) {
	s := func(headers, canon string) signing {
		return signing{key: w.big, selector: "big", headers: headers, canon: canon}
	}
	for _, canon := range []string{"simple/simple", "relaxed/relaxed"} {
		plain("field folded long "+canon, s("from:to:subject:x-long", canon).put("X-Long: a\r\n b\r\n\tc \r\n  d\r\n"+order))
		plain("field empty "+canon, s("from:to:subject:x-empty", canon).put("X-Empty:\r\n"+order))
		plain("field eight bit "+canon, s("from:to:subject:x-eight", canon).put("X-Eight: Gr\xc3\xbc\xc3\x9fe\r\n"+order))
		plain("field twice "+canon, s("from:x-two:x-two", canon).put("X-Two: a\r\nX-Two: b\r\n"+order))
		plain("field twice, swapped "+canon, strings.Replace(s("from:x-two:x-two", canon).put("X-Two: a\r\nX-Two: b\r\n"+order), "X-Two: a\r\nX-Two: b", "X-Two: b\r\nX-Two: a", 1))
		plain("field twice, one signed "+canon, "X-Two: 0\r\n"+s("from:x-two", canon).put("X-Two: a\r\n"+order))
		plain("field without space "+canon, s("from:to:subject", canon).put(strings.Replace(order, "To: ", "To:", 1)))
		plain("field with more space "+canon, s("from:to:subject", canon).put(strings.Replace(order, "To: ", "To: \t ", 1)))
	}
	plain("field absent signed", s("from:to:x-none", "").put(order))
	plain("field absent signed, added", "X-None: a\r\n"+s("from:to:x-none", "").put(order))
	plain("field oversigned", s("from:from:subject:subject", "").put(order))
	plain("field oversigned, added", "Subject: Other\r\n"+s("from:from:subject:subject", "").put(order))
	plain("field added, not oversigned", "Subject: Other\r\n"+s("from:subject", "").put(order))
	plain("field from not signed", s("to:subject", "").put(order))
	plain("field list folded", s("from :\r\n\t to : subject", "").put(order))
	plain("field list folded within a name", s("from:sub\r\n\t ject:to", "").put(order))
	plain("field list upper case", s("FROM:To:SUBJECT", "").put(order))
	plain("field list with empty name", s("from::to", "").put(order))
	plain("field signature in its own list", s("from:dkim-signature", "").put(order))
	plain("field removed", strings.Replace(s("from:to:subject", "").put(order), "To: Desk <desk@desk.example>\r\n", "", 1))
	plain("signature folded within its hash", strings.Replace(s("from:to", "").put(order), "bh=", "bh=\r\n\t ", 1))
	signed := s("from:to", "").put(order)
	at := strings.Index(signed, "\tb=") + 40
	plain("signature folded within", signed[:at]+"\r\n\t "+signed[at:])
	plain("signature altered", strings.Replace(signed, "\tb="+signed[at-37:at-33], "\tb=AAAA", 1))
	plain("signature not base64", strings.Replace(signed, "\tb=", "\tb=!", 1))
	plain("signature truncated", signed[:at]+signed[strings.Index(signed[at:], "\r\n")+at:])
	plain("unsigned", order)
}

// outgoing are mails with the signature that the desk makes, as they are and with
// a field added on the way.
func outgoing(w *world, plain func(name, raw string)) {
	key, _, err := dkim.GenerateKeys(2048)
	if err != nil {
		panic(err)
	}
	record, err := dkim.DNSRecord(key)
	if err != nil {
		panic(err)
	}
	w.txt("desk._domainkey.sign.example", record)
	var signed strings.Builder
	written := "List-Unsubscribe: <https://sign.example/stop>\r\nMIME-Version: 1.0\r\n" + order
	if err := dkim.NewSigner("sign.example", []dkim.Key{{Selector: "desk", Private: key}}).Sign(&signed, strings.NewReader(written)); err != nil {
		panic(err)
	}
	plain("outgoing", signed.String())
	for _, field := range []string{"Received: from a by b", "List-Unsubscribe: <https://x.example>", "Content-Type: text/html", "Cc: x@x.example"} {
		name, _, _ := strings.Cut(field, ":")
		plain("outgoing, "+name+" added", field+"\r\n"+signed.String())
	}
}

// several are mails with more than one signature.
func several(w *world, plain func(name, raw string)) {
	good := signing{key: w.big, selector: "big"}
	bad := signing{key: w.big, selector: "other"}
	ed := signing{key: w.edwards, selector: "edwards"}
	plain("several good", ed.put(good.put(order)))
	plain("several bad below", good.put(bad.put(order)))
	plain("several bad above", bad.put(good.put(order)))
	plain("several none to be had", signing{key: w.big, selector: "big", domain: "lost.example"}.put(good.put(order)))
	plain("several signed signature", signing{key: w.edwards, selector: "edwards", headers: "from:dkim-signature"}.put(good.put(order)))
	many := order
	for range 6 {
		many = good.put(many)
	}
	plain("several six", many)
}

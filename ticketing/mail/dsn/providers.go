package dsn

import (
	"regexp"
	"strings"
)

// providerCodes are the codes that big providers put into their replies, with
// what they document them to mean.
var providerCodes = []struct {
	code    *regexp.Regexp // its group is looked up in reasons
	reasons map[string]string
}{
	{ // Orange: OFR_416, LPN105_104
		regexp.MustCompile(`\b(?:ofr|lpn)\d*[_ -](\d{3})\b`),
		map[string]string{
			"101": "blocked", "102": "blocked", "103": "blocked", "104": "toomanyconn", "305": "securityerror", "401": "authfailure", "402": "securityerror", "403": "rejected", "405": "rejected",
			"415": "rejected", "416": "userunknown", "417": "mailboxfull", "418": "userunknown", "420": "suspend", "421": "rejected", "423": "exceedlimit", "425": "exceedlimit", "505": "systemerror",
			"506": "spamdetected", "510": "blocked", "514": "mesgtoobig", "515": "mesgtoobig", "630": "policyviolation",
		},
	},
	{ // i.ua: http://mail.i.ua/err/2/
		regexp.MustCompile(`\.i\.ua/err/(\d{1,2})\b`),
		map[string]string{
			"1": "norelaying", "2": "userunknown", "3": "suspend", "4": "mailboxfull", "5": "toomanyconn", "6": "norelaying", "7": "blocked", "8": "rejected", "9": "blocked", "10": "filtered",
		},
	},
	{ // Cox: CXBL, IPBL1000, URLBL011
		regexp.MustCompile(`\b(cxbl|cxthrt|cxmj|cxdns|cxsndr|cxsmtp|cxcnct|cxmxrt|cdrbl|ipbl|urlbl)\d*\b`),
		map[string]string{
			"cxbl": "blocked", "cxthrt": "securityerror", "cxmj": "securityerror", "cxdns": "requireptr", "cxsndr": "rejected", "cxsmtp": "rejected", "cxcnct": "toomanyconn", "cxmxrt": "toomanyconn",
			"cdrbl": "blocked", "ipbl": "blocked", "urlbl": "spamdetected",
		},
	},
	{ // GoDaddy: IB103
		regexp.MustCompile(`\b(ib\d{3})\b`),
		map[string]string{
			"ib007": "toomanyconn", "ib101": "expired", "ib103": "blocked", "ib104": "blocked", "ib105": "blocked", "ib106": "blocked", "ib108": "blocked", "ib110": "blocked", "ib111": "blocked", "ib112": "blocked",
			"ib201": "suspend", "ib212": "spamdetected", "ib401": "securityerror", "ib501": "rejected", "ib502": "rejected", "ib504": "toomanyconn", "ib506": "rejected", "ib507": "toomanyconn", "ib508": "toomanyconn",
			"ib510": "toomanyconn", "ib607": "toomanyconn", "ib705": "virusdetected", "ib706": "spamdetected",
		},
	},
	{ // Apple: [CS01]
		regexp.MustCompile(`\[(cs01|hm0[78]|pr12)\]`),
		map[string]string{"cs01": "policyviolation", "hm07": "blocked", "hm08": "blocked", "pr12": "badreputation"},
	},
	{ // Facebook: RCP-P1
		regexp.MustCompile(`\b((?:rcp|msg|pol|int|dns|con)-[pt]\d)\b`),
		map[string]string{
			"rcp-p1": "userunknown", "int-p1": "userunknown", "int-p3": "userunknown", "int-p4": "userunknown", "rcp-p2": "filtered", "rcp-p3": "filtered", "rcp-t4": "filtered", "msg-p1": "mesgtoobig", "int-p2": "mesgtoobig",
			"msg-p2": "contenterror", "con-t1": "toomanyconn", "con-t2": "toomanyconn", "con-t3": "toomanyconn", "con-t4": "toomanyconn", "int-t1": "systemerror", "int-t2": "systemerror", "int-t3": "systemerror", "int-t4": "systemerror",
			"dns-p1": "rejected", "dns-p2": "rejected", "dns-t1": "rejected", "pol-p1": "blocked", "pol-p2": "blocked", "pol-p3": "blocked", "pol-p4": "blocked", "pol-t1": "blocked", "pol-t2": "blocked", "pol-t3": "blocked",
			"pol-p5": "virusdetected", "pol-p6": "spamdetected", "pol-p7": "spamdetected",
		},
	},
	{ // Yahoo: [TSS09], [BL21], [PH01], [IPTS04]
		regexp.MustCompile(`\[?\b(tss0[49]|tss11|ipts04|bl2[13]|ph01|cf[14]|gl01)\b\]?`),
		map[string]string{
			"tss04": "rejected", "tss09": "rejected", "tss11": "rejected", "ipts04": "blocked", "bl21": "blocked", "bl23": "blocked", "ph01": "policyviolation", "gl01": "blocked",
		},
	},
}

// byProvider looks for such a code in a text in lower case.
func byProvider(text string) string {
	for _, p := range providerCodes {
		if m := p.code.FindStringSubmatch(text); m != nil {
			if reason := p.reasons[m[1]]; reason != "" {
				return reason
			}
		}
	}
	return ""
}

// statusRanges are codes that Microsoft uses by the hundred, and Gmail's, both
// of which say more than the words with them.
//
// https://learn.microsoft.com/en-us/exchange/mail-flow-best-practices/non-delivery-reports-in-exchange-online/non-delivery-reports-in-exchange-online
var statusRanges = []struct {
	class       string
	first, last int
	reason      string
}{
	{"5.7.", 29, 29, "securityerror"}, {"5.7.", 30, 30, "authfailure"}, {"5.7.", 40, 40, "authfailure"}, {"4.7.", 29, 29, "securityerror"}, {"4.7.", 30, 32, "authfailure"}, {"4.7.", 40, 40, "authfailure"},
	{"5.7.", 64, 64, "norelaying"}, {"5.7.", 501, 504, "spamdetected"}, {"5.7.", 505, 505, "rejected"}, {"5.7.", 506, 506, "blocked"}, {"5.7.", 508, 508, "toomanyconn"}, {"5.7.", 511, 511, "blocked"},
	{"5.7.", 513, 513, "blocked"}, {"5.7.", 606, 649, "blocked"}, {"5.7.", 703, 703, "virusdetected"}, {"4.7.", 850, 899, "blocked"},
}

func byStatusRange(status string) string {
	if len(status) < 5 {
		return ""
	}
	for _, r := range statusRanges {
		if rest, ok := strings.CutPrefix(status, r.class); ok {
			if n := number(rest); n >= r.first && n <= r.last {
				return r.reason
			}
		}
	}
	return ""
}

// number reads up to three digits, -1 without any.
func number(s string) int {
	n := -1
	for i := 0; i < len(s) && i < 3 && s[i] >= '0' && s[i] <= '9'; i++ {
		n = max(n, 0)*10 + int(s[i]-'0')
	}
	return n
}

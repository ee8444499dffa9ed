package spf

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// show prints what a record was understood as.
func show(rec *record) string {
	var s []string
	for _, d := range rec.directives {
		text := d.result + " " + d.name
		if d.domain != nil {
			text += " " + source(d.domain)
		}
		switch {
		case d.prefix.IsValid():
			text += " " + d.prefix.String()
		case d.bits4 != 32 || d.bits6 != 128:
			text += fmt.Sprintf(" /%d//%d", d.bits4, d.bits6)
		}
		s = append(s, text)
	}
	if rec.redirect != nil {
		s = append(s, "redirect "+source(rec.redirect))
	}
	if rec.exp != nil {
		s = append(s, "exp "+source(rec.exp))
	}
	return strings.Join(s, "; ")
}

// source prints a template with <letter> for each macro.
func source(t template) string {
	var s strings.Builder
	for _, p := range t {
		if p.letter != 0 && p.letter != '%' {
			s.WriteString("<" + string(p.letter) + ">")
		} else {
			s.WriteString(p.text)
		}
	}
	return s.String()
}

func TestRecord(t *testing.T) {
	for in, want := range map[string]string{
		"v=spf1":                         "",
		"V=SPF1   ":                      "",
		"v=spf1 -ALL":                    "fail all",
		"v=spf1 ?all ":                   "neutral all",
		"v=spf1 A mx/24 ~a//64 +mx/8//0": "pass a; pass mx /24//128; softfail a /32//64; pass mx /8//0",
		"v=spf1 a:x.test/24//64":         "pass a x.test /24//64",
		"v=spf1 a:x/24.test":             "pass a x/24.test",
		"v=spf1 a:b:c/d.test/7":          "pass a b:c/d.test /7//128",
		"v=spf1 a:%{d}/24":               "pass a <d> /24//128",
		"v=spf1 a:%{d/}":                 "pass a <d>",
		"v=spf1 a:.test.":                "pass a .test.",
		"v=spf1 exists:%{ir}.%{l1r-}.%%%_%-.x-1.t1": "pass exists <i>.<l>.% %20.x-1.t1",
		"v=spf1 ip4:192.0.2.77/24 ip4:192.0.2.1":    "pass ip4 192.0.2.0/24; pass ip4 192.0.2.1/32",
		"v=spf1 IP6:2001:DB8::/32 ip6:::1":          "pass ip6 2001:db8::/32; pass ip6 ::1/128",
		"v=spf1 ip6:::ffff:192.0.2.1/128":           "pass ip6 ::ffff:192.0.2.1/128",
		"v=spf1 ptr ptr:x.test":                     "pass ptr; pass ptr x.test",
		"v=spf1 Include:_x.test -all EXP=e.test":    "pass include _x.test; fail all; exp e.test",
		"v=spf1 redirect=%{d2}":                     "redirect <d>",
		"v=spf1 v=spf1 all=no x-1_2.3=%{d} y=":      "",
	} {
		rec, err := parseRecord(in)
		if err != nil {
			t.Errorf("%q: %v", in, err)
		} else if got := show(rec); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestRecordSyntaxErrors(t *testing.T) {
	for _, terms := range []string{
		"all:", "all/8", "-all.", "al", "-", "+-all", "--all", "*all", "all\t", "all\r\n", "\u00a0all",
		"include", "include:", "include:x", "include:x.test/24", "redirect:x.test",
		"exists", "exists:", "exists/24", "exists:x.test/24",
		"a:", "a:x", "a:x.", "a:192.0.2.1", "a:x.test:25", "a:x.-t", "a:x.t-", "a:x.1", "a:x..", "a:x.t_t",
		"a/", "a//", "a/33", "a//129", "a/024", "a/24/64", "a//64/24", "a/24//", "a/x", "a24", "a/-1", "a/1/",
		"mx:", "mx/33", "mx//129", "mx:x.test/", "ptr:", "ptr/24", "ptr:x",
		"ip4", "ip4:", "ip4:1.2.3", "ip4:1.2.3.4/33", "ip4:1.2.3.4/", "ip4:1.2.3.4/08", "ip4:1.2.3.04", "ip4:1.2.3.4//8",
		"ip4:::1", "ip4/24", "ip4:1.2.3.4/2 4", "ip4:1.2.3.4/+8",
		"ip6", "ip6:", "ip6:1.2.3.4", "ip6:::1/129", "ip6:fe80::1%eth0", "ip6:::1//64", "ip6:::1/0064", "ip6:::g",
		"a:%{d", "a:%", "a:%x.test", "a:%{}.test", "a:%{x}.test", "a:%{d0}.test", "a:%{d00}", "a:%{d1r2}.test", "a:%{dr!}.test",
		"a:%{c}.test", "a:%{R}.test", "a:%{t}.test", "a:é.test", "a:x\x7f.test",
		"redirect=", "redirect=x", "redirect=x.test redirect=x.test", "redirect=%{c}.test", "exp=", "exp=x.test exp=y.test",
		"x=%", "x=%{q}", "x=é", "x=%{r}", "1x=y", "-x=y", "=y", "x/y=z", "mailto:me",
	} {
		for _, record := range []string{"v=spf1 " + terms, "v=spf1 +all " + terms + " -all"} {
			if rec, err := parseRecord(record); err == nil {
				t.Errorf("%q: taken as %q", record, show(rec))
			}
		}
	}
	if _, err := parseRecord("v=spf1 " + strings.Repeat("a ", maxRecord)); err == nil {
		t.Error("a record of any length is taken")
	}
}

func TestIsRecord(t *testing.T) {
	for txt, want := range map[string]bool{
		"v=spf1": true, "v=SPF1 -all": true, "v=spf1 ": true,
		"": false, "v=spf": false, "v=spf10": false, "v=spf1\t-all": false, " v=spf1": false, "v=spf2.0/pra": false,
	} {
		if got := isRecord(txt); got != want {
			t.Errorf("%q: got %v", txt, got)
		}
	}
}

// seeds adds the records of the test data, where it is present, to f.
func seeds(f *testing.F) {
	root := os.Getenv("CORPORA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "corpora")
	}
	files, _ := filepath.Glob(filepath.Join(root, "spf", "blitiri", "fuzz", "*", "*"))
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			literal := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(line), "string("), ")")
			if text, err := strconv.Unquote(literal); err == nil {
				f.Add(text)
			}
		}
	}
}

// The grammar of a policy, for comparison; what netip reads, it reads.
//
// https://www.rfc-editor.org/rfc/rfc7208#section-12
var grammar = func() *regexp.Regexp {
	const (
		expand = `(?:%\{[slodiphvSLODIPHV](?:0*[1-9][0-9]*)?[rR]?[-.+,/_=]*\}|%%|%_|%-)`
		macros = `(?:[!-$&-~]|` + expand + `)*`
		label  = `(?:[0-9A-Za-z]*[A-Za-z][0-9A-Za-z]*|[0-9A-Za-z]+-[-0-9A-Za-z]*[0-9A-Za-z])`
		domain = `(?:` + macros + `(?:\.` + label + `\.?|` + expand + `))`
		bits4  = `(?:/(?:[0-9]|[12][0-9]|3[0-2]))`
		bits6  = `(?:/(?:[0-9]|[1-9][0-9]|1[01][0-9]|12[0-8]))`
		dual   = bits4 + `?(?:/` + bits6 + `)?`
		term   = `[-+?~]?(?:(?i:all)|(?i:include|exists):` + domain + `|(?i:a|mx)(?::` + domain + `)?` + dual + `|(?i:ptr)(?::` + domain + `)?` +
			`|(?i:ip4):[0-9.]+` + bits4 + `?|(?i:ip6):[0-9A-Fa-f:.]+` + bits6 + `?)`
		modifier = `(?i:redirect|exp)=` + domain + `|[A-Za-z][-A-Za-z0-9_.]*=` + macros
	)
	return regexp.MustCompile(`^(?i:v=spf1)(?: +(?:` + term + `|` + modifier + `))* *$`)
}()

var (
	networks  = regexp.MustCompile(`(?i) [-+?~]?ip[46]:([^/ ]*)`)
	modifiers = regexp.MustCompile(`(?i) (redirect|exp)=([^ ]*)`)
)

// isPolicy reads a policy by the grammar.
func isPolicy(txt string) bool {
	if len(txt) > maxRecord || !grammar.MatchString(txt) {
		return false
	}
	for _, m := range networks.FindAllStringSubmatch(txt, -1) {
		addr, err := netip.ParseAddr(m[1])
		if err != nil || addr.Is4() != strings.Contains(strings.ToLower(m[0]), "ip4:") {
			return false
		}
	}
	mechanisms := 0
	for term := range strings.FieldsSeq(txt[len("v=spf1"):]) {
		if _, _, ok := cutModifier(term); !ok {
			mechanisms++
		}
	}
	if mechanisms > maxTerms {
		return false
	}
	seen := map[string]bool{}
	for _, m := range modifiers.FindAllStringSubmatch(txt, -1) {
		name := strings.ToLower(m[1])
		if t, err := parseTemplate(m[2], false); seen[name] || err != nil || t.checkDomainEnd() != nil {
			return false
		}
		seen[name] = true
	}
	return true
}

// FuzzRecord compares the reading of a policy with that by the grammar.
func FuzzRecord(f *testing.F) {
	seeds(f)
	f.Add("v=spf1 a:%{d1r-}.x.test/24//64 ip4:192.0.2.0/24 ip6:::1/0 include:%{h} exp=e.test redirect=%{d} x=%%")
	f.Add("V=SPF1  -all mx/32//128 a/0 ptr:%{p2R.-}.x-y.test. exists:%{i}._%%.%-.t.est ?ip6:2001:db8::192.0.2.1/96 ")
	f.Fuzz(func(t *testing.T, txt string) {
		rec, err := parseRecord(txt)
		if taken := err == nil; taken != isPolicy(txt) {
			t.Errorf("%q: taken %v (%v), by the grammar %v", txt, taken, err, !taken)
		}
		if err != nil {
			return
		}
		for _, d := range rec.directives {
			if !strings.Contains(txt, d.text) || d.bits4 < 0 || d.bits4 > 32 || d.bits6 < 0 || d.bits6 > 128 {
				t.Errorf("%q: %+v", txt, d)
			}
		}
	})
}

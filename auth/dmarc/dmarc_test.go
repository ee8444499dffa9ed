package dmarc

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/publicsuffix"

	"github.com/mxdesk/mxdesk/auth/dns"
)

// zone answers from "name: text" lines and notes what was asked. The text FAIL
// is a name server that gives no answer, HOST a name with an address.
type zone struct {
	dns.Resolver
	texts map[string][]string
	asked []string
}

func newZone(text string) *zone {
	z := &zone{texts: map[string][]string{}}
	for line := range strings.Lines(text) {
		if name, record, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			z.texts[name] = append(z.texts[name], record)
		}
	}
	return z
}

func (z *zone) TXT(ctx context.Context, name string) ([]string, bool, error) {
	z.asked = append(z.asked, name)
	texts, ok := z.texts[name]
	switch {
	case ctx.Err() != nil || ok && texts[0] == "FAIL":
		return nil, false, dns.ErrTemporary
	case !ok:
		return nil, false, dns.ErrNotFound
	}
	return texts, false, nil
}

func (z *zone) A(_ context.Context, name string) (addrs []netip.Addr, authentic bool, err error) {
	texts, ok := z.texts[name]
	switch {
	case !ok:
		return nil, false, dns.ErrNotFound
	case texts[0] == "FAIL":
		return nil, false, dns.ErrTemporary
	}
	return nil, false, dns.ErrNoData
}

func pass(domain string) Identifier { return Identifier{Pass, domain} }

func TestEvaluate(t *testing.T) {
	const reject = "_dmarc.example.com: v=DMARC1; p=reject\n"
	tests := []struct {
		name, zone, from string
		spf              Identifier
		dkim             []Identifier
		want             string // result policy disposition [spf] [dkim]
	}{
		{"nothing passed", reject, "example.com", Identifier{}, nil, "fail reject reject"},
		{"spf passed", reject, "example.com", pass("example.com"), nil, "pass reject none spf"},
		{"spf failed", reject, "example.com", Identifier{"fail", "example.com"}, nil, "fail reject reject"},
		{"dkim passed", reject, "example.com", Identifier{}, []Identifier{pass("example.net"), pass("example.com")}, "pass reject none dkim"},
		{"subdomain vouches", reject, "example.com", pass("bounce.example.com"), []Identifier{pass("m.example.com")}, "pass reject none spf dkim"},
		{"parent vouches", reject, "news.example.com", Identifier{}, []Identifier{pass("example.com")}, "pass reject none dkim"},
		{"sibling vouches", reject, "a.example.com", pass("b.example.com"), nil, "pass reject none spf"},
		{"look-alike", reject, "example.com", pass("badexample.com"), []Identifier{pass("example.com.example.net")}, "fail reject reject"},
		{"strict", "_dmarc.example.com: v=DMARC1; p=reject; aspf=s; adkim=s", "example.com", pass("a.example.com"), []Identifier{pass("b.example.com")}, "fail reject reject"},
		{"strict for spf only", "_dmarc.example.com: v=DMARC1; p=reject; aspf=s", "example.com", pass("a.example.com"), []Identifier{pass("b.example.com")}, "pass reject none dkim"},
		{"strict, same domain", "_dmarc.example.com: v=DMARC1; p=reject; aspf=s", "example.com", pass("example.com"), nil, "pass reject none spf"},
		{"test mode", "_dmarc.example.com: v=DMARC1; p=reject; t=y", "example.com", Identifier{}, nil, "fail reject quarantine"},
		{"test mode of quarantine", "_dmarc.example.com: v=DMARC1; p=quarantine; t=y", "example.com", Identifier{}, nil, "fail quarantine none"},

		{"no record", "", "example.com", Identifier{}, nil, "none - none"},
		{"no record, same domain", "", "example.com", pass("example.com"), []Identifier{pass("example.com")}, "none - none spf dkim"},
		{"no record, other domain below", "", "example.com", pass("a.example.com"), nil, "none - none"},
		{"two records", reject + reject, "example.com", Identifier{}, nil, "none - none"},
		{"other texts beside", reject + "_dmarc.example.com: v=spf1 -all", "example.com", Identifier{}, nil, "fail reject reject"},
		{"no p", "_dmarc.example.com: v=DMARC1; sp=reject", "example.com", Identifier{}, nil, "fail none none"},
		{"broken", "_dmarc.example.com: v=DMARC1; p=rejct", "example.com", pass("example.com"), nil, "permerror - none spf"},
		{"broken, with report address", "_dmarc.example.com: v=DMARC1; p=rejct; rua=mailto:a@example.com", "example.com", Identifier{}, nil, "fail none none"},
		{"broken sp", "_dmarc.example.com: v=DMARC1; p=reject; sp=x", "example.com", Identifier{}, nil, "permerror - none"},

		{"sp", "_dmarc.example.com: v=DMARC1; p=reject; sp=quarantine\na.example.com: HOST", "a.example.com", Identifier{}, nil, "fail quarantine quarantine"},
		{"own record before sp", reject + "_dmarc.a.example.com: v=DMARC1; p=none; sp=quarantine", "a.example.com", Identifier{}, nil, "fail none none"},
		{"np", "_dmarc.example.com: v=DMARC1; p=none; sp=none; np=reject\na.example.com: HOST", "b.example.com", Identifier{}, nil, "fail reject reject"},
		{"np, existing", "_dmarc.example.com: v=DMARC1; p=none; np=reject\na.example.com: HOST", "a.example.com", Identifier{}, nil, "fail none none"},
		{"np, the domain itself", "_dmarc.example.com: v=DMARC1; p=none; np=reject", "example.com", Identifier{}, nil, "fail none none"},
		{"np, not known", "_dmarc.example.com: v=DMARC1; p=none; np=reject\na.example.com: FAIL", "a.example.com", Identifier{}, nil, "temperror none none"},
		{"no np, sp for all", "_dmarc.example.com: v=DMARC1; p=reject; sp=quarantine", "b.example.com", Identifier{}, nil, "fail quarantine quarantine"},

		{"organization by psd=n", reject + "_dmarc.a.example.com: v=DMARC1; p=reject; psd=n", "x.a.example.com", pass("example.com"), []Identifier{pass("y.a.example.com")}, "pass reject none dkim"},
		{"policy of the public suffix", "_dmarc.com: v=DMARC1; p=quarantine; psd=y; np=reject", "a.example.com", pass("b.example.com"), nil, "pass reject none spf"},
		{"public suffix between", "_dmarc.com: v=DMARC1; p=reject; psd=y", "a.example", pass("b.com"), nil, "none - none"},
		{"other registrant below the suffix", "_dmarc.com: v=DMARC1; p=reject; psd=y", "example.com", pass("example2.com"), nil, "fail reject reject"},
		{"registry forgot to mark its record", "_dmarc.co.uk: v=DMARC1; p=reject", "a.co.uk", pass("b.co.uk"), []Identifier{pass("co.uk")}, "fail reject reject"},
		{"suffix that is no registry's", "_dmarc.github.io: v=DMARC1; p=reject", "a.github.io", pass("b.github.io"), []Identifier{pass("github.io")}, "pass reject none dkim"},
		{"customer of such a suffix", "_dmarc.github.io: v=DMARC1; p=reject", "github.io", pass("b.github.io"), nil, "fail reject reject"},

		{"record not found out", "_dmarc.example.com: FAIL", "example.com", Identifier{}, nil, "temperror - none"},
		{"record not found out, same domain", "_dmarc.example.com: FAIL", "example.com", pass("example.com"), nil, "temperror - none spf"},
		{"suffix not found out, same domain", reject + "_dmarc.com: FAIL", "example.com", pass("example.com"), nil, "pass reject none spf"},
		{"suffix not found out, subdomain", reject + "_dmarc.com: FAIL", "example.com", pass("a.example.com"), nil, "temperror reject none"},
		{"suffix not found out, nothing aligned", reject + "_dmarc.com: FAIL", "example.com", pass("example.net"), nil, "fail reject reject"},
		{"suffix not found out, record above", reject + "_dmarc.com: FAIL", "a.example.com", Identifier{}, nil, "temperror - none"},
		{"identifier not found out", reject + "_dmarc.a.example.com: FAIL", "example.com", pass("a.example.com"), nil, "temperror reject none"},
		{"spf temperror", reject, "example.com", Identifier{TempError, "example.com"}, nil, "temperror reject none"},
		{"spf temperror, dkim passed", reject, "example.com", Identifier{TempError, "example.com"}, []Identifier{pass("example.com")}, "pass reject none dkim"},
		{"temperror of others", reject, "example.com", Identifier{TempError, "example.net"}, []Identifier{{TempError, "example.org"}}, "fail reject reject"},
	}
	for _, tt := range tests {
		got := Evaluate(t.Context(), newZone(tt.zone), Input{From: tt.from, SPF: tt.spf, DKIM: tt.dkim})
		words := []string{got.Result, cmp.Or(got.Policy, "-"), got.Disposition}
		if got.AlignedSPF {
			words = append(words, "spf")
		}
		if got.AlignedDKIM {
			words = append(words, "dkim")
		}
		if s := strings.Join(words, " "); s != tt.want {
			t.Errorf("%s: %s, want %s (%+v)", tt.name, s, tt.want, got)
		}
		if temporary := got.Result == TempError || got.Result == PermError; temporary != (got.Reason != "") || got.Domain != tt.from {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}

// TestWalkIsBounded checks the eight queries of the RFC's own example.
//
// https://www.rfc-editor.org/rfc/rfc9989#section-4.10
func TestWalkIsBounded(t *testing.T) {
	z := newZone("")
	Evaluate(t.Context(), z, Input{From: "a.b.c.d.e.f.g.h.i.j.mail.example.com", SPF: pass("other.example.net")})
	want := []string{
		"_dmarc.a.b.c.d.e.f.g.h.i.j.mail.example.com", "_dmarc.g.h.i.j.mail.example.com",
		"_dmarc.h.i.j.mail.example.com", "_dmarc.i.j.mail.example.com", "_dmarc.j.mail.example.com",
		"_dmarc.mail.example.com", "_dmarc.example.com", "_dmarc.com",
	}
	if !slices.Equal(z.asked, want) {
		t.Errorf("asked %v", z.asked)
	}
	z = newZone("_dmarc.example.com: v=DMARC1; p=reject")
	Evaluate(t.Context(), z, Input{From: "example.com", DKIM: []Identifier{pass("a.example.com"), pass("a.example.com"), pass("example.org")}})
	if want := []string{"_dmarc.example.com", "_dmarc.com", "_dmarc.a.example.com"}; !slices.Equal(z.asked, want) {
		t.Errorf("asked %v", z.asked)
	}
	for n, want := range map[int]int{1: 1, 7: 7, 8: 8, 9: 8, 100: 8} {
		z := newZone("")
		Evaluate(t.Context(), z, Input{From: strings.Repeat("a.", n-1) + "com"})
		if len(z.asked) != want {
			t.Errorf("%d labels: %d queries, want %d", n, len(z.asked), want)
		}
	}
}

func TestDeadline(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got := Evaluate(ctx, newZone("_dmarc.example.com: v=DMARC1; p=reject"), Input{From: "example.com"})
	if got.Result != TempError || got.Disposition != PolicyNone {
		t.Errorf("%+v", got)
	}
}

// TestOrganizationAgainstList lets the owner of each public suffix of the list's
// own tests mark its record, and compares the organizational domain of the walk
// with that of the list.
func TestOrganizationAgainstList(t *testing.T) {
	root := cmp.Or(os.Getenv("CORPORA"), filepath.Join("..", "..", "..", "shared", "corpora"))
	f, err := os.Open(filepath.Join(root, "dmarc", "psl", "tests.txt"))
	if err != nil {
		t.Skipf("test data not present: %s (set CORPORA to its folder)", root)
	}
	defer f.Close()
	run, passed := 0, 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, want, ok := strings.Cut(strings.TrimSpace(lines.Text()), " ")
		if !ok || strings.HasPrefix(name, "//") || name == "null" {
			continue
		}
		run++
		if strings.HasPrefix(name, ".") { // no name at all, which never gets as far as DMARC
			if _, err := dns.ASCII(name); err == nil || want != "null" {
				t.Errorf("%s is taken for a name", name)
				continue
			}
			passed++
			continue
		}
		name, err := dns.ASCII(name)
		if err != nil {
			t.Fatal(err)
		}
		suffix, _ := publicsuffix.PublicSuffix(name)
		z := newZone("_dmarc." + suffix + ": v=DMARC1; p=none; psd=y")
		got := Evaluate(t.Context(), z, Input{From: name, SPF: pass("unrelated." + suffix)})
		if want == "null" { // the name is a public suffix itself
			want = suffix
		}
		want, err = dns.ASCII(want)
		if err != nil || got.OrgDomain != want || got.AlignedSPF {
			t.Errorf("%s: organization %s, want %s, aligned with a stranger: %v", name, got.OrgDomain, want, got.AlignedSPF)
			continue
		}
		passed++
	}
	t.Attr("conformance", fmt.Sprintf("dmarc/psl | organizational domains | %d/%d", passed, run))
	if run < 70 {
		t.Errorf("only %d names", run)
	}
}

// ending is a zone that one name uses up all the time of.
type ending struct {
	*zone
	name string
	end  func()
}

func (z ending) TXT(ctx context.Context, name string) ([]string, bool, error) {
	if name == z.name {
		z.end()
	}
	return z.zone.TXT(ctx, name)
}

func (z ending) A(ctx context.Context, name string) ([]netip.Addr, bool, error) {
	if ctx.Err() != nil {
		return nil, false, dns.ErrTemporary
	}
	return z.zone.A(ctx, name)
}

// A signature under a name that never answers leaves no time: the policy is
// known by then.
func TestPolicyBeforeIdentifiers(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	z := ending{newZone("_dmarc.bank.example: v=DMARC1; p=none; np=reject"), "_dmarc.lame.bank.example", cancel}
	got := Evaluate(ctx, z, Input{From: "absent.bank.example", DKIM: []Identifier{{TempError, "lame.bank.example"}}})
	if ctx.Err() == nil || got.Result != TempError || got.Policy != PolicyReject {
		t.Errorf("%+v", got)
	}
}

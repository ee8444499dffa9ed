package dmarc

import (
	"cmp"
	"regexp"
	"strings"
	"testing"
)

func TestParseRecord(t *testing.T) {
	u := Record{Policy: PolicyNone, PSD: 'u'}
	with := func(change func(*Record)) Record {
		r := u
		change(&r)
		return r
	}
	reject := with(func(r *Record) { r.Policy = PolicyReject })
	broken := with(func(r *Record) { r.Broken = true })
	tests := []struct {
		text string
		want Record
		ok   bool
	}{
		{"v=DMARC1; p=reject", reject, true},
		{"v=DMARC1;p=reject;", reject, true},
		{" v = DMARC1 ;\tp = reject ; ", reject, true},
		{"V=DMARC1; P=Reject", reject, true},
		{"v=DMARC1; unknown=1; p=reject; also; =; ;x=y", reject, true},
		{"v=DMARC1; pct=50; p=reject", reject, true},
		{"v=DMARC1", u, true},
		{"v=DMARC1;", u, true},
		{"v=dmarc1; p=reject", Record{}, false},
		{"v=DMARC1 p=reject", Record{}, false},
		{"v=DMARC2; p=reject", Record{}, false},
		{"p=reject; v=DMARC1", Record{}, false},
		{"DMARC1; p=reject", Record{}, false},
		{"v=spf1 -all", Record{}, false},
		{"", Record{}, false},
		{"v=DMARC1; p=reject; x=" + strings.Repeat("x", maxRecord), Record{}, false},
		{"v=DMARC1; p=rejects", broken, true},
		{"v=DMARC1; p=", broken, true},
		{"v=DMARC1; p=none; p=reject", broken, true},
		{"v=DMARC1; p=reject; sp=non", with(func(r *Record) { r.Policy, r.Broken = PolicyReject, true }), true},
		{"v=DMARC1; p=reject; np=0", with(func(r *Record) { r.Policy, r.Broken = PolicyReject, true }), true},
		{"v=DMARC1; p=reject; sp=quarantine; np=none", Record{Policy: PolicyReject, Subdomains: PolicyQuarantine, Absent: PolicyNone, PSD: 'u'}, true},
		{"v=DMARC1; psd=y", with(func(r *Record) { r.PSD = 'y' }), true},
		{"v=DMARC1; psd=N", with(func(r *Record) { r.PSD = 'n' }), true},
		{"v=DMARC1; psd=yes", u, true},
		{"v=DMARC1; psd=y; psd=y", u, true},
		{"v=DMARC1; t=y; adkim=s; aspf=s", with(func(r *Record) { r.Testing, r.StrictDKIM, r.StrictSPF = true, true, true }), true},
		{"v=DMARC1; t=1; adkim=x; aspf=", u, true},
		{"v=DMARC1; rua=mailto:a@example.com", with(func(r *Record) { r.AggregateReporting = true }), true},
		{"v=DMARC1; rua=a@example.com, https://example.com/x!10m", with(func(r *Record) { r.AggregateReporting = true }), true},
		{"v=DMARC1; rua=a@example.com", u, true},
	}
	for _, tt := range tests {
		got, ok := ParseRecord(tt.text)
		if got != tt.want || ok != tt.ok {
			t.Errorf("%.60q: %+v %v, want %+v %v", tt.text, got, ok, tt.want, tt.ok)
		}
	}
}

// FuzzParseRecord compares what is read with what plain patterns find.
func FuzzParseRecord(f *testing.F) {
	for _, s := range []string{
		"v=DMARC1; p=reject; sp=none; np=quarantine; psd=y; t=y; adkim=s; aspf=r; rua=mailto:a@b", " v = DMARC1;;;=;p",
		"V=DMARC1;P=Reject;p=none", "v=DMARC1; p=x; rua=mailto:a@b", "v=DMARC1;p=quarantine; psd=n;t=n;ADKIM=S;aspf=s", "v=DMARC1; sp=;rua=https://a/",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, ok := ParseRecord(text)
		if !ok {
			if r != (Record{}) {
				t.Errorf("no record, yet %+v", r)
			}
			return
		}
		if !regexp.MustCompile(`^[ \t\r\n]*[vV][ \t\r\n]*=[ \t\r\n]*DMARC1[ \t\r\n]*(;|$)`).MatchString(text) {
			t.Errorf("%q is taken", text)
		}
		usable, _ := r.usable()
		if r.Broken && usable.Policy != PolicyNone {
			t.Errorf("broken record asks for %s", usable.Policy)
		}
		want := Record{
			Policy: cmp.Or(one(text, "p", "none|quarantine|reject"), PolicyNone), Subdomains: one(text, "sp", "none|quarantine|reject"),
			Absent: one(text, "np", "none|quarantine|reject"), PSD: cmp.Or(one(text, "psd", "y|n"), "u")[0], Testing: one(text, "t", "y") != "",
			StrictDKIM: one(text, "adkim", "s") != "", StrictSPF: one(text, "aspf", "s") != "",
			Broken: r.Broken, AggregateReporting: r.AggregateReporting,
		}
		if r != want {
			t.Errorf("%q: %+v, want %+v", text, r, want)
		}
	})
}

// one returns the value of a tag that is there once with one of the values.
func one(text, name, values string) string {
	_, list, _ := strings.Cut(text, ";")
	tag := regexp.MustCompile(`^[ \t\r\n]*(?i:` + name + `)[ \t\r\n]*=(?s:(.*))$`)
	valid := regexp.MustCompile(`^[ \t\r\n]*(` + values + `)[ \t\r\n]*$`)
	var found []string
	for item := range strings.SplitSeq(list, ";") {
		if m := tag.FindStringSubmatch(item); m != nil {
			found = append(found, m[1])
		}
	}
	if len(found) != 1 {
		return ""
	}
	if m := valid.FindStringSubmatch(strings.ToLower(found[0])); m != nil {
		return m[1]
	}
	return ""
}

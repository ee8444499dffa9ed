package dmarc

import (
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

func FuzzParseRecord(f *testing.F) {
	f.Add("v=DMARC1; p=reject; sp=none; np=quarantine; psd=y; t=y; adkim=s; aspf=r; rua=mailto:a@b")
	f.Add(" v = DMARC1;;;=;p")
	f.Fuzz(func(t *testing.T, text string) {
		r, ok := ParseRecord(text)
		if !ok {
			if r != (Record{}) {
				t.Errorf("no record, yet %+v", r)
			}
			return
		}
		usable, _ := r.usable()
		for _, p := range []string{usable.Policy, r.Policy} {
			if p != PolicyNone && p != PolicyQuarantine && p != PolicyReject {
				t.Errorf("policy %q", p)
			}
		}
		if r.Broken && usable.Policy != PolicyNone {
			t.Errorf("broken record asks for %s", usable.Policy)
		}
		if !strings.Contains(text, "DMARC1") || !strings.ContainsRune("yun", rune(r.PSD)) {
			t.Errorf("%q: %+v", text, r)
		}
	})
}

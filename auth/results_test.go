package auth

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/mxdesk/mxdesk/ticketing"
)

func TestAuthenticationResults(t *testing.T) {
	r := keyedZone(t)
	reject := from("ann@reject.example")
	tests := []struct {
		name string
		env  *ticketing.Envelope
		text string
		want string // %b stands for header.b
	}{
		{"nothing", &ticketing.Envelope{}, "Subject: x\r\n\r\n", "desk.example; none"},
		{"no client", &ticketing.Envelope{}, plainMail, "desk.example; spf=none; dkim=none; dmarc=none header.from=example.com"},
		{"spf", envelope("ann@example.com"), plainMail,
			"desk.example; spf=pass smtp.mailfrom=example.com; dkim=none; dmarc=none header.from=example.com; iprev=permerror policy.iprev=192.0.2.1"},
		{"null sender", envelope(""), plainMail,
			"desk.example; spf=none smtp.helo=mail.example.com; dkim=none; dmarc=none header.from=example.com; iprev=permerror policy.iprev=192.0.2.1"},
		{"dkim", &ticketing.Envelope{}, sign(t, "reject.example", reject),
			"desk.example; spf=none; dkim=pass header.a=ed25519-sha256 header.b=%b header.d=reject.example header.s=s; " +
				"dmarc=pass header.from=reject.example policy.dmarc=reject"},
		{"dkim failed", &ticketing.Envelope{}, strings.Replace(sign(t, "reject.example", reject), "Hello.", "Hullo.", 1),
			`desk.example; spf=none; dkim=fail reason="body hash did not verify" header.a=ed25519-sha256 header.b=%b header.d=reject.example header.s=s; ` +
				"dmarc=fail header.from=reject.example policy.dmarc=reject"},
		{"arc", &ticketing.Envelope{}, seal(t, "other.example", "x; none", plainMail),
			"desk.example; spf=none; dkim=none; dmarc=none header.from=example.com; arc=pass header.oldest-pass=0"},
		{"hostile names", &ticketing.Envelope{}, from(`x@a;dmarc=pass(b.example`),
			"desk.example; none"},
	}
	for _, tt := range tests {
		got := New(r, Options{Hostname: "desk.example"}).Verify(t.Context(), tt.env, raw(tt.text)).AuthenticationResults
		want := tt.want
		if _, after, ok := strings.Cut(got, "header.b="); ok {
			b, _, _ := strings.Cut(after, " ")
			want = strings.Replace(want, "%b", b, 1)
		}
		if unfolded := strings.ReplaceAll(Field(&ticketing.Verdict{AuthenticationResults: got}), "\r\n\t", " "); unfolded != "Authentication-Results: "+got+"\r\n" {
			t.Errorf("%s: folded otherwise: %s", tt.name, unfolded)
		}
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, want)
		}
	}
	if got := New(r, Options{}).Verify(t.Context(), &ticketing.Envelope{Hostname: "a b;c"}, raw("\r\n")).AuthenticationResults; got != "a b?c; none" {
		t.Error(got)
	}
}

func TestParseResults(t *testing.T) {
	type p = map[string]string
	tests := []struct {
		value string
		want  []methodResult
	}{
		{"", nil},
		{"mx.example", nil},
		{"mx.example; none", nil},
		{"mx.example 1; spf=Pass smtp.mailfrom=a@b.example", []methodResult{{"spf", "pass", p{"smtp.mailfrom": "a@b.example"}}}},
		{"mx.example; DKIM/1=pass header.d=x.example header.d=y.example", []methodResult{{"dkim", "pass", p{"header.d": "x.example"}}}},
		{"mx.example; spf=pass smtp.mailfrom=bounce+a=b.example@c.example", []methodResult{{"spf", "pass", p{"smtp.mailfrom": "bounce+a=b.example@c.example"}}}},
		{`mx.example; dkim=fail reason="a; dmarc=pass \" x" header.i=@b.example`, []methodResult{{"dkim", "fail", p{"reason": `a; dmarc=pass " x`, "header.i": "@b.example"}}}},
		{`mx.example (a;b); dmarc=pass (p=none (x \) ;) y) header.from=b.example`, []methodResult{{"dmarc", "pass", p{"header.from": "b.example"}}}},
		{`mx.example; spf=pass (unclosed; dmarc=pass`, []methodResult{{"spf", "pass", p{}}}},
		{`mx.example; spf=fail "unclosed; dmarc=pass`, []methodResult{{"spf", "fail", p{"unclosed; dmarc": "pass"}}}},
		{"mx.example;;; x ;\tarc=none", []methodResult{{"arc", "none", p{}}}},
	}
	for _, tt := range tests {
		got := parseResults(tt.value)
		same := len(got) == len(tt.want)
		for i := 0; same && i < len(got); i++ {
			same = got[i].method == tt.want[i].method && got[i].result == tt.want[i].result && maps.Equal(got[i].properties, tt.want[i].properties)
		}
		if !same {
			t.Errorf("%q: %q, want %q", tt.value, got, tt.want)
		}
	}
}

// FuzzParseResults: results written down again with everything in quotes are
// read as the same.
func FuzzParseResults(f *testing.F) {
	for _, s := range []string{
		`mx.example 1; spf=pass (a (b) \) c) smtp.mailfrom="x;y"; dkim/1=fail reason="q\"r" header.d=d`, `"mx"; "=;(\`,
		"a; =; x=y z= z=1 ; ;", `m;spf=pass smtp.mailfrom=a@b.test;dmarc=pass(p=none) header.from=b.test;arc=none`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got := parseResults(value)
		quoted := func(s string) string { return ` "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"` }
		var written strings.Builder
		written.WriteString("id")
		for _, m := range got {
			if m.method != strings.ToLower(m.method) || len(m.properties) > len(value) {
				t.Errorf("%+v", m)
			}
			written.WriteString(";" + quoted(m.method+"="+m.result))
			for name, value := range m.properties {
				written.WriteString(quoted(name + "=" + value))
			}
		}
		same := func(a, b methodResult) bool {
			return a.method == b.method && a.result == b.result && maps.Equal(a.properties, b.properties)
		}
		if again := parseResults(written.String()); len(got) > maxResults || !slices.EqualFunc(got, again, same) {
			t.Errorf("%q is %q, but %q is %q", value, got, written.String(), again)
		}
		if s := token(value); strings.ContainsAny(s, ";\"\\()\r\n\x00") {
			t.Errorf("token %q", s)
		}
	})
}

func TestReceivedFrom(t *testing.T) {
	tests := []struct{ value, want string }{
		{"from mail.example (host.example [192.0.2.7]) by mx with ESMTP", "192.0.2.7 mail.example"},
		{"from mail.example (host.example [IPv6:2001:db8::7])\tby mx", "2001:db8::7 mail.example"},
		{"from host.example ([192.0.2.7] helo=mail.example) by mx", "192.0.2.7 mail.example"},
		{"from [192.0.2.7] (port=4711 helo=mail.example) by mx", "192.0.2.7 mail.example"},
		{"from mail.example (192.0.2.7) by exchange", "192.0.2.7 mail.example"},
		{"from a ([::ffff:192.0.2.7]) by mx", "192.0.2.7 a"},
		{"from [203.0.113.9] (host.example [192.0.2.7]) by mx", "192.0.2.7 [203.0.113.9]"},
		{"from a(b[203.0.113.9]) (host.example [192.0.2.7]) by mx", "192.0.2.7 a(b[203.0.113.9])"},
		{"from host.example ([192.0.2.7] helo=[203.0.113.9]) by mx", "192.0.2.7 [203.0.113.9]"},
		{"from [192.0.2.7] (helo=[203.0.113.9]) by mx", "192.0.2.7 [203.0.113.9]"},
		{"from mail.example by mx", ""},
		{"from [192.0.2.7] by mx", ""},
		{"by mx (Postfix, from userid 0)", ""},
		{"from a (b [192.0.2]) by mx", ""},
		{"from a (b [fe80::1%eth0]) by mx", ""},
		{"", ""},
	}
	for _, tt := range tests {
		got := ""
		if addr, helo := receivedFrom(tt.value); addr.IsValid() {
			got = addr.String() + " " + helo
		}
		if got != tt.want {
			t.Errorf("%q: %q, want %q", tt.value, got, tt.want)
		}
	}
}

func FuzzReceivedFrom(f *testing.F) {
	f.Add("from a (b [192.0.2.7] helo=c) by d")
	f.Fuzz(func(t *testing.T, value string) {
		if addr, _ := receivedFrom(value); addr.Zone() != "" {
			t.Errorf("%q: %s", value, addr)
		}
	})
}

func TestUpstreamClient(t *testing.T) {
	const filter = "Received: from relay (localhost [127.0.0.1]) by relay\r\n"
	const own = "Received: from relay (relay [192.0.2.1]) by relay\r\n"
	const inside = "Received: from pc (pc [10.0.0.7]) by relay\r\n"
	const outside = "Received: from mail.example (x [198.51.100.7]) by relay\r\n"
	const unread = "Received: by relay (from userid 0)\r\n"
	tests := []struct{ header, want string }{
		{outside, "198.51.100.7"},
		{filter + own + outside, "198.51.100.7"},
		{inside + outside, "10.0.0.7"},
		{unread + outside, "invalid IP"},
		{strings.Repeat(filter, maxReceived) + outside, "invalid IP"},
		{"", "invalid IP"},
	}
	for _, tt := range tests {
		c := New(nil, Options{}).begin(&ticketing.Envelope{Client: netip.MustParseAddrPort("192.0.2.1:25"), TrustedUpstream: true})
		c.message = parse(t, tt.header+"\r\n")
		if addr, _ := c.client(); addr.String() != tt.want {
			t.Errorf("%q: %s, want %s", tt.header, addr, tt.want)
		}
	}
}

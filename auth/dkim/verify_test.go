package dkim

import (
	"encoding/base64"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/mxdesk/mxdesk/auth/message"
)

const goodTags = "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org; s=sel; h=from:to:subject; bh=BH"

// TestSignatureTags varies one thing at a time in a signature that passes.
func TestSignatureTags(t *testing.T) {
	now := testTime.Unix()
	tests := []struct {
		name     string
		old, new string // replaced in goodTags
		want     string
		reason   string
	}{
		{"good", "", "", Pass, ""},
		{"simple", "relaxed/relaxed", "simple/relaxed", Pass, ""},
		{"body default", "c=relaxed/relaxed", "c=relaxed", Fail, "body hash did not verify"},
		{"no v", "v=1; ", "", PermError, "no tag v"},
		{"v=0.5", "v=1", "v=0.5", PermError, "unknown version"},
		{"v not first", "v=1; a=ed25519-sha256", "a=ed25519-sha256; v=1", Pass, ""},
		{"no a", "a=ed25519-sha256; ", "", PermError, "no tag a"},
		{"sha1", "ed25519-sha256", "rsa-sha1", PermError, "algorithm rsa-sha1 is not secure"},
		{"other algorithm", "ed25519-sha256", "rsa-sha512", PermError, "unknown algorithm"},
		{"algorithm in upper case", "ed25519-sha256", "ED25519-SHA256", PermError, "unknown algorithm"},
		{"key of other type", "ed25519-sha256", "rsa-sha256", PermError, "key of another type"},
		{"no d", "d=example.org; ", "", PermError, "no tag d"},
		{"d in upper case", "d=example.org", "d=Example.ORG", Pass, ""},
		{"d of one label", "d=example.org", "d=org", Neutral, "malformed tag d"},
		{"d with empty label", "d=example.org", "d=example..org", Neutral, "malformed tag d"},
		{"d empty", "d=example.org", "d=", Neutral, "malformed tag d"},
		{"no s", "s=sel; ", "", PermError, "no tag s"},
		{"s unknown", "s=sel", "s=other", PermError, "no key for signature"},
		{"s too long", "s=sel", "s=" + strings.Repeat("a.", 120) + "a", PermError, "key name too long"},
		{"no h", "h=from:to:subject; ", "", PermError, "no tag h"},
		{"h without from", "h=from:", "h=", PermError, "from field not signed"},
		{"h with space", "h=from:to", "h= From :\r\n to", Pass, ""},
		{"h with empty name", "h=from:to", "h=from::to", Neutral, "malformed tag h"},
		{"h oversigned", "h=from:to", "h=from:from:cc:cc:to", Pass, ""},
		{"no bh", "; bh=BH", "", PermError, "no tag bh"},
		{"bh not base64", "bh=BH", "bh=?", Neutral, "malformed tag bh"},
		{"bh folded", "bh=BH", "bh=\r\n BH", Pass, ""},
		{"bh wrong", "bh=BH", "bh=AAAA", Fail, "body hash did not verify"},
		{"c unknown", "relaxed/relaxed", "relaxed/nofws", PermError, "unknown canonicalisation"},
		{"c empty half", "relaxed/relaxed", "relaxed/", PermError, "unknown canonicalisation"},
		{"duplicate", "s=sel", "s=sel; s=sel", Neutral, "duplicate tag s"},
		{"unknown tag", "s=sel", "s=sel; zz=any thing", Pass, ""},
		{"stray semicolon", "s=sel;", "s=sel;;", Neutral, "tag list without tag"},
		{"q", "s=sel", "s=sel; q=dns/txt", Pass, ""},
		{"q with others", "s=sel", "s=sel; q=x-other:dns/txt", Pass, ""},
		{"q unknown", "s=sel", "s=sel; q=http", PermError, "unknown query method"},
		{"q folded within", "s=sel", "s=sel; q=dns/ txt", PermError, "unknown query method"},
		{"q folded around", "s=sel", "s=sel; q= x-other :\r\n dns/txt ", Pass, ""},
		{"t", "s=sel", fmt.Sprintf("s=sel; t=%d", now), Pass, ""},
		{"t a little ahead", "s=sel", fmt.Sprintf("s=sel; t=%d", now+200), Pass, ""},
		{"t in the future", "s=sel", fmt.Sprintf("s=sel; t=%d", now+3600), Policy, "signature from the future"},
		{"t of 13 digits", "s=sel", "s=sel; t=9999999999999", Policy, "signature from the future"},
		{"t no number", "s=sel", "s=sel; t=-1", Neutral, "malformed tag t"},
		{"x", "s=sel", fmt.Sprintf("s=sel; x=%d", now), Pass, ""},
		{"x past", "s=sel", fmt.Sprintf("s=sel; x=%d", now-1), PermError, "signature expired"},
		{"x of 13 digits", "s=sel", "s=sel; x=9999999999999", Pass, ""},
		{"x empty", "s=sel", "s=sel; x=", Neutral, "malformed tag x"},
		{"x before t", "s=sel", fmt.Sprintf("s=sel; t=%d; x=%d", now-5, now-10), PermError, "signature expires before it was made"},
		{"i", "s=sel", "s=sel; i=ann@example.org", Pass, ""},
		{"i without local part", "s=sel", "s=sel; i=@example.org", Pass, ""},
		{"i in other case", "s=sel", "s=sel; i=ann@EXAMPLE.org", Pass, ""},
		{"i below d", "s=sel", "s=sel; i=ann@mail.example.org", Pass, ""},
		{"i beside d", "s=sel", "s=sel; i=ann@badexample.org", PermError, "identity outside the signing domain"},
		{"i without at", "s=sel", "s=sel; i=example.org", Neutral, "malformed tag i"},
		{"i bad escape", "s=sel", "s=sel; i=a=4@example.org", Neutral, "malformed tag i"},
		{"i cut escape", "s=sel", "s=sel; i=a@example.org=4", Neutral, "malformed tag i"},
		{"i control character", "s=sel", "s=sel; i=a=0D=0Ab@example.org", Neutral, "malformed tag i"},
		{"i quoted", "s=sel", "s=sel; i=ann=2Bx@ex=61mple.org", Pass, ""},
	}
	zone := map[string][]string{"sel._domainkey.example.org": {publish(t, edKey)}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tags := strings.Replace(goodTags, tt.old, tt.new, 1)
			got := verify(t, zone, forge(t, edKey, tags, plainMail))[0]
			if got.Result != tt.want || got.Reason != tt.reason {
				t.Errorf("%s (%s), want %s (%s)", got.Result, got.Reason, tt.want, tt.reason)
			}
			if got.BodyLimited {
				t.Error("body counts as limited")
			}
		})
	}
}

func TestIdentity(t *testing.T) {
	zone := map[string][]string{"sel._domainkey.example.org": {publish(t, edKey)}}
	for tags, want := range map[string]string{
		goodTags:                                 "@example.org",
		goodTags + "; i=ann =2B tag@Example.org": "ann+tag@Example.org",
		goodTags + "; i=ann=40home@example.org":  "ann@home@example.org",
	} {
		if got := verify(t, zone, forge(t, edKey, tags, plainMail))[0]; got.Identity != want || got.Result != Pass {
			t.Errorf("%q: %+v, want identity %s", tags, got, want)
		}
	}
}

// TestBodyLimit covers l=, which verifies technically and is reported.
func TestBodyLimit(t *testing.T) {
	zone := map[string][]string{"sel._domainkey.example.org": {publish(t, edKey)}}
	body := "First line\r\nsecond line\r\n"
	limited := func(n int, hashed string) string {
		return sign(t, edKey, strings.Replace(goodTags, "bh=BH", fmt.Sprintf("l=%d; bh=%s", n, bodySum(hashed)), 1), plainMail)
	}
	tests := []struct {
		name, raw, want, reason string
	}{
		{"whole", limited(len(body), body), Pass, ""},
		{"appended", limited(len(body), body) + "more\r\n", Pass, ""},
		{"part", limited(5, body[:5]), Pass, ""},
		{"nothing", limited(0, ""), Pass, ""},
		{"changed before", strings.Replace(limited(5, body[:5]), "\r\n\r\nFirst", "\r\n\r\nThird", 1), Fail, "body hash did not verify"},
		{"more than there is", limited(len(body)+1, body), Fail, "body shorter than signed"},
		{"number without end", sign(t, edKey, strings.Replace(goodTags, "bh=BH", "l="+strings.Repeat("9", 70)+"; bh=AAAA", 1), plainMail), Fail, "body shorter than signed"},
	}
	for _, tt := range tests {
		got := verify(t, zone, tt.raw)[0]
		if got.Result != tt.want || got.Reason != tt.reason || !got.BodyLimited {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}

// https://www.rfc-editor.org/rfc/rfc8616#section-5
func TestInternationalDomain(t *testing.T) {
	zone := map[string][]string{"xn--80a1acny._domainkey.xn--bcher-kva.example": {publish(t, edKey)}}
	tags := strings.NewReplacer("d=example.org", "d=B\u00fccher.example", "s=sel", "s=\u043f\u043e\u0447\u0442\u0430").Replace(goodTags)
	for _, i := range []string{"", "; i=ann@b\u00fccher.example", "; i=@xn--bcher-kva.example", "; i=@sub.b\u00fccher.example"} {
		got := verify(t, zone, forge(t, edKey, tags+i, plainMail))[0]
		if got.Result != Pass || got.Domain != "xn--bcher-kva.example" || got.Selector != "xn--80a1acny" {
			t.Errorf("%s: %+v", i, got)
		}
	}
}

func TestMessages(t *testing.T) {
	zone := map[string][]string{"sel._domainkey.example.org": {publish(t, edKey)}}
	good := forge(t, edKey, goodTags, plainMail)
	over := forge(t, edKey, strings.Replace(goodTags, "h=from", "h=from:from", 1), plainMail)
	headerOnly := "From: a@example.org\r\nTo: b@example.net\r\nSubject: x\r\n"
	tests := []struct{ name, raw, want string }{
		{"good", good, Pass},
		{"bare line feeds", strings.ReplaceAll(good, "\r\n", "\n"), Pass},
		{"relaxed changes", strings.NewReplacer("Subject: hello\r\n there", "SUBJECT:  hello \t there ", "First line ", "First   line").Replace(good), Pass},
		{"unsigned field added", "X-New: 1\r\n" + good, Pass},
		{"empty lines added", good + "\r\n\r\n", Pass},
		{"text added", good + "more\r\n", Fail},
		{"from added above", "From: Eve <eve@example.com>\r\n" + good, Pass},
		{"from added below", strings.Replace(good, "\r\nTo:", "\r\nFrom: eve@example.com\r\nTo:", 1), Fail},
		{"from added above oversigned", "From: Eve <eve@example.com>\r\n" + over, Fail},
		{"oversigned", over, Pass},
		{"header only", forge(t, edKey, goodTags, headerOnly), Pass},
		{"header and empty line", forge(t, edKey, goodTags, headerOnly+"\r\n"), Pass},
		{"empty signature field", "DKIM-Signature:\r\n" + plainMail, Neutral},
		{"field named in other case", strings.Replace(good, "DKIM-Signature:", "dkim-signature :", 1), Pass},
	}
	for _, tt := range tests {
		if got := verify(t, zone, tt.raw)[0]; got.Result != tt.want {
			t.Errorf("%s: %s (%s), want %s", tt.name, got.Result, got.Reason, tt.want)
		}
	}
	if got := verify(t, zone, plainMail); got != nil {
		t.Errorf("unsigned mail: %v", got)
	}
}

// TestSignatureOfSignature signs an earlier signature along with the message.
func TestSignatureOfSignature(t *testing.T) {
	zone := map[string][]string{"sel._domainkey.example.org": {publish(t, edKey)}}
	inner := forge(t, edKey, goodTags, plainMail)
	tags := strings.Replace(goodTags, "h=from", "h=dkim-signature:from", 1)
	outer := forge(t, edKey, tags, inner)
	for i, r := range verify(t, zone, outer) {
		if r.Result != Pass {
			t.Errorf("signature %d: %s (%s)", i, r.Result, r.Reason)
		}
	}
	changed := strings.Replace(outer, inner, strings.Replace(inner, "v=1; a=", "v=1;  zz=1; a=", 1), 1)
	if got := verify(t, zone, changed)[0]; got.Result != Fail {
		t.Errorf("changed inner signature: %s", got.Result)
	}
}

// FuzzSignature: a signature written down again from what was read is read as
// the same.
func FuzzSignature(f *testing.F) {
	for _, s := range []string{
		goodTags, goodTags + "; i=a=20b@example.org; l=5; t=1; x=2; q=dns/txt; b=AAAA", "v=1", "",
		"v=1; a=ed25519-sha256; d=bücher.example; s=S; h=From :\r\n to; bh=AA=\r\n =; b=A A A A; c=simple/relaxed; i=@x.xn--bcher-kva.example",
	} {
		f.Add(strings.ReplaceAll(s, "BH", strings.Repeat("A", 43)+"="))
	}
	f.Fuzz(func(t *testing.T, text string) {
		tags, err := message.ParseTags(text)
		if err != nil {
			return
		}
		s, err := readSignature(tags)
		if strings.ContainsAny(s.Domain+s.Selector+s.identity, "\r\n\x00") {
			t.Fatalf("control character in %+v", s)
		}
		if err != nil {
			if result, reason := explain(err); result == TempError || reason == "" {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if !isDomain(s.Domain) || !isDomain(s.Selector) || len(s.Signature) == 0 || len(s.Prefix) > 8 {
			t.Fatalf("%+v", s)
		}
		written := written(s)
		tags, err = message.ParseTags(written)
		if err != nil {
			t.Fatalf("%q: %v", written, err)
		}
		again, err := readSignature(tags)
		again.Prefix = s.Prefix // of the base64 as it came
		if err != nil || !reflect.DeepEqual(again, s) {
			t.Fatalf("%q is %+v, but %q is %+v, %v", text, s, written, again, err)
		}
	})
}

// written is the tag list of a signature.
func written(s signature) string {
	base := base64.StdEncoding.EncodeToString
	var list strings.Builder
	fmt.Fprintf(&list, "v=1; a=%s; d=%s; s=%s; h=%s; bh=%s; b=%s; c=%v/%v", s.Algorithm, s.Domain, s.Selector, s.Headers,
		base(s.BodyHash[:]), base(s.Signature), s.HeaderCanon, s.Body.Canon)
	for name, n := range map[string]int64{"t": s.Time, "x": s.Expires, "l": s.Body.Limit} {
		if n >= 0 {
			fmt.Fprintf(&list, "; %s=%d", name, n)
		}
	}
	if s.identity != "" {
		list.WriteString("; i=")
		for i := range len(s.identity) {
			fmt.Fprintf(&list, "=%02X", s.identity[i])
		}
	}
	return list.String()
}

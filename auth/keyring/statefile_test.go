package keyring

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

const goodState = `{"version":1,"keys":[
 {"selector":"rsa202610","algorithm":"rsa","bits":2048,"state":"retired","since":"2026-11-01T00:00:00Z","until":"2026-11-08T00:00:00Z"},
 {"selector":"ed202610","algorithm":"ed25519","bits":256,"state":"gone","since":"2026-11-01T00:00:00Z"},
 {"selector":"rsa202611","algorithm":"rsa","bits":2048,"state":"active","since":"2026-11-01T01:00:00+01:00"},
 {"selector":"rsa202611b","algorithm":"rsa","bits":3072,"state":"next","since":"2026-11-02T00:00:00Z"}]}`

func TestStateIsKept(t *testing.T) {
	r, err := parseState([]byte(goodState))
	if err != nil {
		t.Fatal(err)
	}
	if r.String() != "rsa202610, ed202610, rsa202611, rsa202611b" || r[3].State != Next || r[3].Bits != 3072 ||
		!r[2].Since.Equal(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)) || !r[0].Until.Equal(time.Date(2026, 11, 8, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("read %+v", r)
	}
	checkRoundTrip(t, r)
}

func checkRoundTrip(t *testing.T, r ring) {
	t.Helper()
	text, err := formatState(r)
	if err != nil {
		t.Fatal(err)
	}
	again, err := parseState(text)
	if err != nil || !slices.Equal(again, r) {
		t.Errorf("%+v, %v after\n%s", again, err, text)
	}
	if len(text) > maxStateFile {
		t.Errorf("%d octets", len(text))
	}
}

func TestLargestStateCanBeRead(t *testing.T) {
	r := make(ring, maxKeys)
	for i := range r {
		r[i] = Key{Selector: fmt.Sprintf("rsa202611%s%d", strings.Repeat("z", 50), i), Algorithm: Ed25519, Bits: 4096, State: Retired, Since: start, Until: days(7)}
	}
	r[0].State, r[0].Until = Active, time.Time{}
	checkRoundTrip(t, r)
}

func TestBrokenStates(t *testing.T) {
	change := func(old, new string) string {
		if !strings.Contains(goodState, old) {
			t.Fatalf("no %q", old)
		}
		return strings.Replace(goodState, old, new, 1)
	}
	for name, tt := range map[string]struct{ text, want string }{
		"nothing":              {"", "EOF"},
		"cut":                  {goodState[:80], "unexpected EOF"},
		"not json":             {"keys", "invalid character"},
		"something behind":     {goodState + "{}", "something follows"},
		"unknown field":        {change(`"bits"`, `"bit"`), `unknown field "bit"`},
		"no version":           {`{"keys":[]}`, "version 0"},
		"later version":        {change(`"version":1`, `"version":2`), "version 2"},
		"no key":               {`{"version":1,"keys":[]}`, "no key is active"},
		"none active":          {change(`"active"`, `"next"`), "no key is active"},
		"unknown state":        {change(`"active"`, `"actve"`), `key "rsa202611": state "actve"`},
		"unknown algorithm":    {change(`"ed25519"`, `"rot13"`), `key "ed202610": algorithm "rot13"`},
		"selector twice":       {change(`"rsa202611b"`, `"RSA202611"`), `"RSA202611" twice`},
		"path":                 {change(`"rsa202611b"`, `"../rsa202611"`), "not a selector"},
		"empty selector":       {change(`"rsa202611b"`, `""`), "not a selector"},
		"retired for ever":     {change(`,"until":"2026-11-08T00:00:00Z"`, ``), "retired without until"},
		"active with an until": {change(`"retired"`, `"active"`), "active with until"},
		"no since":             {change(`,"since":"2026-11-02T00:00:00Z"`, ``), "no since"},
		"bad time":             {change(`2026-11-02T`, `2026-13-02T`), "2026-13-02"},
		"far future":           {change(`2026-11-02T00:00:00Z`, `9999-12-31T23:59:59-23:59`), "nobody lives to see"},
		"bits":                 {change(`3072`, `-1`), "-1 bits"},
		"too many":             {`{"version":1,"keys":[` + strings.Repeat(`{},`, maxKeys) + `{}]}`, "more than 1000 keys"},
	} {
		if r, err := parseState([]byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, %v; want %q", name, r, err, tt.want)
		}
	}
}

func FuzzParseState(f *testing.F) {
	f.Add([]byte(goodState))
	f.Add([]byte(`{"version":1,"keys":[{"selector":"a.b","algorithm":"rsa","state":"active","since":"0001-01-01T00:00:01Z"}]}`))
	f.Add([]byte(`{"version":1,"keys":[{"selector":"a","algorithm":"rsa","state":"active","since":"9999-12-31T23:59:59-23:59"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > maxStateFile {
			return
		}
		r, err := parseState(text)
		if err != nil {
			return
		}
		for _, k := range r {
			if strings.Contains(k.Selector, "/") || strings.HasPrefix(k.Selector, ".") {
				t.Errorf("selector %q leads out of its folder", k.Selector)
			}
		}
		if len(r.in(Active)) == 0 {
			t.Error("nothing signs")
		}
		checkRoundTrip(t, r)
	})
}

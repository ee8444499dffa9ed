package ticketing

import (
	"strings"
	"testing"
	"testing/quick"
)

func TestMaskTokens(t *testing.T) {
	token := newDraw(NewSeed(), someDay).Token()
	masked := token[:4] + "…"
	for text, want := range map[string]string{
		"":                                  "",
		"support@desk.test":                 "support@desk.test",
		"support+billing@desk.test":         "support+billing@desk.test",
		"support+" + token + "@desk.test":   "support+" + masked + "@desk.test",
		"a+b+" + token + "@desk.test":       "a+b+" + masked + "@desk.test",
		"b+" + strings.ToUpper(token) + "@": "b+" + strings.ToUpper(token[:4]) + "…@",
		"550 <b+" + token + "@x> or <u+" + token + "@y>": "550 <b+" + masked + "@x> or <u+" + masked + "@y>",
		"+" + token:               "+" + token, // no address
		"+" + token + "0@x":       "+" + token + "0@x",
		"+" + token[1:] + "l@x++": "+" + token[1:] + "l@x++",
	} {
		if got := MaskTokens(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	// No text keeps a token's address, whatever is around it.
	if err := quick.Check(func(before, after string) bool {
		return !strings.Contains(MaskTokens(before+"+"+token+"@"+after), token)
	}, nil); err != nil {
		t.Error(err)
	}
}

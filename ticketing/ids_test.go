package ticketing

import (
	"slices"
	"strings"
	"testing"
	"time"
)

var someDay = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func TestIDsSortByTime(t *testing.T) {
	var ids []string
	for i := range 2000 {
		at := someDay.Add(time.Duration(i) * time.Millisecond)
		id := NewID(at)
		if len(id) != idLen || strings.ToLower(id) != id {
			t.Fatalf("id %q", id)
		}
		if b := idBefore(at); b > id || len(b) != idLen || len(ids) > 0 && b <= ids[len(ids)-1] {
			t.Fatalf("idBefore = %q for %q after %q", b, id, ids[len(ids)-1])
		}
		ids = append(ids, id)
	}
	if !slices.IsSorted(ids) {
		t.Error("ids do not sort by their time")
	}
}

func TestIDsAndTokensAreUnique(t *testing.T) {
	d := newDraw(NewSeed(), someDay)
	seen := make(map[string]bool)
	for range 20_000 {
		for _, s := range []string{d.ID(), d.Token()} {
			if seen[s] {
				t.Fatalf("%q twice", s)
			}
			seen[s] = true
		}
	}
}

func TestDrawRepeatsItself(t *testing.T) {
	seed := NewSeed()
	a, b, c := newDraw(seed, someDay), newDraw(seed, someDay), newDraw(NewSeed(), someDay)
	for range 10 {
		if x := a.Token(); x != b.Token() || x == c.Token() {
			t.Fatal("a draw depends on more or less than its seed")
		}
	}
}

// Every position of a token takes every character about equally often: all
// 130 bits are random.
func TestTokensHaveNoBias(t *testing.T) {
	const n = 32_000
	d := newDraw([32]byte{1}, someDay)
	var counts [tokenLen]map[byte]int
	for range n {
		tok := d.Token()
		if !isToken(tok) || !isToken(strings.ToUpper(tok)) {
			t.Fatalf("token %q", tok)
		}
		for i := range tokenLen {
			if counts[i] == nil {
				counts[i] = make(map[byte]int)
			}
			counts[i][tok[i]]++
		}
	}
	for i, c := range counts {
		chi := 0.0
		for _, k := range c {
			chi += float64(k-n/32) * float64(k-n/32) / (n / 32)
		}
		if len(c) != 32 || chi > 75 { // 31 degrees of freedom, p < 0.0001
			t.Errorf("position %d: %d characters, chi square %.0f", i, len(c), chi)
		}
	}
}

func TestIsToken(t *testing.T) {
	for s, want := range map[string]bool{
		strings.Repeat("0", 26): true, strings.Repeat("Z", 26): true,
		strings.Repeat("0", 25): false, strings.Repeat("0", 27): false, strings.Repeat("i", 26): false,
		strings.Repeat("l", 26): false, strings.Repeat("é", 13): false, strings.Repeat(" ", 26): false, "": false,
	} {
		if isToken(s) != want {
			t.Errorf("isToken(%q) = %v", s, !want)
		}
	}
}

func TestTokenIn(t *testing.T) {
	tok := newDraw([32]byte{}, someDay).Token()
	for addr, want := range map[string]string{
		"support+" + tok + "@desk.test": tok, "SUPPORT+" + strings.ToUpper(tok) + "@DESK.TEST": tok, "a+b+" + tok + "@x": tok,
		tok + "@x": "", "support" + tok + "@x": "", "+" + tok + "@x": tok, "support+" + tok: "", "": "",
	} {
		if got := tokenIn(addr); got != want {
			t.Errorf("tokenIn(%q) = %q, want %q", addr, got, want)
		}
	}
}

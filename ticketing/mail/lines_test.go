package mail

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// Lines with a mark are seen as if none had been passed over, with the end of
// the line before each.
func TestPlainLinesArePassedOver(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"-", "--", "begin ", "x", "\r", "\n", "\r\n", "\r\n", "a plain line\r\n", strings.Repeat("long ", 900)}
	type seen struct {
		text        string
		start, end  int64
		first       bool
		endOfBefore int64
	}
	skipped := 0
	read := func(raw []byte, skip bool) (marked []seen) {
		l := newLineReader(bytes.NewReader(raw), int64(len(raw)))
		defer l.release()
		var before int64
		for {
			if skip {
				if passed, ok := l.skipPlain(delimiterStart, uuStart); ok {
					before = passed
					skipped++
				}
			}
			ln, ok := l.next()
			if !ok {
				return marked
			}
			if bytes.Contains(ln.text, delimiterStart) || bytes.Contains(ln.text, uuStart) {
				marked = append(marked, seen{string(ln.text), ln.start, ln.end, ln.first, before})
			}
			before = ln.end
		}
	}
	for range 2000 {
		var raw []byte
		for range rnd.IntN(60) {
			raw = append(raw, pieces[rnd.IntN(len(pieces))]...)
		}
		with, without := read(raw, true), read(raw, false)
		if len(with) != len(without) {
			t.Fatalf("%q: %d lines, want %d", raw, len(with), len(without))
		}
		for i := range with {
			if with[i] != without[i] {
				t.Fatalf("%q: %+v, want %+v", raw, with[i], without[i])
			}
		}
	}
	if skipped < 1000 {
		t.Errorf("only %d times anything was passed over", skipped)
	}
}

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// progress shows on a terminal how long work gets on. Elsewhere it is silent.
type progress struct {
	w     io.Writer // nil: silent
	what  string
	start time.Time
	last  time.Time
	now   func() time.Time
}

func (e *Env) progress(what string) *progress {
	p := &progress{what: what, now: time.Now}
	if f, ok := e.Stderr.(*os.File); ok && isTerminal(f) {
		p.w = e.Stderr
	}
	p.start = p.now()
	return p
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// tell shows that done of about of octets are done, a few times a second.
func (p *progress) tell(done, of int64) {
	now := p.now()
	if p.w == nil || now.Sub(p.last) < 200*time.Millisecond {
		return
	}
	p.last = now
	fmt.Fprintf(p.w, "\r\x1b[K%s", progressLine(p.what, done, of, now.Sub(p.start)))
}

// end takes the line away.
func (p *progress) end() {
	if p.w != nil && !p.last.IsZero() {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

// progressLine is one line of at most 78 characters.
func progressLine(what string, done, of int64, spent time.Duration) string {
	const width = 20
	share := 0.0
	if of > 0 {
		share = min(float64(done)/float64(of), 1)
	}
	full := int(share * width)
	line := fmt.Sprintf("%s [%s%s] %3.0f %%  %s", what, strings.Repeat("#", full), strings.Repeat(".", width-full), share*100, octets(done))
	if seconds := spent.Seconds(); seconds >= 1 && done > 0 {
		rate := float64(done) / seconds
		left := time.Duration(float64(max(of-done, 0)) / rate * float64(time.Second))
		line += fmt.Sprintf("  %s/s  %s left", octets(int64(rate)), left.Round(time.Second))
	}
	return line
}

// octets is a size as people read it.
func octets(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/unit, 0
	for ; f >= unit && i < 4; i++ {
		f /= unit
	}
	return fmt.Sprintf("%.1f %ciB", f, "KMGTP"[i])
}

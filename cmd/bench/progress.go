package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// progress tells a person how far long work is. On a terminal it rewrites one
// line, elsewhere it writes one every ten seconds.
type progress struct {
	w        io.Writer
	terminal bool
	start    time.Time
	said     time.Time
}

func newProgress(f *os.File) *progress {
	info, err := f.Stat()
	return &progress{w: f, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0, start: time.Now()}
}

// phase says what begins, on a line of its own.
func (p *progress) phase(text string) {
	p.clear()
	fmt.Fprintln(p.w, text)
	p.start, p.said = time.Now(), time.Time{}
}

// step says that done of total parts of this phase are finished.
func (p *progress) step(done, total float64, text string) {
	now := time.Now()
	if every := 10 * time.Second; !p.terminal && now.Sub(p.said) < every || p.terminal && now.Sub(p.said) < time.Second/10 {
		return
	}
	p.said = now
	line := fmt.Sprintf("  %3.0f %%  %s left  %s", 100*done/total, remaining(now.Sub(p.start), done, total), text)
	if p.terminal {
		fmt.Fprintf(p.w, "\r\x1b[K%.110s", line)
		return
	}
	fmt.Fprintln(p.w, line)
}

// clear takes the line away.
func (p *progress) clear() {
	if p.terminal {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

// remaining is how long the rest takes at the rate so far.
func remaining(spent time.Duration, done, total float64) string {
	if done <= 0 {
		return "?"
	}
	left := time.Duration(float64(spent) * (total - done) / done)
	return left.Round(time.Second).String()
}

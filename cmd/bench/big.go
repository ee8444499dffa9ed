package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/mxdesk/mxdesk/cmd/bench/internal/peer"
)

// BigCmd measures a store that grows.
type BigCmd struct {
	Tickets int `help:"Fill up to this many tickets." default:"1000000" env:"TICKETS"`
}

// Run fills and measures.
func (c *BigCmd) Run(ctx context.Context, all *commands) (err error) {
	dir, done, err := scratch(all.Scratch)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	debug.SetGCPercent(gcPercent)
	debug.SetMemoryLimit(memoryLimit)
	p := newProgress(os.Stderr)
	defer p.clear()
	d, err := openDesk(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	r := &growth{At: time.Now(), Commit: commit(), Machine: machine()}
	for _, size := range stages(c.Tickets) {
		s, err := d.stage(ctx, size, p)
		if err != nil {
			return err
		}
		r.Stages = append(r.Stages, *s)
	}
	p.clear()
	if all.JSON {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	r.text()
	return nil
}

// The memory settings of mxdesk serve.
const (
	gcPercent   = 400
	memoryLimit = 384 << 20
)

// stages are the sizes at which a store is measured.
func stages(most int) []int {
	var out []int
	for _, n := range []int{1000, 100_000} {
		if n < most {
			out = append(out, n)
		}
	}
	return append(out, most)
}

// growth is the result of a run.
type growth struct {
	At      time.Time `json:"at"`
	Commit  string    `json:"commit"`
	Machine string    `json:"machine"`
	Stages  []stage   `json:"stages"`
}

// stage is what a store of one size costs. Times are in microseconds.
type stage struct {
	Tickets int     `json:"tickets"`
	Seconds float64 `json:"fill_seconds"`    // from the size before
	Fill    float64 `json:"fill_per_second"` //
	Syncs   float64 `json:"fdatasync_per_second"`
	Alone   timing  `json:"one_mail_us"`         // one mail at a time, durable
	Rate    float64 `json:"together_per_second"` // 64 at a time
	CPU     float64 `json:"together_cpu_us"`     // per mail
	List    timing  `json:"list_us"`             // the 50 newest of the project
	ByID    timing  `json:"message_id_us"`       // Message-ID to ticket
	Ticket  timing  `json:"ticket_us"`           // a whole ticket by its reference
	Trace   timing  `json:"trace_us"`            // what became of a Message-ID
	KV      int64   `json:"kv_bytes"`
	Blobs   int64   `json:"blob_bytes"`
	Heap    int64   `json:"heap_bytes"`
	RSS     int64   `json:"rss_bytes"`
	Anon    int64   `json:"rss_anon_bytes"`
}

type timing struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// goalGrowth bounds the cost of a mail in the largest store by that in the
// smallest.
const goalGrowth = 1.6

func (r *growth) text() {
	fmt.Printf("mxdesk %s, %s\n%s\n\n", r.Commit, r.At.Format("2006-01-02 15:04"), r.Machine)
	rows := [][]string{
		{"tickets"}, {"filled in"}, {"filled, tickets/s"}, {"disk: append 4 KiB + fdatasync, per second"}, {"one mail alone, p50/p99 us"}, {"  p50 in syncs of the disk"},
		{"64 at a time, mails/s"}, {"  CPU us/mail"}, {"list 50 newest of a project, p50/p99 us"}, {"Message-ID to ticket, p50/p99 us"}, {"ticket by reference, p50/p99 us"},
		{"trace of a Message-ID, p50/p99 us"}, {"on disk: keys and values"}, {"on disk: raw mails"}, {"heap in use"}, {"RSS, without files"},
	}
	for _, s := range r.Stages {
		for i, cell := range []string{
			fmt.Sprint(s.Tickets), time.Duration(s.Seconds * float64(time.Second)).Round(time.Second / 10).String(), fmt.Sprintf("%.0f", s.Fill), fmt.Sprintf("%.0f", s.Syncs), s.Alone.text(),
			fmt.Sprintf("%.2f", s.Alone.P50*s.Syncs/1e6), fmt.Sprintf("%.0f", s.Rate), fmt.Sprintf("%.0f", s.CPU), s.List.text(), s.ByID.text(), s.Ticket.text(),
			s.Trace.text(), mega(s.KV), mega(s.Blobs), mega(s.Heap), mega(s.RSS) + ", " + mega(s.Anon),
		} {
			rows[i] = append(rows[i], cell)
		}
	}
	table(os.Stdout, rows)
	if n := len(r.Stages); n > 1 {
		ratio := r.Stages[n-1].Alone.P50 / r.Stages[0].Alone.P50
		fmt.Printf("\none mail at %d tickets costs %.2f times that at %d: goal <= %.1f %s\n", r.Stages[n-1].Tickets, ratio, r.Stages[0].Tickets, goalGrowth, met(ratio <= goalGrowth))
	}
}

func (t timing) text() string {
	if t.P50 < 10 {
		return fmt.Sprintf("%.1f/%.1f", t.P50, t.P99)
	}
	return fmt.Sprintf("%.0f/%.0f", t.P50, t.P99)
}

// memory fills in what this process holds.
func (s *stage) memory() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s.Heap = int64(m.HeapInuse)
	u := peer.MemoryOf([]int{os.Getpid()})
	s.RSS, s.Anon = u.RSS, u.Anon
}

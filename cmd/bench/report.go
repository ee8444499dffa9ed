package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// report is the result of an intake run.
type report struct {
	At          time.Time         `json:"at"`
	Commit      string            `json:"commit"`
	Machine     string            `json:"machine"`
	Versions    map[string]string `json:"versions"`
	Repetitions int               `json:"repetitions"`
	Syncs       spread            `json:"fdatasync_per_second"`
	Rows        []result          `json:"rows"`
	Memory      []usage           `json:"memory"`
	Wrong       int               `json:"wrong"` // rows whose counts were wrong

	syncs []float64
}

// result is one row of the table.
type result struct {
	Group  string   `json:"group"`
	Name   string   `json:"name"`
	Sender string   `json:"sender"`
	Ours   figures  `json:"ours"`
	Theirs figures  `json:"theirs"`
	Ratio  spread   `json:"ratio"` // ours to theirs, pair by pair
	Goal   float64  `json:"goal"`  // 0 = none
	Met    bool     `json:"met"`
	Wrong  []string `json:"wrong,omitempty"`
}

// figures are those of one lane.
type figures struct {
	Server    string `json:"server"`
	Rate      spread `json:"per_second"`
	Mails     int    `json:"mails"` // in all repetitions
	P50       spread `json:"p50_ms"`
	P99       spread `json:"p99_ms"`
	ServerCPU spread `json:"server_cpu_us"`
	SenderCPU spread `json:"sender_cpu_us"`
}

func newReport(in *intake, reps int) *report {
	return &report{At: time.Now(), Commit: commit(), Machine: machine(), Versions: in.versions, Repetitions: reps}
}

// add makes rows of measurements.
func (r *report) add(all []*series) {
	r.Syncs = spreadOf(r.syncs)
	for _, s := range all {
		rate := func(p point) float64 { return p.rate }
		res := result{
			Group: s.group.title, Name: s.name(), Sender: s.sender(), Goal: s.goal, Wrong: s.wrong(),
			Ours: figuresOf(s.group.ours, s.ours), Theirs: figuresOf(s.group.theirs, s.theirs),
			Ratio: spreadOf(ratios(of(s.ours, rate), of(s.theirs, rate))),
		}
		res.Met = res.Ratio.Median >= res.Goal && len(res.Wrong) == 0
		if len(res.Wrong) > 0 {
			r.Wrong++
		}
		r.Rows = append(r.Rows, res)
	}
}

func figuresOf(name string, points []point) figures {
	f := figures{
		Server: name, Rate: spreadOf(of(points, func(p point) float64 { return p.rate })),
		P50:       spreadOf(of(points, func(p point) float64 { return p.p50 })),
		P99:       spreadOf(of(points, func(p point) float64 { return p.p99 })),
		ServerCPU: spreadOf(of(points, func(p point) float64 { return p.serverCPU })),
		SenderCPU: spreadOf(of(points, func(p point) float64 { return p.senderCPU })),
	}
	for _, p := range points {
		f.Mails += p.mails
	}
	return f
}

// write writes the report for people or for programs. Its error is errWrong
// when a count was wrong.
func (r *report) write(w io.Writer, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		if err := enc.Encode(r); err != nil {
			return err
		}
	} else {
		r.text(w)
	}
	if r.Wrong > 0 {
		return fmt.Errorf("%w: %d rows", errWrong, r.Wrong)
	}
	return nil
}

func (r *report) text(w io.Writer) {
	fmt.Fprintf(w, "mxdesk %s, %s\n%s\n", r.Commit, r.At.Format("2006-01-02 15:04"), r.Machine)
	fmt.Fprintf(w, "Postfix %s, rspamd %s, Dovecot %s; medians of %d (lowest..highest)\n", cmp.Or(r.Versions["Postfix"], "-"), cmp.Or(r.Versions["rspamd"], "-"),
		cmp.Or(r.Versions["Dovecot"], "-"), r.Repetitions)
	fmt.Fprintf(w, "disk: append 4 KiB + fdatasync, 1 writer: %s per second\n", r.Syncs.text(0))
	for i := 0; i < len(r.Rows); {
		end := i
		for end < len(r.Rows) && r.Rows[end].Group == r.Rows[i].Group {
			end++
		}
		writeGroup(w, r.Rows[i:end])
		i = end
	}
	r.memory(w)
	for _, row := range r.Rows {
		for _, why := range row.Wrong {
			fmt.Fprintf(w, "WRONG %s, %s: %s\n", row.Group, row.Name, why)
		}
	}
}

func writeGroup(w io.Writer, rows []result) {
	fmt.Fprintf(w, "\n%s: %s beside %s, mails per second\n", rows[0].Group, rows[0].Ours.Server, rows[0].Theirs.Server)
	lines := [][]string{{"  load", "mxdesk", "peer", "ratio", "goal", "", "p50/p99 ms", "peer", "CPU us/mail", "peer", "sender"}}
	for _, r := range rows {
		lines = append(lines, []string{
			"  " + r.Name, r.Ours.Rate.text(0), r.Theirs.Rate.text(0), r.Ratio.text(2), goal(r.Goal), r.mark(),
			r.Ours.latency(), r.Theirs.latency(), fmt.Sprintf("%.0f", r.Ours.ServerCPU.Median), fmt.Sprintf("%.0f", r.Theirs.ServerCPU.Median),
			fmt.Sprintf("%.0f", r.Ours.SenderCPU.Median),
		})
	}
	table(w, lines)
}

func goal(g float64) string {
	if g == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", g)
}

// mark says in a word how a row ended.
func (r result) mark() string {
	switch {
	case len(r.Wrong) > 0:
		return "WRONG"
	case r.Goal == 0:
		return ""
	case r.Met:
		return "met"
	}
	return "below"
}

func (f figures) latency() string {
	if f.P99.Median == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f/%.1f", f.P50.Median, f.P99.Median)
}

// Goals of memory, in octets.
const (
	goalRest = 64 << 20
	goalHeap = 400 << 20
)

func (r *report) memory(w io.Writer) {
	fmt.Fprintf(w, "\nmemory (PSS: pages that processes share count once)\n")
	lines := [][]string{{"  server", "at rest", "idle session", "under load", "heap"}}
	for _, u := range r.Memory {
		session := "-"
		if u.Sessions > 0 {
			session = fmt.Sprintf("%.1f KiB (of %d)", float64(u.PerSession)/1024, u.Sessions)
		}
		heap := "-"
		if u.LoadHeap > 0 {
			heap = fmt.Sprintf("%s, goal < %s %s", mega(u.LoadHeap), mega(goalHeap), met(u.LoadHeap < goalHeap))
		}
		rest, loaded := mega(u.RestPSS), mega(u.LoadPSS)
		if u.Server == plain.ours {
			loaded = mega(u.LoadRSS) + " RSS"
			rest = fmt.Sprintf("%s RSS, goal < %s %s", mega(u.RestRSS), mega(goalRest), met(u.RestRSS < goalRest))
		}
		lines = append(lines, []string{"  " + u.Server, rest, session, fmt.Sprintf("%s, %s without files", loaded, mega(u.LoadAnon)), heap})
	}
	table(w, lines)
}

func met(ok bool) string {
	if ok {
		return "met"
	}
	return "below"
}

func mega(octets int64) string { return fmt.Sprintf("%.0f MiB", float64(octets)/(1<<20)) }

// table writes rows in aligned columns; the first row is the head.
func table(w io.Writer, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		for i, c := range row {
			b.WriteString(c + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c)+2))
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

// commit names the tree that is measured.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "(no commit)"
	}
	return strings.TrimSpace(string(out))
}

// machine says what the figures hold for.
func machine() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d processors, %s %s, %s", runtime.NumCPU(), unix.ByteSliceToString(u.Sysname[:]), unix.ByteSliceToString(u.Release[:]), runtime.Version())
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/mxdesk/mxdesk/cmd/bench/internal/load"
	"github.com/mxdesk/mxdesk/cmd/bench/internal/peer"
)

// IntakeCmd measures how fast mails are taken in.
type IntakeCmd struct {
	Quick  bool          `help:"Fewer rows and repetitions: about a minute and a half." env:"QUICK"`
	Rows   string        `help:"Only the rows that match this regular expression." placeholder:"REGEXP"`
	List   bool          `help:"List the rows, measure nothing."`
	Reps   int           `help:"Repetitions; 5, quick 3." placeholder:"N"`
	Time   time.Duration `help:"Length of one measurement, about; 800ms, quick 300ms." placeholder:"DURATION"`
	Keep   bool          `help:"Keep the servers' data and logs."`
	Binary string        `help:"The mxdesk to measure; without it the one of this tree is built." placeholder:"FILE"`
}

// Run measures and writes the table.
func (c *IntakeCmd) Run(ctx context.Context, all *commands) (err error) {
	rows, err := choose(plan(), c.Quick, c.Rows)
	if err != nil {
		return err
	}
	if c.List {
		for _, r := range rows {
			fmt.Printf("%s: %s\n", r.group.title, r.name())
		}
		return nil
	}
	reps, length := 5, 800*time.Millisecond
	if c.Quick {
		reps, length = 3, 300*time.Millisecond
	}
	reps, length = cmp.Or(c.Reps, reps), cmp.Or(c.Time, length)
	dir, done, err := scratch(all.Scratch)
	if err != nil {
		return err
	}
	if !c.Keep {
		defer func() { err = errors.Join(err, done()) }()
	}
	in := &intake{dir: dir, length: length, progress: newProgress(os.Stderr)}
	defer in.progress.clear()
	defer func() { err = errors.Join(err, in.stop()) }()
	if err := in.start(ctx, c.Binary, rows); err != nil {
		return err
	}
	report, err := in.measure(ctx, rows, reps)
	if err != nil {
		return err
	}
	in.progress.clear()
	return report.write(os.Stdout, all.JSON)
}

// intake is one run with all its servers.
type intake struct {
	dir      string
	length   time.Duration // of one measurement
	progress *progress
	maker    *load.Maker
	started  []stopper
	mxdesk   *peer.Mxdesk
	lanes    map[string]*lane
	versions map[string]string
}

type stopper interface{ Stop() error }

// lane is one way into one server.
type lane struct {
	name   string
	target load.Target
	server peer.Server
	auth   peer.Authenticator // nil checks nothing
	idle   int                // sessions to measure the memory of one with
}

// recipients are the addresses that mails go to, all of one project; Dovecot
// has a mailbox for each.
func recipients() []string {
	out := []string{"support@" + peer.Domain}
	for i := 1; i < 10; i++ {
		out = append(out, fmt.Sprintf("support%d@%s", i, peer.Domain))
	}
	return out
}

// parts are the programs that rows need beside mxdesk.
func parts(rows []row) []string {
	need := map[string]bool{}
	for _, r := range rows {
		need[r.group.theirs] = true
	}
	out := []string{"knotd", "postfix", "smtp-source"}
	if need[checks.theirs] {
		out = append(out, "rspamd")
	}
	if need[lmtp.theirs] {
		out = append(out, "dovecot")
	}
	return out
}

// start starts every server. Those that started are stopped by stop, also
// after an error.
func (in *intake) start(ctx context.Context, binary string, rows []row) (err error) {
	if os.Getuid() != 0 {
		return errors.New("run this as root: Postfix and Dovecot must be started by root")
	}
	need := parts(rows)
	for _, program := range need {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s is not installed: run .ci/install-bench", program)
		}
	}
	in.progress.phase("starting the servers in " + in.dir)
	if binary == "" {
		binary = filepath.Join(in.dir, "mxdesk.bin")
		if said, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/mxdesk").CombinedOutput(); err != nil {
			return fmt.Errorf("go build ./cmd/mxdesk: %w: %s", err, said)
		}
	}
	if binary, err = filepath.Abs(binary); err != nil {
		return err
	}
	if in.maker, err = load.NewMaker(recipients()); err != nil {
		return err
	}
	zone, err := in.maker.Zone()
	if err != nil {
		return err
	}
	dns, err := peer.StartKnot(ctx, in.dir, zone)
	if err != nil {
		return err
	}
	in.started = append(in.started, dns)
	if err := in.startMxdesk(ctx, binary, dns.Addr); err != nil {
		return err
	}
	return in.startPeers(ctx, dns.Addr, need)
}

func (in *intake) startMxdesk(ctx context.Context, binary, dns string) error {
	m, err := peer.StartMxdesk(ctx, in.dir, binary, dns)
	if m != nil {
		in.started = append(in.started, m)
	}
	if err != nil {
		return err
	}
	in.mxdesk = m
	in.versions = map[string]string{"mxdesk": m.Version()}
	in.lanes = map[string]*lane{
		plain.ours: {name: plain.ours, target: load.Target{Addr: m.SMTP}, server: m, auth: m, idle: 500},
		lmtp.ours:  {name: lmtp.ours, target: load.Target{Addr: m.LMTP, LMTP: true}, server: m, auth: m},
	}
	return nil
}

func (in *intake) startPeers(ctx context.Context, dns string, need []string) error {
	socket := filepath.Join(in.dir, "none.sock")
	var filter *peer.Rspamd
	for _, program := range need {
		var err error
		switch program {
		case "rspamd":
			if filter, err = peer.StartRspamd(ctx, in.dir, dns, runtime.NumCPU()); filter != nil {
				in.started = append(in.started, filter)
				socket = filter.Socket
			}
		case "dovecot":
			var d *peer.Dovecot
			if d, err = peer.StartDovecot(ctx, in.dir); d != nil {
				in.started = append(in.started, d)
				in.versions["Dovecot"] = d.Version()
				in.lanes[lmtp.theirs] = &lane{name: lmtp.theirs, target: load.Target{Addr: d.Addr, LMTP: true}, server: d, idle: 100}
			}
		}
		if err != nil {
			return err
		}
	}
	p, err := peer.StartPostfix(ctx, in.dir, socket)
	if p != nil {
		in.started = append(in.started, p)
	}
	if err != nil {
		return err
	}
	in.versions["Postfix"] = p.Version()
	in.lanes[plain.theirs] = &lane{name: plain.theirs, target: load.Target{Addr: p.Plain}, server: p, idle: 100}
	if filter != nil {
		in.versions["rspamd"] = filter.Version()
		both := peer.Filtered{Postfix: p, Rspamd: filter}
		in.lanes[checks.theirs] = &lane{name: checks.theirs, target: load.Target{Addr: p.Milter}, server: both, auth: both}
	}
	return nil
}

// stop stops what was started, the last first.
func (in *intake) stop() error {
	var errs []error
	for i := len(in.started) - 1; i >= 0; i-- {
		errs = append(errs, in.started[i].Stop())
	}
	return errors.Join(errs...)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mxdesk/mxdesk/cmd/bench/internal/load"
	"github.com/mxdesk/mxdesk/cmd/bench/internal/peer"
)

// point is one measurement of one lane.
type point struct {
	mails     int
	rate      float64 // per second
	p50, p99  float64 // ms from the end of the data to the reply, 0 if unknown
	serverCPU float64 // µs per mail, work after the reply included
	senderCPU float64 // µs per mail
	wrong     string  // why the figures mean nothing, "" if they do
}

// series are the measurements of one row, one for each repetition.
type series struct {
	row
	ours, theirs []point
}

// measure runs all rows, the servers in turn within each repetition.
func (in *intake) measure(ctx context.Context, rows []row, reps int) (*report, error) {
	r := newReport(in, reps)
	in.progress.phase("memory at rest and of idle sessions")
	if err := in.resting(ctx, r); err != nil {
		return nil, err
	}
	if err := in.mxdesk.Serve(ctx, recipients()); err != nil {
		return nil, err
	}
	all := make([]*series, len(rows))
	for i, row := range rows {
		all[i] = &series{row: row}
	}
	in.progress.phase("warming up")
	sizes := make(map[string]int)
	for i, s := range all {
		in.progress.step(float64(i), float64(len(all)), s.name())
		if err := in.pair(ctx, s, sizes, false); err != nil {
			return nil, err
		}
		s.ours, s.theirs = nil, nil
	}
	in.progress.phase(fmt.Sprintf("measuring %d rows, %d repetitions", len(rows), reps))
	for rep := range reps {
		rate, err := syncRate(in.dir, in.length)
		if err != nil {
			return nil, err
		}
		r.syncs = append(r.syncs, rate)
		for i, s := range all {
			in.progress.step(float64(rep*len(all)+i), float64(reps*len(all)), fmt.Sprintf("repetition %d of %d: %s: %s", rep+1, reps, s.group.title, s.name()))
			if err := in.pair(ctx, s, sizes, rep%2 == 1); err != nil {
				return nil, err
			}
		}
	}
	r.add(all)
	in.progress.phase("memory under load")
	return r, in.loaded(ctx, r, rows)
}

// Bounds of the number of mails in one measurement.
const (
	warmUp   = 100
	maxMails = 20_000
	longest  = 4 // times the wanted length of a measurement
)

// pair measures a row once for each of its two lanes; swap tells which comes
// first. sizes holds how many mails each lane takes in the wanted time.
func (in *intake) pair(ctx context.Context, s *series, sizes map[string]int, swap bool) error {
	lanes := []*lane{in.lanes[s.group.ours], in.lanes[s.group.theirs]}
	most, counts := 0, make([]int, 2)
	for i, l := range lanes {
		counts[i] = sizes[s.key(l)]
		if counts[i] == 0 {
			counts[i] = int(min(warmUp, max(4, 10<<20/s.kind.Size)))
		}
		most = max(most, counts[i])
	}
	var mails []load.Mail
	if !s.source {
		var err error
		if mails, err = in.maker.Make(ctx, s.kind, most); err != nil {
			return err
		}
	}
	var points [2]point
	for turn := range 2 {
		i := turn
		if swap {
			i = 1 - turn
		}
		var err error
		if points[i], err = in.point(ctx, s.row, lanes[i], mails, counts[i]); err != nil {
			return fmt.Errorf("%s: %s: %s: %w", s.group.title, s.name(), lanes[i].name, err)
		}
		wanted := int(points[i].rate * in.length.Seconds())
		sizes[s.key(lanes[i])] = min(max(wanted, 2*s.shape.Sessions, 20), maxMails)
	}
	s.ours, s.theirs = append(s.ours, points[0]), append(s.theirs, points[1])
	return nil
}

func (r row) key(l *lane) string { return r.group.title + r.name() + l.name }

// point sends n mails to a lane once and checks that they are all there.
func (in *intake) point(ctx context.Context, r row, l *lane, mails []load.Mail, n int) (point, error) {
	if err := l.server.Clear(); err != nil {
		return point{}, err
	}
	before, err := l.count(ctx)
	if err != nil {
		return point{}, err
	}
	cpu := peer.CPU(l.server.Roots())
	var res load.Result
	if r.source {
		res, err = load.Source(ctx, l.target, recipients()[0], r.kind.Size, n, r.shape)
	} else {
		res, err = load.Send(ctx, l.target, mails[:n], r.shape, longest*in.length)
	}
	if ctx.Err() != nil {
		return point{}, ctx.Err()
	}
	p := point{mails: res.Accepted}
	if err == nil && res.Accepted == 0 {
		err = errors.New("no mail was taken in time")
	}
	if err != nil {
		p.wrong = err.Error()
		return p, settle(ctx, l.server)
	}
	p.rate = res.Rate()
	p.p50, p.p99 = percentiles(res.Latency)
	if err := settle(ctx, l.server); err != nil {
		return p, err
	}
	p.senderCPU = float64(res.CPU.Microseconds()) / float64(res.Accepted)
	p.serverCPU = float64((peer.CPU(l.server.Roots()) - cpu).Microseconds()) / float64(res.Accepted)
	after, err := l.count(ctx)
	if err != nil {
		return p, err
	}
	p.wrong = after.missing(before, res.Accepted, r.kind.Signed)
	return p, nil
}

// counts are what a server has kept and let pass so far.
type counts struct {
	kept, passed int
	checked      bool
}

func (l *lane) count(ctx context.Context) (c counts, err error) {
	if c.kept, err = l.server.Kept(ctx); err != nil || l.auth == nil {
		return c, err
	}
	c.checked = true
	c.passed, err = l.auth.Passed(ctx)
	return c, err
}

// missing says what is wrong after n mails were answered 250, "" if nothing.
func (c counts) missing(before counts, n int, signed bool) string {
	if kept := c.kept - before.kept; kept != n {
		return fmt.Sprintf("%d mails were answered 250, %d were kept", n, kept)
	}
	if passed := c.passed - before.passed; c.checked && signed && passed != n {
		return fmt.Sprintf("%d mails were answered 250, %d passed SPF, DKIM and DMARC", n, passed)
	}
	return ""
}

// settle waits until a server does nothing any more, so that what it does after
// its replies disturbs nobody else's measurement: mxdesk signs its thank-you
// mails then.
func settle(ctx context.Context, s peer.Server) error {
	const look, patience = 100 * time.Millisecond, 20 * time.Second
	for end := time.Now().Add(patience); time.Now().Before(end); {
		before := peer.CPU(s.Roots())
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(look):
		}
		if peer.CPU(s.Roots())-before <= look/10 {
			return nil
		}
	}
	return fmt.Errorf("the server is still busy %s after the last reply", patience)
}

// of collects one figure of all points.
func of(points []point, figure func(point) float64) []float64 {
	var out []float64
	for _, p := range points {
		out = append(out, figure(p))
	}
	return out
}

// wrong collects what is wrong with a row.
func (s *series) wrong() []string {
	var out []string
	for i, p := range slices.Concat(s.ours, s.theirs) {
		name := s.group.ours
		if i >= len(s.ours) {
			name = s.group.theirs
		}
		if p.wrong != "" {
			out = append(out, name+": "+p.wrong)
		}
	}
	return out
}

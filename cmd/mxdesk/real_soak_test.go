package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tally is what one fault or more have shown.
type tally struct {
	rounds, kills, amid, taken, retries, answers, answered, copies, twice int
	replies                                                               map[string]int
	slowest                                                               time.Duration
}

func (a *tally) add(b tally) {
	a.rounds, a.kills, a.amid = a.rounds+b.rounds, a.kills+b.kills, a.amid+b.amid
	a.taken, a.retries = a.taken+b.taken, a.retries+b.retries
	a.answers, a.answered = a.answers+b.answers, a.answered+b.answered
	a.copies, a.twice = a.copies+b.copies, a.twice+b.twice
	a.slowest = max(a.slowest, b.slowest)
	for r, n := range b.replies {
		if a.replies == nil {
			a.replies = map[string]int{}
		}
		a.replies[r] += n
	}
}

// row is a line of the table in docs/proof.md.
func (a tally) row(name string) string {
	var replies []string
	for r, n := range a.replies {
		replies = append(replies, fmt.Sprintf("%d× `%s`", n, r))
	}
	slices.Sort(replies)
	return fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %d | %d | %d | %d | %s |", name, a.rounds, a.kills, a.amid, a.taken, a.retries, a.answers, a.answered, a.copies, a.twice, strings.Join(replies, ", "))
}

const tallyHead = "| fault | rounds | kills | amid work | answered `250` | tried again | agents' answers | answered by mail | copies sent | of them twice | replies 4xx |\n|---|---|---|---|---|---|---|---|---|---|---|"

// rounds is how often a fault is repeated.
func rounds() int { return cmp.Or(number("ROUNDS"), 3) }

// number is a variable of the environment that is above zero, else zero.
func number(name string) int {
	n, _ := strconv.Atoi(os.Getenv(name))
	return max(n, 0)
}

// share is a context that ends after a share of what is left of MINUTES since
// the beginning; without MINUTES it does not.
func share(ctx context.Context, began time.Time, shares int) (context.Context, context.CancelFunc) {
	whole := time.Duration(number("MINUTES")) * time.Minute
	if whole == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(began.Add(whole))/time.Duration(shares))
}

// trialRounds is how many rounds one desk lives: what it holds is checked whole
// after each.
const trialRounds = 10

// life is trialRounds, and less where the mails are large.
func (f fault) life() int {
	if f.bulk > 0 {
		return trialRounds / 2
	}
	return trialRounds
}

// TestRealFault hurts desks in every way of the table that has RUN in its name,
// ROUNDS times each, and for at most MINUTES together. What an interrupt leaves
// of it is told like the rest.
func TestRealFault(t *testing.T) {
	needs(t, "strace", "knotd")
	all, stop := signal.NotifyContext(t.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(all, stop) // the second interrupt ends it at once
	list := slices.DeleteFunc(faults(), func(f fault) bool { return !strings.Contains(f.name, os.Getenv("RUN")) })
	if len(list) == 0 {
		t.Fatalf("no fault has %q in its name", os.Getenv("RUN"))
	}
	var sum tally
	var table []string
	began := time.Now()
	for i, f := range list {
		if all.Err() != nil {
			t.Logf("interrupted before %s", f.name)
			break
		}
		t.Run(f.name, func(t *testing.T) {
			ctx, done := share(all, began, len(list)-i)
			defer done()
			got := repeat(ctx, t, f, (rounds()+max(f.slow, 1)-1)/max(f.slow, 1))
			table = append(table, got.row(f.name))
			t.Logf("%s: the slowest reply took %s", f.name, got.slowest)
			sum.add(got)
		})
	}
	t.Logf("%s\n%s\n%s\n%s", time.Since(began).Round(time.Second), tallyHead, strings.Join(table, "\n"), sum.row("all"))
}

// repeat runs n rounds of a fault, fewer when its time is over, but one.
func repeat(ctx context.Context, t *testing.T, f fault, n int) (sum tally) {
	p := pace{name: f.name, of: n, began: time.Now(), told: time.Now()}
	for !t.Failed() && sum.rounds < n && (sum.rounds == 0 || ctx.Err() == nil) {
		t.Run(fmt.Sprintf("from%d", sum.rounds+1), func(t *testing.T) {
			w := newTrial(t, f)
			for w.hurts == 0 || w.hurts < min(f.life(), n-sum.rounds) && ctx.Err() == nil {
				w.round()
				p.tell(ctx, t, sum.rounds+w.hurts)
			}
			sum.add(w.finish())
		})
	}
	return sum
}

// pace tells how far a fault is.
type pace struct {
	name        string
	of          int
	began, told time.Time
}

func (p *pace) tell(ctx context.Context, t *testing.T, done int) {
	if time.Since(p.told) < 15*time.Second {
		return
	}
	p.told = time.Now()
	each := time.Since(p.began) / time.Duration(done)
	left := each * time.Duration(p.of-done)
	if end, ok := ctx.Deadline(); ok {
		left = min(left, time.Until(end))
	}
	t.Logf("%s: round %d of %d, %.1f s each, %s left", p.name, done, p.of, each.Seconds(), left.Round(time.Second))
}

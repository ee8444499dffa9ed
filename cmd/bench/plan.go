package main

import (
	"fmt"
	"regexp"

	"github.com/mxdesk/mxdesk/cmd/bench/internal/load"
)

// row is one comparison: a load that mxdesk and a peer take in turn.
type row struct {
	group  group
	source bool // smtp-source sends, else our own generator
	kind   load.Kind
	shape  load.Shape
	goal   float64 // of the ratio mxdesk / peer, 0 = none
	quick  bool    // part of a quick run
}

// group is what rows have in common.
type group struct {
	title, ours, theirs string // ours and theirs name lanes
}

var (
	plain  = group{"SMTP, plain", "mxdesk smtp", "Postfix HOLD"}
	checks = group{"SMTP, with SPF, DKIM, DMARC and ARC", "mxdesk smtp", "Postfix HOLD + rspamd"}
	lmtp   = group{"LMTP", "mxdesk lmtp", "Dovecot Maildir"}
)

const (
	kib10 = 10 << 10
	mib   = 1 << 20
)

var (
	keep1  = load.Shape{Sessions: 1, Keep: true}
	keep4  = load.Shape{Sessions: 4, Keep: true}
	keep10 = load.Shape{Sessions: 10, Keep: true}
	keep50 = load.Shape{Sessions: 50, Keep: true}
	new10  = load.Shape{Sessions: 10}
)

// plan lists all rows in the order of the table.
func plan() []row {
	small, large := load.Kind{Size: kib10}, load.Kind{Size: mib}
	signed, signedLarge := load.Kind{Size: kib10, Signed: true}, load.Kind{Size: mib, Signed: true}
	silent := load.Kind{Size: kib10, Signed: true, NoAnswer: true}
	return []row{
		{plain, true, small, keep1, 1.2, false},
		{plain, true, small, keep10, 0, false},
		{plain, true, small, keep50, 3, true},
		{plain, true, small, new10, 2.5, true},
		{plain, true, large, keep4, 1, false},
		{plain, false, small, keep1, 1.2, true},
		{plain, false, small, keep10, 0, false},
		{plain, false, small, keep50, 3, true},
		{plain, false, small, new10, 2.5, true},
		{plain, false, large, keep4, 1, true},
		{checks, false, signed, keep1, 0, false},
		{checks, false, signed, keep10, 4, true},
		{checks, false, signed, keep50, 4, true},
		{checks, false, signed, new10, 4, false},
		{checks, false, signedLarge, keep4, 0, false},
		{checks, false, silent, keep10, 4, false},
		{checks, false, silent, keep50, 4, false},
		{lmtp, true, small, keep1, 0, false},
		{lmtp, true, small, keep10, 4, true},
		{lmtp, true, small, keep50, 4, false},
		{lmtp, true, small, new10, 4, false},
		{lmtp, false, small, keep1, 0, false},
		{lmtp, false, small, keep10, 4, true},
		{lmtp, false, small, keep50, 4, false},
		{lmtp, false, small, new10, 4, false},
	}
}

// sender names what sends the row's mails.
func (r row) sender() string {
	if r.source {
		return "smtp-source"
	}
	return "generator"
}

// name says what the row's load is.
func (r row) name() string {
	how := "kept"
	if !r.shape.Keep {
		how = "new"
	}
	size := "10 KiB"
	if r.kind.Size >= mib {
		size = "1 MiB"
	}
	s := fmt.Sprintf("%s s=%d %s %s", r.sender(), r.shape.Sessions, how, size)
	if r.kind.NoAnswer {
		s += ", no answer wanted"
	}
	return s
}

// choose returns the rows of a plan whose group and name match.
func choose(rows []row, quick bool, pattern string) ([]row, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	var out []row
	for _, r := range rows {
		if (r.quick || !quick) && re.MatchString(r.group.title+": "+r.name()) {
			out = append(out, r)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no row matches %q: --list shows them", pattern)
	}
	return out, nil
}

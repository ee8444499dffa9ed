package smtpd

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/mxdesk/mxdesk/metrics"
	"github.com/mxdesk/mxdesk/ticketing"
)

func errNoSpace() error { return syscall.ENOSPC }

// TestReplyOf: our fault is 4xx, theirs is 5xx, whatever the reason says.
func TestReplyOf(t *testing.T) {
	kinds := []ticketing.Kind{
		ticketing.KindInternal, ticketing.KindUnavailable, ticketing.KindInvalid, ticketing.KindNotFound,
		ticketing.KindConflict, ticketing.KindDenied, ticketing.KindTooLarge, ticketing.Kind(99),
	}
	reasons := []string{"", "disk-full", "deadline", "dmarc-reject", "too-large", "mail-loop", "relay-denied", "unknown-recipient", "words"}
	form := regexp.MustCompile(`^([45])\d\d ([45])\.\d{1,3}\.\d{1,3} [ -~]+ \(id 7\)\r\n$`)
	for _, k := range kinds {
		for _, reason := range reasons {
			e := &ticketing.Error{Kind: k, Reason: reason, Message: "said\r\n" + strings.Repeat("x", 900), Cause: errors.New("secret")}
			r := replyOf(fmt.Errorf("inside: %w", e))
			m := form.FindStringSubmatch(r.line("7"))
			if m == nil || m[1] != m[2] || strings.Contains(r.line("7"), "secret") || len(r.line("7")) > 512 {
				t.Errorf("%d %s: %q", k, reason, r.line("7"))
			}
			if k != 99 && r.temporary() != e.Temporary() {
				t.Errorf("%d %s: %s", k, reason, r.line("7"))
			}
			if r.reason != reason {
				t.Errorf("%d %s: reason %q", k, reason, r.reason)
			}
		}
	}
}

func TestReplyTable(t *testing.T) {
	for _, tc := range []struct {
		kind   ticketing.Kind
		reason string
		want   string
	}{
		{ticketing.KindUnavailable, "disk-full", "452 4.3.1"},
		{ticketing.KindUnavailable, "store-failed", "451 4.3.0"},
		{ticketing.KindUnavailable, "dns-timeout", "451 4.4.3"},
		{ticketing.KindUnavailable, ticketing.ReasonTempError, "451 4.7.0"},
		{ticketing.KindUnavailable, ticketing.ReasonVerifierFailed, "451 4.4.5"},
		{ticketing.KindUnavailable, "mixed-recipients", "452 4.5.3"},
		{ticketing.KindInternal, "anything", "451 4.3.0"},
		{ticketing.KindNotFound, "unknown-recipient", "550 5.1.1"},
		{ticketing.KindDenied, "dmarc-reject", "550 5.7.26"},
		{ticketing.KindDenied, "relay-denied", "550 5.7.1"},
		{ticketing.KindDenied, ticketing.ReasonListed, "550 5.7.1"},
		{ticketing.KindDenied, "anything", "550 5.7.1"},
		{ticketing.KindTooLarge, "anything", "552 5.3.4"},
		{ticketing.KindInvalid, "anything", "554 5.6.0"},
		{ticketing.KindInvalid, "mail-loop", "550 5.4.6"},
	} {
		err := &ticketing.Error{Kind: tc.kind, Reason: tc.reason}
		if got := replyOf(err).line("7"); !strings.HasPrefix(got, tc.want+" ") {
			t.Errorf("%d %s: %s", tc.kind, tc.reason, got)
		}
		if code, enhanced := ReplyCode(err); fmt.Sprint(code, " ", enhanced) != tc.want {
			t.Errorf("%d %s: codes %d and %s", tc.kind, tc.reason, code, enhanced)
		}
	}
	if got := (reply{}).line("7"); got != "" {
		t.Errorf("no reply: %q", got)
	}
}

func TestFold(t *testing.T) {
	ok := ticketing.Outcome{Decision: ticketing.JournalHeld, Reason: "dmarc-quarantine"}
	again := ticketing.Outcome{Decision: ticketing.JournalDuplicate}
	policy := ticketing.Outcome{Err: &ticketing.Error{Kind: ticketing.KindDenied, Reason: "dmarc-reject"}}
	broken := ticketing.Outcome{Err: &ticketing.Error{Kind: ticketing.KindInvalid, Reason: "malformed"}}
	later := ticketing.Outcome{Err: errors.New("bug")}
	for _, tc := range []struct {
		name     string
		outcomes []ticketing.Outcome
		decision metrics.SMTPDecision
		code     int
	}{
		{"nothing", nil, metrics.TransactionDeferred, 451},
		{"held", []ticketing.Outcome{ok, again}, metrics.TransactionHeld, 250},
		{"duplicate", []ticketing.Outcome{again}, metrics.TransactionDuplicate, 250},
		{"mixed", []ticketing.Outcome{policy, ok, broken}, metrics.TransactionHeld, 250},
		{"refused", []ticketing.Outcome{policy, broken, policy}, metrics.TransactionRejected, 554},
		{"one asks to come again", []ticketing.Outcome{policy, ok, later}, metrics.TransactionDeferred, 451},
	} {
		decision, r := fold(tc.outcomes)
		if decision != tc.decision || r.code != tc.code {
			t.Errorf("%s: %s %d", tc.name, decision, r.code)
		}
	}
}

// FuzzAddress: what passes can be written into a command and read back by
// go-smtp as the same address.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{"a@b", `a> SIZE=1 b@c`, "a\r\nb@c", "@", "a@", "a@b@c", `"@x`, `\@x`, "ü@ö", "a..b@c", "a@[::1]"} {
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, s string, smtputf8 bool) {
		got, fault := cleanAddress(s, smtputf8)
		if fault != addressFine {
			return
		}
		if len(got) > maxAddress || strings.ContainsFunc(got, func(c rune) bool { return c < ' ' || c == 0x7f || c > 0x7f && !smtputf8 }) {
			t.Fatalf("%q passed as %q", s, got)
		}
		inner := got
		if rest, ok := strings.CutPrefix(got, `"`); ok {
			local, domain, _ := strings.Cut(rest, `"@`)
			for strings.Contains(domain, `"@`) { // a quote within the local part
				more, d, _ := strings.Cut(domain, `"@`)
				local, domain = local+`"@`+more, d
			}
			inner = strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(local) + "@" + domain
		}
		if inner != s {
			t.Fatalf("%q was written as %q, which reads %q", s, got, inner)
		}
	})
}

package web

import (
	"fmt"
	"strings"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
)

// look is how something that has a meaning is marked: colour never alone.
type look struct {
	Tone string // ok, attention, danger, info or quiet
	Icon string
	Word string
}

// deliveries are the copies that went out for one comment.
type deliveries struct {
	Summary []look
	Detail  string // the last attempt, when there is one copy
	Copies  []copyView
}

// copyView is one recipient's copy.
type copyView struct {
	look
	To       person
	Why      string // kind of mail, where it is not the comment itself
	Next     *stamp // the next attempt
	Attempts []attempt
}

type attempt struct {
	At   stamp
	Text string
}

// deliveryLooks has one look for each state, in the order of a summary. Count
// is the summary's words for a number of copies.
var deliveryLooks = []struct {
	state ticketing.DeliveryState
	look  look
	count string
}{
	{ticketing.DeliveryFailed, look{"danger", "failed", "Failed"}, "Failed for %d"},
	{ticketing.DeliveryBounced, look{"danger", "failed", "Came back"}, "Came back from %d"},
	{ticketing.DeliveryDeferred, look{"info", "clock", "Delayed, will be tried again"}, "Delayed for %d"},
	{ticketing.DeliveryPending, look{"info", "clock", "Waiting to be sent"}, "Waiting to be sent to %d"},
	{ticketing.DeliveryDelivered, look{"ok", "check", "Delivered"}, "Delivered to %d"},
	{ticketing.DeliveryCaptured, look{"attention", "captured", "Captured, not sent"}, "Captured for %d, not sent"},
	{ticketing.DeliveryCancelled, look{"quiet", "failed", "Cancelled"}, "Cancelled for %d"},
}

func deliveryLook(s ticketing.DeliveryState) look {
	for _, d := range deliveryLooks {
		if d.state == s {
			return d.look
		}
	}
	return look{"quiet", "clock", string(s)}
}

// deliveriesOf tells of copies in words; nil when there are none.
func deliveriesOf(copies []*ticketing.Outgoing, now time.Time) *deliveries {
	if len(copies) == 0 {
		return nil
	}
	v := &deliveries{}
	counts := make(map[ticketing.DeliveryState]int)
	for _, o := range copies {
		counts[o.State]++
		v.Copies = append(v.Copies, copyOf(o, now))
	}
	for _, d := range deliveryLooks {
		if n := counts[d.state]; n > 0 {
			v.Summary = append(v.Summary, look{d.look.Tone, d.look.Icon, fmt.Sprintf(d.count, n)})
		}
	}
	if len(copies) == 1 {
		if c := v.Copies[0]; c.Why != "" {
			v.Summary[0].Word = c.Why + ": " + c.Word
		} else {
			v.Summary[0].Word = c.Word
		}
		if n := len(copies[0].Attempts); n > 0 {
			v.Detail = attemptText(copies[0].Attempts[n-1])
		}
	}
	return v
}

func copyOf(o *ticketing.Outgoing, now time.Time) copyView {
	v := copyView{look: deliveryLook(o.State), To: personOf(o.Recipient), Why: kindWord(o.Kind)}
	if !o.State.Final() && len(o.Attempts) > 0 && o.Claim == "" { // else Due is the end of the claim
		next := absolute(o.Due, now)
		v.Next = &next
	}
	for _, a := range o.Attempts {
		v.Attempts = append(v.Attempts, attempt{At: absolute(a.At, now), Text: attemptText(a)})
	}
	return v
}

func kindWord(k ticketing.OutgoingKind) string {
	switch k {
	case ticketing.OutgoingThankYou:
		return "Automatic thank-you"
	case ticketing.OutgoingRelay:
		return "Passed on"
	case ticketing.OutgoingNewParticipant:
		return "Word to a new participant"
	}
	return ""
}

// attemptText is an attempt as one line: "mx.customer.test, TLS 1.3, 250 2.0.0
// ok".
func attemptText(a ticketing.Attempt) string {
	var reply []string
	if a.Code > 0 {
		reply = append(reply, fmt.Sprint(a.Code))
	}
	for _, s := range []string{a.Enhanced, a.Text} {
		if s != "" {
			reply = append(reply, s)
		}
	}
	var parts []string
	for _, s := range []string{a.Host, a.TLS, strings.Join(reply, " ")} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ", ")
}

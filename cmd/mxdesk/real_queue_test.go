package main

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/queue/queuetest"
	"github.com/mxdesk/mxdesk/server/api"
	"github.com/mxdesk/mxdesk/ticketing"
)

// The relay is dead, comes back and hangs: what waits is sent when an operator
// says so, what was cancelled never is, and what is being sent goes on.
func TestRealQueueObeysTheOperator(t *testing.T) {
	relay := freeAddr(t)
	bin := needs(t)
	server, _ := nameServer(t, customerZone)
	d := newDesk(t, bin, fmt.Sprintf("dns.servers = [%q]\nqueue.relay = \"smtp://%s\"", server, relay))
	d.start()
	defer d.stop(syscall.SIGKILL) // before the relay, which waits for what hangs
	d.project("support", "support@desk.test")
	for i, from := range []string{"ann@one.test", "bob@two.test"} {
		c, err := dial(d.SMTP, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{"MAIL FROM:<" + from + ">", "RCPT TO:<support@desk.test>", "DATA",
			strings.TrimSuffix(strings.ReplaceAll(mailText(from, "Hello", fmt.Sprint(i, "@x"), "", "Hi."), "\n", "\r\n"), "\r\n") + "\r\n."} {
			if got, err := c.say(line); err != nil || got[0] > '3' {
				t.Fatalf("%s: %s %v", line, got, err)
			}
		}
		c.close()
	}
	list := func(state string) []api.Outgoing { return decode[api.Outgoing](d, "queue", "list", "--state", state) }
	copies := func(state ticketing.DeliveryState, want int) {
		t.Helper()
		eventually(t, 20*time.Second, fmt.Sprintf("%d copies %s", want, state), func() error {
			if got := list(string(state)); len(got) != want {
				return fmt.Errorf("%d", len(got))
			}
			return nil
		})
	}
	copies(ticketing.DeliveryDeferred, 2) // the thank-yous

	if out := d.do("queue", "cancel", "--to", "two.test"); !strings.Contains(out, "bob@two.test") || !strings.Contains(out, "cancelled") || strings.Contains(out, "ann@") {
		t.Errorf("cancel: %s", out)
	}
	var hang atomic.Bool
	mx := &queuetest.Server{Script: func(e queuetest.Event) queuetest.Action {
		return queuetest.Action{Hang: hang.Load() && e.Verb == "DATA"}
	}}
	l, err := net.Listen("tcp", relay)
	if err != nil {
		t.Fatal(err)
	}
	mx.Accept(t, l)
	if out := d.do("queue", "retry", "--all"); !strings.Contains(out, "ann@one.test") || strings.Contains(out, "bob@") {
		t.Errorf("retry: %s", out)
	}
	copies(ticketing.DeliveryDelivered, 1)
	if out := d.do("queue", "retry", "--all"); out != "no mail that waits\n" {
		t.Errorf("retry of nothing: %q", out)
	}

	hang.Store(true)
	d.do("ticket", "reply", "support#1", "--body", "Use water.")
	eventually(t, 20*time.Second, "a copy that is being sent", func() error {
		if got := list("pending"); len(got) != 1 || !got[0].Sending || len(mx.Messages()) != 1 {
			return fmt.Errorf("%+v", got)
		}
		return nil
	})
	id := list("pending")[0].ID
	stdout, stderr, code := d.try("queue", "cancel", id, "none", "--json")
	if lines := decodeLines[api.QueueDone](t, stdout); code != exitRefused || len(lines) != 2 || lines[0].Done || lines[0].Reason != "being-sent" || lines[1].Done {
		t.Errorf("cancel of what is being sent: exit %d, %s, %s", code, stdout, stderr)
	}
	if _, stderr, code := d.try("queue", "cancel", id); code != exitRefused || !strings.Contains(stderr, "is being sent now") {
		t.Errorf("cancel of what is being sent: exit %d, %s", code, stderr)
	}
	copies(ticketing.DeliveryCancelled, 1)
	th := d.thread("support#2")
	if last := th.Comments[len(th.Comments)-1]; last.Body != "The mail to bob@two.test was cancelled by the operator" {
		t.Errorf("ticket: %+v", last)
	}
	for _, m := range mx.Messages() {
		if strings.Contains(m.To, "bob@") {
			t.Error("a cancelled copy was sent")
		}
	}
	if stdout, stderr, code := d.try("store", "verify"); code != 0 {
		t.Errorf("store verify: exit %d: %s%s", code, stdout, stderr)
	}
}

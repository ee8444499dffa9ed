package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/server/api"
)

// TestRealSmuggling tries every wrong end of data on the real listeners: none
// may end a message and let what follows be read as commands.
func TestRealSmuggling(t *testing.T) {
	var all struct {
		MustNot []string `json:"must_not_terminate"`
		Must    []string `json:"must_terminate"`
		Literal []string `json:"dot_stuffed_literal"`
	}
	if err := json.Unmarshal([]byte(readFile(t, testdata(t, "smtp/smuggling/sequences.json"))), &all); err != nil {
		t.Fatal(err)
	}
	if len(all.MustNot) != 12 || len(all.Must) != 1 || len(all.Literal) != 1 {
		t.Fatalf("sequences: %+v", all)
	}
	for _, rule := range []string{"reject", "normalize"} {
		d := loadedDesk(t, fmt.Sprintf("smtp.bare_newline = %q", rule))
		for _, way := range []string{"smtp", "smtp tls", "lmtp", "lmtp tls"} {
			for _, how := range []string{"DATA", "BDAT"} {
				t.Run(strings.Join([]string{rule, way, how}, " "), func(t *testing.T) {
					for _, seq := range all.MustNot {
						d.smuggle(t, way, how, seq)
					}
					d.literal(t, way, how, all.Must[0], all.Literal[0])
				})
			}
		}
		for _, tk := range decode[api.Ticket](d, "ticket", "list", "--limit", "0") {
			if tk.Title == "Smuggled" || tk.Requester == "evil@customer.test" {
				t.Errorf("%s: a smuggled mail is ticket %d", rule, tk.IID)
			}
		}
		if es := d.trace("evil@customer.test"); len(es) != 0 {
			t.Errorf("%s: %d transactions of the smuggled sender", rule, len(es))
		}
	}
}

// open begins a session one of the ways.
func (d *desk) open(t *testing.T, way string) *client {
	t.Helper()
	addr := map[bool]string{true: d.LMTP, false: d.SMTP}[strings.HasPrefix(way, "lmtp")]
	c, err := dial(addr, addr == d.LMTP)
	if err == nil && strings.HasSuffix(way, "tls") {
		err = c.startTLS()
	}
	if err != nil {
		t.Fatalf("%s: %v", way, err)
	}
	t.Cleanup(c.close)
	return c
}

// transmit sends octets as the data of one message, says goodbye and returns
// the replies.
func (d *desk) transmit(t *testing.T, way, how, octets string) []string {
	t.Helper()
	c := d.open(t, way)
	defer c.close()
	if got, err := c.envelope("outer@customer.test", "support@desk.test"); got != "250" {
		t.Fatalf("%s %v", got, err)
	}
	if how == "BDAT" {
		octets = fmt.Sprintf("BDAT %d LAST\r\n%s", len(octets), octets)
	} else if got, err := c.say("DATA"); err != nil || !strings.HasPrefix(got, "354") {
		t.Fatalf("%s %v", got, err)
	}
	c.conn.SetDeadline(time.Now().Add(15 * time.Second))
	c.write(octets + "QUIT\r\n") // refused before its end, perhaps
	var replies []string
	for {
		got, err := c.reply()
		if err != nil {
			return replies
		}
		replies = append(replies, got)
	}
}

func (d *desk) smuggle(t *testing.T, way, how, seq string) {
	t.Helper()
	id := fmt.Sprintf("%s.%x@customer.test", strings.ReplaceAll(way+"."+how, " ", "."), seq)
	outer := "From: outer@customer.test\r\nSubject: Outer\r\nMessage-ID: <" + id + ">\r\n\r\nwords of message outer" + seq
	inner := "MAIL FROM:<evil@customer.test>\r\nRCPT TO:<support@desk.test>\r\nDATA\r\n" +
		"From: evil@customer.test\r\nSubject: Smuggled\r\n\r\nevil\r\n.\r\n"
	replies := d.transmit(t, way, how, outer+inner)
	taken := 0
	for _, r := range replies {
		if strings.HasPrefix(r, "250 2.6.0") {
			taken++
		}
		if strings.HasPrefix(r, "354") || strings.HasPrefix(r, "250 2.1") {
			t.Errorf("%q began a transaction: %q", seq, replies)
		}
	}
	refused := len(replies) == 1 && strings.HasPrefix(replies[0], "521 ")
	if !refused && !(taken == 1 && len(replies) == 2 && strings.HasPrefix(replies[1], "221 ")) {
		t.Errorf("%q: replies %q", seq, replies)
	}
	if es := d.trace(id); len(es) != 1 && taken == 1 {
		t.Errorf("%q: %d transactions of the outer mail", seq, len(es))
	}
}

// literal sends a line that is a dot and nothing else in the middle of a mail.
func (d *desk) literal(t *testing.T, way, how, end, stuffed string) {
	t.Helper()
	id := strings.ReplaceAll(way+"."+how, " ", ".") + ".literal@customer.test"
	text := "From: outer@customer.test\r\nSubject: Literal\r\nMessage-ID: <" + id + ">\r\n\r\nwords of message before"
	if how == "BDAT" {
		text += "\r\n.\r\nafter\r\n"
	} else {
		text += stuffed + "after" + end
	}
	replies := d.transmit(t, way, how, text)
	if len(replies) != 2 || !strings.HasPrefix(replies[0], "250 2.6.0") {
		t.Fatalf("replies %q", replies)
	}
	es := decode[api.Transaction](d, "trace", id)
	if len(es) != 1 || es[0].Ticket == "" {
		t.Fatalf("trace = %+v", es)
	}
	if body := d.thread(es[0].Ticket).Comments[0].Body; strings.TrimSpace(body) != "words of message before\n.\nafter" {
		t.Errorf("body = %q", body)
	}
}

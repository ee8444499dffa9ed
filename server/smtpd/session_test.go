package smtpd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/mxdesk/mxdesk/ticketing"
)

// TestEnvelope: what the desk is told of a transaction.
func TestEnvelope(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := quick()
		when := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
		o.Now = func() time.Time { return when }
		w, c := open(t, o)
		c.do("MAIL FROM:<jürgen@example.org> SMTPUTF8 BODY=8BITMIME", "250 ")
		c.do("RCPT TO:<Help+Label@desk.test>", "250 ")
		c.do("RCPT TO:<help@desk.test>", "250 ")
		c.do("RCPT TO:<help@desk.test>", "250 ")
		c.do("DATA", "354 ")
		c.send(".\r\n")
		c.want("250 2.6.0 queued as 2")
		e := w.desk.got()[0].envelope
		want := ticketing.Envelope{ID: "2", Session: "1", Protocol: "UTF8SMTP", Client: e.Client, Helo: "client.test",
			MailFrom: "jürgen@example.org", UTF8: true, Recipients: e.Recipients, ReceivedAt: when, Hostname: "mx.desk.test"}
		if fmt.Sprint(e) != fmt.Sprint(want) || e.Client.String() != stranger {
			t.Errorf("got  %+v\nwant %+v", e, want)
		}
		if len(e.Recipients) != 2 || e.Recipients[0].Address != "Help+Label@desk.test" || e.Recipients[0].Route.Project != 1 {
			t.Errorf("recipients %+v", e.Recipients)
		}
	})
}

// TestRefusals: what the desk is told of what it does not get.
func TestRefusals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, c := open(t, quick())
		c.do("MAIL FROM:<ann@example.org>", "250 ")
		c.do("RCPT TO:<nobody@desk.test>", "550 ")
		r := w.desk.refusals[0]
		if r.Envelope.ID != "2" || r.Envelope.MailFrom != "ann@example.org" || r.Recipient != "nobody@desk.test" ||
			r.Stage != "rcpt" || r.Code != 550 || r.Enhanced != "5.1.1" || r.Reason != "unknown-recipient" {
			t.Errorf("refusal %+v", r)
		}
	})
}

// TestLog: every transaction leaves one line at info, with its ids and how it
// ended.
func TestLog(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var b syncBuffer
		o := quick()
		o.Log = logInto(&b)
		_, c := open(t, o)
		c.data()
		c.send("Subject: x\r\n\r\n.\r\n")
		c.want("250 ")
		c.envelope()
		c.do("RSET", "250 ")
		c.do("MAIL FROM:<b+0123456789abcdefghjkmnpqrs@desk.test>", "250 ")
		c.do("RSET", "250 ")
		c.do("MAIL FROM:<a@b@c>", "501 ")
		c.data()
		c.send("Subject: x\r\n\n.\r\n.\r\n")
		c.want("521 ")
		synctest.Wait()
		var got []string
		for line := range strings.Lines(b.String()) {
			if strings.Contains(line, "msg=transaction") {
				f := map[string]string{}
				for word := range strings.FieldsSeq(line) {
					k, v, _ := strings.Cut(word, "=")
					f[k] = v
				}
				got = append(got, strings.Join([]string{f["level"], f["session"], f["id"], f["client"], f["from"], f["rcpts"], f["size"], f["decision"], f["reason"], f["code"]}, " "))
			}
		}
		want := []string{
			`INFO 1 2 192.0.2.1:4000 ann@example.org 1 14 accepted "" 250`,
			`INFO 1 3 192.0.2.1:4000 ann@example.org 1 0 aborted aborted 0`,
			`INFO 1 4 192.0.2.1:4000 b+0123…@desk.test 0 0 aborted aborted 0`,
			`INFO 1 5 192.0.2.1:4000 "" 0 0 rejected bad-sender 501`,
			`INFO 1 6 192.0.2.1:4000 ann@example.org 1 0 rejected bare-newline 521`,
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// TestPanic: a desk that breaks, or forgets recipients, costs one 451.
func TestPanic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, c := open(t, quick())
		broken := true
		w.desk.deliver = func(context.Context, *ticketing.Envelope, ticketing.Raw) []ticketing.Outcome {
			if broken {
				panic("desk broke")
			}
			return nil
		}
		for range 2 {
			c.data()
			c.send(".\r\n")
			c.want("451 4.3.0 something is wrong here")
			broken = false
		}
		if n := w.srv.o.Spool.inRAM.Load(); n != 0 {
			t.Errorf("%d octets left", n)
		}
	})
}

// TestNewID: ids are letters and digits, differ, and sort by time.
func TestNewID(t *testing.T) {
	var ids []string
	for range 3 {
		ids = append(ids, newID())
		time.Sleep(2 * time.Millisecond)
	}
	if !slices.IsSorted(ids) || len(ids[0]) != 16 || strings.Trim(ids[0], "0123456789abcdefghijklmnopqrstuv") != "" {
		t.Errorf("ids %v", ids)
	}
}

// TestOverTCP has many clients at once talk to the server over sockets, in
// plain text and TLS, by DATA and BDAT, while it is shut down.
func TestOverTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	desk := new(fakeDesk)
	o := quick()
	o.TLS, o.PerClient, o.PerMinute = testTLS(), -1, -1
	o.Spool = NewSpooler(SpoolOptions{Dir: t.TempDir(), MessageInRAM: 50_000, AllInRAM: 200_000})
	s := New(desk, o)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	var wg sync.WaitGroup
	var mu sync.Mutex
	sent := 0
	for n := range 8 {
		wg.Go(func() {
			for k := range 6 {
				if err := sendOver(l.Addr().String(), n%2 == 0, fmt.Sprintf("%d-%d", n, k), 30_000*k); err != nil {
					t.Errorf("%d: %v", n, err)
				}
				mu.Lock()
				sent++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	idle, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, idle)
	c.want("220 ")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	c.want("421 4.3.2 ")
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
	if got := len(desk.got()); got != sent || sent != 48 {
		t.Errorf("%d messages of %d", got, sent)
	}
	if n := o.Spool.inRAM.Load(); n != 0 {
		t.Errorf("%d octets left in the spool", n)
	}
	if err := s.Serve(l); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Errorf("serve after shutdown: %v", err)
	}
}

// sendOver sends one message with go-smtp's client.
func sendOver(addr string, secure bool, subject string, size int) error {
	c, err := smtp.Dial(addr)
	if secure && err == nil {
		_ = c.Close()
		c, err = smtp.DialStartTLS(addr, insecure())
	}
	if err != nil {
		return err
	}
	defer c.Close()
	text := "Subject: " + subject + "\r\n\r\n" + strings.Repeat("0123456789\r\n", size/12)
	if err := c.SendMail("ann@example.org", []string{"help@desk.test"}, strings.NewReader(text)); err != nil {
		return err
	}
	return c.Quit()
}

// TestReadsLastWords: a client that has sent much that we did not read still
// hears why it was refused.
func TestReadsLastWords(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(new(fakeDesk), quick())
	go func() { _ = s.Serve(l) }()
	defer func() { _ = s.Shutdown(t.Context()) }()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := textproto.NewConn(conn)
	if _, _, err := c.ReadResponse(220); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"HELO a", "MAIL FROM:<>", "RCPT TO:<help@desk.test>", "DATA"} {
		if err := c.PrintfLine("%s", command); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.ReadResponse(0); err != nil && command == "HELO a" {
			t.Fatal(err)
		}
	}
	if _, err := conn.Write([]byte("bare\n" + strings.Repeat("more\r\n", 50_000))); err != nil {
		t.Fatal(err)
	}
	if line, err := c.ReadLine(); err != nil || !strings.HasPrefix(line, "521 5.5.2 ") {
		t.Errorf("%q %v", line, err)
	}
}

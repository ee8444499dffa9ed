package smtpd

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
)

func itoa(n int) string { return strconv.Itoa(n) }

// TestTrapS08: a message of exactly the largest size is taken.
func TestTrapS08(t *testing.T) {
	for _, how := range []string{"DATA", "BDAT"} {
		bubble(t, func(t *testing.T) {
			o := quick()
			o.MaxMessageBytes = 1000
			w, c := open(t, o)
			for _, size := range []int{1000, 1001, 1002, 5000} {
				text := "Subject: x\r\n\r\n"
				text += strings.Repeat("x", size-len(text)-2) + "\r\n"
				c.envelope()
				if how == "DATA" {
					c.do("DATA", "354 ")
					c.send(text + ".\r\n")
				} else {
					c.send("BDAT " + itoa(size) + " LAST\r\n" + text)
				}
				want := "552 5.3.4 "
				if size == 1000 {
					want = "250 2.6.0 "
				}
				c.want(want)
			}
			if got := len(w.desk.got()); got != 1 {
				t.Errorf("%s: desk has %d messages", how, got)
			}
		})
	}
}

// TestTrapS09: a shutdown ends idle sessions at once and lets a message finish.
func TestTrapS09(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, idle := open(t, quick())
		between := w.dial(stranger)
		between.hello()
		between.envelope()
		busy := w.dial(stranger)
		busy.hello()
		busy.data()
		chunks := w.dial(stranger)
		chunks.hello()
		chunks.envelope()
		chunks.do("BDAT 12\r\nSubject: x", "250 ")

		done := make(chan error, 1)
		begun := time.Now()
		go func() { done <- w.srv.Shutdown(context.Background()) }()
		for _, c := range []*client{idle, between} {
			c.want("421 4.3.2 ")
			if got := c.line(); got != "closed" || time.Since(begun) > time.Second {
				t.Errorf("%q after %v", got, time.Since(begun))
			}
		}
		time.Sleep(time.Minute)
		busy.send("Subject: x\r\n\r\n.\r\n")
		busy.want("250 2.6.0 ")
		busy.want("421 4.3.2 ")
		chunks.send("BDAT 2 LAST\r\n\r\n")
		chunks.want("250 2.6.0 ")
		chunks.want("421 4.3.2 ")
		if err := <-done; err != nil {
			t.Error(err)
		}
		if _, err := w.l.dial(stranger); !errors.Is(err, net.ErrClosed) {
			t.Errorf("dial after shutdown: %v", err)
		}
		if n := len(w.srv.conns); n != 0 {
			t.Errorf("%d connections left", n)
		}
	})
}

// A client that has sent its next mails ahead is told to come again with them.
func TestTrapS09Ahead(t *testing.T) {
	const mail = "MAIL FROM:<ann@example.org>\r\nRCPT TO:<help@desk.test>\r\nDATA\r\nSubject: x\r\n\r\n.\r\n"
	bubble(t, func(t *testing.T) {
		w, c := open(t, quick())
		w.desk.deliver = func(_ context.Context, e *ticketing.Envelope, raw ticketing.Raw) []ticketing.Outcome {
			time.Sleep(time.Second)
			return w.desk.keep(e, raw)
		}
		c.send(strings.Repeat(mail, 10))
		synctest.Wait() // the first mail has begun
		done := make(chan error, 1)
		go func() { done <- w.srv.Shutdown(context.Background()) }()
		for _, want := range []string{"250 ", "250 ", "354 ", "250 2.6.0 ", "421 4.3.2 "} {
			c.want(want)
		}
		if got := c.line(); got != "closed" || len(w.desk.got()) != 1 {
			t.Errorf("%q, taken %+v", got, w.desk.got())
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A shutdown that may not wait any longer leaves no connection behind.
func TestTrapS09Deadline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, c := open(t, quick())
		c.data()
		early := w.dial(stranger)
		early.want("220 ")
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := w.srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("shutdown: %v", err)
		}
		if got := c.line(); got != "closed" {
			t.Errorf("client hears %q", got)
		}
		synctest.Wait()
		if n := len(w.srv.conns); n != 0 {
			t.Errorf("%d connections left", n)
		}
	})
}

// TestTrapS10: a message by BDAT that is given up is not delivered, whenever
// that happens, and the next one is.
func TestTrapS10(t *testing.T) {
	for range 20 {
		bubble(t, func(t *testing.T) {
			w, c := open(t, quick())
			begin := "MAIL FROM:<a@example.org>\r\nRCPT TO:<help@desk.test>\r\n"
			c.send(begin + "BDAT 12\r\nSubject: 1\r\nRSET\r\n" +
				begin + "BDAT 1\r\nSRSET\r\n" +
				begin + "BDAT 12\r\nSubject: 2\r\nEHLO again.test\r\n" +
				begin)
			for range 14 {
				c.want("250")
			}
			// A goroutine that go-smtp has given up may answer in this one's
			// place, but never with 250.
			c.send("BDAT 14 LAST\r\nSubject: 3\r\n\r\n")
			answer := c.line()
			for _, m := range w.desk.got() {
				if m.text != "Subject: 3\r\n\r\n" {
					t.Errorf("delivered %q", m.text)
				}
			}
			if strings.HasPrefix(answer, "250 2.6.0 ") && len(w.desk.got()) != 1 {
				t.Errorf("answer %q, %d messages", answer, len(w.desk.got()))
			}
			if !strings.HasPrefix(answer, "250 2.6.0 ") && answer[0] != '4' {
				t.Errorf("answer %q", answer)
			}
		})
	}
}

// TestTrapS10Gone: a client that leaves between two chunks leaves nothing.
func TestTrapS10Gone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, c := open(t, quick())
		c.envelope()
		c.do("BDAT 14\r\nSubject: x\r\n", "250 ")
		_ = c.conn.Close()
		synctest.Wait()
		if len(w.desk.got()) != 0 || len(w.srv.conns) != 0 || w.srv.o.Spool.inRAM.Load() != 0 {
			t.Errorf("left: %d messages, %d connections, %d octets", len(w.desk.got()), len(w.srv.conns), w.srv.o.Spool.inRAM.Load())
		}
	})
}

// TestTrapS11: MAIL within a transaction must not change the sender.
func TestTrapS11(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, c := open(t, quick())
		c.do("MAIL FROM:<good@example.org>", "250 ")
		c.do("MAIL FROM:<evil@example.org>", "503 5.5.1 ")
		c.do("RCPT TO:<help@desk.test>", "250 ")
		c.do("MAIL FROM:<evil@example.org>", "503 5.5.1 ")
		c.do("DATA", "354 ")
		c.send("Subject: x\r\n\r\n.\r\n")
		c.want("250 ")
		if got := w.desk.got()[0].envelope.MailFrom; got != "good@example.org" {
			t.Errorf("sender %q", got)
		}
	})
}

// TestTrapS12 records that go-smtp takes a bare LF as the end of a command.
func TestTrapS12(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, c := open(t, quick())
		c.send("NOOP\nNOOP\n")
		c.want("250 ")
		c.want("250 ")
	})
}

// TestTrapS13: go-smtp lets pass what is no address.
func TestTrapS13(t *testing.T) {
	long := strings.Repeat("x", 65)
	tests := []struct{ command, want string }{
		{"MAIL FROM:<>", "250 "},
		{"MAIL FROM:<a\x00b@example.org>", "501 5.1.7 "},
		{"MAIL FROM:<a\rb@example.org>", "501 5.1.7 "},
		{"MAIL FROM:<" + long + "@example.org>", "501 5.1.7 "},
		{"MAIL FROM:<a@" + strings.Repeat("x.", 130) + "org>", "501 5.1.7 "},
		{"MAIL FROM:<jürgen@example.org>", "553 5.6.7 "},
		{"MAIL FROM:<jürgen@example.org> SMTPUTF8", "250 "},
		{"MAIL FROM:<j\xff@example.org> SMTPUTF8", "501 5.1.7 "},
		{"MAIL FROM:<a@b@c.org>", "501 5.1.7 "},
		{`MAIL FROM:<"a> SIZE=1 b"@example.org>`, "250 "},
		{"MAIL FROM:<a@example.org> SIZE=99999999", "552 5.3.4 "},
		{"MAIL FROM:<a@[192.0.2.1]>", "250 "},
		{"MAIL FROM:<a@[192.0.2.1>", "501 5.1.7 "},
	}
	for _, tc := range tests {
		bubble(t, func(t *testing.T) {
			_, c := open(t, quick())
			if c.send(tc.command + "\r\n"); !strings.HasPrefix(c.line(), tc.want) {
				t.Errorf("%q: want %s", tc.command, tc.want)
			}
			to := strings.Replace(tc.command, "MAIL FROM", "RCPT TO", 1)
			if strings.Contains(to, "SIZE=9") || strings.Contains(to, "UTF8") || strings.HasPrefix(tc.want, "250") {
				return
			}
			c.do("MAIL FROM:<>", "250 ")
			c.do(to, strings.Replace(tc.want, "5.1.7", "5.1.3", 1))
		})
	}
}

// TestTrapS13Quoted: what go-smtp unquotes is quoted again, so that it can be
// written into a header or a command.
func TestTrapS13Quoted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, c := open(t, quick())
		c.do(`MAIL FROM:<"a> SIZE=1 \"b"@example.org>`, "250 ")
		c.do(`RCPT TO:<"x y"@desk.test>`, "250 ")
		c.do("DATA", "354 ")
		c.send("Subject: x\r\n\r\n.\r\n")
		c.want("250 ")
		e := w.desk.got()[0].envelope
		if e.MailFrom != `"a> SIZE=1 \"b"@example.org` || e.Recipients[0].Address != `"x y"@desk.test` {
			t.Errorf("envelope %+v", e)
		}
	})
}

// TestTrapS14 records that go-smtp refuses a postmaster without domain, which
// RFC 5321 section 4.5.1 wants accepted.
func TestTrapS14(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, c := open(t, quick())
		c.do("MAIL FROM:<>", "250 ")
		c.do("RCPT TO:<postmaster>", "501 ")
		c.do("RCPT TO:<postmaster@desk.test>", "250 ")
	})
}

// TestTrapS15: commands that lead nowhere and refused ones are counted.
func TestTrapS15(t *testing.T) {
	t.Run("junk", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			_, c := open(t, quick())
			n := 0
			for ; n < 300; n++ {
				c.send([]string{"NOOP\r\n", "RSET\r\n", "VRFY ann\r\n"}[n%3])
				if strings.HasPrefix(c.line(), "421 4.7.0 ") {
					break
				}
			}
			if n < 50 || n > 101 {
				t.Errorf("%d commands", n)
			}
		})
	})
	t.Run("unknown", func(t *testing.T) { bubble(t, testUnknown) })
	t.Run("one known", func(t *testing.T) { bubble(t, testUnknownAndKnown) })
	t.Run("trusted", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			o := quick()
			w := newWorld(t, o)
			c := w.dial("unix")
			c.hello()
			c.do("MAIL FROM:<>", "250 ")
			begun := time.Now()
			for range 500 {
				c.do("RCPT TO:<nobody@desk.test>", "550 5.1.1 ")
			}
			if time.Since(begun) != 0 {
				t.Errorf("held up for %v", time.Since(begun))
			}
		})
	})
	t.Run("messages", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			_, c := open(t, quick())
			for range 250 {
				c.do("MAIL FROM:<>", "250 ")
				c.do("RSET", "250 ")
			}
			c.do("MAIL FROM:<>", "421 4.7.0 ")
			if got := c.line(); got != "closed" {
				t.Error(got)
			}
		})
	})
	t.Run("octets", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			o := quick()
			o.MaxSessionBytes = 5000
			_, c := open(t, o)
			c.data()
			c.send("Subject: x\r\n\r\n" + strings.Repeat("x\r\n", 500) + ".\r\n")
			c.want("250 2.6.0 ")
			c.do("MAIL FROM:<> SIZE=4000", "421 4.7.0 session has sent too much")
		})
	})
	t.Run("octets at once", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			o := quick()
			o.MaxSessionBytes = 5000
			_, c := open(t, o)
			c.data()
			c.send(strings.Repeat("x\r\n", 5000))
			c.want("421 4.7.0 session has sent too much")
		})
	})
}

// testUnknown: a client that guesses is slowed down and sent away.
func testUnknown(t *testing.T) {
	w, c := open(t, quick())
	c.do("MAIL FROM:<>", "250 ")
	var delays []time.Duration
	for n := range 6 {
		begun := time.Now()
		want := "550 5.1.1 "
		if n == 5 {
			want = "421 4.7.0 "
		}
		c.do("RCPT TO:<nobody@desk.test>", want)
		delays = append(delays, time.Since(begun))
	}
	s := time.Second
	if !slices.Equal(delays, []time.Duration{0, 0, 0, 0, 5 * s, 5 * s}) || c.line() != "closed" {
		t.Errorf("delays %v", delays)
	}
	if got := w.desk.reasons(); len(got) != 6 || got[0] != "rcpt unknown-recipient" || got[5] != "rcpt unknown-recipients" {
		t.Errorf("refusals %v", got)
	}
}

// testUnknownAndKnown: a list with some dead addresses gets through.
func testUnknownAndKnown(t *testing.T) {
	w, c := open(t, quick())
	c.envelope()
	for range 19 {
		c.do("RCPT TO:<nobody@desk.test>", "550 5.1.1 ")
	}
	c.do("DATA", "354 ")
	c.send("Subject: x\r\n\r\n.\r\n")
	c.want("250 ")
	c.envelope()
	c.do("RCPT TO:<nobody@desk.test>", "550 5.1.1 ")
	c.do("RCPT TO:<nobody@desk.test>", "421 4.7.0 too many errors")
	if len(w.desk.got()) != 1 {
		t.Error("message lost")
	}
}

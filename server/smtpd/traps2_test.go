package smtpd

import (
	"context"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
)

func itoa(n int) string { return strconv.Itoa(n) }

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

// TestTrapS16: what go-smtp cannot judge before the greeting, the guard does.
func TestTrapS16(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, Options{})
		patient, begun := w.dial(stranger), time.Now()
		patient.want("220 ")
		if d := time.Since(begun); d != 3*time.Second {
			t.Errorf("greeting after %v", d)
		}
		early := w.dial(stranger)
		time.Sleep(time.Second)
		early.send("EHLO bot\r\n")
		early.want("521 5.5.1 ")
		if got := early.line(); got != "closed" {
			t.Error(got)
		}
		local, begun := w.dial("unix"), time.Now()
		local.want("220 ")
		if time.Since(begun) != 0 {
			t.Error("a trusted client had to wait")
		}
		gone := w.dial(stranger)
		_ = gone.conn.Close()
		synctest.Wait()
		if got := w.desk.reasons(); !slices.Equal(got, []string{"connect early-talker"}) {
			t.Errorf("refusals %v", got)
		}
	})
}

// TestTrapS17 records that CHUNKING, PIPELINING and 8BITMIME are always
// offered; AUTH never is, and cannot be used.
func TestTrapS17(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := quick()
		o.TLS = testTLS()
		_, c := open(t, o)
		c.do("AUTH PLAIN AGFubgBzZWNyZXQ=", "523 ")
		c.startTLS()
		c.do("AUTH PLAIN AGFubgBzZWNyZXQ=", "504 ")
		c.send("EHLO again\r\n")
		var words []string
		for {
			line := c.line()
			words = append(words, strings.Fields(line[4:])[0])
			if line[3] == ' ' {
				break
			}
		}
		if got := strings.Join(words[1:], " "); got != "PIPELINING 8BITMIME ENHANCEDSTATUSCODES CHUNKING SMTPUTF8 SIZE" {
			t.Errorf("offers %s", got)
		}
	})
}

// TestTrapS19 records how go-smtp answers to parameters and commands it does
// not know.
func TestTrapS19(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, c := open(t, quick())
		c.do("MAIL FROM:<> FUTURE=1", "500 5.5.4 ")
		c.do("STARTTLSxyz", "502 5.5.1 ")
	})
}

// TestTrapS21: a failed handshake ends the connection, and nothing sent ahead
// in plain text is obeyed after it.
func TestTrapS21(t *testing.T) {
	o := quick()
	o.TLS = testTLS()
	t.Run("garbage", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			_, c := open(t, o)
			c.do("STARTTLS", "220 ")
			c.listen()
			c.send(strings.Repeat("MAIL FROM:<>\r\n", 3))
			for line := c.line(); line != "closed"; line = c.line() {
				if strings.HasPrefix(line, "5") || strings.HasPrefix(line, "2") {
					t.Errorf("plain text after STARTTLS: %q", line)
				}
			}
		})
	})
	t.Run("silence", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			_, c := open(t, o)
			c.do("STARTTLS", "220 ")
			c.listen()
			begun := time.Now()
			if got := c.line(); got != "closed" || time.Since(begun) != time.Minute {
				t.Errorf("%q after %v", got, time.Since(begun))
			}
		})
	})
	t.Run("injection", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			_, c := open(t, o)
			c.send("STARTTLS\r\nRSET\r\nMAIL FROM:<evil@example.org>\r\n")
			c.want("220 ")
			c.handshake(insecure())
			c.do("NOOP", "250 2.0.0 I have successfully done nothing")
			c.do("RCPT TO:<help@desk.test>", "502 ")
		})
	})
}

// TestTrapS22: LMTP wants one status for each RCPT, in order, duplicates and
// odd spellings included.
func TestTrapS22(t *testing.T) {
	for _, how := range []string{"DATA\r\nSubject: x\r\n\r\n.\r\n", "BDAT 14 LAST\r\nSubject: x\r\n\r\n"} {
		bubble(t, func(t *testing.T) {
			w := newWorld(t, Options{LMTP: true})
			c := w.dial("unix")
			c.want("220 ")
			c.do("LHLO client.test", "250 ")
			c.do("MAIL FROM:<>", "250 ")
			for _, rcpt := range []string{"help", "full", "help", `"x y"`, "strict", "broken"} {
				c.do("RCPT TO:<"+rcpt+"@desk.test>", "250 ")
			}
			c.do("RCPT TO:<nobody@desk.test>", "550 5.1.1 ")
			c.send(how)
			if strings.HasPrefix(how, "DATA") {
				c.want("354 ")
			}
			for _, want := range []string{
				"250 2.6.0 <help@desk.test> queued as 2",
				"452 4.3.1 <full@desk.test> not enough storage (id 2)",
				"250 2.6.0 <help@desk.test> queued as 2",
				"250 2.6.0 <x y@desk.test> queued as 2",
				"550 5.7.26 <strict@desk.test> DMARC policy of example.org (id 2)",
				"451 4.3.0 <broken@desk.test> something is wrong here, try again later (id 2)",
			} {
				if got := c.line(); got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
			}
			e := w.desk.got()[0].envelope
			if len(e.Recipients) != 5 || !e.TrustedUpstream || e.Protocol != "LMTP" || e.Client.IsValid() {
				t.Errorf("envelope %+v", e)
			}
			c.do("NOOP", "250 ")
		})
	}
}

// TestTrapS23: the guard stands below TLS and its limits hold there too.
func TestTrapS23(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := quick()
		o.TLS = testTLS()
		w, c := open(t, o)
		secure := c.startTLS()
		c.data()
		c.send("Subject: x\r\n\r\n.\r\n")
		c.want("250 ")
		if e := w.desk.got()[0].envelope; e.Protocol != "ESMTPS" || e.Client.String() != stranger || e.Helo != "client.test" {
			t.Errorf("envelope %+v", e)
		}
		if secure.ConnectionState().DidResume {
			t.Error("session was resumed")
		}
		c.data()
		time.Sleep(181 * time.Second)
		c.want("421 4.4.2 ")
	})
}

// TestWorkBudget is about a work budget that is used up: the client is told to
// come again, and a late result changes nothing.
func TestWorkBudget(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := quick()
		o.MaxAbandoned = 1
		w, c := open(t, o)
		late := make(chan struct{})
		w.desk.deliver = func(ctx context.Context, e *ticketing.Envelope, raw ticketing.Raw) []ticketing.Outcome {
			defer close(late)
			<-ctx.Done()
			time.Sleep(time.Minute)
			if _, err := io.Copy(io.Discard, io.NewSectionReader(raw, 0, raw.Size())); err != nil {
				t.Error(err)
			}
			return everyone(&transaction{envelope: *e}, nil)
		}
		c.data()
		begun := time.Now()
		c.send("Subject: x\r\n\r\n.\r\n")
		c.want("451 4.4.5 ")
		if time.Since(begun) != time.Minute {
			t.Errorf("after %v", time.Since(begun))
		}
		if got := w.desk.reasons(); !slices.Equal(got, []string{"data deadline"}) {
			t.Errorf("refusals %v", got)
		}
		c.do("MAIL FROM:<>", "451 4.3.2 ")
		<-late
		synctest.Wait()
		if n := w.srv.o.Spool.inRAM.Load(); n != 0 {
			t.Errorf("%d octets in the spool", n)
		}
		c.do("MAIL FROM:<>", "250 ")
	})
}

package smtpd

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

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
		c.do("AUTH PLAIN AGFubgBzZWNyZXQ=", "502 ")
		c.startTLS()
		c.do("AUTH PLAIN AGFubgBzZWNyZXQ=", "502 ")
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

// TestTrapS19 records how parameters and commands are answered that go-smtp does
// not know: it takes some for what they are not.
func TestTrapS19(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, c := open(t, quick())
		c.do("MAIL FROM:<> FUTURE=1", "555 5.5.4 ")
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
			c.do("NOOP", "250 2.0.0 ok")
			c.do("RCPT TO:<help@desk.test>", "503 ")
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

// TestTrapS23: the limits of the guard hold below TLS too.
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

// go-smtp obeys what it holds even when the connection is closed. It holds
// nothing, so no mail is taken whose 250 nobody could hear.
func TestNothingAfterTheEnd(t *testing.T) {
	testTLS()
	const mail = "MAIL FROM:<ann@example.org>\r\nRCPT TO:<help@desk.test>\r\n"
	const rest = "EHLO client.test\r\n" + mail + "DATA\r\nSubject: x\r\n\r\n.\r\n"
	for _, way := range []string{"smtp", "smtp tls"} {
		for name, text := range map[string]string{
			"quit":        "BDAT 1 LAST\r\nxQUIT\r\n" + rest,
			"many errors": "BDAT 1 LAST\r\nx" + strings.Repeat("what\r\n", 4) + rest,
		} {
			t.Run(way+" "+name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					w, c := reach(t, way)
					c.send(text)
					c.want("250 2.6.0 ")
					for c.line() != "closed" {
					}
					time.Sleep(time.Minute)
					if got := w.desk.got(); len(got) != 1 {
						t.Errorf("taken: %+v", got)
					}
				})
			})
		}
	}
}

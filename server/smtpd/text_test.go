package smtpd

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// What a client sends may come in any pieces: the commands before and behind a
// text are commands, the text is text.
func TestTextInPieces(t *testing.T) {
	const stream = "MAIL FROM:<ann@example.org>\r\nRCPT TO:<help@desk.test>\r\nDATA\r\nSubject: 1\r\n\r\n..one\r\n.\r\n" +
		"NOOP\r\nMAIL FROM:<ann@example.org>\r\nRCPT TO:<help@desk.test>\r\nDATA\r\nSubject: 2\r\n\r\nQUIT\r\n.\r\nVRFY x\r\nQUIT\r\n"
	for _, n := range []int{1, 2, 3, 7, 50, len(stream)} {
		bubble(t, func(t *testing.T) {
			w := newWorld(t, quick())
			c := w.dial(stranger)
			c.hello()
			for p := stream; p != ""; p = p[min(n, len(p)):] {
				c.send(p[:min(n, len(p))])
				if n > 3 {
					time.Sleep(stallAfter)
				}
			}
			for _, want := range []string{"250 ", "250 ", "354 ", "250 2.6.0 ", "250 ", "250 ", "250 ", "354 ", "250 2.6.0 ", "252 ", "221 "} {
				c.want(want)
			}
			got := w.desk.got()
			if len(got) != 2 || got[0].text != "Subject: 1\r\n\r\n.one\r\n" || got[1].text != "Subject: 2\r\n\r\nQUIT\r\n" {
				t.Errorf("in pieces of %d: %+v", n, got)
			}
		})
	}
}

// A refused text is read to its end, and the session goes on behind it; what it
// has in it is not taken for commands.
func TestTextRefused(t *testing.T) {
	for name, text := range map[string]string{
		"too large": "Subject: x\r\n\r\n" + strings.Repeat("QUIT\r\n", 4000),
		"header":    strings.Repeat("QUIT: x\r\n", 4000),
		"line":      "Subject: x\r\n\r\n" + strings.Repeat("x", 9000) + "\r\nQUIT\r\n",
	} {
		for _, way := range []string{"smtp", "lmtp"} {
			t.Run(way+" "+name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					o := quick()
					o.MaxMessageBytes, o.MaxHeaderFields, o.MaxLineBytes, o.LMTP = 20000, 100, 8000, way == "lmtp"
					w := newWorld(t, o)
					c := w.dial(stranger)
					c.want("220 ")
					c.do(map[bool]string{true: "LHLO", false: "EHLO"}[o.LMTP]+" client.test", "250 ")
					c.data()
					c.send(text)
					time.Sleep(2 * stallAfter)
					c.send("more\r\n.\r\nNOOP\r\n")
					c.want("55")
					c.want("250 ")
					c.data()
					c.send("Subject: y\r\n\r\n.\r\n")
					c.want("250 2.6.0 ")
					if got := w.desk.got(); len(got) != 1 || got[0].text != "Subject: y\r\n\r\n" {
						t.Errorf("%+v", got)
					}
				})
			})
		}
	}
}

// A text behind a chunk that go-smtp has read ahead is still the same text.
func TestTextBehindChunk(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, c := open(t, quick())
		c.envelope()
		chunk := "Subject: 1\r\n\r\none\r\n"
		c.send(fmt.Sprintf("BDAT %d LAST\r\n%sMAIL FROM:<ann@example.org>\r\nRCPT TO:<help@desk.test>\r\nDATA\r\nSubject: 2\r\n\r\n..two", len(chunk), chunk))
		time.Sleep(stallAfter)
		c.send("\r\n.\r\nNOOP\r\n")
		for _, want := range []string{"250 2.6.0 ", "250 ", "250 ", "354 ", "250 2.6.0 ", "250 2.0.0"} {
			c.want(want)
		}
		got := w.desk.got()
		if len(got) != 2 || got[0].text != chunk || got[1].text != "Subject: 2\r\n\r\n.two\r\n" {
			t.Errorf("%+v", got)
		}
	})
}

// Where go-smtp refuses a chunk without taking it, its octets would be commands
// to it.
func TestChunkNotUnderstood(t *testing.T) {
	for _, command := range []string{"BDAT", "BDAT ", "BDAT x", "BDAT 40 FIRST", "bdat 40 last 1", "BDAT\t40", "BDAT40 40", "BDAT -1", "BDAT 4294967296 LAST"} {
		bubble(t, func(t *testing.T) {
			w, c := open(t, quick())
			c.envelope()
			c.send(command + "\r\nDATA\r\nSubject: x\r\n\r\n.\r\nNOOP\r\n")
			c.want("501 5.5.4 ")
			if got := c.line(); got != "closed" || len(w.desk.got()) != 0 {
				t.Errorf("%s: %q; desk has %+v", command, got, w.desk.got())
			}
		})
	}
}

// What is in a chunk is no command, in none of the chunks of a message and not
// where it is refused.
func TestChunkIsNoCommand(t *testing.T) {
	const text = "Subject: x\r\n\r\nEHLO x\r\nSTARTTLS\r\nBDAT 99\r\nMAIL\r\n"
	chunks := strings.Repeat(fmt.Sprintf("BDAT %d\r\n%s", len(text), text), 3)
	for name, tc := range map[string]struct {
		send string
		want []string
	}{
		"taken":   {chunks + "BDAT 0 LAST\r\nRSET\r\n", []string{"250 2.0.0", "250 2.0.0", "250 2.0.0", "250 2.6.0", "250 2.0.0 reset"}},
		"at once": {chunks + "BDAT 6 LAST\r\nEHLO\r\nRSET\r\n", []string{"250 2.0.0", "250 2.0.0", "250 2.0.0", "250 2.6.0", "250 2.0.0 reset"}},
		"refused": {"RSET\r\n" + chunks, []string{"250 2.0.0", "503 5.5.1", "503 5.5.1", "503 5.5.1"}},
	} {
		for _, tls := range []bool{false, true} {
			t.Run(fmt.Sprint(name, tls), func(t *testing.T) {
				testTLS()
				bubble(t, func(t *testing.T) {
					o := quick()
					o.TLS = testTLS()
					_, c := open(t, o)
					if tls {
						c.startTLS()
					}
					c.envelope()
					c.send(tc.send + "EHLO client.test\r\n")
					for _, want := range tc.want {
						if got := c.line(); !strings.HasPrefix(got, want) {
							t.Errorf("%q, want %s", got, want)
						}
					}
					offered, line := false, ""
					for line != "closed" && !strings.HasPrefix(line, "250 ") {
						line = c.line()
						offered = offered || line == "250-STARTTLS"
					}
					if offered == tls {
						t.Errorf("STARTTLS is offered: %v", offered)
					}
				})
			})
		}
	}
}

// A text is not read when go-smtp may hold the begin of it.
func TestTextLost(t *testing.T) {
	for _, command := range []bool{true, false} {
		g := &conn{command: command, state: stateOpen, ahead: []byte("x\r\n.\r\n")}
		r, _ := (&session{guard: g}).text(strings.NewReader(""))
		if n, err := r.Read(make([]byte, 100)); (n == 3) != command || (err == nil) != command {
			t.Errorf("a whole command %v: %d octets, %v", command, n, err)
		}
	}
}

// The end of the stream is not the end of a text.
func TestTextCutShort(t *testing.T) {
	for _, end := range []string{"", "\r\n", "\r\n.", "\r\n.\r"} {
		bubble(t, func(t *testing.T) {
			w, c := open(t, quick())
			c.data()
			c.send("Subject: x\r\n\r\nbody" + end)
			_ = c.conn.Close()
			time.Sleep(time.Minute)
			if got := w.desk.got(); len(got) != 0 {
				t.Errorf("%q: taken %+v", end, got)
			}
		})
	}
}

// What was said before STARTTLS is forgotten, and so is what came with it.
func TestStartTLSForgets(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := quick()
		o.TLS = testTLS()
		w, c := open(t, o)
		c.envelope()
		c.send("STARTTLS\r\nDATA\r\nSubject: x\r\n\r\n.\r\n")
		c.want("220 ")
		c.handshake(insecure())
		c.do("DATA", "503 5.5.1 no recipient")
		c.do("MAIL FROM:<ann@example.org>", "503 5.5.1 ")
		c.do("HELO client.test", "250 ")
		c.data()
		c.send("Subject: y\r\n\r\n.\r\nQUIT\r\n")
		c.want("250 2.6.0 ")
		c.want("221 ")
		got := w.desk.got()
		if len(got) != 1 || got[0].text != "Subject: y\r\n\r\n" || got[0].envelope.Protocol != "ESMTPS" {
			t.Errorf("%+v", got)
		}
	})
}

// A handshake that goes on does not keep the server from its end.
func TestShutdownInHandshake(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := quick()
		o.TLS = testTLS()
		w, c := open(t, o)
		c.do("STARTTLS", "220 ")
		c.listen()
		c.send("\x16\x03\x01")
		begun := time.Now()
		if err := w.srv.Shutdown(t.Context()); err != nil || time.Since(begun) > time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		if got := c.line(); got != "closed" {
			t.Errorf("then %q", got)
		}
	})
}

// The length of lines is limited in commands, not in a chunk that nobody wants.
func TestLongLines(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, c := open(t, quick())
		long := strings.Repeat("x", 3*maxCommand)
		c.send("MAIL FROM:<>\r\nRCPT TO:<nobody@desk.test>\r\n" + fmt.Sprintf("BDAT %d LAST\r\n", len(long)) + long)
		for _, want := range []string{"250 ", "550 ", "503 "} {
			c.want(want)
		}
		c.do("RSET", "250 ")
		c.do("MAIL FROM:<"+strings.Repeat("x", 60)+"@example.org>", "250 ")
		c.send("RCPT TO:<" + long)
		c.want("500 5.5.2 the command is too long")
		if got := c.line(); got != "closed" || len(w.desk.got()) != 0 {
			t.Errorf("then %q, %+v", got, w.desk.got())
		}
	})
}

// A text that is refused is read to its end, but not for longer than one that is
// wanted.
func TestRefusedTextHasNoMoreTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := quick()
		o.DataMax, o.DataIdle, o.DataMinRate, o.MaxLineBytes = 10*time.Minute, time.Minute, -1, 1000
		w, c := open(t, o)
		c.data()
		begun := time.Now()
		for range 16 { // eight minutes
			c.send("x: y\r\n")
			time.Sleep(30 * time.Second)
		}
		c.send(strings.Repeat("z", 2000) + "\r\n")
		ended := make(chan time.Time, 1)
		go func() {
			for c.line() != "closed" {
			}
			ended <- time.Now()
		}()
		for len(ended) == 0 && time.Since(begun) < time.Hour {
			c.send("x: y\r\n")
			time.Sleep(30 * time.Second)
		}
		if took := (<-ended).Sub(begun); took < 10*time.Minute || took > 11*time.Minute {
			t.Errorf("it ends after %v", took)
		}
		if got := w.desk.reasons(); !slices.Equal(got, []string{"data line-too-long"}) {
			t.Errorf("desk has %v", got)
		}
	})
}

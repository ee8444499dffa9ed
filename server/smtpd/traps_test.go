package smtpd

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/mxdesk/mxdesk/ticketing"
)

// quick are options without the greeting delay.
func quick() Options { return Options{GreetingDelay: -1} }

// open returns a world and a client that has said EHLO.
func open(t *testing.T, o Options) (*world, *client) {
	t.Helper()
	w := newWorld(t, o)
	c := w.dial(stranger)
	c.hello()
	return w, c
}

// TestTrapS01: go-smtp does not see the end of data after CR CR LF. The client
// must hear of it soon, and what follows must not become part of the message.
func TestTrapS01(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, c := open(t, quick())
		c.data()
		begun := time.Now()
		c.send("Subject: x\r\n\r\nend\r\r\n.\r\n")
		c.want("521 5.5.2 ")
		if got := c.line(); got != "closed" {
			t.Errorf("then %q", got)
		}
		if took := time.Since(begun); took > 2*stallAfter {
			t.Errorf("answered after %v", took)
		}
		if len(w.desk.got()) != 0 || !slices.Equal(w.desk.reasons(), []string{"data bare-newline"}) {
			t.Errorf("desk has %+v %v", w.desk.got(), w.desk.reasons())
		}
	})
}

// A slow sender is not mistaken for one with bare newlines.
func TestTrapS01Slow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, c := open(t, quick())
		c.data()
		for _, part := range []string{"Subj", "ect: x\r", "\n\r\nbody\r\n.", "\r", "\n"} {
			time.Sleep(3 * stallAfter)
			c.send(part)
		}
		c.want("250 2.6.0 ")
		if got := w.desk.got()[0].text; got != "Subject: x\r\n\r\nbody\r\n" {
			t.Errorf("text %q", got)
		}
	})
}

// TestTrapS02: a dot and a CR at the begin of a line are not swallowed unseen.
func TestTrapS02(t *testing.T) {
	testTLS()
	for _, way := range []string{"smtp", "smtp tls", "lmtp", "lmtp tls"} {
		bubble(t, func(t *testing.T) {
			w, c := reach(t, way)
			c.do("DATA", "354 ")
			c.send("Subject: x\r\n\r\n.\rhidden\r\n.\r\n")
			c.want("521 5.5.2 ")
			if got := w.desk.got(); len(got) != 0 {
				t.Errorf("%s: taken: %+v", way, got)
			}
		})
	}
}

// TestTrapS03: go-smtp takes the end of the stream for the end of a BDAT chunk.
func TestTrapS03(t *testing.T) {
	for name, hangUp := range map[string]func(*client){
		"plain": func(c *client) { _ = c.conn.Close() },
		"tls": func(c *client) {
			_ = c.conn.(*tls.Conn).NetConn().Close()
		},
		"tls close_notify": func(c *client) { _ = c.conn.(*tls.Conn).CloseWrite() },
		"tls 1.2 close_notify": func(c *client) {
			if c.conn.(*tls.Conn).ConnectionState().Version != tls.VersionTLS12 {
				panic("not TLS 1.2")
			}
			_ = c.conn.(*tls.Conn).CloseWrite()
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := quick()
			o.TLS = testTLS().Clone()
			if strings.Contains(name, "1.2") {
				o.TLS.MaxVersion = tls.VersionTLS12
			}
			bubble(t, func(t *testing.T) {
				w, c := open(t, o)
				if strings.HasPrefix(name, "tls") {
					c.startTLS()
				}
				c.envelope()
				c.send("BDAT 1000 LAST\r\nSubject: half\r\n\r\nhal")
				synctest.Wait()
				hangUp(c)
				synctest.Wait()
				if len(w.desk.got()) != 0 || !slices.Equal(w.desk.reasons(), []string{"data truncated"}) {
					t.Errorf("desk has %+v %v", w.desk.got(), w.desk.reasons())
				}
			})
		})
	}
}

// A chunk that is whole passes, also when its last TLS record looks like an
// alert, and when the client has sent its next command ahead.
func TestTrapS03Whole(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := quick()
		o.TLS = testTLS()
		w, c := open(t, o)
		c.startTLS()
		c.envelope()
		c.send("BDAT 14 LAST\r\nSubject: x\r\n")
		c.send("\r\n") // two octets in a record of their own
		c.want("250 2.6.0 ")
		c.envelope()
		c.send("BDAT 14 LAST\r\nSubject: y\r\n\r\nNOOP\r\n")
		c.want("250 2.6.0 ")
		c.want("250 2.0.0 ")
		c.do("QUIT", "221 ")
		if len(w.desk.got()) != 2 {
			t.Errorf("desk has %+v", w.desk.got())
		}
	})
}

// What was sent ahead behind a chunk stays whole, however the records are cut.
func TestTrapS03Ahead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := quick()
		o.TLS = testTLS()
		w, c := open(t, o)
		c.do("STARTTLS", "220 ")
		cork := &corked{Conn: c.conn}
		c.conn = cork
		c.handshake(insecure())
		c.do("EHLO client.test", "250 ")
		c.envelope()
		cork.shut = true // so that all records arrive together
		c.send("BDAT 14 LAST\r\nSubject: x\r\n\r\nNO")
		c.send("OP") // a record that looks like an alert
		cork.flush()
		c.want("250 2.6.0 ")
		c.send("\r\n")
		c.want("250 2.0.0 ")
		c.do("MAIL FROM:<>", "250 ")
		if len(w.desk.got()) != 1 {
			t.Errorf("desk has %+v", w.desk.got())
		}
	})
}

// corked holds back what is written while it is shut.
type corked struct {
	net.Conn
	shut bool
	held []byte
}

func (c *corked) Write(p []byte) (int, error) {
	if c.shut {
		c.held = append(c.held, p...)
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *corked) flush() {
	c.shut = false
	_, _ = c.Conn.Write(c.held)
}

// TestTrapS04: after a broken read in DATA go-smtp would take the rest of the
// message for commands.
func TestTrapS04(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, c := open(t, quick())
		c.data()
		c.send("Subject: x\r\n\r\nslow")
		time.Sleep(181 * time.Second)
		c.send("\r\nMAIL FROM:<evil@example.org>\r\nRCPT TO:<help@desk.test>\r\n")
		c.want("421 4.4.2 ")
		if got := c.line(); got != "closed" {
			t.Errorf("then %q", got)
		}
		if len(w.desk.got()) != 0 || !slices.Equal(w.desk.reasons(), []string{"data connection-lost"}) {
			t.Errorf("desk has %+v %v", w.desk.got(), w.desk.reasons())
		}
	})
}

// TestTrapS05: the time of DATA is not that of a command: a slow sender may
// take long, a trickle or silence may not.
func TestTrapS05(t *testing.T) {
	tests := []struct {
		name  string
		octet int           // per step
		step  time.Duration // between octets
		fails time.Duration // 0: never
	}{
		{"slow but steady", 60_000, time.Minute, 0},
		{"in fits", 100_000, 170 * time.Second, 0},
		{"silence", 0, 0, 180 * time.Second},
		{"trickle", 100, 10 * time.Second, 183 * time.Second},
		{"below the rate", 400 * 10, 10 * time.Second, 14 * time.Minute},
		{"for ever", 29_000, time.Minute, 30 * time.Minute},
	}
	for _, tc := range tests {
		for _, how := range []string{"DATA", "BDAT"} {
			t.Run(tc.name+" "+how, func(t *testing.T) {
				bubble(t, func(t *testing.T) { feedSlowly(t, how, tc.octet, tc.step, tc.fails) })
			})
		}
	}
}

func feedSlowly(t *testing.T, how string, octets int, step, fails time.Duration) {
	w, c := open(t, quick())
	const size = 900_000
	if how == "DATA" {
		c.data()
	} else {
		c.envelope()
		c.send("BDAT 900000 LAST\r\n")
	}
	if fails == 0 {
		line := strings.Repeat("x", 98) + "\r\n"
		text := "Subject: slow\r\n\r\n" + strings.Repeat(line, size/100)
		for text = text[:size-2] + "\r\n"; text != ""; text = text[min(octets, len(text)):] {
			time.Sleep(step)
			c.send(text[:min(octets, len(text))])
		}
		if how == "DATA" {
			c.send(".\r\n")
		}
		c.want("250 2.6.0 ")
		if got := w.desk.got(); len(got) != 1 || len(got[0].text) != size {
			t.Error("not the message that was sent")
		}
		return
	}
	begun := time.Now()
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		for octets > 0 && time.Since(begun) < time.Hour {
			if _, err := c.conn.Write([]byte(strings.Repeat("x", octets-2) + "\r\n")); err != nil {
				return
			}
			time.Sleep(step)
		}
	}()
	c.want("421 4.4.2 ")
	if took := time.Since(begun); took < fails || took > fails+fails/10+step {
		t.Errorf("gave up after %v, want %v", took, fails)
	}
	_ = c.conn.Close()
	<-fed
}

// TestTrapS06: whatever goes wrong inside, the client hears a code of ours and
// nothing of what happened.
func TestTrapS06(t *testing.T) {
	inner := errors.New("open /var/lib/mxdesk/0001.vlog: input/output error")
	wrapped := &ticketing.Error{Kind: ticketing.KindUnavailable, Reason: "store-failed", Message: "try again later", Cause: inner}
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"plain", inner, "451 4.3.0 something is wrong here, try again later (id 2)"},
		{"unavailable", wrapped, "451 4.3.0 try again later (id 2)"},
		{"wrapped", errors.Join(errors.New("commit"), wrapped), "451 4.3.0 try again later (id 2)"},
		{"smtp error of somebody else", &smtp.SMTPError{Code: 554, Message: "no"}, "451 4.3.0 something is wrong here, try again later (id 2)"},
		{"denied", &ticketing.Error{Kind: ticketing.KindDenied, Reason: "dmarc-reject", Message: "no\r\n250 yes\x1b[2Jü"}, "550 5.7.26 no??250 yes?[2J? (id 2)"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w, c := open(t, quick())
				w.desk.deliver = func(_ context.Context, e *ticketing.Envelope, _ ticketing.Raw) []ticketing.Outcome {
					return everyone(&transaction{envelope: *e}, tc.err)
				}
				c.data()
				c.send("Subject: x\r\n\r\n.\r\n")
				if got := c.line(); got != tc.want {
					t.Errorf("got  %s\nwant %s", got, tc.want)
				}
			})
		})
	}
}

// TestTrapS07: lines up to 64 KiB are taken, by DATA and BDAT.
func TestTrapS07(t *testing.T) {
	for _, tc := range []struct {
		n    int
		want string
	}{{64 << 10, "250 2.6.0 "}, {64<<10 + 1, "554 5.6.0 message has a line"}, {300 << 10, "554 5.6.0 message has a line"}} {
		bubble(t, func(t *testing.T) {
			w, c := open(t, quick())
			text := "Subject: x\r\n\r\n" + strings.Repeat("x", tc.n) + "\r\n"
			c.data()
			c.send(text + ".\r\n")
			c.want(tc.want)
			c.envelope()
			c.send("BDAT " + itoa(len(text)) + " LAST\r\n" + text)
			c.want(tc.want)
			for _, m := range w.desk.got() {
				if m.text != text {
					t.Error("text has changed")
				}
			}
		})
	}
}

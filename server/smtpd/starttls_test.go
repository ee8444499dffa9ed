package smtpd

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
)

// deafClient has changed to TLS, says something, hears the replies to it and
// listens no more.
func deafClient(t *testing.T, c *client, text string, replies int) {
	t.Helper()
	c.do("STARTTLS", "220 ")
	secure := tls.Client(c.conn, insecure())
	if err := secure.Handshake(); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.WriteString(secure, text) }()
	r := bufio.NewReader(secure)
	for replies > 0 {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line[3] == ' ' {
			replies--
		}
	}
	synctest.Wait()
}

// A client that does not listen holds up the end of the server as long as last
// words may take, and not at all where its time is over; what became of its
// transaction is noted.
func TestShutdownUnheard(t *testing.T) {
	testTLS()
	const text = "EHLO a\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<help@desk.test>\r\nDATA\r\nSubject: x"
	for _, tc := range []struct {
		name, text string
		replies    int
		patience   time.Duration
		takes      time.Duration
		reasons    []string
	}{
		{"idle", "", 0, time.Minute, farewellTime, nil},
		{"in text", text, 4, 3 * time.Second, 3 * time.Second, []string{"data connection-lost"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				o := quick()
				o.TLS = testTLS()
				w, c := open(t, o)
				deafClient(t, c, tc.text, tc.replies)
				ctx, cancel := context.WithTimeout(t.Context(), tc.patience)
				defer cancel()
				begun := time.Now()
				_ = w.srv.Shutdown(ctx)
				if took := time.Since(begun); took != tc.takes || !slices.Equal(w.desk.reasons(), tc.reasons) {
					t.Errorf("took %v; desk has %v", took, w.desk.reasons())
				}
			})
		})
	}
}

// A write limit that is switched off is none.
func TestNoWriteTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := quick()
		o.WriteTimeout = -1
		_, c := open(t, o)
		if got := c.do("NOOP", "250 "); got != "250 2.0.0 ok" {
			t.Error(got)
		}
	})
}

// After STARTTLS a greeting counts only if it was accepted.
func TestStartTLSGreeting(t *testing.T) {
	testTLS()
	for _, hello := range []string{"EHLO", "EHLOX", "EHLO\tx", "LHLO x"} {
		bubble(t, func(t *testing.T) {
			o := quick()
			o.TLS = testTLS()
			_, c := open(t, o)
			c.do("STARTTLS", "220 ")
			c.handshake(insecure())
			c.do(hello, "50")
			c.do("MAIL FROM:<ann@example.org>", "503 5.5.1 say EHLO first")
		})
	}
}

// At its end the server begins no TLS, and does not go on in plain text either.
func TestStartTLSLate(t *testing.T) {
	testTLS()
	bubble(t, func(t *testing.T) {
		o := quick()
		o.TLS = testTLS()
		w, c := open(t, o)
		w.desk.deliver = func(_ context.Context, e *ticketing.Envelope, raw ticketing.Raw) []ticketing.Outcome {
			time.Sleep(time.Second)
			return w.desk.keep(e, raw)
		}
		c.data()
		c.send("Subject: x\r\n\r\n.\r\nSTARTTLS\r\nVRFY x\r\n")
		synctest.Wait()
		go func() { _ = w.srv.Shutdown(context.Background()) }()
		c.want("250 2.6.0 ")
		c.want("421 4.3.2 ")
		if got := c.line(); got != "closed" {
			t.Errorf("then %q", got)
		}
	})
}

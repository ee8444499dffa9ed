package queue

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"time"
)

// The steps of a session, as they appear in the text of an attempt.
const (
	stepConnect  = "connect"
	stepGreeting = "greeting"
	stepEHLO     = "EHLO"
	stepSTARTTLS = "STARTTLS"
	stepAUTH     = "AUTH"
	stepMAIL     = "MAIL"
	stepRCPT     = "RCPT"
	stepDATA     = "DATA"
	stepBody     = "sending the mail"
	stepEnd      = "end of data"
	stepRSET     = "RSET"
)

// Timeouts bound the steps of a session. Zero values are the defaults.
//
// https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.2
type Timeouts struct {
	Connect time.Duration // to establish the connection; default 30 s
	Step    time.Duration // greeting, EHLO, TLS handshake, AUTH, MAIL, RCPT, RSET; default 300 s
	Data    time.Duration // for the answer to DATA; default 120 s
	Write   time.Duration // for each 32 KiB of the mail; default 180 s
	End     time.Duration // for the answer to the end of data; default 600 s
	Quit    time.Duration // for the answer to QUIT; default 2 s
}

func (t Timeouts) withDefaults() Timeouts {
	for _, f := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&t.Connect, 30 * time.Second}, {&t.Step, 300 * time.Second}, {&t.Data, 120 * time.Second},
		{&t.Write, 180 * time.Second}, {&t.End, 600 * time.Second}, {&t.Quit, 2 * time.Second},
	} {
		if *f.field <= 0 {
			*f.field = f.value
		}
	}
	return t
}

// client is one SMTP or LMTP session. It is used by one goroutine. After a
// failure beyond scopeCopy it may only be closed.
type client struct {
	raw      net.Conn // below TLS
	conn     net.Conn
	br       *bufio.Reader
	hostname string
	lmtp     bool
	timeouts Timeouts

	ext   map[string]string // EHLO keyword, upper case -> parameters
	tls   string            // "TLS 1.3", "" for plain text
	sent  int               // transactions begun
	unset func() bool       // stops watching the context of the attempt
}

func newClient(conn net.Conn, hostname string, lmtp bool, t Timeouts) *client {
	c := &client{raw: conn, hostname: hostname, lmtp: lmtp, timeouts: t}
	c.use(conn)
	return c
}

// use goes on with conn, which is the connection itself or TLS on it.
func (c *client) use(conn net.Conn) {
	c.conn = conn
	c.br = bufio.NewReaderSize(conn, maxReplyLine)
}

// bind makes the end of ctx close the connection, until the next bind. Every
// step between is interrupted by it.
func (c *client) bind(ctx context.Context) {
	c.unbind()
	c.unset = context.AfterFunc(ctx, func() { c.raw.Close() })
}

// unbind undoes bind: the session outlives the attempt.
func (c *client) unbind() {
	if c.unset != nil {
		c.unset()
		c.unset = nil
	}
}

// deadline bounds the reads and writes that follow.
func (c *client) deadline(d time.Duration) error { return c.conn.SetDeadline(time.Now().Add(d)) }

// command sends one line and reads the reply.
func (c *client) command(step string, d time.Duration, format string, args ...any) (reply, *failure) {
	line := fmt.Sprintf(format, args...)
	if strings.ContainsAny(line, "\r\n\x00") {
		return reply{}, temporary(scopeHost, "4.3.0", step+": command with a control character")
	}
	if err := c.write(d, []byte(line+"\r\n")); err != nil {
		return reply{}, broken(step, err)
	}
	return c.read(step, d)
}

func (c *client) write(d time.Duration, b []byte) error {
	if err := c.deadline(d); err != nil {
		return err
	}
	_, err := c.conn.Write(b)
	return err
}

func (c *client) read(step string, d time.Duration) (reply, *failure) {
	if err := c.deadline(d); err != nil {
		return reply{}, broken(step, err)
	}
	r, err := readReply(c.br)
	if err != nil {
		return reply{}, broken(step, err)
	}
	return r, nil
}

// greet reads the greeting and says hello.
func (c *client) greet() *failure {
	r, f := c.read(stepGreeting, c.timeouts.Step)
	if f != nil {
		return f
	}
	if r.code != 220 {
		return refused(stepGreeting, r).at(scopeHost)
	}
	return c.hello()
}

// hello introduces us and learns what the server offers, which replaces all
// that was known before.
//
// https://www.rfc-editor.org/rfc/rfc5321#section-4.1.1.1
func (c *client) hello() *failure {
	verb := "EHLO"
	if c.lmtp {
		verb = "LHLO"
	}
	c.ext = map[string]string{}
	r, f := c.command(stepEHLO, c.timeouts.Step, "%s %s", verb, c.hostname)
	if f != nil {
		return f
	}
	if r.code == 250 {
		for _, line := range r.lines[1:] {
			key, params, _ := strings.Cut(strings.Replace(line, "=", " ", 1), " ")
			c.ext[strings.ToUpper(key)] = params
		}
		return nil
	}
	// https://www.rfc-editor.org/rfc/rfc5321#section-3.2
	if r.code >= 500 && !c.lmtp {
		if r, f = c.command(stepEHLO, c.timeouts.Step, "HELO %s", c.hostname); f != nil {
			return f
		}
		if r.code == 250 {
			return nil
		}
	}
	return refused(stepEHLO, r).at(scopeHost)
}

// offers tells whether the server announced an extension.
func (c *client) offers(keyword string) bool {
	_, ok := c.ext[keyword]
	return ok
}

// startTLS turns the session into an encrypted one. began is false while the
// session is still good in plain text.
//
// https://www.rfc-editor.org/rfc/rfc3207#section-4
func (c *client) startTLS(ctx context.Context, conf *tls.Config) (began bool, f *failure) {
	r, f := c.command(stepSTARTTLS, c.timeouts.Step, "STARTTLS")
	if f != nil {
		return true, f
	}
	if r.code != 220 {
		f = refused(stepSTARTTLS, r)
		return f.scope != scopeCopy, f.at(scopeHost)
	}
	// What came along with the reply was not protected: nothing may be there.
	if c.br.Buffered() > 0 {
		return true, temporary(scopeHost, "4.7.0", "STARTTLS: the server spoke before the handshake")
	}
	if err := c.deadline(c.timeouts.Step); err != nil {
		return true, broken(stepSTARTTLS, err)
	}
	conn := tls.Client(c.raw, conf)
	if err := conn.HandshakeContext(ctx); err != nil {
		f := broken(stepSTARTTLS, err)
		f.enhanced = "4.7.5"
		return true, f
	}
	c.tls = tls.VersionName(conn.ConnectionState().Version)
	c.use(conn)
	return true, c.hello()
}

// close says goodbye where the server still listens, and hangs up.
func (c *client) close(polite bool) {
	if polite {
		c.command("QUIT", c.timeouts.Quit, "QUIT") // whatever it answers
	}
	c.unbind()
	c.raw.Close()
}

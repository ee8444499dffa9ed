package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/textproto"
	"strings"
	"time"
)

// client is a raw SMTP or LMTP client that sends exactly what it is told.
type client struct {
	conn net.Conn
	text *textproto.Reader
	lmtp bool
}

// dial connects and reads the greeting; lmtp says which of the two words of
// welcome is used.
func dial(addr string, lmtp bool) (*client, error) {
	// A connection that the system completes while the server is killed may get
	// no reset: only a probe finds out.
	d := net.Dialer{Timeout: 5 * time.Second, KeepAlive: time.Second}
	conn, err := d.Dial(network(addr), addr)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, text: textproto.NewReader(bufio.NewReader(conn)), lmtp: lmtp}
	conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err = c.reply(); err == nil {
		err = c.hello()
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *client) close() { c.conn.Close() }

func (c *client) hello() error {
	word := "EHLO"
	if c.lmtp {
		word = "LHLO"
	}
	got, err := c.say(word + " client.test")
	if err == nil && !strings.HasPrefix(got, "250") {
		err = fmt.Errorf("%s: %s", word, got)
	}
	return err
}

// startTLS begins TLS and says hello again.
func (c *client) startTLS() error {
	if got, err := c.say("STARTTLS"); err != nil || !strings.HasPrefix(got, "220") {
		return fmt.Errorf("STARTTLS: %s %w", got, err)
	}
	conn := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
	if err := conn.Handshake(); err != nil {
		return err
	}
	c.conn, c.text = conn, textproto.NewReader(bufio.NewReader(conn))
	return c.hello()
}

// reply reads one reply, "250 2.0.0 text".
func (c *client) reply() (string, error) {
	code, text, err := c.text.ReadResponse(0)
	if code == 0 && err != nil {
		return "", err
	}
	return fmt.Sprintf("%d %s", code, text), nil
}

func (c *client) write(b string) error {
	_, err := c.conn.Write([]byte(b))
	return err
}

func (c *client) say(line string) (string, error) {
	if err := c.write(line + "\r\n"); err != nil {
		return "", err
	}
	return c.reply()
}

// envelope opens a transaction and returns the first reply that is no yes, or
// the last.
func (c *client) envelope(from, to string) (string, error) {
	for _, line := range []string{"MAIL FROM:<" + from + ">", "RCPT TO:<" + to + ">"} {
		got, err := c.say(line)
		if err != nil || got[0] != '2' {
			return got, err
		}
	}
	return "250", nil
}

// deliver sends a message with CRLF line ends by DATA and returns the reply
// that counts.
func (c *client) deliver(from, to, message string) (string, error) {
	if got, err := c.envelope(from, to); err != nil || got != "250" {
		return got, err
	}
	if got, err := c.say("DATA"); err != nil || got[0] != '3' {
		return got, err
	}
	if !strings.HasSuffix(message, "\r\n") {
		message += "\r\n"
	}
	return c.say(strings.ReplaceAll("\r\n"+message, "\r\n.", "\r\n..")[2:] + ".")
}

// chunk sends a message as it is by BDAT.
func (c *client) chunk(from, to, message string) (string, error) {
	if got, err := c.envelope(from, to); err != nil || got != "250" {
		return got, err
	}
	if err := c.write(fmt.Sprintf("BDAT %d LAST\r\n%s", len(message), message)); err != nil {
		return "", err
	}
	return c.reply()
}

// letter is a short message.
func letter(from, to, subject, id, body string) string {
	text := fmt.Sprintf("From: %s\nTo: %s\nSubject: %s\nMessage-ID: <%s>\nDate: %s\n\n%s\n",
		from, to, subject, id, time.Now().Format(time.RFC1123Z), body)
	return strings.ReplaceAll(text, "\n", "\r\n")
}

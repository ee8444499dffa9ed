package queue

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// send makes one transaction. It returns the reply that took the mail, or why
// it was not taken.
func (c *client) send(from, to mailbox, raw []byte) (reply, *failure) {
	mail, f := c.mailCommand(from, to, raw)
	if f != nil {
		return reply{}, f
	}
	if c.sent++; c.sent > 1 {
		if f := c.reset(); f != nil {
			return reply{}, f
		}
	}
	rcpt := "RCPT TO:" + to.path()
	if c.offers("PIPELINING") {
		f = c.pipelined(mail, rcpt)
	} else {
		f = c.oneByOne(mail, rcpt)
	}
	if f != nil {
		return reply{}, f
	}
	return c.data(raw)
}

// reset forgets the transaction before.
func (c *client) reset() *failure {
	r, f := c.command(stepRSET, c.timeouts.Step, "RSET")
	if f == nil && r.code != 250 {
		f = refused(stepRSET, r).at(scopeHost)
	}
	return f
}

// mailCommand writes the MAIL command, or refuses what this server cannot take.
func (c *client) mailCommand(from, to mailbox, raw []byte) (string, *failure) {
	cmd := "MAIL FROM:" + from.path()
	// https://www.rfc-editor.org/rfc/rfc1870#section-5
	if param, ok := c.ext["SIZE"]; ok {
		limit, err := strconv.ParseInt(strings.TrimSpace(param), 10, 64)
		if err == nil && limit > 0 && int64(len(raw)) > limit {
			return "", permanent("5.3.4", fmt.Sprintf("the mail has %d octets, the server takes %d", len(raw), limit))
		}
		cmd += " SIZE=" + strconv.Itoa(len(raw))
	}
	header8, any8 := is8bit(raw)
	// https://www.rfc-editor.org/rfc/rfc6531#section-3.2
	if from.utf8() || to.utf8() || header8 {
		if !c.offers("SMTPUTF8") {
			return "", permanent("5.6.7", "the server takes no addresses with characters beyond ASCII")
		}
		cmd += " SMTPUTF8"
	}
	// https://www.rfc-editor.org/rfc/rfc6152#section-3
	if any8 {
		if !c.offers("8BITMIME") {
			return "", permanent("5.6.3", "the server takes no 8-bit mails")
		}
		cmd += " BODY=8BITMIME"
	}
	return cmd, nil
}

// oneByOne sends the commands before the mail, each after the reply to the last.
func (c *client) oneByOne(mail, rcpt string) *failure {
	for _, s := range []struct {
		step, line string
		d          time.Duration
	}{
		{stepMAIL, mail, c.timeouts.Step}, {stepRCPT, rcpt, c.timeouts.Step}, {stepDATA, "DATA", c.timeouts.Data},
	} {
		r, f := c.command(s.step, s.d, "%s", s.line)
		if f != nil {
			return f
		}
		if f := unwanted(s.step, r); f != nil {
			return f
		}
	}
	return nil
}

// pipelined sends them at once. All replies are read, the first failure counts.
//
// https://www.rfc-editor.org/rfc/rfc2920#section-3.1
func (c *client) pipelined(mail, rcpt string) *failure {
	if err := c.write(c.timeouts.Step, []byte(mail+"\r\n"+rcpt+"\r\nDATA\r\n")); err != nil {
		return broken(stepMAIL, err)
	}
	var first *failure
	for _, step := range []string{stepMAIL, stepRCPT} {
		r, f := c.read(step, c.timeouts.Step)
		if f == nil {
			f = unwanted(step, r)
		}
		if f != nil && f.scope != scopeCopy {
			return firstOf(first, f)
		}
		first = firstOf(first, f)
	}
	r, f := c.read(stepDATA, c.timeouts.Data)
	if f != nil {
		return firstOf(first, f)
	}
	if first != nil && r.code == 354 {
		return c.abandon(first)
	}
	return firstOf(first, unwanted(stepDATA, r))
}

// firstOf returns the failure that came first.
func firstOf(first, later *failure) *failure {
	if first != nil {
		return first
	}
	return later
}

// abandon ends a DATA that was granted although the transaction has failed. An
// SMTP server answers an empty mail; an LMTP server that granted it answers
// for no recipient at all, so there the connection ends.
func (c *client) abandon(f *failure) *failure {
	if c.lmtp {
		c.raw.Close()
		return f
	}
	if _, broke := c.command(stepEnd, c.timeouts.End, "."); broke != nil {
		c.raw.Close()
	}
	return f
}

// unwanted returns the failure that a reply means at a step before the mail.
func unwanted(step string, r reply) *failure {
	if want := map[string]int{stepMAIL: 2, stepRCPT: 2, stepDATA: 3}[step]; r.code/100 == want {
		return nil
	}
	return refused(step, r)
}

// data sends the mail and reads the answer that moves the responsibility. When
// the connection breaks after the end-of-data line may have left, the outcome
// is unknown.
func (c *client) data(raw []byte) (reply, *failure) {
	for rest := bytes.NewBuffer(stuff(raw)); rest.Len() > 0; {
		chunk := rest.Next(dataChunk)
		err := c.write(c.timeouts.Write, chunk)
		if err != nil {
			return reply{}, c.cutShort(err, rest.Len() == 0)
		}
	}
	r, f := c.read(stepEnd, c.timeouts.End)
	switch {
	case f != nil:
		f.text = oneLine(f.text + " (the mail may have been taken)")
		return reply{}, f.at(scopeLost)
	case r.code/100 != 2:
		f := refused(stepEnd, r)
		if f.scope != scopeCopy {
			f.scope = scopeLost
		}
		return reply{}, f
	}
	return r, nil
}

// cutShort says why the mail could not be written. A server that refuses it
// half-way often says so before it hangs up.
func (c *client) cutShort(err error, last bool) *failure {
	if r, f := c.read(stepBody, c.timeouts.Quit); f == nil && r.code >= 400 {
		return refused(stepBody, r).at(scopeLost)
	}
	f := broken(stepBody, err)
	if last {
		return f.at(scopeLost)
	}
	return f
}

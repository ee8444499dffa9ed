package smtpd

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Chunks may be cut anywhere, come in any pieces, with and without waiting for the
// replies; what follows the last one is a command again.
func TestChunks(t *testing.T) {
	const text = "Subject: 1\r\n\r\nSTARTTLS\r\nBDAT 9\r\nQUIT\r\n"
	testTLS()
	for _, size := range []int{1, 2, 3, 10, 14, len(text)} {
		for _, wait := range []bool{true, false} {
			t.Run(fmt.Sprint(size, wait), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					o := quick()
					o.TLS = testTLS()
					w, c := open(t, o)
					c.envelope()
					n := 0
					for rest := text; rest != ""; n++ {
						piece := rest[:min(size, len(rest))]
						rest = rest[len(piece):]
						c.send(fmt.Sprintf("BDAT %d %s\r\n%s", len(piece), map[bool]string{true: "LAST"}[rest == ""], piece))
						if wait {
							c.want("250 2.")
						}
					}
					c.send("EHLO client.test\r\nSTARTTLS\r\n")
					for ; n > 0 && !wait; n-- {
						c.want("250 2.")
					}
					c.want("250 SIZE")
					c.want("220 ")
					if got := w.desk.got(); len(got) != 1 || got[0].text != text {
						t.Errorf("%+v", got)
					}
				})
			})
		}
	}
}

// A chunk that is refused is read all the same: what it has in it is neither a
// command nor a reason to hang up.
func TestChunkRefused(t *testing.T) {
	chunk := "STARTTLS\r\nQUIT\r\n" + strings.Repeat("x", 3*maxCommand) + "\r\nQUIT"
	bdat := func(args string) string { return fmt.Sprintf("BDAT %d%s\r\n%s", len(chunk), args, chunk) }
	const mail, rcpt = "MAIL FROM:<ann@example.org>\r\n", "RCPT TO:<help@desk.test>\r\n"
	for name, tc := range map[string]struct{ send, want string }{
		"no mail":          {bdat(" LAST"), "503"},
		"no recipient":     {mail + bdat(" LAST"), "250 503"},
		"spaces":           {strings.Replace(bdat("  last "), " ", strings.Repeat(" ", 100), 1), "503"},
		"too large":        {mail + rcpt + bdat("") + bdat(""), "250 250 554 503"},
		"size":             {mail + rcpt + "BDAT 30000\r\n" + strings.Repeat("QUIT\r\n", 5000), "250 250 552"},
		"broken":           {mail + rcpt + bdat(" LAST"), "250 250 554"},
		"given up":         {mail + rcpt + "BDAT 2\r\nx:RSET\r\n" + bdat(""), "250 250 250 250 503"},
		"in between, mail": {mail + rcpt + "BDAT 2\r\nx:" + mail + "BDAT 2 LAST\r\n\r\n", "250 250 250 503 250"},
		"in between, data": {mail + rcpt + "BDAT 2\r\nx:DATA\r\nBDAT 2 LAST\r\n\r\n", "250 250 250 503 250"},
	} {
		for _, way := range []string{"smtp", "lmtp"} {
			t.Run(name+" "+way, func(t *testing.T) {
				testTLS()
				bubble(t, func(t *testing.T) {
					o := quick()
					o.TLS, o.LMTP, o.MaxLineBytes, o.MaxMessageBytes = testTLS(), way == "lmtp", 1000, 20000
					w := newWorld(t, o)
					c := w.dial(stranger)
					c.want("220 ")
					c.do(map[bool]string{true: "LHLO", false: "EHLO"}[o.LMTP]+" client.test", "250 ")
					begun := time.Now()
					c.send(tc.send + "VRFY x\r\n")
					for want := range strings.FieldsSeq(tc.want) {
						c.want(want)
					}
					c.want("252 ")
					if took := time.Since(begun); took > time.Second {
						t.Errorf("took %v", took)
					}
				})
			})
		}
	}
}

// A line that does not fit is not cut into commands.
func TestLongLine(t *testing.T) {
	testTLS()
	for _, n := range []int{maxCommand - 5, maxCommand - 2, maxCommand - 1, maxCommand, 3 * maxCommand} {
		bubble(t, func(t *testing.T) {
			o := quick()
			o.TLS = testTLS()
			w, c := open(t, o)
			c.envelope()
			line := "NOOP " + strings.Repeat("x", n-5)
			c.send(line + "STARTTLS\r\n")
			c.want("500 5.5.2 ")
			if got := c.line(); got != "closed" {
				t.Errorf("%d: then %q", n, got)
			}
			c = w.dial(stranger)
			c.want("220 ")
			c.send(line[:min(n, maxCommand-2)] + "\r\n")
			c.want("250 ")
		})
	}
}

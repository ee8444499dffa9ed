package smtpd

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// heard sends text and returns what the server writes, each write as the first
// words of its lines.
func heard(t *testing.T, o Options, text string) (writes []string) {
	w := newWorld(t, o)
	c, err := w.l.dial(stranger)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() { _, _ = c.Write([]byte(text)) }()
	for buf := make([]byte, 8<<10); ; {
		_ = c.SetReadDeadline(time.Now().Add(time.Minute / 2)) // before the server has enough of waiting
		n, err := c.Read(buf)
		if err != nil {
			return writes
		}
		var lines []string
		for line := range strings.Lines(string(buf[:n])) {
			lines = append(lines, line[:4])
		}
		writes = append(writes, strings.Join(lines, ","))
	}
}

// What may be said together is, and nothing else: the reply to a text least of all.
func TestReplies(t *testing.T) {
	const mail, rcpt, text = "MAIL FROM:<ann@example.org>\r\n", "RCPT TO:<help@desk.test>\r\n", "Subject: x\r\n\r\n.\r\n"
	for _, tc := range []struct {
		send string
		want []string
	}{
		{mail + rcpt + "DATA\r\n" + text + mail + rcpt + "DATA\r\n" + text, []string{"250 ,250 ,354 ", "250 ", "250 ,250 ,354 ", "250 "}},
		{mail + "RCPT TO:<nobody@desk.test>\r\n" + rcpt + "RSET\r\n" + mail, []string{"250 ,550 ", "250 ,250 ,250 "}},
		{mail + "NOOP\r\n" + "NOOP\r\nRSET\r\nNOOP\r\n", []string{"250 ,250 ", "250 ", "250 ,250 "}},
		{"MAIL\r\nMAIL\r\nMAIL\r\nMAIL\r\nNOOP\r\n", []string{"501 ", "501 ", "501 ", "501 ", "250 "}},
	} {
		bubble(t, func(t *testing.T) {
			got := heard(t, quick(), "EHLO client.test\r\n"+tc.send)
			if len(got) < 2 || got[0] != "220 " || !strings.HasSuffix(got[1], "250-,250 ") {
				t.Fatalf("begins with %q", got)
			}
			if got := got[2:]; !slices.Equal(got, tc.want) {
				t.Errorf("%q:\n got %q\nwant %q", tc.send, got, tc.want)
			}
		})
	}
}

// Replies that wait are bounded, and none is lost.
func TestRepliesMany(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const n = 500
		o := quick()
		o.MaxJunk = -1
		got := heard(t, o, "EHLO client.test\r\n"+strings.Repeat("RSET\r\n", n))
		if said := strings.Count(fmt.Sprint(got[2:]), "250 "); said != n {
			t.Errorf("%d replies of %d: %q", said, n, got)
		}
		for _, w := range got {
			if strings.Count(w, ",") > maxReplies/len("250 2.0.0 reset\r\n") {
				t.Errorf("%d lines at once", strings.Count(w, ",")+1)
			}
		}
	})
}

// What leads to no mail is counted also where it comes all at once.
func TestRepliesJunk(t *testing.T) {
	for _, command := range []string{"RSET\r\n", "NOOP\r\n", "VRFY x\r\n"} {
		bubble(t, func(t *testing.T) {
			o := quick()
			o.MaxJunk = 50
			got := strings.Join(heard(t, o, "EHLO client.test\r\n"+strings.Repeat(command, 500)), ",")
			if n := strings.Count(got, ","); n < 50 || n > 60 || !strings.HasSuffix(got, ",421 ") {
				t.Errorf("%q: %d lines: %s", command, n, got)
			}
		})
	}
}

// The reply to a message by BDAT does not wait, whatever its chunk looks like.
func TestRepliesChunk(t *testing.T) {
	bubble(t, func(t *testing.T) {
		got := heard(t, quick(), "EHLO client.test\r\nMAIL FROM:<ann@example.org>\r\nRCPT TO:<help@desk.test>\r\nBDAT 1\r\nxBDAT 6 LAST\r\nMAIL\r\nRSET\r\n")
		if got := got[2:]; !slices.Equal(got, []string{"250 ,250 ,250 ", "250 ", "250 "}) {
			t.Errorf("%q", got)
		}
	})
}

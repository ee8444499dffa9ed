//go:build !race

package smtpd

import (
	"strings"
	"testing"
)

// TestTrapS10Empty: go-smtp's goroutine for a chunk of no octets may begin only
// after the transaction was given up. Then it may answer in the next one's
// place, in a data race that is go-smtp's own, but it never says 250.
func TestTrapS10Empty(t *testing.T) {
	for range 50 {
		bubble(t, func(t *testing.T) {
			w, c := open(t, quick())
			begin := "MAIL FROM:<a@example.org>\r\nRCPT TO:<help@desk.test>\r\n"
			c.send(begin + "BDAT 0\r\nRSET\r\n" + begin + "BDAT 14 LAST\r\nSubject: 2\r\n\r\n")
			for range 6 {
				c.want("250 ")
			}
			answer, mails := c.line(), w.desk.got()
			if strings.HasPrefix(answer, "250") && (len(mails) != 1 || mails[0].text != "Subject: 2\r\n\r\n") {
				t.Errorf("%q, but desk has %+v", answer, mails)
			}
			if !strings.HasPrefix(answer, "250 2.6.0 ") && !strings.HasPrefix(answer, "4") {
				t.Errorf("answer %q", answer)
			}
		})
	}
}

package smtpd

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sequences are ends of data, right and wrong.
type sequences struct {
	MustNot []string `json:"must_not_terminate"`
	Must    []string `json:"must_terminate"`
	Literal []string `json:"dot_stuffed_literal"`
}

// corpora returns the folder of test data, relative to the module's root
// unless $CORPORA says otherwise.
func corpora(t testing.TB) string {
	dir := os.Getenv("CORPORA")
	if dir == "" {
		dir = filepath.Join("..", "shared", "corpora")
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join("..", "..", dir)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the corpora are not here (%v): the smuggling sequences were not tried", err)
	}
	return dir
}

// TestSmuggling tries every sequence over SMTP and LMTP, by DATA and BDAT, with
// and without TLS, under both rules for bare newlines. A wrong sequence must
// neither end the message nor begin a second transaction.
func TestSmuggling(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(corpora(t), "smtp", "smuggling", "sequences.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all sequences
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	if len(all.MustNot) != 12 || len(all.Must) == 0 || len(all.Literal) == 0 {
		t.Fatalf("sequences: %+v", all)
	}
	testTLS()
	passed, run, ways := 0, 0, []string{"smtp", "smtp tls", "smtp normalize", "lmtp", "lmtp tls", "lmtp normalize"}
	for _, way := range ways {
		for _, how := range []string{"DATA", "BDAT"} {
			run++
			if t.Run(way+" "+how, func(t *testing.T) {
				for _, seq := range all.MustNot {
					bubble(t, func(t *testing.T) { smuggle(t, way, how, seq) })
				}
				for _, seq := range all.Must {
					bubble(t, func(t *testing.T) { endWith(t, way, how, seq, "a") })
				}
				for _, seq := range all.Literal {
					bubble(t, func(t *testing.T) { endWith(t, way, how, seq+"b\r\n.\r\n", "a\r\n.\r\nb") })
				}
			}) {
				passed++
			}
		}
	}
	count := len(all.MustNot) + len(all.Must) + len(all.Literal)
	t.Attr("conformance", fmt.Sprintf("smtp/smuggling | ways of sending, each with %d sequences | %d/%d", count, passed, run))
}

// reach opens a session the given way, ready for the message. It returns the
// replies it takes, one for SMTP and LMTP with one recipient.
func reach(t *testing.T, way string) (*world, *client) {
	o := quick()
	o.Trusted = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	o.LMTP = strings.HasPrefix(way, "lmtp")
	if strings.HasSuffix(way, "tls") {
		o.TLS = testTLS()
	}
	if strings.HasSuffix(way, "normalize") {
		o.BareNewline = BareNewlineNormalize
	}
	w := newWorld(t, o)
	c := w.dial(stranger)
	c.want("220 ")
	hello := "EHLO client.test"
	if o.LMTP {
		hello = "LHLO client.test"
	}
	c.do(hello, "250 ")
	if o.TLS != nil {
		c.do("STARTTLS", "220 ")
		c.handshake(insecure())
		c.do(hello, "250 ")
	}
	c.envelope()
	return w, c
}

// smuggle hides a second transaction behind a wrong end of data.
func smuggle(t *testing.T, way, how, seq string) {
	t.Helper()
	w, c := reach(t, way)
	hidden := "MAIL FROM:<evil@example.org>\r\nRCPT TO:<help@desk.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nhidden"
	text := "Subject: outer\r\n\r\na" + seq + hidden
	if how == "BDAT" {
		text += "\r\n"
		c.send("BDAT " + itoa(len(text)) + " LAST\r\n" + text)
		c.want("250 2.6.0 ")
		if mails := w.desk.got(); len(mails) != 1 || mails[0].text != text {
			t.Errorf("%q: desk has %+v", seq, mails)
		}
		return
	}
	c.do("DATA", "354 ")
	c.send(text)
	time.Sleep(3 * stallAfter)
	c.send("\r\n.\r\n")
	answer := c.line()
	mails := w.desk.got()
	switch {
	case strings.HasPrefix(answer, "521 5.5.2 "):
		if len(mails) != 0 {
			t.Errorf("%q: refused, but desk has %+v", seq, mails)
		}
		if then := c.line(); then != "closed" {
			t.Errorf("%q: after the refusal %q", seq, then)
		}
	case strings.HasPrefix(answer, "250 2.6.0 "):
		// The whole is one message, and nothing in it ends one elsewhere.
		if len(mails) != 1 || !strings.HasSuffix(mails[0].text, "hidden\r\n") || mails[0].envelope.MailFrom != "ann@example.org" {
			t.Errorf("%q: desk has %+v", seq, mails)
		}
		if rest := strings.ReplaceAll(mails[0].text, "\r\n", ""); strings.ContainsAny(rest, "\r\n") {
			t.Errorf("%q: kept with a bare newline: %q", seq, mails[0].text)
		}
		c.do("NOOP", "250 ")
	default:
		t.Errorf("%q: server says %q", seq, answer)
	}
}

// endWith sends a message that ends as it should.
func endWith(t *testing.T, way, how, end, want string) {
	t.Helper()
	w, c := reach(t, way)
	begin := "Subject: outer\r\n\r\n"
	if how == "BDAT" {
		text := begin + "a" + end // BDAT knows no dots
		c.send("BDAT " + itoa(len(text)) + " LAST\r\n" + text)
		want = text
	} else {
		c.do("DATA", "354 ")
		c.send(begin + "a" + end)
		want = begin + want + "\r\n"
	}
	c.want("250 2.6.0 ")
	if mails := w.desk.got(); len(mails) != 1 || mails[0].text != want {
		t.Errorf("%q: desk has %+v, want %q", end, mails, want)
	}
}

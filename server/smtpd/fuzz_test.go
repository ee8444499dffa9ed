package smtpd

import (
	"bytes"
	"context"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
)

// formOfReply is what every line the server says looks like. go-smtp repeats
// commands it does not know, whatever is in them.
var formOfReply = regexp.MustCompile(`^[2345]\d\d[ -][^\n]*$`)

// FuzzSession plays a client that may say anything. The server must not crash,
// not hang, answer in replies, and hand over only messages with clean line ends
// unless they came by BDAT.
func FuzzSession(f *testing.F) {
	begin := "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<help@desk.test>\r\n"
	f.Add([]byte(begin+"DATA\r\nSubject: x\r\n\r\nhi\r\n.\r\nQUIT\r\n"), false)
	f.Add([]byte(begin+"DATA\r\nSubject: x\r\n\r\r\n.\r\nQUIT\r\n"), false)
	f.Add([]byte(begin+"BDAT 3\r\nabcBDAT 2 LAST\r\n\r\nQUIT\r\n"), false)
	f.Add([]byte(begin+"BDAT 99999999999 LAST\r\nx"), false)
	f.Add([]byte(begin+"BDAT 9 LAST\r\nx"), false)
	f.Add([]byte("LHLO a\r\nMAIL FROM:<> SIZE=1\r\nRCPT TO:<a@desk.test>\r\nRCPT TO:<a@desk.test>\r\nDATA\r\n.\r\n"), true)
	f.Add([]byte("STARTTLS\r\n\x16\x03\x01\x00\x01\x00"), false)
	f.Add([]byte("EHLO a\r\nRSET\r\nVRFY x\r\nAUTH PLAIN =\r\nNOOP\r\n\r\n\r\n\r\n"), false)
	f.Add([]byte("EHLO a\r\nMAIL FROM:<\"a\rb\"@c> SMTPUTF8\r\nRCPT TO:<>\r\n"), false)
	f.Add([]byte(begin+"BDAT 1\r\nxRSET\r\n"+begin[8:]+"DATA\r\n.\r\n"), false)
	f.Fuzz(func(t *testing.T, input []byte, lmtp bool) {
		// An empty first chunk may lead into a data race of go-smtp's own.
		if bytes.Contains(bytes.ToUpper(input), []byte("BDAT 0")) {
			t.Skip()
		}
		fuzzSession(t, input, lmtp)
	})
}

func fuzzSession(t *testing.T, input []byte, lmtp bool) {
	desk := new(fakeDesk)
	chunked := bytes.Contains(bytes.ToUpper(input), []byte("BDAT"))
	desk.deliver = func(_ context.Context, e *ticketing.Envelope, raw ticketing.Raw) []ticketing.Outcome {
		text := make([]byte, raw.Size())
		if _, err := raw.ReadAt(text, 0); err != nil && err != io.EOF {
			t.Errorf("read: %v", err)
		}
		bare := bytes.ContainsAny(bytes.ReplaceAll(text, []byte("\r\n"), nil), "\r\n")
		if bare && !chunked || len(e.Recipients) == 0 || e.ID == "" {
			t.Errorf("delivered %q of %+v", text, e)
		}
		return desk.keep(e, raw)
	}
	o := quick()
	o.LMTP, o.TLS = lmtp, testTLS()
	o.UnknownDelay, o.ErrorDelay = -1, -1
	s := New(desk, testOptions(o))
	l := newPipeListener()
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	conn, err := l.dial(stranger)
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 1)
	go func() {
		all, _ := io.ReadAll(conn)
		heard <- string(all)
	}()
	_ = conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
	_, _ = conn.Write(input)
	_ = conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
	checkReplies(t, <-heard)
}

// checkReplies looks at the form of what the server said in plain text.
func checkReplies(t *testing.T, said string) {
	plain, _, _ := strings.Cut(said, "220 2.0.0 Ready")
	for line := range strings.SplitSeq(strings.TrimSuffix(plain, "\r\n"), "\r\n") {
		if line != "" && !formOfReply.MatchString(line) {
			t.Errorf("server says %q", line)
		}
	}
}

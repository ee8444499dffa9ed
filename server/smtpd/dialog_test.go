package smtpd

import (
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestDialogs plays the conversations of testdata. A line of a dialog is
//
//	# a comment
//	set lmtp | trusted | tls | reject | normalize | small
//	c: what the client says, CR LF is added
//	c> "octets the client sends, as a Go string"
//	s: what the server says, exactly; "closed" is the end of the connection
//	starttls          the client does the handshake
//	wait 5s           time passes
//	mail "octets"     the desk has got this message, and was not told of it before
//	none              the desk has got no further message
func TestDialogs(t *testing.T) {
	files, err := filepath.Glob("testdata/*.dialog")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dialogs: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".dialog"), func(t *testing.T) {
			testTLS()
			bubble(t, func(t *testing.T) { playDialog(t, string(text)) })
		})
	}
}

// dialog is a conversation being played.
type dialog struct {
	t     *testing.T
	o     Options
	addr  string
	w     *world
	c     *client
	mails int
}

func playDialog(t *testing.T, text string) {
	d := &dialog{t: t, addr: stranger, o: Options{GreetingDelay: -1}}
	for n, line := range strings.Split(text, "\n") {
		verb, rest, _ := strings.Cut(line, " ")
		if verb == "" || verb == "#" {
			continue
		}
		if verb != "set" && d.w == nil {
			d.w = newWorld(t, d.o)
			d.c = d.w.dial(d.addr)
		}
		if !d.step(verb, rest) {
			t.Fatalf("line %d: %s", n+1, line)
		}
	}
}

// step plays one line; false is a failure.
func (d *dialog) step(verb, rest string) bool {
	d.t.Helper()
	switch verb {
	case "set":
		return d.set(rest)
	case "c:":
		d.c.send(rest + "\r\n")
	case "c>":
		octets, err := strconv.Unquote(rest)
		d.c.send(octets)
		return err == nil
	case "s:":
		if got := d.c.line(); got != rest {
			d.t.Errorf("server says %q", got)
			return false
		}
	case "starttls":
		d.c.handshake(insecure())
	case "wait":
		dur, err := time.ParseDuration(rest)
		time.Sleep(dur)
		return err == nil
	case "mail":
		mails := d.w.desk.got()
		d.mails++
		if len(mails) != d.mails || strconv.Quote(mails[d.mails-1].text) != rest {
			d.t.Errorf("desk has %+v", mails)
			return false
		}
	case "none":
		if mails := d.w.desk.got(); len(mails) != d.mails {
			d.t.Errorf("desk has %+v", mails)
			return false
		}
	default:
		return false
	}
	return true
}

func (d *dialog) set(word string) bool {
	switch word {
	case "lmtp":
		d.o.LMTP, d.addr = true, "unix"
	case "trusted":
		d.o.Trusted = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	case "tls":
		d.o.TLS = testTLS()
	case "normalize":
		d.o.BareNewline = BareNewlineNormalize
	case "small":
		d.o.MaxMessageBytes, d.o.MaxRecipients, d.o.MaxHeaderBytes, d.o.MaxHeaderFields, d.o.MaxLineBytes, d.o.MaxReceivedHops =
			400, 2, 200, 8, 50, 3
	case "greeting":
		d.o.GreetingDelay = 0
	default:
		return false
	}
	return true
}

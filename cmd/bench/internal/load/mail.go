// Package load makes mails and sends them as fast as a server takes them.
package load

import (
	"bytes"
	"context"
	cryptorand "crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mxdesk/mxdesk/auth/dkim"
)

// Mail is one message, ready to be sent.
type Mail struct {
	From, To string
	// Data is what follows the reply to DATA: the message with its dots
	// stuffed, and the line that ends it.
	Data []byte
}

// Kind says what the mails of a load are like.
type Kind struct {
	Size   int64 // octets of the message, about
	Signed bool  // by DKIM with RSA-2048, from domains that publish SPF, DKIM and DMARC
	// NoAnswer asks for no automatic answers (X-Auto-Response-Suppress).
	NoAnswer bool
}

const selector = "bench"

// Maker makes mails that differ from all others it made: in Message-ID, sender
// and text.
type Maker struct {
	recipients []string
	run        string
	domains    []domain
	serial     atomic.Uint64
}

type domain struct {
	name   string
	signer *dkim.Signer
	key    *rsa.PublicKey
}

// NewMaker makes the keys of a few sender domains. The mails go to the
// recipients in turn.
func NewMaker(recipients []string) (*Maker, error) {
	m := &Maker{recipients: recipients, run: fmt.Sprintf("%016x", rand.Uint64())}
	for i := range 4 {
		private, err := rsa.GenerateKey(cryptorand.Reader, 2048)
		if err != nil {
			return nil, err
		}
		name := fmt.Sprintf("customer%d.test", i)
		m.domains = append(m.domains, domain{name: name, key: &private.PublicKey, signer: dkim.NewSigner(name, []dkim.Key{{Selector: selector, Private: private}})})
	}
	return m, nil
}

// Helo is the name that clients give; it is in the zone.
const Helo = "mx.customer0.test"

// Zone is what the sender domains publish, as records below the root.
func (m *Maker) Zone() (string, error) {
	var b strings.Builder
	for _, d := range m.domains {
		der, err := x509.MarshalPKIXPublicKey(d.key)
		if err != nil {
			return "", err
		}
		key := base64.StdEncoding.EncodeToString(der)
		fmt.Fprintf(&b, "%[1]s. MX 10 mx.%[1]s.\nmx.%[1]s. A 127.0.0.1\n", d.name)
		fmt.Fprintf(&b, "%s. TXT \"v=spf1 ip4:127.0.0.1 -all\"\n", d.name)
		fmt.Fprintf(&b, "_dmarc.%s. TXT \"v=DMARC1; p=reject\"\n", d.name)
		fmt.Fprintf(&b, "%s._domainkey.%s. TXT \"v=DKIM1; k=rsa; p=\" %q %q\n", selector, d.name, key[:200], key[200:])
	}
	fmt.Fprintf(&b, "1.0.0.127.in-addr.arpa. PTR %s.\n", Helo)
	return b.String(), nil
}

// Make makes n mails with all processors. It is what costs time before the
// clock starts: an RSA signature is about a millisecond.
func (m *Maker) Make(ctx context.Context, k Kind, n int) ([]Mail, error) {
	mails, errs := make([]Mail, n), make(chan error, 1)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n || ctx.Err() != nil {
					return
				}
				var err error
				if mails[i], err = m.mail(k); err != nil {
					select {
					case errs <- err:
					default:
					}
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return nil, err
	default:
		return mails, ctx.Err()
	}
}

func (m *Maker) mail(k Kind) (Mail, error) {
	serial := m.serial.Add(1)
	d := m.domains[serial%uint64(len(m.domains))]
	from := fmt.Sprintf("ann%d@%s", serial, d.name)
	if !k.Signed {
		from = fmt.Sprintf("ann%d@plain%d.test", serial, serial%4) // publishes nothing
	}
	to := m.recipients[serial%uint64(len(m.recipients))]
	raw := m.message(k, serial, from, to)
	if k.Signed {
		var signed bytes.Buffer
		if err := d.signer.Sign(&signed, bytes.NewReader(raw)); err != nil {
			return Mail{}, err
		}
		raw = signed.Bytes()
	}
	return Mail{From: from, To: to, Data: append(raw, ".\r\n"...)}, nil
}

// message writes a mail without a line that begins with a dot, ending in CRLF.
func (m *Maker) message(k Kind, serial uint64, from, to string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: Ann %d <%s>\r\nTo: <%s>\r\nSubject: Printer %d on fire\r\n", serial, from, to, serial)
	fmt.Fprintf(&b, "Date: %s\r\nMessage-ID: <%d.%s@%s>\r\n", time.Now().Format(time.RFC1123Z), serial, m.run, from[strings.IndexByte(from, '@')+1:])
	if k.NoAnswer {
		b.WriteString("X-Auto-Response-Suppress: All\r\n")
	}
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n")
	text(&b, int(k.Size)-b.Len(), serial)
	return b.Bytes()
}

var words = strings.Fields("the printer on floor two burns again please send somebody with water it smokes since this morning and " +
	"our order of blue toner has not come yet we tried to restart it three times thank you for looking into this soon")

// text writes about n octets of lines of words that differ by serial.
func text(b *bytes.Buffer, n int, serial uint64) {
	random := rand.New(rand.NewPCG(serial, 1))
	for end := b.Len() + n; b.Len() < end; {
		for line := 0; line < 66; {
			w := words[random.IntN(len(words))]
			b.WriteString(w)
			b.WriteByte(' ')
			line += len(w) + 1
		}
		b.WriteString("so\r\n")
	}
}

package smtpd

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
)

// fakeDesk knows everybody at desk.test but those whose names say otherwise.
type fakeDesk struct {
	mu       sync.Mutex
	mails    []delivered
	refusals []ticketing.Refusal
	ready    error
	// deliver replaces the default, which accepts everything.
	deliver func(ctx context.Context, e *ticketing.Envelope, raw ticketing.Raw) []ticketing.Outcome
}

// delivered is a message the desk was given.
type delivered struct {
	envelope ticketing.Envelope
	text     string
	sum      [32]byte
}

func (d *fakeDesk) Route(_ context.Context, rcpt string) (ticketing.Route, error) {
	switch {
	case strings.HasPrefix(rcpt, "later"):
		return ticketing.Route{}, &ticketing.Error{Kind: ticketing.KindUnavailable, Reason: "store-failed", Message: "try again later"}
	case strings.HasPrefix(rcpt, "bug"):
		return ticketing.Route{}, errors.New("open /var/lib/secret: no such file")
	case strings.HasPrefix(rcpt, "panic"):
		panic("desk broke")
	case !strings.HasSuffix(rcpt, "@desk.test"):
		return ticketing.Route{}, &ticketing.Error{Kind: ticketing.KindDenied, Reason: "relay-denied", Message: "we do not relay"}
	case strings.HasPrefix(rcpt, "nobody"):
		return ticketing.Route{}, &ticketing.Error{Kind: ticketing.KindNotFound, Reason: "unknown-recipient"}
	}
	return ticketing.Route{Kind: ticketing.RouteProject, Project: 1}, nil
}

func (d *fakeDesk) Deliver(ctx context.Context, e *ticketing.Envelope, raw ticketing.Raw) []ticketing.Outcome {
	if d.deliver != nil {
		return d.deliver(ctx, e, raw)
	}
	return d.keep(e, raw)
}

// keep reads the message and accepts it for recipients that say nothing else.
func (d *fakeDesk) keep(e *ticketing.Envelope, raw ticketing.Raw) []ticketing.Outcome {
	text, err := io.ReadAll(io.NewSectionReader(raw, 0, raw.Size()))
	if err != nil {
		panic(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mails = append(d.mails, delivered{*e, string(text), raw.SHA256()})
	outcomes := everyone(&transaction{envelope: *e}, nil)
	for i, r := range e.Recipients {
		outcomes[i].Decision = ticketing.JournalAccepted
		switch {
		case strings.HasPrefix(r.Address, "full"):
			outcomes[i].Err = &ticketing.Error{Kind: ticketing.KindUnavailable, Reason: "disk-full", Message: "not enough storage"}
		case strings.HasPrefix(r.Address, "strict"):
			outcomes[i].Err = &ticketing.Error{Kind: ticketing.KindDenied, Reason: "dmarc-reject", Message: "DMARC policy of example.org"}
		case strings.HasPrefix(r.Address, "broken"):
			outcomes[i].Err = errors.New("pq: connection to 10.1.2.3 refused")
		}
	}
	return outcomes
}

func (d *fakeDesk) Refused(r ticketing.Refusal) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refusals = append(d.refusals, r)
}

func (d *fakeDesk) Ready(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ready
}

// got returns the messages so far.
func (d *fakeDesk) got() []delivered {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]delivered(nil), d.mails...)
}

// reasons returns "stage reason" of the refusals so far.
func (d *fakeDesk) reasons() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var words []string
	for _, r := range d.refusals {
		words = append(words, r.Stage+" "+r.Reason)
	}
	return words
}

// pipeListener hands out ends of net.Pipe, which synctest can wait for.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// dial connects as the client with the address.
func (l *pipeListener) dial(addr string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- pipeEnd{server, addr}:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// pipeEnd is a pipe with an address.
type pipeEnd struct {
	net.Conn
	addr string
}

func (p pipeEnd) RemoteAddr() net.Addr {
	if p.addr == "unix" {
		return &net.UnixAddr{Net: "unix"}
	}
	a, err := net.ResolveTCPAddr("tcp", p.addr)
	if err != nil {
		panic(err)
	}
	return a
}

// world is a server with its desk and its listener.
type world struct {
	t    testing.TB
	desk *fakeDesk
	srv  *Server
	l    *pipeListener
}

// stranger is a client that nothing is known of.
const stranger = "192.0.2.1:4000"

// newWorld starts a server on a pipe listener, with ids 1, 2, 3 …
func newWorld(t testing.TB, o Options) *world {
	w := &world{t: t, desk: new(fakeDesk), l: newPipeListener()}
	w.srv = New(w.desk, testOptions(o))
	served := make(chan error, 1)
	go func() { served <- w.srv.Serve(w.l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = w.srv.Shutdown(ctx)
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return w
}

// testOptions adds what all tests want.
func testOptions(o Options) Options {
	or(&o.Hostname, "mx.desk.test")
	if o.NewID == nil {
		var mu sync.Mutex
		n := 0
		o.NewID = func() string {
			mu.Lock()
			defer mu.Unlock()
			n++
			return fmt.Sprint(n)
		}
	}
	return o
}

// client talks to a server, line by line.
type client struct {
	t    testing.TB
	conn net.Conn
	buf  *buffer
}

// buffer takes what the server says, so that it never has to wait for us.
type buffer struct {
	lines chan string
}

func (w *world) dial(addr string) *client {
	w.t.Helper()
	c, err := w.l.dial(addr)
	if err != nil {
		w.t.Fatal(err)
	}
	return newClient(w.t, c)
}

// newClient talks over c, which is closed when the test ends.
func newClient(t testing.TB, c net.Conn) *client {
	cl := &client{t: t, conn: c}
	cl.listen()
	t.Cleanup(func() { _ = cl.conn.Close() })
	return cl
}

// listen reads lines until the end of the stream. During STARTTLS nothing may
// listen, so it stops after the go-ahead.
func (c *client) listen() {
	b := &buffer{lines: make(chan string, 10000)}
	c.buf = b
	conn := c.conn
	go func() {
		defer close(b.lines)
		r := bufio.NewReader(conn)
		for {
			line, err := r.ReadString('\n')
			if line != "" {
				b.lines <- strings.TrimRight(line, "\r\n")
			}
			if err != nil || strings.HasPrefix(line, "220 2.0.0 Ready") {
				return
			}
		}
	}()
}

// send writes octets. A server that has closed the connection is no failure here.
func (c *client) send(text string) { _, _ = io.WriteString(c.conn, text) }

// line returns the server's next line, "closed" at the end.
func (c *client) line() string {
	c.t.Helper()
	select {
	case line, ok := <-c.buf.lines:
		if !ok {
			return "closed"
		}
		return line
	case <-time.After(2 * time.Hour):
		c.t.Fatal("server says nothing")
		return ""
	}
}

// want reads one reply, whose last line has to begin with prefix.
func (c *client) want(prefix string) string {
	c.t.Helper()
	line := c.line()
	for len(line) > 3 && line[3] == '-' {
		line = c.line()
	}
	if !strings.HasPrefix(line, prefix) {
		c.t.Fatalf("server says %q, want %q", line, prefix)
	}
	return line
}

// do sends one command and wants a reply.
func (c *client) do(command, prefix string) string {
	c.t.Helper()
	c.send(command + "\r\n")
	return c.want(prefix)
}

// hello reads the greeting and says EHLO.
func (c *client) hello() {
	c.t.Helper()
	c.want("220 ")
	c.do("EHLO client.test", "250 ")
}

// envelope begins a transaction.
func (c *client) envelope() {
	c.t.Helper()
	c.do("MAIL FROM:<ann@example.org>", "250 ")
	c.do("RCPT TO:<help@desk.test>", "250 ")
}

// data begins a message.
func (c *client) data() {
	c.t.Helper()
	c.envelope()
	c.do("DATA", "354 ")
}

// startTLS changes to TLS and says EHLO again.
func (c *client) startTLS() *tls.Conn {
	c.t.Helper()
	c.do("STARTTLS", "220 ")
	secure := c.handshake(insecure())
	c.do("EHLO client.test", "250 ")
	return secure
}

func (c *client) handshake(config *tls.Config) *tls.Conn {
	c.t.Helper()
	secure := tls.Client(c.conn, config)
	if err := secure.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	c.conn = secure
	c.listen()
	return secure
}

// bubble runs a test in virtual time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// testTLS makes a certificate for the tests.
var testTLS = sync.OnceValue(func() *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mx.desk.test"}, DNSNames: []string{"mx.desk.test"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
})

// logInto returns a logger that writes into b.
func logInto(b *syncBuffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// syncBuffer is a bytes.Buffer for several goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// insecure is the TLS configuration of a client that trusts everybody.
func insecure() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

package smtpd

import (
	"cmp"
	"crypto/rand"
	"crypto/tls"
	"encoding/base32"
	"encoding/binary"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/mxdesk/mxdesk/metrics"
)

// What to do with a bare LF in DATA.
const (
	// BareNewlineReject refuses the message with 521 and closes the connection.
	BareNewlineReject = "reject"
	// BareNewlineNormalize turns a bare LF from a trusted client into CR LF.
	BareNewlineNormalize = "normalize"
)

// Options configure a Server. The zero value of a field is its default.
// A negative limit or duration switches that limit off.
type Options struct {
	// Hostname is our name in the greeting, and in Envelopes. Default "localhost".
	Hostname string
	// LMTP makes the server speak LMTP (RFC 2033) instead of SMTP. Its clients
	// are our own upstream and are all treated as trusted.
	LMTP bool
	// TLS offers STARTTLS; nil does not.
	TLS *tls.Config
	// Trusted clients, and those on unix sockets, skip the greeting delay and
	// the per-client, flood and error limits.
	Trusted []netip.Prefix
	// TrustedRelays are clients that relay for us: Envelope.TrustedUpstream.
	TrustedRelays []netip.Prefix
	// BareNewline is BareNewlineReject (default) or BareNewlineNormalize.
	BareNewline string

	// Limits of one message.
	MaxMessageBytes int64 // default 50 MiB
	MaxRecipients   int   // default 1000
	MaxHeaderBytes  int64 // default 256 KiB
	MaxHeaderFields int   // default 1000
	MaxLineBytes    int   // without CR LF; default 64 KiB
	MaxReceivedHops int   // Received fields; default 50

	// Limits of one connection.
	MaxMessages     int           // MAIL commands; default 250
	MaxSessionBytes int64         // octets received; default 256 MiB
	MaxSession      time.Duration // a transfer begun may end; default 20 min
	MaxJunk         int           // reply lines without progress in a transaction; default 100
	SoftErrors      int           // refused commands before each further costs ErrorDelay; default 10
	HardErrors      int           // refused commands before 421; default 20
	UnknownLimit    int           // unknown recipients before the tarpit; default 5
	ErrorDelay      time.Duration // default 1 s
	UnknownDelay    time.Duration // default 5 s

	// Limits over connections. Those per client hold for an IPv4 address or an
	// IPv6 /64, three times as many for its /26 or /48, nine times for its /21 or /32.
	MaxConnections int // default 1000
	PerClient      int // open at a time; default 30
	PerMinute      int // new ones; default 300
	// MaxAbandoned is how many deliveries may have outlived their WorkBudget
	// before new mail is put off with 451. Default 64.
	MaxAbandoned int

	// Deadlines.
	GreetingDelay    time.Duration // default 3 s
	FirstMailIdle    time.Duration // wait for a command before the first MAIL; default 60 s
	Idle             time.Duration // and after it; default 300 s
	CrowdedIdle      time.Duration // and when three quarters of MaxConnections are open; default 10 s
	HandshakeTimeout time.Duration // of STARTTLS; default 60 s
	DataIdle         time.Duration // silence within a message; default 180 s
	DataMinRate      int64         // octets per second that win back DataIdle; default 500
	DataMax          time.Duration // one message's transfer; default 30 min
	WriteTimeout     time.Duration // one reply; default 30 s
	RouteTimeout     time.Duration // Desk.Ready and Desk.Route; default 10 s
	WorkBudget       time.Duration // Desk.Deliver; default 60 s

	Metrics *metrics.SMTP    // nil counts nothing
	Log     *slog.Logger     // default slog.DiscardHandler
	Now     func() time.Time // stamps (deadlines use the machine's clock); default time.Now
	NewID   func() string    // session and transaction ids; default time-ordered, 16 letters and digits
	Spool   *Spooler         // default NewSpooler of the zero SpoolOptions
}

const (
	stallAfter   = 2 * time.Second // silence after which the strict reader looks at what it has (S1)
	lingerTime   = time.Second     // a client we hung up on may read our last words
	farewellTime = 5 * time.Second // writing the last words
)

// withDefaults returns o with every zero value replaced by its default.
func (o Options) withDefaults() Options {
	or(&o.Hostname, "localhost")
	or(&o.BareNewline, BareNewlineReject)
	or(&o.MaxMessageBytes, 50<<20)
	or(&o.MaxRecipients, 1000)
	or(&o.MaxHeaderBytes, 256<<10)
	or(&o.MaxHeaderFields, 1000)
	or(&o.MaxLineBytes, 64<<10)
	or(&o.MaxReceivedHops, 50)
	or(&o.MaxAbandoned, 64)
	or(&o.MaxMessages, 250)
	or(&o.MaxSessionBytes, 256<<20)
	or(&o.MaxSession, 20*time.Minute)
	or(&o.MaxJunk, 100)
	or(&o.SoftErrors, 10)
	or(&o.HardErrors, 20)
	or(&o.UnknownLimit, 5)
	or(&o.ErrorDelay, time.Second)
	or(&o.UnknownDelay, 5*time.Second)
	or(&o.MaxConnections, 1000)
	or(&o.PerClient, 30)
	or(&o.PerMinute, 300)
	or(&o.GreetingDelay, 3*time.Second)
	or(&o.FirstMailIdle, time.Minute)
	or(&o.Idle, 5*time.Minute)
	or(&o.CrowdedIdle, 10*time.Second)
	or(&o.HandshakeTimeout, time.Minute)
	or(&o.DataIdle, 3*time.Minute)
	or(&o.DataMinRate, 500)
	or(&o.DataMax, 30*time.Minute)
	or(&o.WriteTimeout, 30*time.Second)
	or(&o.RouteTimeout, 10*time.Second)
	or(&o.WorkBudget, time.Minute)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = newID
	}
	if o.Spool == nil {
		o.Spool = NewSpooler(SpoolOptions{})
	}
	if o.TLS != nil && !o.LMTP {
		// outlook.com fails the handshake when it is offered tickets on port 25.
		o.TLS = o.TLS.Clone()
		o.TLS.SessionTicketsDisabled = true
	}
	return o
}

// or sets *p to def if it has its zero value.
func or[T comparable](p *T, def T) { *p = cmp.Or(*p, def) }

// newID returns 16 lower-case letters and digits: six octets of milliseconds,
// four random ones, in an alphabet whose order is that of the octets.
func newID() string {
	var b [10]byte
	binary.BigEndian.PutUint64(b[:8], uint64(time.Now().UnixMilli())<<16)
	_, _ = rand.Read(b[6:])
	return strings.ToLower(base32.HexEncoding.EncodeToString(b[:]))
}

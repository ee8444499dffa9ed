// Package queue hands outgoing mail to the next hop. It claims copies that are
// due from the store of the domain, renders and signs each of them once, finds
// the way (mail exchangers, a relay, a local delivery agent, or none at all),
// speaks SMTP or LMTP, and reports every attempt back. What fails for now is
// tried again for five days; what fails for good is written on the copy, where
// agents see it. The queue never writes a bounce.
//
// The queue keeps no state of its own: a copy in work is held by a lease in the
// store, and one that nobody reports on falls back to the store when its lease
// ends. A copy may so be sent twice when a crash or a lost reply hides what
// became of it; both have the same bytes and the same Message-ID.
package queue

import (
	"context"
	crand "crypto/rand"
	"crypto/x509"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/mxdesk/mxdesk/auth/dns"
	"github.com/mxdesk/mxdesk/metrics"
	"github.com/mxdesk/mxdesk/ticketing"
)

// Outbox is where the copies are. Errors of KindConflict mean that the lease is
// lost: somebody else works on the copy now, and nothing was changed.
type Outbox interface {
	// Claim takes up to limit copies that are due at now, longest due first, and
	// leases them to owner until now+lease. A copy whose lease has ended is due.
	Claim(ctx context.Context, now time.Time, owner string, limit int, lease time.Duration) ([]ticketing.Outgoing, error)
	// Rendered stores the bytes of a copy, once: bytes that are there already stay.
	Rendered(ctx context.Context, id, owner string, raw []byte) error
	// RawOutgoing returns the stored bytes of a copy.
	RawOutgoing(ctx context.Context, id string) ([]byte, error)
	// Record appends an attempt, sets the next state and ends the lease. due is
	// the time of the next attempt of a pending or deferred copy.
	Record(ctx context.Context, id, owner string, a ticketing.Attempt, state ticketing.DeliveryState, due time.Time) error
	// NextDue is the earliest time at which Claim may find something; a leased
	// copy counts with the end of its lease. Zero if there is none.
	NextDue(ctx context.Context) (time.Time, error)
	// Wake returns a channel that is signalled, or closed, when copies may have
	// been added. It is asked for anew before each look at what is due.
	Wake() <-chan struct{}
}

// Renderer makes the bytes of a copy: composed, signed, in canonical CRLF form.
// An error of KindInvalid means that it can never be rendered.
type Renderer interface {
	Render(ctx context.Context, o ticketing.Outgoing) ([]byte, error)
}

// Options of a Queue. Zero values are the defaults.
type Options struct {
	Hostname string // our name in EHLO; also recognises loops; required
	Owner    string // name of this process in claims; default: Hostname and a random number

	Resolver dns.Resolver // required by the mx route
	Dialer   Dialer       // default: a net.Dialer
	RootCAs  *x509.CertPool
	// AllowNets are networks that mail exchangers may be in although they are
	// private, local or our own.
	AllowNets []netip.Prefix
	// OwnAddrs lists the addresses of this machine. Default: those of its interfaces.
	OwnAddrs func() []netip.Addr
	Port     uint16 // of mail exchangers; default 25

	Concurrency    int // connections in all; default 50
	PerDestination int // connections to one domain or relay, reached step by step from 5; default 20
	MaxClaimed     int // copies held in memory; default 1000

	AttemptTimeout time.Duration // one attempt, all hosts together; default 15 min
	Lease          time.Duration // of a claim, longer than AttemptTimeout; default AttemptTimeout + 5 min
	Idle           time.Duration // how long an open connection waits for more mail; default 5 s
	Drain          time.Duration // how long attempts in progress may go on when Run ends; default 20 s
	// Busy tells that this machine has something more urgent to do than to send;
	// attempts then begin one by one, some time apart. Default: never.
	Busy     func() bool
	Timeouts Timeouts

	Log     *slog.Logger     // default: discards
	Metrics *metrics.Queue   // nil: none
	Now     func() time.Time // default: time.Now
	Rand    func() float64   // uniform in [0,1); default: math/rand
}

// withDefaults fills in the defaults.
func (o Options) withDefaults() Options {
	if o.Owner == "" {
		o.Owner = o.Hostname + "/" + crand.Text()
	}
	if o.Dialer == nil {
		o.Dialer = &net.Dialer{}
	}
	if o.OwnAddrs == nil {
		o.OwnAddrs = interfaceAddrs
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Busy == nil {
		o.Busy = func() bool { return false }
	}
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	orDefault(&o.Port, 25)
	orDefault(&o.Concurrency, 50)
	orDefault(&o.PerDestination, 20)
	orDefault(&o.MaxClaimed, 1000)
	orDefault(&o.AttemptTimeout, 15*time.Minute)
	orDefault(&o.Lease, o.AttemptTimeout+5*time.Minute)
	orDefault(&o.Idle, 5*time.Second)
	orDefault(&o.Drain, 20*time.Second)
	o.Lease = max(o.Lease, o.AttemptTimeout+time.Minute)
	o.Timeouts = o.Timeouts.withDefaults()
	return o
}

func orDefault[T uint16 | int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// Queue sends outgoing mail. Make one with New and Run it once.
type Queue struct {
	box    Outbox
	render Renderer
	route  Route
	o      Options
	guard  guard

	work     context.Context // of attempts; outlives Run's context by Drain
	couriers sync.WaitGroup
	freed    chan struct{} // signalled when there is room again
	turn     chan struct{} // has the courier that waits while Options.Busy

	mu           sync.Mutex
	destinations map[string]*destination
	running      int  // couriers
	held         int  // claimed copies in memory
	full         bool // the scheduler waits for room
	stopping     bool // no further attempt is begun
}

// New makes a queue that sends what is in box over route. It does nothing
// before Run.
func New(box Outbox, r Renderer, route Route, o Options) *Queue {
	o = o.withDefaults()
	return &Queue{
		box: box, render: r, route: route, o: o,
		guard:        guard{dialer: o.Dialer, allow: o.AllowNets, own: o.OwnAddrs},
		freed:        make(chan struct{}, 1),
		turn:         make(chan struct{}, 1),
		destinations: map[string]*destination{},
	}
}

// Run sends mail until ctx ends. Then nothing new is begun, attempts in
// progress get Options.Drain to finish and are interrupted after it; copies
// that were claimed and not sent are given back. When Run returns, no goroutine
// of the queue is left. It returns nil.
func (q *Queue) Run(ctx context.Context) error {
	work, interrupt := context.WithCancel(context.WithoutCancel(ctx))
	defer interrupt()
	q.work = work
	q.schedule(ctx)
	timer := time.AfterFunc(q.o.Drain, interrupt)
	defer timer.Stop()
	q.stop()
	q.couriers.Wait()
	return nil
}

// Package auth tells whether a message is from whom it says: it evaluates SPF,
// DKIM, ARC and DMARC and makes one verdict of what they say.
package auth

import (
	"cmp"
	"context"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mxdesk/mxdesk/auth/arc"
	"github.com/mxdesk/mxdesk/auth/dkim"
	"github.com/mxdesk/mxdesk/auth/dmarc"
	"github.com/mxdesk/mxdesk/auth/dns"
	"github.com/mxdesk/mxdesk/auth/message"
	"github.com/mxdesk/mxdesk/auth/spf"
	"github.com/mxdesk/mxdesk/metrics"
	"github.com/mxdesk/mxdesk/ticketing"
)

// mechanismTimeout bounds each of SPF, DKIM, ARC and DMARC.
const mechanismTimeout = 10 * time.Second

// Temperror is a way to treat mail that cannot be checked now.
type Temperror string

// The ways. To defer is to ask the client to come again.
const (
	TemperrorAccept Temperror = "accept" // defer it where the policy is known and is reject, else take and mark it
	TemperrorPolicy Temperror = "policy" // the same, and defer it where the policy is quarantine
	TemperrorDefer  Temperror = "defer"  // defer it
)

// Options are the settings of a Verifier. Zero values stand for the defaults.
type Options struct {
	// Hostname is our own name, the authserv-id of our results; default the
	// envelope's, else "localhost".
	Hostname string
	// TrustedSealers are domains whose ARC seals count, those of their
	// subdomains included; default none.
	TrustedSealers []string
	// UpstreamResults are the names under which trusted upstreams write
	// Authentication-Results; their SPF results are believed. Default none.
	UpstreamResults []string
	// Lists are asked about clients and domains; default none.
	Lists Lists
	// ListScore is the score of the lists from which a mail is refused; default
	// 0: only lists that say so refuse.
	ListScore int
	// Now is the clock; default time.Now.
	Now func() time.Time
	// Metrics counts results; nil counts nothing.
	Metrics *metrics.Auth
	// Log gets what went wrong on our side; default discards.
	Log *slog.Logger
	// Timeout bounds the whole verification; default 30 s.
	Timeout time.Duration
	// OnTemperror says what becomes of a mail of which a name server did not tell
	// whether it passes the policy of its From domain; default TemperrorAccept.
	OnTemperror Temperror
}

// Verifier judges messages. It is safe for concurrent use.
type Verifier struct {
	resolver *tally
	options  Options
	sealers  []string
	spf      *spf.Checker
	dkim     *dkim.Verifier
	arc      *arc.Verifier
}

// New returns a Verifier that asks r.
func New(r dns.Resolver, o Options) *Verifier {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	counted := &tally{Resolver: r}
	r = counted
	v := &Verifier{
		resolver: counted, options: o,
		spf:  spf.New(r, spf.Options{Now: o.Now, Timeout: mechanismTimeout}),
		dkim: dkim.New(r, dkim.Options{Now: o.Now, Timeout: mechanismTimeout}),
		arc:  arc.New(r, arc.Options{Now: o.Now, Timeout: mechanismTimeout}),
	}
	for _, s := range o.TrustedSealers {
		if domain, err := dns.ASCII(s); err == nil {
			v.sealers = append(v.sealers, domain)
		}
	}
	return v
}

// check is one message on its way to a verdict.
type check struct {
	*Verifier
	env     *ticketing.Envelope
	end     time.Time // of the whole verification
	message *message.Message
	author  author

	spf    spf.Result
	dkim   []dkim.Result
	arc    arc.Result
	dmarc  dmarc.Result
	iprev  ticketing.IPRevResult
	helo   ticketing.HeloResult
	lists  ticketing.ListsResult
	others sync.WaitGroup // mechanisms under way
	// vouched tells that a trusted sealer saw the mail pass.
	vouched bool
	// missed is how many lookups had not been made when the check began; broken
	// tells that a mechanism panicked. Both are our own fault.
	missed uint64
	broken atomic.Bool
}

// Verify judges a message. It never fails: what cannot be found out is a
// temperror in the verdict. It returns within Options.Timeout as far as the
// resolver heeds deadlines.
func (v *Verifier) Verify(ctx context.Context, env *ticketing.Envelope, raw ticketing.Raw) *ticketing.Verdict {
	start := v.options.Now()
	c := v.begin(env)
	m, err := message.Read(raw, raw.Size(), message.Limits{})
	if err != nil {
		return c.unreadable(err)
	}
	c.message = m
	c.author = readAuthor(m, raw, raw.Size())

	c.checkSources(ctx)
	c.guarded(ctx, "dmarc", (*check).checkDMARC, (*check).lostDMARC)

	out := c.verdict()
	if ctx.Err() != nil {
		out.Verdict = ticketing.Decision{Action: ticketing.ActionTempfail, Reason: ticketing.ReasonVerifierFailed}
	}
	v.count(out)
	v.options.Metrics.Took("all", v.options.Now().Sub(start))
	return out
}

// checkSources runs the mechanisms that do not need one another.
func (c *check) checkSources(ctx context.Context) {
	ctx, cancel := c.within(ctx)
	defer cancel()
	c.beside(ctx, "spf", (*check).checkSPF, (*check).lostSPF)
	c.beside(ctx, "dkim", (*check).checkDKIM, (*check).lostDKIM)
	c.beside(ctx, "iprev", (*check).checkClient, (*check).lostClient)
	if c.options.Lists != nil {
		c.beside(ctx, "lists", (*check).checkLists, (*check).lostLists)
	}
	c.guarded(ctx, "arc", (*check).checkARC, (*check).lostARC)
	c.others.Wait()
}

// beside starts a mechanism that others waits for.
func (c *check) beside(ctx context.Context, name string, run func(*check, context.Context), lost func(*check)) {
	c.others.Add(1)
	go c.awaited(ctx, name, run, lost)
}

func (c *check) awaited(ctx context.Context, name string, run func(*check, context.Context), lost func(*check)) {
	defer c.others.Done()
	c.guarded(ctx, name, run, lost)
}

// VerifyEnvelope judges the client alone, by SPF.
func (v *Verifier) VerifyEnvelope(ctx context.Context, env *ticketing.Envelope) *ticketing.Verdict {
	c := v.begin(env)
	ctx, cancel := c.within(ctx)
	defer cancel()
	c.guarded(ctx, "spf", (*check).checkSPF, (*check).lostSPF)
	out := c.verdict()
	v.options.Metrics.Result("spf", out.SPF.Result)
	return out
}

func (v *Verifier) begin(env *ticketing.Envelope) *check {
	return &check{
		Verifier: v, env: env, missed: v.resolver.missed.Load(), end: time.Now().Add(v.options.Timeout),
		spf: spf.Result{Result: spf.None}, arc: arc.Result{Result: arc.None},
		dmarc: dmarc.Result{Result: dmarc.None, Disposition: dmarc.PolicyNone},
	}
}

// within bounds a step by its own time and by what is left of the whole.
func (c *check) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, min(mechanismTimeout, time.Until(c.end)))
}

// guarded runs a mechanism. A panic there is logged, and lost makes a temperror
// of it.
func (c *check) guarded(ctx context.Context, name string, run func(*check, context.Context), lost func(*check)) {
	start := c.options.Now()
	defer func() {
		if p := recover(); p != nil {
			c.options.Log.Error("mechanism panicked", "mechanism", name, "id", c.env.ID, "panic", p, "stack", string(debug.Stack()))
			c.broken.Store(true)
			lost(c)
		}
		c.options.Metrics.Took(name, c.options.Now().Sub(start))
	}()
	run(c, ctx)
}

func (c *check) checkSPF(ctx context.Context) {
	if c.env.TrustedUpstream && c.readUpstreamSPF() {
		return
	}
	if addr, helo := c.client(); addr.IsValid() {
		c.spf = c.Verifier.spf.Check(ctx, spf.Query{IP: addr, Helo: helo, MailFrom: c.env.MailFrom, Receiver: c.hostname()})
	}
}

// lostSPF keeps the domain: if it is aligned, DMARC has no result either.
func (c *check) lostSPF() {
	c.spf = spf.Result{Result: spf.TempError, Domain: addressDomain(cmp.Or(c.env.MailFrom, c.env.Helo)), Scope: spf.ScopeMailFrom}
}

func (c *check) checkDKIM(ctx context.Context) {
	c.dkim = c.Verifier.dkim.Verify(ctx, c.message)
	for i := range c.dkim {
		if r := &c.dkim[i]; r.Result == dkim.Pass && r.BodyLimited {
			r.Reason = "only the beginning of the body is signed"
		}
	}
}

// lostDKIM assumes an aligned signature, as there may have been one.
func (c *check) lostDKIM() {
	c.dkim = []dkim.Result{{Result: dkim.TempError, Domain: c.author.domain}}
}

func (c *check) checkARC(ctx context.Context) { c.arc = c.Verifier.arc.Verify(ctx, c.message) }

func (c *check) lostARC() { c.arc = arc.Result{Result: arc.TempError} }

func (c *check) lostLists() { c.lists = ticketing.ListsResult{} }

func (c *check) checkDMARC(ctx context.Context) {
	if c.author.several || c.author.impossible {
		c.failAuthor(ctx)
	}
	if c.author.domain == "" {
		return
	}
	ctx, cancel := c.within(ctx)
	defer cancel()
	in := dmarc.Input{From: c.author.domain, SPF: dmarc.Identifier{Result: c.spf.Result, Domain: c.spf.Domain}}
	for _, r := range c.dkim {
		// What stands behind the signed length may be anybody's, so such a
		// signature is sound and vouches for nothing.
		// https://www.rfc-editor.org/rfc/rfc6376#section-8.2
		if r.Result == dkim.Pass && r.BodyLimited {
			r.Result = dkim.Policy
		}
		in.DKIM = append(in.DKIM, dmarc.Identifier{Result: r.Result, Domain: r.Domain})
	}
	c.dmarc = dmarc.Evaluate(ctx, c.resolver, in)
	if c.dmarc.Result != dmarc.Pass {
		c.vouched = c.sealerVouches(ctx)
	}
}

// failAuthor fails a mail with several From domains: nobody can vouch for all
// that people see. The strictest of the domains' policies holds. One that is no
// domain has no policy, and RFC 9989 leaves such mail to the receiver: it is set
// aside, not refused, since careless programs write noreply@shop.example:8080.
//
// https://www.rfc-editor.org/rfc/rfc9989#section-5.3.1
func (c *check) failAuthor(ctx context.Context) {
	ctx, cancel := c.within(ctx)
	defer cancel()
	c.dmarc.Result = dmarc.Fail
	if c.author.impossible {
		c.dmarc.Disposition = dmarc.PolicyQuarantine
	}
	harsh := []string{dmarc.PolicyNone, dmarc.PolicyQuarantine, dmarc.PolicyReject}
	unknown := false
	for _, domain := range c.author.domains {
		r := dmarc.Evaluate(ctx, c.resolver, dmarc.Input{From: domain})
		unknown = unknown || r.Result == dmarc.TempError
		if slices.Index(harsh, r.Disposition) > slices.Index(harsh, c.dmarc.Disposition) {
			c.dmarc.Policy, c.dmarc.Disposition = r.Policy, r.Disposition
		}
	}
	if unknown && c.dmarc.Disposition == dmarc.PolicyNone {
		c.dmarc.Result = dmarc.TempError
	}
}

func (c *check) lostDMARC() {
	c.dmarc = dmarc.Result{Result: dmarc.TempError, Domain: c.author.domain, Disposition: dmarc.PolicyNone}
}

// hostname is our own name.
func (c *check) hostname() string {
	return cmp.Or(c.options.Hostname, c.env.Hostname, "localhost")
}

func (v *Verifier) count(out *ticketing.Verdict) {
	m := v.options.Metrics
	m.Result("spf", out.SPF.Result)
	for _, r := range out.DKIM {
		m.Result("dkim", r.Result)
	}
	if len(out.DKIM) == 0 {
		m.Result("dkim", "none")
	}
	m.Result("arc", out.ARC.Result)
	if out.IPRev.Result != "" {
		m.Result("iprev", out.IPRev.Result)
	}
	if out.Helo.Result != "" {
		m.Result("helo", out.Helo.Result)
	}
	m.Result("dmarc", out.DMARC.Result)
	m.Result("verdict", string(out.Verdict.Action))
}

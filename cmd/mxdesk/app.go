package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/mxdesk/mxdesk/auth"
	"github.com/mxdesk/mxdesk/auth/dns"
	"github.com/mxdesk/mxdesk/auth/dnsbl"
	"github.com/mxdesk/mxdesk/auth/keyring"
	"github.com/mxdesk/mxdesk/auth/login"
	"github.com/mxdesk/mxdesk/metrics"
	"github.com/mxdesk/mxdesk/queue"
	"github.com/mxdesk/mxdesk/server/api"
	"github.com/mxdesk/mxdesk/server/health"
	"github.com/mxdesk/mxdesk/server/smtpd"
	"github.com/mxdesk/mxdesk/server/web"
	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/intake"
	"github.com/mxdesk/mxdesk/ticketing/mail"
	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/badgerdb"
	"github.com/mxdesk/mxdesk/ticketing/store/memdb"
)

// Parts are what tests put in the place of the outside world. Nil fields are
// the real thing.
type Parts struct {
	Engine   store.Engine
	Resolver dns.Resolver
	Listen   func(network, address string) (net.Listener, error)
	// Inherited are open listeners by name, in place of those of the settings.
	Inherited map[string][]net.Listener
	// Admin opens the admin socket in a folder.
	Admin  func(dir string) (net.Listener, error)
	Dialer queue.Dialer
	Now    func() time.Time
	Log    *slog.Logger
	// Upgrades are those of the schema.
	Upgrades []ticketing.Upgrade
	// SMTP adjusts the limits of the listeners.
	SMTP func(*smtpd.Options)
}

// App is one running mxdesk: the only place that knows all parts.
type App struct {
	cfg   Config
	parts Parts
	log   *slog.Logger

	Desk     *ticketing.Desk
	Registry *prometheus.Registry
	db       *store.DB
	badger   *badgerdb.DB // nil with another engine
	intake   *intake.Intake
	login    *login.Login
	lists    *dnsbl.Checker
	keys     *keyring.Keyring
	cert     *certificate
	metrics  *metrics.Metrics
	first    *FirstStart // what a first start made, else nil
	ports    map[string][]net.Listener

	smtpd    []*smtpd.Server
	https    []*http.Server
	draining atomic.Bool

	measuring sync.Mutex // one scrape at a time looks at the queue
	rested    time.Time  // when the next one may

	stopWork    context.CancelFunc // ends the background work
	stopJournal context.CancelFunc // ends the journal of refusals, after the last session
	work        sync.WaitGroup     // background work and listeners
	failed      chan error
}

// NewApp opens the listeners, then the store, and wires the parts: where a port
// cannot be had, nothing is made. Clients that come before Start wait in the
// backlog. Close is to be called when it returned no error.
func NewApp(ctx context.Context, cfg Config, parts Parts) (*App, error) {
	if parts.Listen == nil {
		parts.Listen = listen
	}
	if parts.Admin == nil {
		parts.Admin = api.Listen
	}
	if parts.Now == nil {
		parts.Now = time.Now
	}
	if parts.Log == nil {
		parts.Log = slog.New(slog.DiscardHandler)
	}
	a := &App{cfg: cfg, parts: parts, log: parts.Log, Registry: prometheus.NewRegistry(), failed: make(chan error, 1)}
	a.metrics = metrics.New(a.Registry)
	a.metrics.Health.Build(version())
	if err := a.openAll(ctx); err != nil {
		a.unbind()
		return nil, err
	}
	if err := a.wire(ctx); err != nil {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
		defer cancel()
		return nil, errors.Join(err, a.Close(end))
	}
	return a, nil
}

func (a *App) openStore(ctx context.Context) error {
	engine := a.parts.Engine
	switch {
	case engine != nil:
	case a.cfg.Store == "memory":
		engine = memdb.New(memdb.Options{})
	default:
		folder := filepath.Join(a.cfg.Data, storeFolder)
		_, absent := os.Stat(folder)
		if _, err := os.Stat(filepath.Join(a.cfg.Data, restoreFolder)); err == nil {
			return fmt.Errorf("a restore into %s was cut short: empty the folder and restore again", a.cfg.Data)
		}
		db, err := badgerdb.Open(folder, badgerdb.Options{Log: a.log})
		if err != nil {
			return err
		}
		a.badger, engine = db, db
		if errors.Is(absent, os.ErrNotExist) {
			if err := a.markFirst(); err != nil {
				return errors.Join(err, db.Close())
			}
		}
	}
	a.db = store.Open(engine, store.Options{Now: a.parts.Now, Log: a.log, Observe: func(s store.BatchStats) {
		a.metrics.Store.Batch(s.Closures, s.Bytes, s.Duration, s.Err)
	}})
	a.Desk = ticketing.New(a.db, ticketing.Options{
		Now: a.parts.Now, Text: readText, HashBody: auth.HashBody, Policy: ticketing.Policy(a.cfg.Auth.Policy), Copy: a.copyBefore, Upgrades: a.parts.Upgrades,
	})
	return nil
}

// wire makes the parts that work on the store.
func (a *App) wire(ctx context.Context) error {
	fresh, err := a.Desk.Migrate(ctx)
	if err != nil {
		return err
	}
	if err := a.Desk.ReleaseClaims(ctx); err != nil {
		return err
	}
	direct := a.parts.Resolver // a record that was just published counts at once
	if direct == nil {
		direct = dns.New(dns.Options{Servers: a.cfg.DNS.Servers, Timeout: time.Duration(a.cfg.DNS.Timeout), Observe: a.metrics.DNS.Lookup, Logger: a.log})
		cache := dns.NewCache(direct, dns.CacheOptions{Logger: a.log})
		a.metrics.DNS.Watch(func() metrics.DNSCache { return metrics.DNSCache(cache.Stats()) })
		a.parts.Resolver = cache
	}
	a.keys = keyring.New(keyring.Options{Dir: filepath.Join(a.cfg.Data, "dkim"), Resolver: direct, Now: a.parts.Now, Log: a.log})
	if a.cert, err = openCertificate(a.cfg, a.parts.Now, a.log); err != nil {
		return err
	}
	a.login = login.New(a.db, a.Desk, login.Options{Now: a.parts.Now, PublicURL: a.publicURL()})
	lists, err := parseLists(a.cfg.Auth.Lists)
	if err != nil {
		return err
	}
	a.lists, err = dnsbl.New(a.parts.Resolver, lists, dnsbl.Options{Now: a.parts.Now, Log: a.log, Metrics: a.metrics.DNSBL})
	if err != nil {
		return err
	}
	checks := auth.Options{
		ListScore: a.cfg.Auth.ListScore,
		Hostname:  a.cfg.Hostname, TrustedSealers: a.cfg.Auth.TrustedSealers, UpstreamResults: a.cfg.Auth.UpstreamResults,
		OnTemperror: auth.Temperror(a.cfg.Auth.OnTemperror), Now: a.parts.Now, Metrics: a.metrics.Auth, Log: a.log,
	}
	if len(lists) > 0 {
		checks.Lists = a.lists
	}
	verifier := auth.New(a.parts.Resolver, checks)
	a.intake = intake.New(a.Desk, a.db, verifier, intake.Options{
		MaxMessageBytes: a.cfg.SMTP.MaxSize, Hostname: a.cfg.Hostname, HelpURL: a.cfg.Auth.HelpURL, Reply: smtpd.ReplyCode, Log: a.log, Metrics: a.metrics.Intake, Now: a.parts.Now,
	})
	if fresh || a.isFirst() {
		a.first, err = a.firstStart(ctx)
	}
	return err
}

// Start opens the admin socket and begins the work. When it returns nil, every
// listener accepts.
func (a *App) Start(ctx context.Context) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	a.stopWork = stop
	journal, stop := context.WithCancel(context.WithoutCancel(ctx))
	a.stopJournal = stop
	a.work.Go(func() { a.intake.Run(journal) })
	for _, open := range []func(context.Context) error{a.serveMail, a.serveHTTP, a.startQueue} {
		if err := open(work); err != nil {
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
			defer cancel()
			return errors.Join(err, a.Drain(end))
		}
	}
	a.work.Go(func() { a.housekeeping(work) })
	a.work.Go(func() { a.lists.Run(work) })
	return nil
}

func (a *App) serveMail(context.Context) error {
	o, err := a.smtpOptions()
	if err != nil {
		return err
	}
	o.TLS = a.cert.config()
	lmtp := o
	lmtp.LMTP = true
	for _, s := range []struct {
		name    string
		options smtpd.Options
	}{{"smtp", o}, {"lmtp", lmtp}} {
		srv := smtpd.New(a.intake, s.options)
		a.smtpd = append(a.smtpd, srv)
		for _, l := range a.ports[s.name] {
			a.serve(l.Addr().String(), func() error { return srv.Serve(l) })
		}
	}
	return nil
}

func (a *App) smtpOptions() (smtpd.Options, error) {
	trusted, err := parseNets(a.cfg.SMTP.Trusted)
	if err != nil {
		return smtpd.Options{}, err
	}
	relays, err := parseNets(a.cfg.SMTP.TrustedRelays)
	if err != nil {
		return smtpd.Options{}, err
	}
	o := smtpd.Options{
		Hostname: a.cfg.Hostname, Trusted: trusted, TrustedRelays: relays, BareNewline: a.cfg.SMTP.BareNewline,
		MaxMessageBytes: a.cfg.SMTP.MaxSize, MaxRecipients: a.cfg.SMTP.MaxRecipients,
		Metrics: a.metrics.SMTP, Log: a.log, Now: a.parts.Now,
		NewID: func() string { return ticketing.NewID(a.parts.Now()) },
		Spool: smtpd.NewSpooler(smtpd.SpoolOptions{Dir: a.cfg.Data}),
	}
	if a.parts.SMTP != nil {
		a.parts.SMTP(&o)
	}
	return o, nil
}

func (a *App) serveHTTP(ctx context.Context) error {
	a.Registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	whole := deskStore(a.cfg, a.db, a.badger)
	whole.Now, whole.Done, whole.Log = a.parts.Now, ctx.Done(), a.log
	admin := api.Handler(api.Options{
		Desk: a.Desk, Keys: a.keys, Release: a.intake, Body: fullText{a.Desk}, SignIn: a.login, Queue: a.metrics.Queue, Store: whole, Ready: a.ready, Log: a.log, Hostname: a.cfg.Hostname,
	})
	l, err := a.parts.Admin(filepath.Join(a.cfg.Data, "run"))
	if err != nil {
		return fmt.Errorf("admin socket: %w", err)
	}
	a.serveOn(l, admin)
	pages := web.New(a.Desk, a.login, web.Options{Log: a.log, Now: a.parts.Now, Secure: strings.HasPrefix(a.publicURL(), "https:"), Capture: a.captures()})
	for _, l := range a.ports["metrics"] {
		a.serveOn(l, health.Handler(a.scraped(), a.ready))
	}
	for _, l := range a.ports["http"] {
		a.serveOn(l, pages)
	}
	return nil
}

// serveOn serves HTTP with deadlines for slow clients.
func (a *App) serveOn(l net.Listener, h http.Handler) {
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: 2 * time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	a.https = append(a.https, srv)
	a.serve(l.Addr().String(), func() error {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
}

// serve runs a listener until it ends; an end that nobody asked for is fatal.
func (a *App) serve(name string, run func() error) {
	a.work.Go(func() {
		if err := run(); err != nil {
			a.log.Error("listener", "address", name, "error", err)
			select {
			case a.failed <- fmt.Errorf("%s: %w", name, err):
			default:
			}
		}
	})
}

func (a *App) startQueue(work context.Context) error {
	route, err := queue.ParseRoute(a.cfg.Queue.Relay)
	if err != nil {
		return err
	}
	nets, err := parseNets(a.cfg.Queue.AllowNets)
	if err != nil {
		return err
	}
	box := newOutbox(a.Desk, a.db)
	q := queue.New(box, queue.NewRenderer(a.keys), route, queue.Options{
		Hostname: a.cfg.Hostname, Resolver: a.parts.Resolver, Dialer: a.parts.Dialer, AllowNets: nets, Port: uint16(a.cfg.Queue.MXPort),
		Log: a.log, Metrics: a.metrics.Queue, Now: a.parts.Now, Drain: 5 * time.Second, Busy: a.intake.Busy,
	})
	a.work.Go(func() { box.run(work) })
	a.work.Go(func() { q.Run(work) })
	return nil
}

// housekeeping sweeps what has outlived its time, once an hour.
func (a *App) housekeeping(ctx context.Context) {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if n, err := a.Desk.Sweep(ctx); err != nil || n > 0 {
			a.log.Info("housekeeping", "rows", n, "error", err)
		}
		if err := a.keys.Sweep(ctx); err != nil {
			a.log.Error("housekeeping of dkim keys", "error", err)
		}
		if a.badger != nil {
			if _, err := a.badger.GC(ctx, a.db); err != nil {
				a.log.Error("housekeeping of segments", "error", err)
			}
		}
	}
}

// captures tells whether outgoing mail stays here: it does until a relay is set.
func (a *App) captures() bool { return a.cfg.Queue.Relay == "" || a.cfg.Queue.Relay == "capture" }

func (a *App) publicURL() string {
	if a.cfg.HTTP.PublicURL != "" {
		return strings.TrimSuffix(a.cfg.HTTP.PublicURL, "/")
	}
	return "http://" + a.cfg.HTTP.Listen
}

// readText reads the text of a raw mail.
func readText(raw io.ReaderAt, size int64) *ticketing.Message {
	return mail.Text(raw, size, mail.Options{})
}

// fullText reads the whole text of a comment from its raw mail.
type fullText struct{ desk *ticketing.Desk }

// FullText parses the raw mail again.
func (f fullText) FullText(ctx context.Context, c *ticketing.Comment) (body, quoted string, err error) {
	if c.Raw == nil {
		return c.Body, c.Quoted, nil
	}
	blob, err := f.desk.OpenRaw(ctx, *c.Raw)
	if err != nil {
		return "", "", err
	}
	defer blob.Close()
	m := readText(blob, blob.Size())
	if c.ID == 1 {
		return m.Text, "", nil
	}
	body, quoted = m.Reply()
	return body, quoted, nil
}

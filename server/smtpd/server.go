package smtpd

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/mxdesk/mxdesk/metrics"
	"github.com/mxdesk/mxdesk/ticketing"
)

// Desk is what the server asks and tells the rest of the house.
type Desk interface {
	// Route says where a recipient leads. Its errors are *ticketing.Error:
	// KindNotFound for an unknown address.
	Route(ctx context.Context, rcpt string) (ticketing.Route, error)
	// Deliver judges and stores a message. It returns one Outcome for each of
	// e.Recipients, in their order, and only when everything is durable. raw
	// may be read until Deliver returns.
	Deliver(ctx context.Context, e *ticketing.Envelope, raw ticketing.Raw) []ticketing.Outcome
	// Refused notes what was refused outside Deliver. It must not block.
	Refused(r ticketing.Refusal)
	// Ready is nil when mail can be taken, else a *ticketing.Error.
	Ready(ctx context.Context) error
}

// Server is an SMTP or LMTP server. It may serve several listeners.
type Server struct {
	desk    Desk
	o       Options
	log     *slog.Logger
	smtp    *smtp.Server
	clients *clients
	ctx     context.Context // ends when Shutdown gives up waiting
	cancel  context.CancelFunc

	// abandoned counts deliveries that outlived their work budget.
	abandoned atomic.Int64
	open      atomic.Int64 // connections
	lingering sync.WaitGroup
	buffers   sync.Pool // of *[readSize]byte
	phrases   []phrase

	mu       sync.Mutex
	conns    map[*conn]struct{}
	draining bool
}

// New returns a Server that is ready to serve listeners.
func New(desk Desk, o Options) *Server {
	s := &Server{desk: desk, o: o.withDefaults(), conns: make(map[*conn]struct{})}
	s.log, s.phrases = s.o.Log, phrases(s.o.Hostname)
	s.clients = newClients(s.o.PerClient, s.o.PerMinute)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.buffers.New = func() any { return new([readSize]byte) }
	s.smtp = smtp.NewServer(smtp.BackendFunc(s.newSession))
	s.smtp.Domain = s.o.Hostname
	s.smtp.LMTP = s.o.LMTP
	s.smtp.EnableSMTPUTF8 = true
	s.smtp.AllowInsecureAuth = true // AUTH is refused; without TLS it would be for want of that
	s.smtp.ErrorLog = protocolLog{s.log}
	if s.o.MaxMessageBytes > 0 {
		s.smtp.MaxMessageBytes = s.o.MaxMessageBytes
	}
	s.smtp.MaxLineLength = 0
	return s
}

// Serve accepts clients from l until Shutdown, then returns nil.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	draining := s.draining
	s.mu.Unlock()
	if draining {
		return l.Close()
	}
	return s.smtp.Serve(&listener{Listener: l, srv: s})
}

// Shutdown closes the listeners, tells idle clients 421, and waits for the
// transactions whose message is on its way. When ctx ends first, their
// connections are closed too and ctx's error is returned. It may be called once.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	open := make([]*conn, 0, len(s.conns))
	for g := range s.conns {
		open = append(open, g)
	}
	s.mu.Unlock()
	var wg sync.WaitGroup
	for _, g := range open {
		wg.Go(g.drain) // a client that does not read must not hold up the others
	}
	err := s.smtp.Shutdown(ctx)
	s.cancel()
	s.mu.Lock()
	for g := range s.conns {
		go g.kill()
	}
	s.mu.Unlock()
	wg.Wait()
	s.lingering.Wait()
	ended := time.NewTimer(lastNotes)
	defer ended.Stop()
	for _, g := range open {
		if t := g.session.Load(); t != nil {
			select {
			case <-t.over:
			case <-ended.C:
				return err
			}
		}
	}
	return err
}

// lastNotes is how long sessions whose connection was closed may take to note
// what became of their transactions.
const lastNotes = time.Second

// remember counts an accepted connection, unless there is no room for it.
func (s *Server) remember(g *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining || over(len(s.conns)+1, s.o.MaxConnections) {
		return false
	}
	s.conns[g] = struct{}{}
	s.open.Add(1)
	s.o.Metrics.Open(1)
	return true
}

// forget gives back the place of a connection.
func (s *Server) forget(g *conn) {
	s.mu.Lock()
	_, known := s.conns[g]
	delete(s.conns, g)
	s.mu.Unlock()
	if !known {
		return
	}
	s.open.Add(-1)
	s.o.Metrics.Open(-1)
	g.mu.Lock()
	release := g.release
	g.mu.Unlock()
	release()
}

// crowded tells whether room for connections gets scarce.
func (s *Server) crowded() bool {
	return s.o.MaxConnections > 0 && s.open.Load()*4 > int64(s.o.MaxConnections)*3
}

// kind names the listener in metrics.
func (s *Server) kind() metrics.SMTPListener {
	if s.o.LMTP {
		return metrics.ListenerLMTP
	}
	return metrics.ListenerSMTP
}

// protocolLog takes what go-smtp has to say: lost connections, and panics of
// ours, which it answers with 421.
type protocolLog struct{ log *slog.Logger }

// Printf logs a panic as an error, anything else for debugging.
func (l protocolLog) Printf(format string, v ...any) {
	if strings.HasPrefix(format, "panic") {
		l.log.Error("smtp: panic", "detail", fmt.Sprintf(format, v...))
		return
	}
	l.log.Debug("smtp", "detail", fmt.Sprintf(format, v...))
}

// Println logs for debugging.
func (l protocolLog) Println(v ...any) { l.log.Debug("smtp", "detail", fmt.Sprint(v...)) }

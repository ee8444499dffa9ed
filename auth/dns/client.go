package dns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	mdns "github.com/miekg/dns"
)

const (
	defaultTimeout = 5 * time.Second
	resolvConf     = "/etc/resolv.conf"
	maxServers     = 8
	rounds         = 2    // times every server is asked
	udpSize        = 1232 // octets; what fits in one packet on any path
	maxStray       = 16   // datagrams that are no answer, skipped per attempt
)

// Options are the settings of a Client. Zero values stand for the defaults.
type Options struct {
	// Servers are recursive name servers as host:port, asked in their order;
	// the first eight count. Empty stands for those that /etc/resolv.conf names
	// now, and for 127.0.0.1:53 where that names none; its search list is not
	// used.
	Servers []string
	// Timeout bounds one lookup with all its attempts; default 5 seconds.
	Timeout time.Duration
	// Observe is told of every lookup: the type of record, what came of it
	// (answer, no-data, no-name, time-out or failure) and the time it took.
	// Default tells nobody.
	Observe func(kind, result string, took time.Duration)
	// Logger gets a debug line for every attempt that gave no answer; default
	// discards.
	Logger *slog.Logger
}

// Client is a Resolver that asks recursive name servers. It keeps no state
// between lookups. An answer counts as authentic when the server says that it
// validated it and the server's address is a loopback one.
type Client struct {
	methods
	servers []server
	timeout time.Duration
	observe func(kind, result string, took time.Duration)
	log     *slog.Logger
}

// server is a name server; a trusted one may vouch for DNSSEC validation.
type server struct {
	address string
	trusted bool
}

// New returns a Client.
func New(o Options) *Client {
	addresses := o.Servers
	if len(addresses) == 0 {
		addresses = systemServers(resolvConf)
	}
	c := &Client{
		timeout: cmp.Or(max(o.Timeout, 0), defaultTimeout),
		observe: o.Observe,
		log:     cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
	}
	for _, address := range addresses[:min(len(addresses), maxServers)] {
		c.servers = append(c.servers, server{address, isLoopback(address)})
	}
	if c.observe == nil {
		c.observe = func(string, string, time.Duration) {}
	}
	c.methods = methods{c.ask}
	return c
}

// systemServers reads the name servers of a resolv.conf file.
func systemServers(path string) []string {
	conf, err := mdns.ClientConfigFromFile(path)
	if err != nil || len(conf.Servers) == 0 {
		return []string{"127.0.0.1:53"}
	}
	var addresses []string
	for _, host := range conf.Servers {
		addresses = append(addresses, net.JoinHostPort(host, conf.Port))
	}
	return addresses
}

func isLoopback(address string) bool {
	ap, err := netip.ParseAddrPort(address)
	return err == nil && ap.Addr().Unmap().IsLoopback()
}

// ask makes one lookup and counts it.
func (c *Client) ask(ctx context.Context, q question) (reply, error) {
	start := time.Now()
	r, err := c.askAll(ctx, q)
	c.observe(string(q.kind), result(err), time.Since(start))
	return r, err
}

// askAll asks every server in turn, twice, each with its share of the time.
func (c *Client) askAll(ctx context.Context, q question) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	share := c.timeout / time.Duration(rounds*len(c.servers))
	var last error = context.DeadlineExceeded
	for range rounds {
		for _, s := range c.servers {
			if ctx.Err() != nil {
				return reply{ttl: ttlUnknown}, q.fail(temporary(last), last.Error())
			}
			msg, err := s.exchange(ctx, q, share)
			if err == nil {
				return interpret(q, msg, s.trusted)
			}
			last = err
			c.log.DebugContext(ctx, "no answer from name server", "server", s.address, "question", q.String(), "error", err)
		}
	}
	return reply{ttl: ttlUnknown}, q.fail(temporary(last), last.Error())
}

// exchange asks one server, and once more without EDNS when it does not know
// that. An error says that the server did not tell.
//
// https://www.rfc-editor.org/rfc/rfc6891#section-6.2.2
func (s server) exchange(ctx context.Context, q question, share time.Duration) (*mdns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, share)
	defer cancel()
	query := s.query(q)
	msg, err := s.send(ctx, query)
	if err == nil && (msg.Rcode == mdns.RcodeFormatError || msg.Rcode == mdns.RcodeNotImplemented) {
		query.Extra, query.Id = nil, mdns.Id()
		msg, err = s.send(ctx, query)
	}
	if err != nil {
		return nil, err
	}
	return msg, usable(msg)
}

// send asks over UDP, and over TCP when the answer was cut.
func (s server) send(ctx context.Context, query *mdns.Msg) (*mdns.Msg, error) {
	msg, err := s.roundTrip(ctx, "udp", query)
	if err == nil && msg.Truncated {
		msg, err = s.roundTrip(ctx, "tcp", query)
		if err == nil && msg.Truncated {
			err = errors.New("answer cut in TCP")
		}
	}
	return msg, err
}

// query makes the message for a question. Only a trusted server is asked for
// validation: signatures are of no use from another.
//
// https://www.rfc-editor.org/rfc/rfc6840#section-5.7
func (s server) query(q question) *mdns.Msg {
	query := new(mdns.Msg)
	query.SetQuestion(escapeName(q.name)+".", q.kind.number())
	query.AuthenticatedData = s.trusted
	query.SetEdns0(udpSize, s.trusted)
	return query
}

// roundTrip sends the query from a port of the system's choice and waits for
// the message that answers it. Everything else that arrives is skipped.
func (s server) roundTrip(ctx context.Context, network string, query *mdns.Msg) (*mdns.Msg, error) {
	dialer := mdns.Client{Net: network, UDPSize: udpSize}
	conn, err := dialer.DialContext(ctx, s.address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline) // a failure shows in the write below
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := conn.WriteMsg(query); err != nil {
		return nil, err
	}
	for range maxStray {
		msg, err := conn.ReadMsg()
		if _, broken := errors.AsType[net.Error](err); broken || err != nil && network == "tcp" {
			return nil, err
		}
		if answers(msg, query, err) {
			return msg, nil
		}
	}
	return nil, errors.New("too many messages that are no answer")
}

// answers tells whether msg, read with that error, is the answer to query. A
// cut answer may be cut anywhere, so only its start is looked at.
func answers(msg, query *mdns.Msg, err error) bool {
	if msg == nil || err != nil && !msg.Truncated {
		return false
	}
	if !msg.Response || msg.Id != query.Id || msg.Opcode != mdns.OpcodeQuery {
		return false
	}
	if len(msg.Question) == 0 && msg.Rcode == mdns.RcodeFormatError {
		return true // a server that could not read the question does not repeat it
	}
	if len(msg.Question) != 1 {
		return false
	}
	have, want := msg.Question[0], query.Question[0]
	return have.Qtype == want.Qtype && have.Qclass == want.Qclass && canonical(have.Name) == canonical(want.Name)
}

// usable tells why a message is no answer, authoritative or found by recursion.
func usable(msg *mdns.Msg) error {
	switch msg.Rcode {
	case mdns.RcodeSuccess, mdns.RcodeNameError:
	default:
		return fmt.Errorf("server answered %s", mdns.RcodeToString[msg.Rcode])
	}
	if len(msg.Answer) > maxRecords {
		return fmt.Errorf("answer has more than %d records", maxRecords)
	}
	if len(msg.Answer) == 0 && !msg.RecursionAvailable && !msg.Authoritative {
		return errors.New("server sent a referral")
	}
	return nil
}

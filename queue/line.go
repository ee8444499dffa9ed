package queue

import (
	"context"
	"crypto/tls"
	"net"
)

// line is a courier's way to its destination: the open session, if any.
type line struct {
	q  *Queue
	cl *client
	to target // of cl
}

func (l *line) open() bool { return l.cl != nil }

// sent counts the transactions on the open session.
func (l *line) sent() int {
	if l.cl == nil {
		return 0
	}
	return l.cl.sent
}

// hangUp ends the session.
func (l *line) hangUp() {
	if l.cl != nil {
		l.cl.close(true)
		l.cl = nil
	}
}

// drop ends the session without a word.
func (l *line) drop() {
	if l.cl != nil {
		l.cl.close(false)
		l.cl = nil
	}
}

// deliver hands one mail to the next hop: over the open session if it still
// works, else to one host after the other until one has an answer.
func (l *line) deliver(ctx context.Context, c claimed, raw []byte) (outcome, *failure) {
	if l.q.route.Mode == Capture || l.q.route.Mode == "" {
		return outcome{}, nil
	}
	from, err := parseMailbox(c.Envelope)
	if err != nil {
		return outcome{}, permanent("5.1.7", "the envelope sender cannot be used in a mail")
	}
	if l.cl != nil {
		if out, f := l.transact(ctx, from, c.to, raw); f == nil || f.scope != scopeHost {
			return out, f
		}
	}
	targets, f := l.q.targets(ctx, c.to)
	if f != nil {
		return outcome{}, f
	}
	return l.tryAll(ctx, targets, from, c.to, raw)
}

// tryAll asks the next hops in turn. When none could be talked to at all, that
// holds for every mail of the destination.
func (l *line) tryAll(ctx context.Context, targets []target, from, to mailbox, raw []byte) (out outcome, worst *failure) {
	sessions := 0
	for _, t := range targets {
		cl, f := l.q.connect(ctx, t)
		this := outcome{host: t.String()}
		if f == nil {
			sessions++
			l.cl, l.to = cl, t.reached(cl.raw.RemoteAddr())
			if this, f = l.transact(ctx, from, to, raw); f == nil || f.scope != scopeHost {
				return this, f
			}
		}
		if worst = milder(worst, f); worst == f {
			out = this
		}
		if sessions >= maxSessions || ctx.Err() != nil {
			break
		}
	}
	if sessions == 0 {
		worst = worst.at(scopeDestination)
	}
	return out, worst
}

// transact makes one transaction on the open session and closes it where it is
// no longer good.
func (l *line) transact(ctx context.Context, from, to mailbox, raw []byte) (outcome, *failure) {
	l.cl.bind(ctx)
	out := outcome{host: l.to.String(), tls: l.cl.tls}
	r, f := l.cl.send(from, to, raw)
	out.reply = r
	if f != nil && f.scope != scopeCopy {
		l.drop()
		return out, f
	}
	l.cl.unbind()
	return out, f
}

// targets lists the next hops for a recipient.
func (q *Queue) targets(ctx context.Context, to mailbox) ([]target, *failure) {
	if q.route.Mode == MX {
		return q.resolve(ctx, to)
	}
	return []target{{host: q.route.Host, network: q.route.Network, address: q.route.Address}}, nil
}

// connect opens a session that is ready for MAIL. In opportunistic mode a
// handshake that fails is followed by a session in plain text.
func (q *Queue) connect(ctx context.Context, t target) (*client, *failure) {
	cl, handshake, f := q.session(ctx, t, q.route.TLS != TLSOff)
	if handshake && q.route.TLS == TLSOpportunistic && q.route.User == "" && ctx.Err() == nil {
		q.o.Log.Info("queue: TLS did not work, going on in plain text", "host", t.String(), "text", f.text)
		cl, _, f = q.session(ctx, t, false)
	}
	return cl, f
}

// session opens one connection. handshake tells that it failed on the way to
// TLS.
func (q *Queue) session(ctx context.Context, t target, encrypt bool) (cl *client, handshake bool, f *failure) {
	conn, f := q.dial(ctx, t)
	if f != nil {
		return nil, false, f
	}
	cl = newClient(conn, q.o.Hostname, q.route.Mode == LMTP, q.o.Timeouts)
	cl.bind(ctx)
	if f = cl.greet(); f == nil && encrypt {
		handshake, f = q.encrypt(ctx, cl, t)
	}
	if f == nil && q.route.User != "" {
		f = q.signIn(cl)
	}
	if f != nil {
		cl.close(f.code != 0)
		// What our own relay thinks of us is no verdict on a mail.
		f.ours = q.route.Mode != MX
		return nil, handshake, f
	}
	return cl, false, nil
}

// dial connects to a next hop, guarded where outside data chose it.
func (q *Queue) dial(ctx context.Context, t target) (net.Conn, *failure) {
	var d Dialer = q.o.Dialer
	if q.route.Mode == MX {
		d = q.guard
	}
	ctx, cancel := context.WithTimeout(ctx, q.o.Timeouts.Connect)
	defer cancel()
	conn, err := d.DialContext(ctx, t.network, t.address)
	if err != nil {
		return nil, broken(stepConnect, err)
	}
	return conn, nil
}

// encrypt starts TLS as the route asks for it. failed tells that the connection
// did not survive it.
func (q *Queue) encrypt(ctx context.Context, cl *client, t target) (failed bool, f *failure) {
	must := q.route.TLS == TLSRequire
	if !cl.offers("STARTTLS") {
		if must {
			return false, temporary(scopeHost, "4.7.4", "the relay offers no STARTTLS, and TLS is required")
		}
		return false, nil
	}
	conf := &tls.Config{ServerName: t.host, RootCAs: q.o.RootCAs}
	if !must {
		// Without a policy that names the certificate, being strict would only
		// turn encrypted connections into plain ones.
		// https://www.rfc-editor.org/rfc/rfc7435#section-3
		conf.InsecureSkipVerify = true
		conf.MinVersion = tls.VersionTLS10
	}
	began, f := cl.startTLS(ctx, conf)
	if f != nil && !began && !must {
		return false, nil
	}
	return began && f != nil, f
}

// signIn sends the credentials, over TLS or to ourselves only.
func (q *Queue) signIn(cl *client) *failure {
	if cl.tls == "" && (q.route.TLS != TLSOff || !isLoopback(q.route.Host)) {
		return temporary(scopeHost, "4.7.4", "the relay offers no TLS, and credentials are not sent without it")
	}
	return cl.auth(q.route.User, q.route.Password)
}

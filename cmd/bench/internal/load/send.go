package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Target is where mails go.
type Target struct {
	Addr string // host:port
	LMTP bool
}

// Shape says how mails are sent.
type Shape struct {
	Sessions int
	Keep     bool // many mails in a session; else one connection for each mail
}

// Result is what a load came to.
type Result struct {
	Accepted int             // mails that were answered 250
	Elapsed  time.Duration   // from the first mail to the last reply
	Latency  []time.Duration // of each mail from the end of its data to the reply; nil if unknown
	CPU      time.Duration   // that the sender used
}

// Rate is mails per second.
func (r Result) Rate() float64 { return float64(r.Accepted) / r.Elapsed.Seconds() }

// replyTimeout bounds one exchange with the server.
const replyTimeout = 30 * time.Second

// Send sends each mail once, pipelined as a mail server would; those that are
// not begun within longest are left out. Sessions that are kept are open before
// the clock starts. The first mail that is not taken ends the load with an
// error.
func Send(ctx context.Context, t Target, mails []Mail, s Shape, longest time.Duration) (Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	g := &generator{ctx: ctx, fail: cancel, target: t, shape: s, longest: longest, mails: mails, latency: make([]time.Duration, len(mails)), begin: make(chan struct{})}
	var ready, done sync.WaitGroup
	ready.Add(s.Sessions)
	for range s.Sessions {
		done.Go(func() { g.session(ready.Done) })
	}
	ready.Wait()
	cpu, start := CPU(), time.Now()
	g.start = start
	close(g.begin)
	done.Wait()
	r := Result{Accepted: int(g.accepted.Load()), Elapsed: time.Duration(g.last.Load()), CPU: CPU() - cpu}
	if err := context.Cause(ctx); err != nil {
		return r, err
	}
	r.Latency = g.latency[:r.Accepted] // mails are begun in their order
	return r, nil
}

type generator struct {
	ctx     context.Context
	fail    context.CancelCauseFunc
	target  Target
	shape   Shape
	longest time.Duration
	mails   []Mail
	latency []time.Duration

	begin    chan struct{} // closed when all sessions are ready
	start    time.Time
	next     atomic.Int64
	accepted atomic.Int64
	last     atomic.Int64 // the latest reply, after start
}

// session sends mails until none is left.
func (g *generator) session(ready func()) {
	var c *client
	var err error
	if g.shape.Keep {
		c, err = dial(g.ctx, g.target)
	}
	ready()
	<-g.begin
	for err == nil && g.ctx.Err() == nil && time.Since(g.start) < g.longest {
		i := int(g.next.Add(1)) - 1
		if i >= len(g.mails) {
			break
		}
		if c == nil {
			if c, err = dial(g.ctx, g.target); err != nil {
				break
			}
		}
		if g.latency[i], err = c.send(g.mails[i]); err != nil {
			break
		}
		g.took()
		if !g.shape.Keep {
			err = c.quit()
			c = nil
		}
	}
	if c != nil {
		err = errors.Join(err, c.quit())
	}
	if err != nil {
		g.fail(err)
	}
}

// took counts a mail that was answered 250.
func (g *generator) took() {
	g.accepted.Add(1)
	now := int64(time.Since(g.start))
	for old := g.last.Load(); now > old && !g.last.CompareAndSwap(old, now); old = g.last.Load() {
	}
}

// client is one session.
type client struct {
	conn net.Conn
	r    *bufio.Reader
	out  []byte
	lmtp bool
	stop func() bool
}

// dial opens a session up to the reply to EHLO. It is closed when ctx ends.
func dial(ctx context.Context, t Target) (*client, error) {
	d := net.Dialer{Timeout: replyTimeout}
	conn, err := d.DialContext(ctx, "tcp", t.Addr)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, r: bufio.NewReaderSize(conn, 1024), lmtp: t.LMTP}
	c.stop = context.AfterFunc(ctx, func() { conn.Close() })
	hello := "EHLO "
	if t.LMTP {
		hello = "LHLO "
	}
	err = c.expect("greeting", '2')
	if err == nil {
		err = c.write([]byte(hello + Helo + "\r\n"))
	}
	if err == nil {
		err = c.expect("EHLO", '2')
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// send sends one mail and returns the time from the end of its data to the
// reply.
func (c *client) send(m Mail) (time.Duration, error) {
	c.out = fmt.Appendf(c.out[:0], "MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n", m.From, m.To)
	if err := c.write(c.out); err != nil {
		return 0, err
	}
	for _, step := range []struct {
		name  string
		class byte
	}{{"MAIL", '2'}, {"RCPT", '2'}, {"DATA", '3'}} {
		if err := c.expect(step.name, step.class); err != nil {
			return 0, err
		}
	}
	if err := c.write(m.Data); err != nil {
		return 0, err
	}
	sent := time.Now()
	err := c.expect("the end of the data", '2')
	return time.Since(sent), err
}

func (c *client) quit() error {
	defer c.close()
	if err := c.write([]byte("QUIT\r\n")); err != nil {
		return err
	}
	return c.expect("QUIT", '2')
}

func (c *client) close() {
	c.stop()
	c.conn.Close()
}

func (c *client) write(b []byte) error {
	if err := c.conn.SetDeadline(time.Now().Add(replyTimeout)); err != nil {
		return err
	}
	_, err := c.conn.Write(b)
	return err
}

// maxReplyLines bounds one reply.
const maxReplyLines = 100

// expect reads one reply and wants it to begin with a digit.
func (c *client) expect(step string, class byte) error {
	for range maxReplyLines {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("the server hung up")
			}
			return fmt.Errorf("%s: %w", step, err)
		}
		if len(line) < 5 || line[0] != class {
			return fmt.Errorf("%s: the server says %q", step, line)
		}
		if line[3] != '-' {
			return nil
		}
	}
	return fmt.Errorf("%s: the reply has more than %d lines", step, maxReplyLines)
}

// Idle opens n sessions up to the reply to EHLO and holds them until release
// is called.
func Idle(ctx context.Context, t Target, n int) (release func(), err error) {
	var open []*client
	release = func() {
		for _, c := range open {
			c.close()
		}
	}
	for range n {
		c, err := dial(ctx, t)
		if err != nil {
			release()
			return nil, fmt.Errorf("session %d: %w", len(open)+1, err)
		}
		open = append(open, c)
	}
	return release, nil
}

// CPU is the processor time that this process has used.
func CPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

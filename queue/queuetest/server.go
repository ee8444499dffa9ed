// Package queuetest is the world that an outgoing queue sees: next hops that
// follow a script, a network of pipes to reach them over, and a store of
// copies in memory. It serves the tests of the queue and of whoever runs one.
package queuetest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Event is one step of a session, put to a script before it is answered. Verb
// is the command in upper case; CONNECT stands for the greeting, TLS for the
// handshake after STARTTLS, BODY for the moment after the reply to DATA, END
// for the end of the mail, and WORD for a line of an AUTH exchange.
type Event struct {
	Conn int    // number of the connection, from 1
	N    int    // how often this verb has occurred on this server, from 1
	Verb string // CONNECT EHLO LHLO HELO STARTTLS TLS AUTH WORD MAIL RCPT DATA BODY END RSET QUIT
	Line string // the whole command
}

// Action is what a server does at a step. The zero Action answers as a good
// server would.
type Action struct {
	Delay time.Duration // before anything else; nothing is read meanwhile
	Drop  bool          // close the connection instead of answering
	Hang  bool          // never answer; what the client sends is read and dropped
	Reply string        // lines between "\n"; "" is the usual reply
	Close bool          // close the connection after the reply
}

// Script decides what a server does at each step.
type Script func(Event) Action

// Replies is a script that answers the verbs it names in this way, every time.
func Replies(m map[string]string) Script {
	return func(e Event) Action { return Action{Reply: m[e.Verb]} }
}

// Message is a mail that a server took.
type Message struct {
	Conn      int
	From, To  string // as they stood in the commands, with parameters
	Data      []byte // without dot-stuffing and the end-of-data line
	Wire      []byte // exactly as it was sent, end-of-data line included
	TLS       bool
	Pipelined bool // RCPT was there before MAIL was answered
	At        time.Time
}

// Server is a next hop. Set it up before its first connection.
type Server struct {
	LMTP       bool
	Extensions []string    // default: PIPELINING, SIZE 52428800, ENHANCEDSTATUSCODES, 8BITMIME
	TLS        *tls.Config // STARTTLS is offered when set
	Script     Script

	mu       sync.Mutex
	conns    int
	counts   map[string]int
	commands []string
	messages []Message
}

// Messages returns the mails taken so far.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// Commands returns every command received so far, credentials included.
func (s *Server) Commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.commands)
}

// Connections returns how many connections there have been.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

// Listen serves on a loopback port until the test ends and returns its address.
func (s *Server) Listen(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s.Accept(tb, l)
	return l.Addr().String()
}

// Accept serves a listener until the test ends.
func (s *Server) Accept(tb testing.TB, l net.Listener) {
	var wg sync.WaitGroup
	tb.Cleanup(func() { l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { s.Serve(conn) })
		}
	})
}

// Serve answers one connection until it ends.
func (s *Server) Serve(conn net.Conn) {
	s.mu.Lock()
	s.conns++
	ss := &session{s: s, number: s.conns, conn: conn, br: bufio.NewReader(conn)}
	s.mu.Unlock()
	defer conn.Close()
	if ss.step("CONNECT", "", "220 mx.test ESMTP") {
		for ss.command() {
		}
	}
}

// ask puts a step to the script.
func (s *Server) ask(conn int, verb, line string) Action {
	s.mu.Lock()
	if s.counts == nil {
		s.counts = map[string]int{}
	}
	s.counts[verb]++
	e := Event{Conn: conn, N: s.counts[verb], Verb: verb, Line: line}
	if line != "" {
		s.commands = append(s.commands, line)
	}
	s.mu.Unlock()
	if s.Script == nil {
		return Action{}
	}
	return s.Script(e)
}

// session is one connection to a Server.
type session struct {
	s         *Server
	number    int
	conn      net.Conn
	br        *bufio.Reader
	tls       bool
	last      string // the last reply
	from, to  string
	pipelined bool
}

// step acts as the script says. It returns false when the connection is over.
func (ss *session) step(verb, line, usual string) bool {
	a := ss.s.ask(ss.number, verb, line)
	time.Sleep(a.Delay)
	switch {
	case a.Drop:
		return false
	case a.Hang:
		io.Copy(io.Discard, ss.br)
		return false
	}
	if a.Reply == "" {
		a.Reply = usual
	}
	ss.last = a.Reply
	if a.Reply != "" {
		if _, err := ss.conn.Write([]byte(strings.ReplaceAll(a.Reply, "\n", "\r\n") + "\r\n")); err != nil {
			return false
		}
	}
	return !a.Close
}

// command reads and answers one command.
func (ss *session) command() bool {
	line, err := ss.br.ReadString('\n')
	if err != nil {
		return false
	}
	line = strings.TrimRight(line, "\r\n")
	verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
	switch verb {
	case "EHLO", "LHLO":
		if ss.s.LMTP != (verb == "LHLO") {
			return ss.step(verb, line, "500 5.5.1 wrong protocol")
		}
		return ss.step(verb, line, ss.greeting())
	case "HELO", "RSET":
		return ss.step(verb, line, "250 2.0.0 ok")
	case "STARTTLS":
		return ss.startTLS(line)
	case "AUTH":
		return ss.auth(line)
	case "MAIL":
		ss.from, ss.to = line, ""
		ss.pipelined = ss.br.Buffered() > 0
		ok := ss.step(verb, line, "250 2.1.0 ok")
		if !strings.HasPrefix(ss.last, "2") {
			ss.from = ""
		}
		return ok
	case "RCPT":
		usual := "250 2.1.5 ok"
		if ss.from == "" {
			usual = "503 5.5.1 no sender"
		}
		ok := ss.step(verb, line, usual)
		if strings.HasPrefix(ss.last, "2") {
			ss.to = line
		}
		return ok
	case "DATA":
		return ss.data(line)
	case "QUIT":
		return ss.step(verb, line, "221 2.0.0 bye") && false
	}
	return ss.step(verb, line, "500 5.5.2 unknown command")
}

// greeting is the reply to EHLO.
func (ss *session) greeting() string {
	ext := ss.s.Extensions
	if ext == nil {
		ext = []string{"PIPELINING", "SIZE 52428800", "ENHANCEDSTATUSCODES", "8BITMIME"}
	}
	if ss.s.TLS != nil && !ss.tls {
		ext = append(slices.Clone(ext), "STARTTLS")
	}
	lines := append([]string{"mx.test"}, ext...)
	for i := range lines {
		lines[i] = "250-" + lines[i]
	}
	last := len(lines) - 1
	lines[last] = "250 " + lines[last][4:]
	return strings.Join(lines, "\n")
}

func (ss *session) startTLS(line string) bool {
	if !ss.step("STARTTLS", line, "220 2.0.0 go ahead") {
		return false
	}
	if !strings.HasPrefix(ss.last, "220") {
		return true
	}
	if a := ss.s.ask(ss.number, "TLS", ""); a.Drop {
		return false
	}
	conf := ss.s.TLS.Clone()
	conf.SessionTicketsDisabled = true // a pipe has nowhere to keep the tickets
	conn := tls.Server(ss.conn, conf)
	if err := conn.Handshake(); err != nil {
		return false
	}
	ss.conn, ss.br, ss.tls = conn, bufio.NewReader(conn), true
	return true
}

func (ss *session) auth(line string) bool {
	if strings.HasPrefix(strings.ToUpper(line), "AUTH LOGIN") {
		for range 2 {
			if !ss.step("WORD", "", "334 VXNlcg==") {
				return false
			}
			word, err := ss.br.ReadString('\n')
			if err != nil {
				return false
			}
			line += " " + strings.TrimRight(word, "\r\n")
		}
	}
	return ss.step("AUTH", line, "235 2.7.0 welcome")
}

// data takes a mail.
func (ss *session) data(line string) bool {
	usual := "354 go ahead"
	if ss.to == "" {
		usual = "503 5.5.1 no recipient"
	}
	if !ss.step("DATA", line, usual) {
		return false
	}
	if !strings.HasPrefix(ss.last, "354") {
		return true
	}
	if !ss.step("BODY", "", "") {
		return false
	}
	m := Message{Conn: ss.number, From: ss.from, To: ss.to, TLS: ss.tls, Pipelined: ss.pipelined}
	for {
		line, err := ss.br.ReadBytes('\n')
		if err != nil {
			return false
		}
		m.Wire = append(m.Wire, line...)
		if string(line) == ".\r\n" {
			break
		}
		m.Data = append(m.Data, bytes.TrimPrefix(line, []byte("."))...)
	}
	if ss.s.LMTP && ss.to == "" {
		return true // one reply for each recipient: none
	}
	ok := ss.step("END", "", "250 2.0.0 taken")
	if strings.HasPrefix(ss.last, "2") && ss.to != "" {
		m.At = time.Now()
		ss.s.mu.Lock()
		ss.s.messages = append(ss.s.messages, m)
		ss.s.mu.Unlock()
	}
	ss.last = ""
	return ok
}

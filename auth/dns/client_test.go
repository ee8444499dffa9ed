package dns

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
)

// respond makes the datagrams (or the TCP messages) that answer a query.
type respond func(network string, query *mdns.Msg) [][]byte

// listen starts a name server on loopback and returns its address.
func listen(t testing.TB, f respond) string {
	t.Helper()
	udp, tcp := bothPorts(t)
	t.Cleanup(func() { udp.Close(); tcp.Close() })
	go serveUDP(udp, f)
	go serveTCP(tcp, f)
	return udp.LocalAddr().String()
}

// bothPorts opens the same port for UDP and TCP; the one that is free for UDP
// may be taken for TCP.
func bothPorts(t testing.TB) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 {
		udp, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		tcp, err := net.Listen("tcp", udp.LocalAddr().String())
		if err == nil {
			return udp, tcp
		}
		udp.Close()
	}
	t.Fatal("no port is free for both UDP and TCP")
	return nil, nil
}

func serveUDP(conn net.PacketConn, f respond) {
	buf := make([]byte, 4096)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		query := new(mdns.Msg)
		if query.Unpack(buf[:n]) != nil {
			continue
		}
		for _, packet := range f("udp", query) {
			_, _ = conn.WriteTo(packet, from)
		}
	}
}

func serveTCP(l net.Listener, f respond) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		stream := &mdns.Conn{Conn: conn}
		if query, err := stream.ReadMsg(); err == nil {
			for _, packet := range f("tcp", query) {
				_, _ = stream.Write(packet)
			}
			_, _ = io.Copy(io.Discard, conn)
		}
		conn.Close()
	}
}

// records makes a positive answer of zone file lines.
func records(t testing.TB, query *mdns.Msg, lines ...string) *mdns.Msg {
	t.Helper()
	msg := new(mdns.Msg).SetReply(query)
	msg.RecursionAvailable = true
	for _, line := range lines {
		rr, err := mdns.NewRR(line)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if rr.Header().Rrtype == mdns.TypeSOA {
			msg.Ns = append(msg.Ns, rr)
		} else {
			msg.Answer = append(msg.Answer, rr)
		}
	}
	return msg
}

func pack(t testing.TB, msg *mdns.Msg) []byte {
	t.Helper()
	data, err := msg.Pack()
	if err != nil {
		t.Error(err)
	}
	return data
}

// answering is a server that gives every question the same records.
func answering(t testing.TB, rcode int, lines ...string) respond {
	return func(_ string, query *mdns.Msg) [][]byte {
		msg := records(t, query, lines...)
		msg.Rcode = rcode
		return [][]byte{pack(t, msg)}
	}
}

func TestClientAnswers(t *testing.T) {
	many := make([]string, maxChain+1)
	for i := range many {
		many[i] = "c" + string(rune('a'+i)) + ".test. 60 CNAME c" + string(rune('b'+i)) + ".test."
	}
	for _, c := range []struct {
		label, kind, name string
		rcode             int
		lines             []string
		want              string
		err               error
	}{
		{"strings are joined", "TXT", "a.test", 0, []string{`a.test. 60 TXT "one " "two"`, `a.test. 60 TXT "three"`}, "[one two three]", nil},
		{"octets survive", "TXT", "a.test", 0, []string{`a.test. 60 TXT "q\"b\\s\195\188;"`}, "[q\"b\\sü;]", nil},
		{"case differs", "A", "A.Test", 0, []string{"a.TEST. 60 A 192.0.2.1"}, "[192.0.2.1]", nil},
		{"AAAA", "AAAA", "a.test", 0, []string{"a.test. 60 AAAA 2001:db8::1"}, "[2001:db8::1]", nil},
		{"MX", "MX", "a.test", 0, []string{"a.test. 60 MX 10 mx.test.", "a.test. 60 MX 0 ."}, "[{10 mx.test} {0 }]", nil},
		{"PTR", "PTR", "192.0.2.1", 0, []string{"1.2.0.192.in-addr.arpa. 60 PTR Mx.test."}, "[Mx.test]", nil},
		{"dot inside a label", "PTR", "192.0.2.1", 0, []string{`1.2.0.192.in-addr.arpa. 60 PTR good\.test.evil.`}, "", ErrNoData},
		{"alias", "A", "a.test", 0, []string{"b.test. 60 A 192.0.2.1", "a.test. 60 CNAME b.test."}, "[192.0.2.1]", nil},
		{"records of another name", "A", "a.test", 0, []string{"b.test. 60 A 192.0.2.1"}, "", ErrNoData},
		{"records of another type", "A", "a.test", 0, []string{"a.test. 60 AAAA 2001:db8::1"}, "", ErrNoData},
		{"alias without records", "A", "a.test", 0, []string{"a.test. 60 CNAME b.test."}, "", ErrNoData},
		{"alias to nowhere", "A", "a.test", mdns.RcodeNameError, []string{"a.test. 60 CNAME b.test."}, "", ErrNotFound},
		{"alias loop", "A", "a.test", 0, []string{"a.test. 60 CNAME a.test."}, "", ErrTemporary},
		{"long chain", "A", "ca.test", 0, many, "", ErrTemporary},
		{"longest chain", "A", "cb.test", 0, append(slices.Clone(many), "cl.test. 60 A 192.0.2.1"), "[192.0.2.1]", nil},
		{"no name", "A", "a.test", mdns.RcodeNameError, nil, "", ErrNotFound},
		{"no data", "A", "a.test", 0, nil, "", ErrNoData},
		{"SERVFAIL", "A", "a.test", mdns.RcodeServerFailure, nil, "", ErrTemporary},
		{"REFUSED", "A", "a.test", mdns.RcodeRefused, nil, "", ErrTemporary},
		{"odd octets in the question", "A", `a b"c\d;%@é.test`, mdns.RcodeNameError, nil, "", ErrNotFound},
	} {
		t.Run(c.label, func(t *testing.T) {
			client := New(Options{Servers: []string{listen(t, answering(t, c.rcode, c.lines...))}})
			got, err := ask(t.Context(), client, c.kind, c.name)
			if got != c.want || !errors.Is(err, c.err) {
				t.Errorf("got %q, %v; want %q, %v", got, err, c.want, c.err)
			}
		})
	}
}

// TestClientSkipsWhatIsNoAnswer sends bytes and messages in front of the answer
// that a stranger could have sent.
func TestClientSkipsWhatIsNoAnswer(t *testing.T) {
	forged := func(change func(*mdns.Msg)) func(*mdns.Msg) []byte {
		return func(query *mdns.Msg) []byte {
			msg := records(t, query, "a.test. 60 A 203.0.113.66")
			change(msg)
			return pack(t, msg)
		}
	}
	for label, packet := range map[string]func(*mdns.Msg) []byte{
		"empty":        func(*mdns.Msg) []byte { return nil },
		"short":        func(*mdns.Msg) []byte { return []byte{1, 2, 3} },
		"noise":        func(*mdns.Msg) []byte { return slices.Repeat([]byte{0xc0}, 600) },
		"header only":  func(q *mdns.Msg) []byte { return pack(t, q)[:12] },
		"query itself": func(q *mdns.Msg) []byte { return pack(t, q) },
		"cut record": func(q *mdns.Msg) []byte {
			d := pack(t, records(t, q, "a.test. 60 A 203.0.113.66"))
			return d[:len(d)-2]
		},
		"other id":       forged(func(m *mdns.Msg) { m.Id++ }),
		"other name":     forged(func(m *mdns.Msg) { m.Question[0].Name = "b.test." }),
		"other type":     forged(func(m *mdns.Msg) { m.Question[0].Qtype = mdns.TypeAAAA }),
		"other class":    forged(func(m *mdns.Msg) { m.Question[0].Qclass = mdns.ClassCHAOS }),
		"no question":    forged(func(m *mdns.Msg) { m.Question = nil }),
		"two questions":  forged(func(m *mdns.Msg) { m.Question = append(m.Question, m.Question[0]) }),
		"other opcode":   forged(func(m *mdns.Msg) { m.Opcode = mdns.OpcodeStatus }),
		"pointer circle": func(q *mdns.Msg) []byte { return append(pack(t, q)[:12], 0xc0, 12, 0, 1, 0, 1) },
	} {
		t.Run(label, func(t *testing.T) {
			address := listen(t, func(_ string, query *mdns.Msg) [][]byte {
				return [][]byte{packet(query), pack(t, records(t, query, "a.test. 60 A 192.0.2.1"))}
			})
			got, err := ask(t.Context(), New(Options{Servers: []string{address}}), "A", "a.test")
			if got != "[192.0.2.1]" {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestClientGivesUpOnNoise(t *testing.T) {
	address := listen(t, func(string, *mdns.Msg) [][]byte { return slices.Repeat([][]byte{[]byte("noise")}, 2*maxStray) })
	started := time.Now()
	_, err := ask(t.Context(), New(Options{Servers: []string{address}}), "A", "a.test")
	if !errors.Is(err, ErrTemporary) || time.Since(started) > defaultTimeout {
		t.Errorf("got %v after %v", err, time.Since(started))
	}
}

func TestClientTCP(t *testing.T) {
	long := `a.test. 60 TXT "` + strings.Repeat("x", 255) + `" "` + strings.Repeat("y", 255) + `"`
	for label, f := range map[string]respond{
		"cut answer": func(network string, query *mdns.Msg) [][]byte {
			msg := records(t, query, long)
			if network == "udp" {
				msg.Answer, msg.Truncated = nil, true
			}
			return [][]byte{pack(t, msg)}
		},
		"cut inside a record": func(network string, query *mdns.Msg) [][]byte {
			msg := records(t, query, long)
			msg.Truncated = network == "udp"
			data := pack(t, msg)
			if network == "udp" {
				data = data[:len(data)-100]
			}
			return [][]byte{data}
		},
	} {
		t.Run(label, func(t *testing.T) {
			client := New(Options{Servers: []string{listen(t, f)}})
			texts, _, err := client.TXT(t.Context(), "a.test")
			if err != nil || len(texts) != 1 || len(texts[0]) != 510 {
				t.Errorf("got %q, %v", texts, err)
			}
		})
	}
	t.Run("cut in TCP too", func(t *testing.T) {
		client := New(Options{Servers: []string{listen(t, func(_ string, query *mdns.Msg) [][]byte {
			msg := records(t, query)
			msg.Truncated = true
			return [][]byte{pack(t, msg)}
		})}})
		if _, _, err := client.TXT(t.Context(), "a.test"); !errors.Is(err, ErrTemporary) {
			t.Errorf("got %v", err)
		}
	})
}

func TestClientAsksTheNextServer(t *testing.T) {
	for label, first := range map[string]respond{
		"SERVFAIL": answering(t, mdns.RcodeServerFailure),
		"silent":   func(string, *mdns.Msg) [][]byte { return nil },
		"referral": func(_ string, query *mdns.Msg) [][]byte {
			msg := records(t, query)
			msg.RecursionAvailable = false
			return [][]byte{pack(t, msg)}
		},
		"too many records": func(network string, query *mdns.Msg) [][]byte {
			msg := records(t, query, slices.Repeat([]string{"a.test. 60 A 203.0.113.1"}, maxRecords+1)...)
			msg.Compress = true
			if network == "udp" {
				msg.Answer, msg.Truncated = nil, true
			}
			return [][]byte{pack(t, msg)}
		},
	} {
		t.Run(label, func(t *testing.T) {
			client := New(Options{
				Servers: []string{listen(t, first), listen(t, answering(t, 0, "a.test. 60 A 192.0.2.1"))},
				Timeout: time.Second,
			})
			if got, err := ask(t.Context(), client, "A", "a.test"); got != "[192.0.2.1]" {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestClientAsksAgain(t *testing.T) {
	var asked atomic.Int32
	address := listen(t, func(_ string, query *mdns.Msg) [][]byte {
		if asked.Add(1) == 1 {
			return nil
		}
		return [][]byte{pack(t, records(t, query, "a.test. 60 A 192.0.2.1"))}
	})
	client := New(Options{Servers: []string{address}, Timeout: time.Second})
	if got, err := ask(t.Context(), client, "A", "a.test"); got != "[192.0.2.1]" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestClientDeadline(t *testing.T) {
	silent := listen(t, func(string, *mdns.Msg) [][]byte { return nil })
	started := time.Now()
	_, err := ask(t.Context(), New(Options{Servers: []string{silent}, Timeout: 100 * time.Millisecond}), "A", "a.test")
	if !errors.Is(err, ErrTemporary) || time.Since(started) > 2*time.Second {
		t.Errorf("own deadline: %v after %v", err, time.Since(started))
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	started = time.Now()
	_, err = ask(ctx, New(Options{Servers: []string{silent}}), "A", "a.test")
	if !errors.Is(err, ErrTemporary) || time.Since(started) > 2*time.Second {
		t.Errorf("cancelled: %v after %v", err, time.Since(started))
	}
}

func TestClientAuthentic(t *testing.T) {
	for _, trusted := range []bool{true, false} {
		var query atomic.Pointer[mdns.Msg]
		address := listen(t, func(_ string, q *mdns.Msg) [][]byte {
			query.Store(q)
			msg := records(t, q, "a.test. 60 A 192.0.2.1")
			msg.AuthenticatedData = true
			return [][]byte{pack(t, msg)}
		})
		client := New(Options{Servers: []string{address}})
		client.servers[0].trusted = trusted
		_, authentic, err := client.A(t.Context(), "a.test")
		sent := query.Load()
		flags, edns := sent.AuthenticatedData, sent.IsEdns0()
		if err != nil || authentic != trusted || flags != trusted || edns.Do() != trusted || edns.UDPSize() != 1232 {
			t.Errorf("trusted %v: authentic %v, %v; asked with AD %v, %v", trusted, authentic, err, flags, edns)
		}
	}
}

func TestTrustedServers(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:53": true, "127.8.8.8:53": true, "[::1]:53": true, "[::ffff:127.0.0.1]:53": true,
		"192.0.2.1:53": false, "[2001:db8::1]:53": false, "localhost:53": false, "127.0.0.1": false,
	} {
		if got := isLoopback(address); got != want {
			t.Errorf("%s: got %v", address, got)
		}
	}
}

func TestSystemServers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	if got := systemServers(path); !slices.Equal(got, []string{"127.0.0.1:53"}) {
		t.Errorf("no file: %q", got)
	}
	if err := os.WriteFile(path, []byte("nameserver 192.0.2.53\nnameserver ::1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := systemServers(path); !slices.Equal(got, []string{"192.0.2.53:53", "[::1]:53"}) {
		t.Errorf("got %q", got)
	}
}

// TestClientWithoutEDNS has servers that refuse what they do not know, some of
// them without repeating the question.
func TestClientWithoutEDNS(t *testing.T) {
	for label, refuse := range map[string]func(*mdns.Msg) *mdns.Msg{
		"FORMERR":             func(q *mdns.Msg) *mdns.Msg { return new(mdns.Msg).SetRcode(q, mdns.RcodeFormatError) },
		"FORMERR, bare":       func(q *mdns.Msg) *mdns.Msg { return new(mdns.Msg).SetRcodeFormatError(q) },
		"NOTIMP":              func(q *mdns.Msg) *mdns.Msg { return new(mdns.Msg).SetRcode(q, mdns.RcodeNotImplemented) },
		"FORMERR to everyone": nil,
	} {
		t.Run(label, func(t *testing.T) {
			var asked atomic.Int32
			address := listen(t, func(_ string, query *mdns.Msg) [][]byte {
				asked.Add(1)
				switch {
				case refuse == nil:
					return [][]byte{pack(t, new(mdns.Msg).SetRcodeFormatError(query))}
				case query.IsEdns0() != nil:
					return [][]byte{pack(t, refuse(query))}
				}
				return [][]byte{pack(t, records(t, query, "a.test. 60 A 192.0.2.1"))}
			})
			got, err := ask(t.Context(), New(Options{Servers: []string{address}}), "A", "a.test")
			if refuse != nil && (got != "[192.0.2.1]" || asked.Load() != 2) {
				t.Errorf("got %q, %v after %d queries", got, err, asked.Load())
			}
			if refuse == nil && (!errors.Is(err, ErrTemporary) || asked.Load() != 2*rounds) {
				t.Errorf("got %v after %d queries", err, asked.Load())
			}
		})
	}
}

// TestFailuresApart shows that a cache keeps the ways apart in which there is no
// answer, and that an observer is told them.
func TestFailuresApart(t *testing.T) {
	var told []string
	for label, c := range map[string]struct {
		server respond
		err    error
		others []error
	}{
		"time-out": {func(string, *mdns.Msg) [][]byte { return nil }, ErrTimeout, []error{ErrNotFound, ErrNoData}},
		"failure":  {answering(t, mdns.RcodeServerFailure), ErrTemporary, []error{ErrTimeout, ErrNotFound, ErrNoData}},
		"no-name":  {answering(t, mdns.RcodeNameError), ErrNotFound, []error{ErrTemporary, ErrNoData}},
		"no-data":  {answering(t, mdns.RcodeSuccess), ErrNoData, []error{ErrTemporary, ErrNotFound}},
	} {
		client := New(Options{Servers: []string{listen(t, c.server)}, Timeout: 300 * time.Millisecond, Observe: func(kind, result string, _ time.Duration) {
			told = append(told, kind+" "+result)
		}})
		cache := NewCache(client, CacheOptions{})
		for range 2 {
			_, _, err := cache.TXT(t.Context(), "a.test")
			if !errors.Is(err, c.err) || slices.ContainsFunc(c.others, func(other error) bool { return errors.Is(err, other) }) {
				t.Errorf("%s: got %v", label, err)
			}
		}
		if s := cache.Stats(); s.Hits != 1 || s.Misses != 1 {
			t.Errorf("%s: %+v", label, s)
		}
	}
	slices.Sort(told)
	if want := []string{"TXT failure", "TXT no-data", "TXT no-name", "TXT time-out"}; !slices.Equal(told, want) {
		t.Errorf("told of %q", told)
	}
}

package queuetest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Net is a network of pipes. Its DialContext reaches the servers that were put
// into it; every other address refuses the connection.
type Net struct {
	mu      sync.Mutex
	servers map[string]*Server
	hanging map[string]bool
	dialled []string
	open    map[string]int
	most    map[string]int
}

// Put places a server at an address ("192.0.2.1:25").
func (n *Net) Put(address string, s *Server) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.servers == nil {
		n.servers, n.open, n.most = map[string]*Server{}, map[string]int{}, map[string]int{}
	}
	n.servers[address] = s
}

// Hang makes connections to an address neither succeed nor fail.
func (n *Net) Hang(address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hanging == nil {
		n.hanging = map[string]bool{}
	}
	n.hanging[address] = true
}

// Dialled returns the addresses that were asked for, in order.
func (n *Net) Dialled() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.dialled)
}

// DialContext connects to a server of the network.
func (n *Net) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	n.dialled = append(n.dialled, address)
	s, hang := n.servers[address], n.hanging[address]
	if s != nil {
		n.open[address]++
		n.most[address] = max(n.most[address], n.open[address])
	}
	n.mu.Unlock()
	if hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if s == nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	}
	client, server := net.Pipe()
	go s.Serve(server)
	return &conn{Conn: client, closed: sync.OnceFunc(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.open[address]--
	})}, nil
}

// Most returns how many connections to an address were open at the same time
// at most, as the client sees it.
func (n *Net) Most(address string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.most[address]
}

// conn is the client's end of a connection.
type conn struct {
	net.Conn
	closed func()
}

// Close closes the connection.
func (c *conn) Close() error {
	c.closed()
	return c.Conn.Close()
}

// Certificate makes a self-signed certificate for names, valid at any time a
// test may run at, and the pool that trusts it.
func Certificate(tb testing.TB, names ...string) (*tls.Config, *x509.CertPool) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "queuetest"},
		DNSNames:     names,
		NotBefore:    time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, pool
}

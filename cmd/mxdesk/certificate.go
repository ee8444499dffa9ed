package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/mxdesk/mxdesk/auth/keyring"
)

// selfSignedFor is how long a certificate of our own making holds.
const selfSignedFor = 10 * 365 * 24 * time.Hour

// lookEvery is how long a certificate is shown before its files are looked at
// again.
const lookEvery = time.Minute

// errCertificate is the cause when the pair of files cannot be used.
var errCertificate = errors.New("cannot be used")

// certificate is what STARTTLS shows. It follows its files: a renewed pair is
// taken up within a minute, without a restart.
type certificate struct {
	chain, key string // files
	now        func() time.Time
	log        *slog.Logger

	mu     sync.Mutex
	pair   *tls.Certificate
	read   [2]os.FileInfo // the files that pair was read from
	looked time.Time
}

// openCertificate reads the configured certificate, or one signed by
// ourselves, made at the first start.
func openCertificate(cfg Config, now func() time.Time, log *slog.Logger) (*certificate, error) {
	c := &certificate{chain: cfg.TLS.Certificate, key: cfg.TLS.Key, now: now, log: log}
	if c.chain == "" {
		c.chain, c.key = filepath.Join(cfg.Data, "tls", "cert.pem"), filepath.Join(cfg.Data, "tls", "key.pem")
		if _, err := os.Stat(c.chain); errors.Is(err, os.ErrNotExist) {
			if err := selfSign(cfg.Hostname, c.chain, c.key, now()); err != nil {
				return nil, err
			}
		}
	}
	return c, c.load()
}

// config is for a server that shows the certificate.
func (c *certificate) config() *tls.Config {
	// Outlook.com fails the handshake when a session ticket is offered:
	// https://go.dev/issue/70232
	return &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current(), nil },
		MinVersion:     tls.VersionTLS12, SessionTicketsDisabled: true,
	}
}

// current is the pair to show now.
func (c *certificate) current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now().Sub(c.looked) >= lookEvery {
		c.renew()
	}
	return c.pair
}

// reload looks at the files now.
func (c *certificate) reload() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.renew()
}

// renew reads the files if they have changed. A pair that cannot be used, as
// when only one of the two has been written yet, leaves the old one in place.
func (c *certificate) renew() {
	c.looked = c.now()
	if files, err := c.stat(); err == nil && unchanged(files[0], c.read[0]) && unchanged(files[1], c.read[1]) {
		return
	}
	if err := c.load(); err != nil {
		c.log.Warn("certificate cannot be read, the old one is kept", "error", err)
		return
	}
	c.log.Info("certificate renewed", "expires", c.pair.Leaf.NotAfter)
}

func (c *certificate) load() error {
	c.looked = c.now()
	files, err := c.stat() // before the reading: a later change shows at the next look
	if err != nil {
		return c.unusable(err)
	}
	pair, err := tls.LoadX509KeyPair(c.chain, c.key)
	if err != nil {
		return c.unusable(err)
	}
	c.pair, c.read = &pair, files
	return nil
}

func (c *certificate) unusable(err error) error {
	return fmt.Errorf("certificate %s, key %s: %w: %w", c.chain, c.key, errCertificate, err)
}

func (c *certificate) stat() (files [2]os.FileInfo, err error) {
	for i, name := range []string{c.chain, c.key} {
		if files[i], err = os.Stat(name); err != nil {
			return files, err
		}
	}
	return files, nil
}

func unchanged(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

func selfSign(hostname, certFile, keyFile string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: hostname},
		DNSNames:     []string{hostname},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(selfSignedFor),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := keyring.WriteSecret(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})); err != nil {
		return err
	}
	return keyring.WriteSecret(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
)

// Key is a private key and the selector under which its public half is found.
type Key struct {
	Selector string
	Private  crypto.Signer // *rsa.PrivateKey or ed25519.PrivateKey
}

var errKeyType = errors.New("key is neither rsa nor ed25519")

// GenerateKeys makes the pair of keys a domain signs with: RSA, which everybody
// can verify, and Ed25519. The RSA key has 2048 to 8192 bits; larger than 2048
// is more than every verifier has to take, and than one DNS answer over UDP may
// carry.
//
// https://www.rfc-editor.org/rfc/rfc8301#section-3.2
// https://www.rfc-editor.org/rfc/rfc8463#section-5
func GenerateKeys(rsaBits int) (rsaKey, ed25519Key crypto.Signer, err error) {
	if rsaBits < goodBits || rsaBits > maxBits {
		return nil, nil, fmt.Errorf("rsa key of %d bits", rsaBits)
	}
	r, err := rsa.GenerateKey(rand.Reader, rsaBits)
	if err != nil {
		return nil, nil, err
	}
	_, e, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	return r, e, nil
}

// EncodePEM returns a private key as a PKCS #8 PEM block.
func EncodePEM(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// ParsePEM reads a private key that is RSA of 1024 to 8192 bits or Ed25519 from
// the first PEM block, PKCS #8 or the older PKCS #1.
func ParsePEM(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no pem block")
	}
	var key any
	var err error
	if block.Type == "RSA PRIVATE KEY" {
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	} else {
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, fmt.Errorf("malformed key: %w", err)
	}
	switch key := key.(type) {
	case ed25519.PrivateKey:
		return key, nil
	case *rsa.PrivateKey:
		if bits := key.N.BitLen(); bits < minBits || bits > maxBits {
			return nil, fmt.Errorf("rsa key of %d bits", bits)
		}
		return key, nil
	}
	return nil, errKeyType
}

// DNSRecord returns the text of the TXT record to publish for a key at
// <selector>._domainkey.<domain>.
//
// https://www.rfc-editor.org/rfc/rfc6376#section-3.6.1
func DNSRecord(key crypto.Signer) (string, error) {
	switch public := key.Public().(type) {
	case ed25519.PublicKey:
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public), nil
	case *rsa.PublicKey:
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			return "", err
		}
		return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der), nil
	}
	return "", errKeyType
}

// Algorithm returns the a= tag of signatures made with the key.
func Algorithm(key crypto.Signer) (string, error) {
	switch key.Public().(type) {
	case ed25519.PublicKey:
		return "ed25519-sha256", nil
	case *rsa.PublicKey:
		return "rsa-sha256", nil
	}
	return "", errKeyType
}

// SignHash signs a SHA-256 hash. Ed25519 signs the hash as its message.
//
// https://www.rfc-editor.org/rfc/rfc8463#section-3
func SignHash(key crypto.Signer, hash []byte) ([]byte, error) {
	var o crypto.SignerOpts = crypto.SHA256
	if _, ok := key.Public().(ed25519.PublicKey); ok {
		o = crypto.Hash(0)
	}
	return key.Sign(rand.Reader, hash, o)
}

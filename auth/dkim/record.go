package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"strings"

	"github.com/mxdesk/mxdesk/auth/message"
)

const (
	minBits   = 1024
	goodBits  = 2048
	maxBits   = 8192
	maxRecord = 8 << 10 // octets of one key record

	usualExponent = 65537
)

// Record is a usable key record.
//
// https://www.rfc-editor.org/rfc/rfc6376#section-3.6.1
type Record struct {
	Type    string // "rsa" or "ed25519"
	Bits    int    // of the modulus; 256 for Ed25519
	Testing bool   // t=y
	Strict  bool   // t=s

	public crypto.PublicKey
}

// ErrRevoked is the error for a key record with an empty p=.
var ErrRevoked error = permanent("key revoked")

// ParseRecord reads the text of a key record. Errors are of type *Error.
func ParseRecord(record string) (*Record, error) {
	if len(record) > maxRecord {
		return nil, permanent("key record too long")
	}
	tags, err := message.ParseTags(record)
	if err != nil {
		return nil, permanent("key record malformed")
	}
	if v, ok := tags.Get("v"); ok && (v != "DKIM1" || tags.First() != "v") {
		return nil, permanent("key record of another version")
	}
	if h, ok := tags.Get("h"); ok && !slices.Contains(splitList(h), "sha256") {
		return nil, permanent("key not for sha256")
	}
	if s, ok := tags.Get("s"); ok && !slices.ContainsFunc(splitList(s), isEmailService) {
		return nil, permanent("key not for email")
	}
	k, err := parsePublic(tags)
	if err != nil {
		return nil, err
	}
	if t, ok := tags.Get("t"); ok {
		flags := splitList(t)
		k.Testing = slices.Contains(flags, "y")
		k.Strict = slices.Contains(flags, "s")
	}
	return k, nil
}

func isEmailService(s string) bool { return s == "*" || s == "email" }

func parsePublic(tags message.Tags) (*Record, error) {
	p, ok := tags.Get("p")
	if !ok {
		return nil, permanent("key record without key")
	}
	if p == "" {
		return nil, ErrRevoked
	}
	data, err := decodeBase64(nil, p)
	if err != nil {
		return nil, permanent("key malformed")
	}
	kind, ok := tags.Get("k")
	switch {
	case !ok || kind == "rsa":
		return parseRSA(data)
	case kind == "ed25519":
		return parseEd25519(data)
	}
	return nil, permanent("unknown key type")
}

// parseRSA takes both forms in use: SubjectPublicKeyInfo, which the example of
// RFC 6376 has, and the bare RSAPublicKey its text names.
//
// https://www.rfc-editor.org/errata/eid3017
func parseRSA(data []byte) (*Record, error) {
	var public *rsa.PublicKey
	if k, err := x509.ParsePKIXPublicKey(data); err == nil {
		public, _ = k.(*rsa.PublicKey)
	} else if k, err := x509.ParsePKCS1PublicKey(data); err == nil {
		public = k
	}
	if public == nil {
		return nil, permanent("key malformed")
	}
	return &Record{Type: "rsa", Bits: public.N.BitLen(), public: public}, nil
}

// https://www.rfc-editor.org/rfc/rfc8463#section-4
func parseEd25519(data []byte) (*Record, error) {
	if len(data) != ed25519.PublicKeySize {
		return nil, permanent("key malformed")
	}
	return &Record{Type: "ed25519", Bits: 256, public: ed25519.PublicKey(data)}, nil
}

// SameKey tells whether two records publish the same key.
func (k *Record) SameKey(other *Record) bool {
	public, ok := k.public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(other.public)
}

// check tells whether the signature b is the key's over the hash.
func (k *Record) check(b Base, hash [sha256.Size]byte) error {
	if !strings.HasPrefix(b.Algorithm, k.Type+"-") {
		return permanent("key of another type")
	}
	ok := false
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		// https://www.rfc-editor.org/rfc/rfc8301#section-3.2
		if k.Bits < minBits {
			return permanent("key too short")
		}
		if k.Bits > maxBits {
			return &Error{Policy, "key too long"}
		}
		// A message can have a hundred signatures, and the time that each takes
		// grows with the length of the exponent.
		if k.Bits > goodBits && public.E > usualExponent {
			return &Error{Policy, "exponent of key too large"}
		}
		ok = rsa.VerifyPKCS1v15(public, crypto.SHA256, hash[:], b.Signature) == nil
	case ed25519.PublicKey:
		ok = ed25519.Verify(public, hash[:], b.Signature)
	}
	if !ok {
		return &Error{Fail, "signature did not verify"}
	}
	return nil
}

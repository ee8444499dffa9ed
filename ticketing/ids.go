package ticketing

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	mathrand "math/rand/v2"
	"strings"
	"time"
)

// alphabet is base32 in lower case: safe in addresses, paths and file names,
// and its order is the order of the bits, so ids sort by their time.
var alphabet = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

const (
	idLen    = 20 // 48 bits of milliseconds and 52 random bits
	tokenLen = 26 // 130 random bits
)

// Draw makes the ids and tokens of one use case. It is deterministic in its
// seed, so that a transaction that has to run twice makes the same ones; the
// seed is 256 bits of the system's randomness.
type Draw struct {
	now time.Time
	src *mathrand.ChaCha8
}

// NewSeed reads the randomness for a Draw.
func NewSeed() (seed [32]byte) {
	rand.Read(seed[:]) // never fails since Go 1.24
	return seed
}

func newDraw(seed [32]byte, now time.Time) *Draw {
	return &Draw{now: now, src: mathrand.NewChaCha8(seed)}
}

// ID returns an id that sorts by time: 20 characters.
func (d *Draw) ID() string {
	var b [13]byte
	binary.BigEndian.PutUint64(b[:8], uint64(d.now.UnixMilli())<<16)
	var r [8]byte
	binary.BigEndian.PutUint64(r[:], d.src.Uint64())
	copy(b[6:], r[:7])
	return alphabet.EncodeToString(b[:])[:idLen]
}

// Token returns an unguessable token of 130 random bits: 26 characters that
// survive case folding.
func (d *Draw) Token() string {
	var b [17]byte
	for i := 0; i < len(b); i += 8 {
		var r [8]byte
		binary.BigEndian.PutUint64(r[:], d.src.Uint64())
		copy(b[i:], r[:])
	}
	return alphabet.EncodeToString(b[:])[:tokenLen]
}

// NewID returns an id for now, drawn from the system's randomness.
func NewID(now time.Time) string { return newDraw(NewSeed(), now).ID() }

// idBefore returns the smallest id of a time: ids made earlier are less.
func idBefore(t time.Time) string {
	var b [13]byte
	binary.BigEndian.PutUint64(b[:8], uint64(t.UnixMilli())<<16)
	return alphabet.EncodeToString(b[:])[:idLen]
}

// isToken tells whether s has the form of a token, in any case.
func isToken(s string) bool {
	if len(s) != tokenLen {
		return false
	}
	for _, c := range strings.ToLower(s) {
		if !strings.ContainsRune("0123456789abcdefghjkmnpqrstvwxyz", c) {
			return false
		}
	}
	return true
}

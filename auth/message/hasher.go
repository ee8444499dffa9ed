package message

import (
	"crypto/sha256"
	"encoding"
	"errors"
	"hash"
	"sync"
)

// Hasher hashes canonical header fields one after another.
type Hasher struct {
	hash  resumable
	buf   []byte
	state []byte
	sum   [sha256.Size]byte
}

// resumable is a hash whose state can be saved, as that of crypto/sha256 can.
type resumable interface {
	hash.Hash
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

// keptBuffer is the largest buffer that a Hasher keeps for the next message.
const keptBuffer = 64 << 10

var hashers = sync.Pool{New: func() any { return &Hasher{hash: sha256.New().(resumable)} }}

// NewHasher returns a Hasher of nothing. It is to be given back with Release.
func NewHasher() *Hasher {
	h := hashers.Get().(*Hasher)
	h.hash.Reset()
	return h
}

// Release gives h back for reuse.
func (h *Hasher) Release() {
	if cap(h.buf) <= keptBuffer {
		hashers.Put(h)
	}
}

// Add hashes a field.
func (h *Hasher) Add(c Canon, f Field) {
	h.buf = c.AppendField(h.buf[:0], f)
	h.hash.Write(h.buf)
}

// Sum returns the hash of all fields and of a signature field without its
// signature. It leaves h as it was: more fields may follow.
func (h *Hasher) Sum(c Canon, f Field, tags Tags) [sha256.Size]byte {
	h.buf = c.AppendUnsigned(h.buf[:0], f, tags)
	state, err := h.hash.AppendBinary(h.state[:0])
	h.hash.Write(h.buf)
	h.hash.Sum(h.sum[:0])
	if err = errors.Join(err, h.hash.UnmarshalBinary(state)); err != nil {
		panic("state of sha256: " + err.Error())
	}
	h.state = state
	return h.sum
}

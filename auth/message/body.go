package message

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"slices"
	"sync"
)

// WholeBody is the BodySpec limit that hashes the body to its end.
const WholeBody = -1

// BodySpec says how to hash a body. The hash is always SHA-256: the other one
// that RFC 6376 knew, SHA-1, must not be used any more.
//
// https://www.rfc-editor.org/rfc/rfc8301#section-3.1
type BodySpec struct {
	Canon Canon
	// Limit is the number of canonical bytes to hash (l=), or WholeBody.
	Limit int64
}

// BodyHash is the hash of a body under one BodySpec.
type BodyHash struct {
	Sum [sha256.Size]byte
	// Short tells that the canonical body has fewer bytes than the limit, so
	// that there is no such hash.
	Short bool
}

const copyBuffer = 32 << 10

// specHash is a hash that is known.
type specHash struct {
	spec BodySpec
	hash BodyHash
}

// HashBody computes the hash for each spec, all of them in one pass over the
// body, with one hash state for each canonicalisation, however many limits
// there are. BodyHash then has them. The error is that of the message's source.
func (m *Message) HashBody(specs ...BodySpec) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.ContainsFunc(specs, func(s BodySpec) bool { _, ok := m.known(s); return !ok }) {
		return nil
	}
	return m.hashBody(specs)
}

// BodyHash returns the hash for a spec, by a pass over the body unless it is
// known. The error is that of the message's source.
func (m *Message) BodyHash(s BodySpec) (BodyHash, error) {
	if err := m.HashBody(s); err != nil {
		return BodyHash{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	h, _ := m.known(s)
	return h, nil
}

func (m *Message) known(s BodySpec) (h BodyHash, ok bool) {
	s.Limit = max(s.Limit, WholeBody)
	for i := range m.hashes {
		if m.hashes[i].spec == s {
			return m.hashes[i].hash, true
		}
	}
	return BodyHash{}, false
}

// RelaxedBodyHash returns the SHA-256 of the whole relaxed body, which stays
// the same when a relay changes white space on the way.
func (m *Message) RelaxedBodyHash() ([sha256.Size]byte, error) {
	h, err := m.BodyHash(BodySpec{Canon: Relaxed, Limit: WholeBody})
	return h.Sum, err
}

// pass is what one pass over a body works with.
type pass struct {
	in     [copyBuffer]byte
	bodies [2]body // by Canon
}

// passes lends what a pass needs.
var passes = sync.Pool{New: func() any {
	p := new(pass)
	for c := range p.bodies {
		p.bodies[c] = body{out: make([]byte, 0, bodyBuffer), digest: digest{canon: Canon(c), hash: sha256.New()}}
	}
	return p
}}

// hashBody reads the body once.
func (m *Message) hashBody(specs []BodySpec) error {
	p := passes.Get().(*pass)
	defer passes.Put(p)
	var wanted [len(p.bodies)]bool
	for c := range p.bodies {
		p.bodies[c].reset()
	}
	for _, s := range specs {
		wanted[s.Canon] = true
		if s.Limit >= 0 {
			d := &p.bodies[s.Canon].digest
			d.limits = append(d.limits, s.Limit)
		}
	}
	for c := range p.bodies {
		p.bodies[c].digest.sortLimits()
	}
	for r := m.Body(); ; {
		n, err := r.Read(p.in[:])
		for c := range p.bodies {
			if wanted[c] {
				p.bodies[c].write(p.in[:n])
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("read body: %w", err)
		}
	}
	for c := range p.bodies {
		if wanted[c] {
			p.bodies[c].close()
			m.hashes = append(m.hashes, p.bodies[c].digest.done...)
		}
	}
	return nil
}

// digest hashes canonical bytes and notes the sum at each limit it passes.
type digest struct {
	canon  Canon
	hash   hash.Hash
	size   int64
	limits []int64 // still ahead, ascending
	done   []specHash
}

func (d *digest) reset() {
	d.hash.Reset()
	d.size, d.limits, d.done = 0, nil, d.done[:0]
}

func (d *digest) sortLimits() {
	slices.SortFunc(d.limits, cmp.Compare)
	d.limits = slices.Compact(d.limits)
}

func (d *digest) write(p []byte) {
	for len(d.limits) > 0 && d.size+int64(len(p)) >= d.limits[0] {
		n := d.limits[0] - d.size
		d.hash.Write(p[:n])
		d.size += n
		p = p[n:]
		d.note(d.limits[0])
		d.limits = d.limits[1:]
	}
	d.hash.Write(p)
	d.size += int64(len(p))
}

func (d *digest) note(limit int64) {
	d.done = append(d.done, specHash{spec: BodySpec{Canon: d.canon, Limit: limit}})
	d.hash.Sum(d.done[len(d.done)-1].hash.Sum[:0])
}

func (d *digest) close() {
	d.write(nil) // a limit of zero
	for _, limit := range d.limits {
		d.done = append(d.done, specHash{BodySpec{Canon: d.canon, Limit: limit}, BodyHash{Short: true}})
	}
	d.note(WholeBody)
}

package message

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"slices"
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

// BodyHashes returns the hash for each spec in the same order. All of them are
// computed in one pass over the body, with one hash state for each
// canonicalisation, however many limits there are; results are remembered. The
// error is that of the message's source.
func (m *Message) BodyHashes(specs ...BodySpec) ([]BodyHash, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var missing []BodySpec
	for _, s := range specs {
		s.Limit = max(s.Limit, WholeBody)
		if _, ok := m.hashes[s]; !ok {
			missing = append(missing, s)
		}
	}
	if len(missing) > 0 {
		if err := m.hashBody(missing); err != nil {
			return nil, err
		}
	}
	hashes := make([]BodyHash, len(specs))
	for i, s := range specs {
		s.Limit = max(s.Limit, WholeBody)
		hashes[i] = m.hashes[s]
	}
	return hashes, nil
}

// RelaxedBodyHash returns the SHA-256 of the whole relaxed body, which stays
// the same when a relay changes white space on the way.
func (m *Message) RelaxedBodyHash() ([sha256.Size]byte, error) {
	h, err := m.BodyHashes(BodySpec{Canon: Relaxed, Limit: WholeBody})
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	return h[0].Sum, nil
}

// hashBody reads the body once. The whole relaxed hash is always among the
// results because every message needs it for its identity.
func (m *Message) hashBody(specs []BodySpec) error {
	specs = append(specs, BodySpec{Canon: Relaxed, Limit: WholeBody})
	var bodies []*body
	for _, c := range []Canon{Simple, Relaxed} {
		if d := newDigest(c, specs); d != nil {
			out := make([]byte, 0, min(bodyBuffer, m.bodySize+2))
			bodies = append(bodies, &body{relaxed: c == Relaxed, digest: d, out: out})
		}
	}
	r, buf := m.Body(), make([]byte, min(copyBuffer, m.bodySize+1))
	for {
		n, err := r.Read(buf)
		for _, b := range bodies {
			b.write(buf[:n])
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("read body: %w", err)
		}
	}
	for _, b := range bodies {
		b.close()
		for limit, h := range b.digest.done {
			m.hashes[BodySpec{Canon: b.digest.canon, Limit: limit}] = h
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
	done   map[int64]BodyHash
}

// newDigest returns nil when no spec asks for the canonicalisation.
func newDigest(c Canon, specs []BodySpec) *digest {
	d := &digest{canon: c, hash: sha256.New(), done: map[int64]BodyHash{}}
	wanted := false
	for _, s := range specs {
		if s.Canon != c {
			continue
		}
		wanted = true
		if s.Limit >= 0 {
			d.limits = append(d.limits, s.Limit)
		}
	}
	if !wanted {
		return nil
	}
	slices.SortFunc(d.limits, cmp.Compare)
	d.limits = slices.Compact(d.limits)
	return d
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
	d.done[limit] = BodyHash{Sum: [sha256.Size]byte(d.hash.Sum(nil))}
}

func (d *digest) close() {
	d.write(nil) // a limit of zero
	for _, limit := range d.limits {
		d.done[limit] = BodyHash{Short: true}
	}
	d.note(WholeBody)
}

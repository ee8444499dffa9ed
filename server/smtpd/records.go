package smtpd

import (
	"crypto/tls"
	"net"
)

// Types of TLS records.
const (
	recordChangeCipherSpec = 20
	recordAlert            = 21
	recordApplicationData  = 23
)

// records follows the TLS records a client sends, by their headers only.
type records struct {
	head   [5]byte
	have   int // octets of head seen
	body   int // octets of the record still to come
	kind   byte
	length int
}

// feed takes the next octets of the stream.
func (r *records) feed(p []byte) {
	for len(p) > 0 {
		if r.body > 0 {
			n := min(r.body, len(p))
			r.body -= n
			p = p[n:]
			continue
		}
		n := copy(r.head[r.have:], p)
		r.have += n
		p = p[n:]
		if r.have == len(r.head) {
			r.kind = r.head[0]
			r.length = int(r.head[3])<<8 | int(r.head[4])
			r.body, r.have = r.length, 0
		}
	}
}

// endsInAlert tells whether the last octet seen may have ended an alert. Up to
// TLS 1.2 alerts have their own type; in TLS 1.3 an alert looks like two octets
// of data: two, their type and a tag of sixteen.
func (r *records) endsInAlert() bool {
	if r.have > 0 || r.body > 0 {
		return false
	}
	return r.kind == recordAlert || r.kind == recordApplicationData && r.length == 2+1+16
}

// isRecord tells whether p begins like a TLS record.
func isRecord(p []byte) bool {
	return len(p) > 0 && p[0] >= recordChangeCipherSpec && p[0] <= recordApplicationData
}

// hungUp tells whether the client ended the stream. go-smtp takes the end of
// the stream within a BDAT chunk for the end of the chunk (trap S3), so a
// message by BDAT counts only if this is false after its last chunk. Nobody
// else may read from the connection meanwhile.
//
// A failed read below TLS was noted when it happened. A close_notify is seen by
// crypto/tls alone, which remembers it: where the last record may have been
// one, a read that must not wait tells. If that read gets an octet, the client
// is there and has sent its next command ahead. That command is now broken, so
// the next MAIL ends the connection.
func (g *conn) hungUp(layer net.Conn) bool {
	g.mu.Lock()
	failed, probe := g.readErr != nil, g.secure && g.records.endsInAlert()
	g.probing = probe && !failed
	g.mu.Unlock()
	if failed {
		return true
	}
	secure, ok := layer.(*tls.Conn)
	if !probe || !ok {
		return false
	}
	n, err := secure.Read(make([]byte, 1))
	g.mu.Lock()
	defer g.mu.Unlock()
	g.probing = false
	g.outOfStep = g.outOfStep || n > 0
	return n == 0 && !isStall(err)
}

package segments

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// A record on disk, integers big-endian:
//
//	 0  magic "MXBL"
//	 4  version, 2 bytes, 1
//	 6  zero, 2 bytes
//	 8  length of the payload, 8 bytes
//	16  SHA-256 of the payload
//	48  CRC-32C of bytes 0 to 47
//	52  payload
//	..  CRC-32C of the payload
const (
	headerBytes  = 52
	trailerBytes = 4
	version      = 1
)

var (
	magic      = []byte("MXBL")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

type header struct {
	size int64
	hash store.Hash
}

// recordBytes is the length of a record with a payload of size bytes.
func recordBytes(size int64) int64 { return headerBytes + size + trailerBytes }

func (h header) append(b []byte) []byte {
	start := len(b)
	b = append(b, magic...)
	b = binary.BigEndian.AppendUint16(b, version)
	b = append(b, 0, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(h.size))
	b = append(b, h.hash[:]...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// parseHeader reads the header at the start of b, at least headerBytes long.
func parseHeader(b []byte) (header, error) {
	var h header
	b = b[:headerBytes]
	switch {
	case !bytes.HasPrefix(b, magic):
		return h, fmt.Errorf("%w: no record starts here", store.ErrCorrupt)
	case crc32.Checksum(b[:48], castagnoli) != binary.BigEndian.Uint32(b[48:]):
		return h, fmt.Errorf("%w: checksum of the header", store.ErrCorrupt)
	case binary.BigEndian.Uint16(b[4:]) != version:
		return h, fmt.Errorf("%w: version %d", store.ErrCorrupt, binary.BigEndian.Uint16(b[4:]))
	}
	size := binary.BigEndian.Uint64(b[8:])
	if size > 1<<48 {
		return h, fmt.Errorf("%w: length %d", store.ErrCorrupt, size)
	}
	h.size = int64(size)
	copy(h.hash[:], b[16:48])
	return h, nil
}

package badgerdb

import (
	"encoding/binary"
	"os"
	"strconv"
)

// inspectLog finds the newest batch that is whole in a write-ahead log. It
// tells keep, unless that is nil, about the entries of whole batches.
func inspectLog(file string, keep func(key []byte)) (newest uint64, err error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	var keys [][]byte
	for b = b[min(logHeaderBytes, len(b)):]; ; {
		e, n := parseEntry(b)
		if n == 0 {
			return newest, nil
		}
		b = b[n:]
		if e.meta&metaFin == 0 {
			keys = append(keys, e.key)
			continue
		}
		number, err := strconv.ParseUint(string(e.value), 10, 64)
		if err != nil {
			return newest, nil // where Badger stops as well
		}
		newest = max(newest, number)
		for _, k := range keys {
			if keep != nil {
				keep(k)
			}
		}
		keys = keys[:0]
	}
}

// Of Badger's logs: a file begins with the id of its key and a nonce. Entries
// follow, each a header, key, value and CRC-32C. The last of a batch is marked
// and has the number of the batch in decimal.
const (
	logHeaderBytes = 20
	metaFin        = 1 << 7
)

type logEntry struct {
	meta       byte
	key, value []byte // the key ends with the number of its batch
}

// parseEntry reads the entry at the start of b. It returns 0 for its length
// where there is none that is whole.
func parseEntry(b []byte) (e logEntry, n int) {
	if len(b) < 2 {
		return e, 0
	}
	e.meta = b[0]
	at := 2
	var lengths [3]uint64 // of the key, of the value; the time it ends
	for i := range lengths {
		v, n := binary.Uvarint(b[at:])
		if n <= 0 {
			return e, 0
		}
		lengths[i], at = v, at+n
	}
	left := uint64(len(b) - at)
	if lengths[0] == 0 || lengths[0] > left || lengths[1] > left-lengths[0] || left-lengths[0]-lengths[1] < 4 {
		return e, 0
	}
	keyEnd := at + int(lengths[0])
	end := keyEnd + int(lengths[1])
	e.key, e.value = b[at:keyEnd], b[keyEnd:end]
	if crc32c(b[:end]) != binary.BigEndian.Uint32(b[end:]) {
		return e, 0
	}
	return e, end + 4
}

package store

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"strings"
	"time"
)

// Key is an encoded tuple. The order of the bytes is the order of the tuples:
// element by element, a tuple before its extensions. Elements of different
// types order as bytes, strings, integers, booleans, times, descending times.
// Build keys with [K]; the bytes are private to this package.
type Key string

// Desc is a time that sorts latest first.
type Desc time.Time

// Type tags. None is 0xff, so that a key followed by 0xff ends its prefix, and
// an escaped zero (00 ff) sorts after the end of a string (00).
const (
	tagBytes  = 0x01
	tagString = 0x02
	tagInt    = 0x14 // zero; 0x14+n and 0x14-n: n bytes of magnitude follow
	tagFalse  = 0x20
	tagTrue   = 0x21
	tagTime   = 0x28
	tagDesc   = 0x29
)

// K encodes a tuple of string, []byte, [Hash], uint64, int, int64, bool,
// time.Time (to the microsecond, UTC, years -290000 to 290000) and [Desc].
// Another type is a mistake of the programmer, and panics.
func K(parts ...any) Key {
	b := make([]byte, 0, 64)
	for _, p := range parts {
		b = appendPart(b, p)
	}
	return Key(b)
}

// Prefix is the range of the tuple itself and every tuple that begins with it.
func Prefix(parts ...any) Range {
	k := K(parts...)
	return Range{Start: k, End: k + "\xff"}
}

func appendPart(b []byte, part any) []byte {
	switch p := part.(type) {
	case string:
		return appendEscaped(append(b, tagString), p)
	case []byte:
		return appendEscaped(append(b, tagBytes), string(p))
	case Hash:
		return appendEscaped(append(b, tagBytes), string(p[:]))
	case uint64:
		return appendUint(b, p)
	case int:
		return appendInt(b, int64(p))
	case int64:
		return appendInt(b, p)
	case bool:
		if p {
			return append(b, tagTrue)
		}
		return append(b, tagFalse)
	case time.Time:
		return binary.BigEndian.AppendUint64(append(b, tagTime), timeBits(p))
	case Desc:
		return binary.BigEndian.AppendUint64(append(b, tagDesc), ^timeBits(time.Time(p)))
	}
	panic(fmt.Sprintf("store: no key encoding for %T", part))
}

// appendEscaped writes s with 00 as 00 ff, and 00 at its end.
func appendEscaped(b []byte, s string) []byte {
	for {
		i := strings.IndexByte(s, 0)
		if i < 0 {
			return append(append(b, s...), 0)
		}
		b = append(append(b, s[:i]...), 0, 0xff)
		s = s[i+1:]
	}
}

func appendUint(b []byte, n uint64) []byte {
	size := (bits.Len64(n) + 7) / 8
	return appendLow(append(b, byte(tagInt+size)), n, size)
}

func appendInt(b []byte, n int64) []byte {
	if n >= 0 {
		return appendUint(b, uint64(n))
	}
	magnitude := -uint64(n)
	size := (bits.Len64(magnitude) + 7) / 8
	return appendLow(append(b, byte(tagInt-size)), ^magnitude, size)
}

// appendLow writes the low size bytes of n, highest first.
func appendLow(b []byte, n uint64, size int) []byte {
	full := binary.BigEndian.AppendUint64(nil, n)
	return append(b, full[8-size:]...)
}

// timeBits is a time in microseconds as a number that orders unsigned.
func timeBits(t time.Time) uint64 {
	return uint64(t.UnixMicro()) ^ 1<<63
}

func bitsTime(n uint64) time.Time {
	return time.UnixMicro(int64(n ^ 1<<63)).UTC()
}

// Split decodes the tuple. Integers come back as uint64, negative ones as
// int64; a Hash as []byte. An error tells that the key did not come from K.
func (k Key) Split() ([]any, error) {
	var parts []any
	for rest := string(k); rest != ""; {
		part, n, err := decodePart(rest)
		if err != nil {
			return parts, fmt.Errorf("key at byte %d: %w", len(k)-len(rest), err)
		}
		parts = append(parts, part)
		rest = rest[n:]
	}
	return parts, nil
}

// MarshalText writes the key in hexadecimal, which keeps its order. Package
// json calls it for values, but not for the keys of a map: use strings there.
func (k Key) MarshalText() ([]byte, error) {
	return hex.AppendEncode(nil, []byte(k)), nil
}

// UnmarshalText reads what MarshalText wrote.
func (k *Key) UnmarshalText(text []byte) error {
	b, err := hex.AppendDecode(nil, text)
	if err != nil {
		return fmt.Errorf("key: %w", err)
	}
	*k = Key(b)
	return nil
}

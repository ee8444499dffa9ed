package store

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

var (
	errKeyShort = errors.New("ends inside an element")
	errKeyForm  = errors.New("not in canonical form")
)

// decodePart reads the first element of s and returns the bytes it took.
func decodePart(s string) (part any, n int, err error) {
	tag := s[0]
	switch {
	case tag == tagBytes || tag == tagString:
		return decodeEscaped(s)
	case tag >= tagInt-8 && tag <= tagInt+8:
		return decodeInt(s)
	case tag == tagFalse || tag == tagTrue:
		return tag == tagTrue, 1, nil
	case tag == tagTime || tag == tagDesc:
		return decodeTime(s)
	}
	return nil, 0, fmt.Errorf("unknown tag %#02x", tag)
}

func decodeEscaped(s string) (any, int, error) {
	var b []byte
	for i := 1; i < len(s); i++ {
		if s[i] != 0 {
			b = append(b, s[i])
			continue
		}
		if i+1 < len(s) && s[i+1] == 0xff {
			b = append(b, 0)
			i++
			continue
		}
		if s[0] == tagString {
			return string(b), i + 1, nil
		}
		return append([]byte{}, b...), i + 1, nil
	}
	return nil, 0, errKeyShort
}

func decodeInt(s string) (any, int, error) {
	size := int(s[0]) - tagInt
	negative := size < 0
	if negative {
		size = -size
	}
	if len(s) < 1+size {
		return nil, 0, errKeyShort
	}
	var n uint64
	for _, c := range []byte(s[1 : 1+size]) {
		if negative {
			c = ^c
		}
		n = n<<8 | uint64(c)
	}
	if size > 0 && n>>(8*(size-1)) == 0 || negative && n > 1<<63 {
		return nil, 0, errKeyForm
	}
	if negative {
		return int64(-n), 1 + size, nil
	}
	return n, 1 + size, nil
}

func decodeTime(s string) (any, int, error) {
	if len(s) < 9 {
		return nil, 0, errKeyShort
	}
	n := binary.BigEndian.Uint64([]byte(s[1:9]))
	if s[0] == tagDesc {
		return Desc(bitsTime(^n)), 9, nil
	}
	return bitsTime(n), 9, nil
}

// String shows the tuple for people, as in ticket/7/12. Strings that could be
// taken for something else are quoted, bytes are written x'hex', descending
// times begin with ~, and what is no tuple follows a ! in hexadecimal. The text
// holds no control characters.
func (k Key) String() string {
	var elements []string
	for rest := string(k); rest != ""; {
		part, n, err := decodePart(rest)
		if err != nil {
			elements = append(elements, "!"+hex.EncodeToString([]byte(rest)))
			break
		}
		elements = append(elements, showPart(part))
		rest = rest[n:]
	}
	return strings.Join(elements, "/")
}

func showPart(part any) string {
	const layout = "2006-01-02T15:04:05.000000Z"
	switch p := part.(type) {
	case string:
		return showString(p)
	case []byte:
		return "x'" + hex.EncodeToString(p) + "'"
	case time.Time:
		return p.Format(layout)
	case Desc:
		return "~" + time.Time(p).Format(layout)
	}
	return fmt.Sprint(part)
}

// showString leaves words as they are and quotes everything else.
func showString(s string) string {
	if s == "" || s == "true" || s == "false" || !isLetter(s[0]) {
		return strconv.QuoteToASCII(s)
	}
	for i := range len(s) {
		if c := s[i]; !isLetter(c) && (c < '0' || c > '9') && !strings.ContainsRune("_-.+@", rune(c)) {
			return strconv.QuoteToASCII(s)
		}
	}
	return s
}

func isLetter(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z'
}

package mail

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
	"unicode/utf16"
)

// decodeUTF7 decodes UTF-7; what is not well-formed stays as it is.
//
// https://www.rfc-editor.org/rfc/rfc2152
func decodeUTF7(data []byte) string {
	var out strings.Builder
	for s := string(data); s != ""; {
		before, rest, found := strings.Cut(s, "+")
		out.WriteString(before)
		if !found {
			break
		}
		end := strings.IndexFunc(rest, func(r rune) bool {
			return r >= 0x80 || !strings.ContainsRune(base64Alphabet, r)
		})
		if end < 0 {
			end = len(rest)
		}
		out.WriteString(shiftedText(rest[:end]))
		s = strings.TrimPrefix(rest[end:], "-")
	}
	return strings.ToValidUTF8(out.String(), "\ufffd")
}

// shiftedText decodes what stands between + and -: base64 of UTF-16.
func shiftedText(s string) string {
	if s == "" {
		return "+"
	}
	octets, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		return "+" + s
	}
	units := make([]uint16, len(octets)/2)
	for i := range units {
		units[i] = binary.BigEndian.Uint16(octets[2*i:])
	}
	return string(utf16.Decode(units))
}

package mail

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
)

// charsetAliases are names that mail uses and the indexes do not know, or know
// as something that loses text.
var charsetAliases = map[string]string{
	"utf":                 "utf-8",
	"utf8mb4":             "utf-8",
	"x-utf_8j":            "utf-8",
	"ansi_x3.110-1983":    "iso-8859-1",
	"iso8859-1":           "iso-8859-1",
	"latin-1":             "iso-8859-1",
	"windows1252":         "windows-1252",
	"cp-1252":             "windows-1252",
	"cp932":               "shift_jis",
	"ms932":               "shift_jis",
	"shift-jis":           "shift_jis",
	"iso-2022-jp-ms":      "iso-2022-jp",
	"iso-2022-jp-1":       "iso-2022-jp",
	"iso-2022-jp-2":       "iso-2022-jp",
	"iso-2022-jp-3":       "iso-2022-jp",
	"eucjp":               "euc-jp",
	"cp936":               "gb18030",
	"gb2312-80":           "gb18030",
	"euc-cn":              "gb18030",
	"cp949":               "euc-kr",
	"ms949":               "euc-kr",
	"x-windows-949":       "euc-kr",
	"ks_c_5601":           "euc-kr",
	"cp950":               "big5",
	"big5hkscs":           "big5",
	"hz":                  "hz-gb-2312",
	"cp1250":              "windows-1250",
	"cp1251":              "windows-1251",
	"unicode-1-1-utf-7":   utf7,
	"unicode-2-0-utf-7":   utf7,
	"x-unicode-2-0-utf-7": utf7,
}

const utf7 = "utf-7"

// findCharset returns the encoding with the given name, nil when it is unknown
// or says nothing (us-ascii, unknown-8bit). UTF-7 is not found here.
func findCharset(name string) encoding.Encoding {
	name = cleanCharset(name)
	switch name {
	case "", "us-ascii", "ascii", "unknown-8bit", "x-unknown", "unknown", "default", "none", "binary", "replacement":
		return nil
	case "gb2312", "gbk", "gb_2312-80":
		return simplifiedchinese.GB18030
	case "hz-gb-2312":
		return simplifiedchinese.HZGB2312
	}
	if enc, err := htmlindex.Get(name); err == nil && enc != encoding.Replacement {
		return enc
	}
	if enc, err := ianaindex.MIME.Encoding(name); err == nil {
		return enc
	}
	return nil
}

// cleanCharset strips quotes, language tags and other additions and resolves
// aliases.
func cleanCharset(name string) string {
	name = strings.ToLower(strings.Trim(name, " \t\"'<>"))
	name, _, _ = strings.Cut(name, "*")
	if end := strings.IndexAny(name, " \t;,("); end > 0 {
		name = name[:end]
	}
	name = strings.TrimPrefix(name, "charset=")
	if alias, ok := charsetAliases[name]; ok {
		return alias
	}
	return name
}

// headerText makes UTF-8 of raw 8-bit header text: it is UTF-8, or the charset
// that the bodies declare, or windows-1252.
func headerText(s, charset string) string {
	if utf8.ValidString(s) && !strings.Contains(s, "\x1b$") {
		return s
	}
	if strings.Contains(s, "\x1b$") {
		charset = "iso-2022-jp"
	}
	return convert([]byte(s), charset)
}

// bodyText makes UTF-8 of the decoded octets of a text part: LF line ends, no
// NUL, no byte order mark.
func bodyText(data []byte, charset string, html bool) string {
	if html && findCharset(charset) == nil && cleanCharset(charset) != utf7 {
		charset = metaCharset(data)
	}
	if isPlain(data, charset) {
		return string(cleanLines(data))
	}
	return lineEnds(convert(data, charset))
}

// isPlain tells whether text in a charset is ASCII and means what it says, as
// most mail does: no charset with escapes, or with another width, is at work.
func isPlain(data []byte, charset string) bool {
	rest := data
	for ; len(rest) >= 8; rest = rest[8:] {
		if binary.LittleEndian.Uint64(rest)&0x8080808080808080 != 0 {
			return false
		}
	}
	for _, c := range rest {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	if bytes.IndexByte(data, '\x1b') >= 0 {
		return false
	}
	name := cleanCharset(charset)
	enc := findCharset(name)
	return name != utf7 && (enc == nil || enc == unicode.UTF8 || isLatin(enc))
}

// lineEnds turns every kind of line end into LF and drops NUL.
func lineEnds(text string) string {
	if strings.IndexByte(text, '\r') < 0 && strings.IndexByte(text, 0) < 0 {
		return text
	}
	return string(cleanLines([]byte(text)))
}

// cleanLines is lineEnds in place.
func cleanLines(text []byte) []byte {
	kept := text[:0]
	for {
		n := bytes.IndexByte(text, '\r')
		if n < 0 {
			break
		}
		kept = append(kept, text[:n]...)
		if n+1 == len(text) || text[n+1] != '\n' {
			kept = append(kept, '\n')
		}
		text = text[n+1:]
	}
	kept = append(kept, text...)
	if bytes.IndexByte(kept, 0) < 0 {
		return kept
	}
	return slices.DeleteFunc(kept, func(c byte) bool { return c == 0 })
}

// convert makes valid UTF-8 of data. A byte order mark decides, then the text
// itself where it can only be UTF-8, then the declared charset unless the text
// cannot be in it, then detectCharset, then windows-1252, which accepts all.
func convert(data []byte, charset string) string {
	if text, ok := withMark(data); ok {
		return text
	}
	name := cleanCharset(charset)
	if name == utf7 {
		return decodeUTF7(data)
	}
	enc := findCharset(name)
	if name == "utf-16" || name == "utf-16le" || name == "utf-16be" {
		enc = unicode.UTF16(endianness(data), unicode.IgnoreBOM)
	}
	if enc == nil && bytes.Contains(data, []byte("\x1b$")) {
		enc = japanese.ISO2022JP
	}
	high, bad := countUTF8(data)
	switch {
	case high+bad > 0 && (enc == nil || utf8Wins(enc)) && high > 10*bad,
		high+bad == 0 && enc == nil,
		high > bad && enc == unicode.UTF8:
		return strings.ToValidUTF8(string(data), "\ufffd")
	case enc == nil, enc == unicode.UTF8, isLatin(enc) && contradicted(data):
		if enc = findCharset(detectCharset(data)); enc == nil {
			enc = charmap.Windows1252
		}
	}
	text, err := enc.NewDecoder().Bytes(data)
	if err != nil {
		return strings.ToValidUTF8(string(data), "\ufffd")
	}
	return strings.ToValidUTF8(string(text), "\ufffd")
}

// isLatin tells whether an encoding is what mail programs declare by default.
func isLatin(enc encoding.Encoding) bool {
	return enc == charmap.Windows1252 || enc == charmap.ISO8859_1 || enc == charmap.ISO8859_15
}

// endianness guesses the order of octets in UTF-16 without a mark: the high
// octets vary least, and most are zero in Latin text.
//
// https://www.rfc-editor.org/rfc/rfc2781#section-4.3
func endianness(data []byte) unicode.Endianness {
	same := [2]int{}
	for i := 2; i < min(len(data), maxDetect); i++ {
		same[i%2] += count1(data[i] == data[i-2])
	}
	if same[1] > same[0] {
		return unicode.LittleEndian
	}
	return unicode.BigEndian
}

// withMark decodes text that begins with a byte order mark.
func withMark(data []byte) (string, bool) {
	var enc encoding.Encoding
	switch {
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		return strings.ToValidUTF8(string(data[3:]), "\ufffd"), true
	case bytes.HasPrefix(data, []byte("\xff\xfe")) && len(data)%2 == 0:
		enc = unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM)
	case bytes.HasPrefix(data, []byte("\xfe\xff")) && len(data)%2 == 0:
		enc = unicode.UTF16(unicode.BigEndian, unicode.ExpectBOM)
	default:
		return "", false
	}
	text, err := enc.NewDecoder().Bytes(data)
	return strings.ToValidUTF8(string(text), "\ufffd"), err == nil
}

// countUTF8 counts the characters outside of ASCII and the octets that are not
// UTF-8.
func countUTF8(data []byte) (high, bad int) {
	for len(data) > 0 {
		if data[0] < utf8.RuneSelf {
			data = data[1:]
			continue
		}
		r, size := utf8.DecodeRune(data)
		switch {
		case r == utf8.RuneError && size <= 1:
			bad++
		case r >= utf8.RuneSelf:
			high++
		}
		data = data[max(size, 1):]
	}
	return high, bad
}

// utf8Wins tells whether text that reads well as UTF-8 is better evidence
// than a declaration of enc. It is for single-byte charsets; short texts in
// the East Asian ones may look like UTF-8 by accident.
func utf8Wins(enc encoding.Encoding) bool {
	switch enc {
	case japanese.ISO2022JP, japanese.ShiftJIS, japanese.EUCJP, korean.EUCKR,
		simplifiedchinese.GB18030, simplifiedchinese.GBK, simplifiedchinese.HZGB2312:
		return false
	}
	return true
}

// metaCharset finds the charset that an HTML document declares in its head.
func metaCharset(data []byte) string {
	head := bytes.ToLower(data[:min(len(data), 2048)])
	_, after, ok := bytes.Cut(head, []byte("charset="))
	if !ok {
		return ""
	}
	after = bytes.TrimLeft(after, "\"' ")
	end := bytes.IndexAny(after, "\"' ;/>\r\n")
	if end < 0 {
		return ""
	}
	return string(after[:end])
}

package mail

import (
	"bytes"
	"strings"
)

const (
	maxDetect = 16 << 10 // octets that are looked at
	minForced = 20       // 8-bit octets that speak against a declaration
)

// pairCharset is an East Asian charset with characters of two octets. common
// tells whether a pair stands for one of the characters that make up nearly all
// of an ordinary text, valid whether it stands for any.
type pairCharset struct {
	name   string
	single func(c byte) bool // octets from 0x80 that stand for themselves
	valid  func(lead, trail byte) bool
	common func(lead, trail byte) bool
	proof  func(lead, trail byte) bool // pairs of which every real text has a share

	frequent string // pairs of the most frequent characters, to tell Korean from Chinese
}

func in(c, low, high byte) bool { return c >= low && c <= high }

func noSingle(byte) bool { return false }

// The rows of JIS X 0208, GB 2312 and KS X 1001 are sorted: signs and kana first,
// then the characters of every day. Korean has all its syllables in 25 rows.
var pairCharsets = []pairCharset{
	{
		name: "shift_jis", single: func(c byte) bool { return in(c, 0xa1, 0xdf) },
		valid: func(l, t byte) bool {
			return (in(l, 0x81, 0x9f) || in(l, 0xe0, 0xfc)) && (in(t, 0x40, 0x7e) || in(t, 0x80, 0xfc))
		},
		common: func(l, t byte) bool {
			return l == 0x81 || l == 0x82 && t >= 0x4f || l == 0x83 && t <= 0x96 || in(l, 0x88, 0x97)
		},
		proof: func(l, t byte) bool { return l == 0x82 && in(t, 0x9f, 0xf1) || l == 0x83 && in(t, 0x40, 0x96) },
	},
	{
		name: "euc-jp", single: noSingle,
		valid:  func(l, t byte) bool { return (in(l, 0xa1, 0xfe) || l == 0x8e) && in(t, 0xa1, 0xfe) },
		common: func(l, _ byte) bool { return in(l, 0xa1, 0xa5) || in(l, 0xb0, 0xcf) },
		proof:  func(l, _ byte) bool { return l == 0xa4 || l == 0xa5 },
	},
	{
		name: "euc-kr", single: noSingle,
		valid:    func(l, t byte) bool { return in(l, 0xa1, 0xfe) && in(t, 0xa1, 0xfe) },
		common:   func(l, _ byte) bool { return in(l, 0xa1, 0xa3) || in(l, 0xb0, 0xc8) },
		proof:    func(l, _ byte) bool { return in(l, 0xb0, 0xc8) },
		frequent: "\xc0\xcc\xb4\xd9\xb4\xc2\xbf\xa1\xc0\xbb\xc0\xc7\xb0\xa1\xb0\xed\xc7\xcf\xc1\xf6\xb7\xce\xbb\xe7\xc7\xd1\xb1\xe2\xbe\xee\xb5\xb5\xb8\xa6\xc0\xba\xc0\xce\xc0\xda\xb8\xae\xb3\xaa\xb4\xeb\xbc\xad\xb4\xcf\xbd\xc3\xc7\xd8\xb0\xfa\xb6\xf3\xb1\xd7\xbd\xba\xc0\xd6",
	},
	{
		name: "big5", single: noSingle,
		valid:  func(l, t byte) bool { return in(l, 0xa1, 0xf9) && (in(t, 0x40, 0x7e) || in(t, 0xa1, 0xfe)) },
		common: func(l, _ byte) bool { return in(l, 0xa1, 0xc6) },
		proof:  func(l, t byte) bool { return in(l, 0xa4, 0xc6) && t < 0x7f },
	},
	{
		name: "gb18030", single: noSingle,
		valid:    func(l, t byte) bool { return in(l, 0x81, 0xfe) && t >= 0x40 && t != 0x7f && t != 0xff },
		common:   func(l, t byte) bool { return t >= 0xa1 && (in(l, 0xa1, 0xa3) || in(l, 0xb0, 0xd7)) },
		proof:    func(l, t byte) bool { return in(l, 0xb0, 0xd7) && in(t, 0xa1, 0xfe) },
		frequent: "\xb5\xc4\xd2\xbb\xca\xc7\xb2\xbb\xc1\xcb\xd4\xda\xc8\xcb\xd3\xd0\xce\xd2\xcb\xfb\xd5\xe2\xd6\xd0\xb4\xf3\xc0\xb4\xc9\xcf\xb9\xfa\xb8\xf6\xb5\xbd\xcb\xb5\xc3\xc7\xce\xaa\xd7\xd3\xba\xcd\xc4\xe3\xb5\xd8\xb3\xf6\xba\xc3\xbb\xe1\xbf\xc9\xd2\xb2\xcf\xc2\xb5\xc3\xbe\xcd\xc4\xea\xba\xf3\xd2\xaa\xca\xb1\xd2\xd4\xc4\xc7\xbc\xd2\xb6\xd4\xd0\xa1\xc9\xfa\xd3\xc3\xc4\xdc\xb9\xfd\xbf\xb4\xc4\xe3\xc4\xfa\xc7\xeb\xb9\xab\xcb\xbe",
	},
}

// score tells how well data reads in the charset, from 0 to 1 and, with its most
// frequent characters, above.
func (p pairCharset) score(data []byte) float64 {
	pairs, common, proof, frequent, alone := 0, 0, 0, 0, 0
	for i := 0; i < len(data); i++ {
		c := data[i]
		switch {
		case c < 0x80 || i+1 == len(data):
		case p.single(c):
			alone++
		case !p.valid(c, data[i+1]):
			return 0
		default:
			i++
			pairs++
			common += count1(p.common(c, data[i]))
			proof += count1(p.proof(c, data[i]))
			frequent += count1(isFrequent(p.frequent, c, data[i]))
		}
	}
	if pairs < 2 || proof*6 < pairs || alone > pairs {
		return 0
	}
	return (float64(common) + float64(frequent)/2) / float64(pairs)
}

func count1(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func isFrequent(table string, lead, trail byte) bool {
	for i := 0; i+1 < len(table); i += 2 {
		if table[i] == lead && table[i+1] == trail {
			return true
		}
	}
	return false
}

// letterCharset is a charset of one octet a character for an alphabet other
// than Latin, known by the octets of the letters used most.
type letterCharset struct {
	name   string
	common string
}

var letterCharsets = []letterCharset{
	{"windows-1251", "\xee\xe5\xe0\xe8\xed\xf2\xf1\xf0\xe2\xeb"},
	{"koi8-r", "\xcf\xc5\xc1\xc9\xce\xd4\xd3\xd2\xd7\xcc"},
	{"iso-8859-5", "\xde\xd5\xd0\xd8\xdd\xe2\xe1\xe0\xd2\xdb"},
	{"iso-8859-7", "\xe1\xef\xe9\xe5\xf4\xf3\xed\xe7\xf5\xf1"},
	{"windows-1255", "\xe9\xe5\xe4\xec\xe0\xf8\xfa\xee\xe1\xf9"},
}

// detectCharset guesses the charset of text that is not UTF-8 and says nothing
// of its charset: one of the East Asian ones if the text reads well in it, one
// for another alphabet if the letters above ASCII stand together, else "", which
// stands for windows-1252.
func detectCharset(data []byte) string {
	data = data[:min(len(data), maxDetect)]
	if bytes.Contains(data, []byte("\x1b$")) || bytes.Contains(data, []byte("\x1b(J")) {
		return "iso-2022-jp"
	}
	ascii, high, letters, joined := countLetters(data)
	best, score := "", 0.8
	for _, p := range pairCharsets {
		if s := p.score(data); s > score && (high*2 >= ascii || high >= minForced) {
			best, score = p.name, s
		}
	}
	japanese := best == "shift_jis" || best == "euc-jp"
	if !japanese && letters*12 >= high*11 && joined*10 >= letters*7 {
		if name := detectLetters(data, letters); name != "" {
			return name
		}
	}
	return best
}

// detectLetters tells the charsets for other alphabets apart by the share of
// their most frequent letters, which is two thirds in a long text.
func detectLetters(data []byte, letters int) string {
	best, most := "", max(letters/2, 3)
	for _, l := range letterCharsets {
		n := 0
		for _, c := range data {
			n += count1(c >= 0x80 && strings.IndexByte(l.common, c) >= 0)
		}
		if n > most {
			best, most = l.name, n
		}
	}
	return best
}

// countLetters counts the letters of ASCII, the octets above ASCII, those of
// them that are letters in most charsets of one octet a character, and the ones
// of these that stand next to another.
func countLetters(data []byte) (ascii, high, letters, joined int) {
	for i, c := range data {
		ascii += count1(in(c|0x20, 'a', 'z') && c < 0x80)
		high += count1(c >= 0x80)
		if c >= 0xc0 {
			letters++
			joined += count1(i > 0 && data[i-1] >= 0xc0 || i+1 < len(data) && data[i+1] >= 0xc0)
		}
	}
	return ascii, high, letters, joined
}

// contradicted tells whether text declared to be in a charset for Latin letters
// cannot be that: such text is mostly ASCII.
func contradicted(data []byte) bool {
	ascii, high, _, _ := countLetters(data[:min(len(data), maxDetect)])
	return high >= minForced && high > 2*ascii
}

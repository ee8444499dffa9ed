package mail

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// verbTable holds the verbs of quoteVerbs by a word that each begins or ends
// with, so that a text needs one look at each of its words.
type verbTable map[string][]string

var (
	plainVerbs   = words(strings.ReplaceAll(quoteVerbs, `\`, ""))
	joinedVerbs  = words(quoteVerbsJoined)
	verbsByFirst = tableVerbs(firstWord)
	verbsByLast  = tableVerbs(lastWord)
)

func tableVerbs(key func(string) string) verbTable {
	table := verbTable{}
	for _, v := range plainVerbs {
		v = trimMarks(v)
		table[key(v)] = append(table[key(v)], v)
	}
	return table
}

// trimMarks cuts everything off the end of s that is no letter and no digit.
func trimMarks(s string) string {
	return strings.TrimRightFunc(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

func notLetter(r rune) bool { return !unicode.IsLetter(r) }

// firstWord is the run of letters that s begins with.
func firstWord(s string) string {
	if end := strings.IndexFunc(s, notLetter); end >= 0 {
		return s[:end]
	}
	return s
}

// lastWord is the run of letters that s ends with.
func lastWord(s string) string {
	at := strings.LastIndexFunc(s, notLetter)
	if at < 0 {
		return s
	}
	return s[at+runeWidth(s[at:]):]
}

// hasVerb tells whether one of the verbs stands in a text as a word of its own.
func hasVerb(text string) bool {
	lower := strings.ToLower(text)
	for at := 0; at < len(lower); {
		word := firstWord(lower[at:])
		if word == "" {
			at += runeWidth(lower[at:])
			continue
		}
		for _, v := range verbsByFirst[word] {
			if rest, ok := strings.CutPrefix(lower[at:], v); ok && firstWord(rest) == "" {
				return true
			}
		}
		at += len(word)
	}
	return hasJoinedVerb(lower)
}

// hasJoinedVerb looks for the verbs of scripts without word gaps, all of which
// are East Asian.
func hasJoinedVerb(text string) bool {
	if !hasEastAsian(text) {
		return false
	}
	for _, v := range joinedVerbs {
		if strings.Contains(text, v) {
			return true
		}
	}
	return false
}

func hasEastAsian(text string) bool {
	for i := range len(text) {
		if text[i] >= 0xe3 && text[i] <= 0xed {
			return true
		}
	}
	return false
}

// endsWithVerb tells whether a verb is the last thing in a line but for marks.
func endsWithVerb(line string) bool {
	tail := lastWords(line)
	if hasEastAsian(tail) && hasJoinedVerb(tail) {
		return true
	}
	tail = strings.ToLower(trimMarks(tail))
	for _, v := range verbsByLast[lastWord(tail)] {
		if before, ok := strings.CutSuffix(tail, v); ok && lastWord(before) == "" {
			return true
		}
	}
	return false
}

// lastWords is the end of a line, long enough for any verb.
func lastWords(line string) string {
	at := max(0, len(line)-maxVerb)
	for at < len(line) && !utf8.RuneStart(line[at]) {
		at++
	}
	return line[at:]
}

// deviceStarts are the first words of the lines of deviceWords, deviceParts
// those that other letters follow or that stand at the end.
var (
	deviceStarts = set("sent scheduled someone from get download envoyé obtenez télécharger von gesendet diese holen outlook enviado enviat obtener obter inviato scarica ottieni " +
		"verzonden verstuurd gestuurd sendt skickat från hent hämta lähetetty wysłane wysłano pobierz odesláno odoslané küldve trimis отправлено надіслано відправлено poslano στάλθηκε đã gửi dikirim")
	deviceParts = strings.Fields("gönderildi 從我的 发自我的 从我的 來自我的 から送信 나의 נשלח رسلت")
)

// maybeDevice is the cheap test for isDevice.
func maybeDevice(line string) bool {
	line = strings.TrimLeftFunc(line, notLetter)
	word := firstWord(line)
	if len(word) <= 24 && deviceStarts[strings.ToLower(word)] {
		return true
	}
	if isASCII(line) {
		return false
	}
	for _, part := range deviceParts {
		if strings.Contains(line, part) {
			return true
		}
	}
	return false
}

func isASCII(s string) bool {
	for len(s) >= 8 {
		eight := s[:8]
		if (eight[0]|eight[1]|eight[2]|eight[3]|eight[4]|eight[5]|eight[6]|eight[7])&utf8.RuneSelf != 0 {
			return false
		}
		s = s[8:]
	}
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

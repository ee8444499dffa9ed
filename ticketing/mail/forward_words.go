package mail

import (
	"regexp"
	"strings"
)

// forwardPrefixes and replyPrefixes are what mail programs put before the
// subject, in lower case. `vs` is a forward in Danish and Norwegian and a reply
// in Finnish; `i` and `r` are Italian.
const (
	forwardPrefixes = `fw|fwd|wg|wtr|rv|reenv|renv|tr|i|inoltro|inol|pd|podaj|enc|fs|vs|vb|vl|vidarebefordrat|videresend|videresendt|vidaresend|vid|továbbítás|továbbítva|továbbított|továbbít|` +
		`doorst|doorgest|doorsturen|redir|redirecționat|redirect|ilt|İlt|ılt|iletildi|прсл|пересл|пересылка|пересилання|препр|πρθ|πρ|προώθ|转发|轉寄|轉發|转寄|転送|전달|fwd msg|chuyển tiếp|ct|trs|teruskan|הועבר|העברה|إعادة توجيه|` +
		`fwd fwd|přepos|preposl|prepos|přeposláno|prosl|proslijeđeno|edasi|pārs|pers|rvfw|réacheminé|trans|weitergeleitet|transmis|transf|transféré`
	replyPrefixes = `re|aw|antw|antwort|sv|vs|odp|ynt|yan|yanıt|res|rif|r|rép|ref|réf|vá|va|vast|svar|odpověď|отв|ответ|відп|відповідь|απ|σχετ|答复|回复|回覆|答覆|返信|답장|회신|trả lời|tl|bls|balas|תגובה|השב|رد|ats|vas`
)

var subjectPrefix = regexp.MustCompile(`^\s*(\[?)\s*(?i:(` + forwardPrefixes + `)|(` + replyPrefixes + `))\.?\s*(?:\[\d+\]|\(\d+\)|\^\d+|\*\d+)?\s*[:：]\s*`)

var externalTag = regexp.MustCompile(`(?i)^\s*(?:\[(?:ext|external|extern|externe|externo|spam|confidential|bulk)[^\]]{0,20}\]|\*{2,}\s*spam\s*\*{2,}|external:)\s*`)

// cutPrefix takes one prefix off a subject and tells whether it is that of a
// forward or of a reply; some words can be both. With neither it returns the
// subject as it is.
func cutPrefix(subject string) (rest string, forward, reply bool) {
	if !strings.ContainsAny(subject, ":：*[") {
		return strings.TrimSpace(subject), false, false
	}
	subject = externalTag.ReplaceAllString(subject, "")
	m := subjectPrefix.FindStringSubmatch(subject)
	if m == nil {
		return strings.TrimSpace(subject), false, false
	}
	rest = strings.TrimSpace(subject[len(m[0]):])
	if m[1] == "[" {
		rest = strings.TrimSpace(strings.TrimSuffix(rest, "]"))
	}
	word := strings.ToLower(m[2] + m[3])
	return rest, m[2] != "", m[3] != "" || word == "vs"
}

// cutForwardPrefixes takes all leading prefixes of forwards off a subject.
func cutForwardPrefixes(subject string) string {
	for range 10 {
		rest, forward, _ := cutPrefix(subject)
		if !forward {
			return strings.TrimSpace(subject)
		}
		subject = rest
	}
	return subject
}

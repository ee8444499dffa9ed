package ticketing

import "strings"

// maskKept is how much of a token is left, enough to tell two apart.
const maskKept = 4

// MaskTokens takes the secret out of the reply, bounce and unsubscribe
// addresses in a text that others may read, as a log: of the token between "+"
// and "@" the first 4 characters are left.
func MaskTokens(text string) string {
	before, rest, found := strings.Cut(text, "+")
	if !found {
		return text
	}
	var b strings.Builder
	for found {
		b.WriteString(before + "+")
		if len(rest) > tokenLen && rest[tokenLen] == '@' && isToken(rest[:tokenLen]) {
			b.WriteString(rest[:maskKept] + "…")
			rest = rest[tokenLen:]
		}
		before, rest, found = strings.Cut(rest, "+")
	}
	return b.String() + before
}

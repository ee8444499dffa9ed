package auth

import (
	"strconv"
	"strings"

	"github.com/mxdesk/mxdesk/auth/arc"
	"github.com/mxdesk/mxdesk/auth/spf"
	"github.com/mxdesk/mxdesk/ticketing"
)

const (
	maxResults = 100 // read from one Authentication-Results field
	maxWords   = 100 // of one result
)

// format returns the value of our Authentication-Results field.
//
// https://www.rfc-editor.org/rfc/rfc8601#section-2.2
func (c *check) format() string {
	var out results
	out.Grow(512)
	out.WriteString(strings.ReplaceAll(token(c.hostname()), ":", "?"))
	name := out.Len()
	if c.spf.Result != spf.None || c.spf.Domain != "" || len(c.dkim) > 0 || c.author.domain != "" || c.arc.Result != arc.None {
		scope := "smtp.mailfrom"
		if c.spf.Scope == spf.ScopeHelo {
			scope = "smtp.helo"
		}
		out.add("spf", c.spf.Result, scope, c.spf.Domain)
		c.formatMessage(&out)
	}
	c.formatClient(&out)
	if out.Len() == name {
		out.WriteString("; none")
	}
	return out.String()
}

// Field returns the Authentication-Results field of a verdict, folded so that
// each result has a line of its own.
func Field(v *ticketing.Verdict) string {
	return "Authentication-Results: " + strings.ReplaceAll(v.AuthenticationResults, "; ", ";\r\n\t") + "\r\n"
}

// formatMessage adds the results that need a message.
func (c *check) formatMessage(out *results) {
	if c.message == nil {
		return
	}
	for _, r := range c.dkim {
		out.add("dkim", r.Result, "reason", r.Reason, "header.a", r.Algorithm, "header.b", r.BPrefix, "header.d", r.Domain, "header.s", r.Selector)
	}
	if len(c.dkim) == 0 {
		out.add("dkim", "none")
	}
	out.add("dmarc", c.dmarc.Result, "header.from", c.dmarc.Domain, "policy.dmarc", c.dmarc.Policy)
	if c.arc.Result != arc.None {
		oldest := ""
		if c.arc.Result == arc.Pass {
			oldest = strconv.Itoa(c.arc.OldestPass)
		}
		out.add("arc", c.arc.Result, "reason", c.arc.Reason, "header.oldest-pass", oldest)
	}
}

// results is the value of an Authentication-Results field being written.
type results struct{ strings.Builder }

// add writes the result of a method and those of its properties that have a
// value. Values are quoted where a reader could take them for something else.
func (r *results) add(method, result string, properties ...string) {
	r.WriteString("; ")
	r.WriteString(method)
	r.WriteByte('=')
	r.WriteString(result)
	for i := 0; i < len(properties); i += 2 {
		name, value := properties[i], token(properties[i+1])
		if value == "" {
			continue
		}
		quote := ""
		if strings.ContainsAny(value, " !:?") || name == "reason" && strings.Contains(value, "/") {
			quote = `"`
		}
		for _, part := range [...]string{" ", name, "=", quote, value, quote} {
			r.WriteString(part)
		}
	}
}

// formatClient adds the results about the client: its reverse name, and the
// allow list that vouches most for it.
//
// https://www.rfc-editor.org/rfc/rfc8601#section-2.7.3
// https://www.rfc-editor.org/rfc/rfc8904#section-2
func (c *check) formatClient(out *results) {
	if c.iprev.Result != "" {
		addr, _ := c.client()
		out.add("iprev", c.iprev.Result, "policy.iprev", addr.Unmap().String())
	}
	var best *ticketing.ListHit
	for i := range c.lists.Hits {
		if h := &c.lists.Hits[i]; h.Weight < 0 && (best == nil || h.Weight < best.Weight) {
			best = h
		}
	}
	if best != nil {
		out.add("dnswl", "pass", "dns.zone", best.Zone, "policy.ip", best.Answer)
	}
}

// token makes outside text harmless in a field: only characters that need no
// care there, and spaces, stay; the rest becomes "?".
func token(s string) string {
	const plain = " !#$%&'*+-./:_{|}~"
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(plain, r) {
			return r
		}
		return '?'
	}, s)
}

// methodResult is one result in an Authentication-Results field of others.
type methodResult struct {
	method, result string            // in lower case
	properties     map[string]string // by ptype.property in lower case; the first of a name counts
}

// parseResults reads the value of an Authentication-Results field. What cannot
// be read is left out.
//
// https://www.rfc-editor.org/rfc/rfc8601#section-2.2
func parseResults(value string) []methodResult {
	var list []methodResult
	_, rest, _ := cutUnquoted(plain(value), ';')
	for rest != "" && len(list) < maxResults {
		var part string
		part, rest, _ = cutUnquoted(rest, ';')
		words := splitWords(part)
		if len(words) == 0 {
			continue
		}
		method, result, ok := strings.Cut(words[0], "=")
		if !ok {
			continue
		}
		method, _, _ = strings.Cut(method, "/") // version
		m := methodResult{strings.ToLower(method), strings.ToLower(result), map[string]string{}}
		for _, w := range words[1:] {
			name, value, _ := strings.Cut(w, "=")
			if name = strings.ToLower(name); m.properties[name] == "" {
				m.properties[name] = value
			}
		}
		list = append(list, m)
	}
	return list
}

// plain takes the comments out of a structured value; quoted strings stay.
func plain(s string) string {
	var out strings.Builder
	quoted, depth := false, 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && (quoted || depth > 0) && i+1 < len(s):
			if depth == 0 {
				out.WriteString(s[i : i+2])
			}
			i++
			continue
		case c == '"' && depth == 0:
			quoted = !quoted
		case c == '(' && !quoted:
			depth++
			continue
		case c == ')' && !quoted && depth > 0:
			if depth--; depth == 0 {
				out.WriteByte(' ')
			}
			continue
		}
		if depth == 0 {
			out.WriteByte(c)
		}
	}
	return out.String()
}

// cutUnquoted cuts s at the first separator outside of quoted strings.
func cutUnquoted(s string, separator byte) (before, after string, found bool) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == separator && !quoted:
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

// splitWords splits at white space outside of quoted strings, and takes the
// quotes off. Of many words it returns the first ones.
func splitWords(s string) []string {
	var words []string
	var word strings.Builder
	quoted, open := false, false
	end := func() {
		if open {
			words = append(words, word.String())
		}
		word.Reset()
		open = false
	}
	for i := 0; i < len(s) && len(words) < maxWords; i++ {
		c := s[i]
		switch {
		case c == '\\' && quoted && i+1 < len(s):
			i++
			word.WriteByte(s[i])
		case c == '"':
			quoted, open = !quoted, true
		case !quoted && (c == ' ' || c == '\t'):
			end()
		default:
			word.WriteByte(c)
			open = true
		}
	}
	if len(words) < maxWords {
		end()
	}
	return words
}

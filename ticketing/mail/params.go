package mail

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const maxParams = 200

// describe fills in what the Content-* fields say; fallback is the type of a
// part without a usable Content-Type.
func (p *part) describe(fallback string) {
	value, params := parseParams(p.header.get("Content-Type"))
	p.mediaType, p.params = mediaType(value, fallback), params
	p.disposition, _ = parseParams(p.header.get("Content-Disposition"))
	p.encoding = transferEncoding(p.header.get("Content-Transfer-Encoding"))
	p.contentID = strings.Trim(p.header.get("Content-ID"), "<> \t\"")
}

// mediaType normalises a Content-Type value: known abuses are mended, anything
// else that is not type/subtype becomes fallback.
func mediaType(value, fallback string) string {
	switch value {
	case "text", "plain", "plain/text", "text/", "text/text":
		return "text/plain"
	case "html", "html/text", "text/htm":
		return "text/html"
	}
	major, minor, ok := strings.Cut(value, "/")
	minor, _, _ = strings.Cut(minor, "/")
	if !ok || !isToken(major) || !isToken(minor) {
		return fallback
	}
	return major + "/" + minor
}

// isToken tells whether s is a token (RFC 2045 section 5.1).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?=`, r)
	})
}

// transferEncoding normalises a Content-Transfer-Encoding; what is unknown
// means that the body is taken as it stands.
func transferEncoding(value string) string {
	value, _, _ = strings.Cut(strings.ToLower(value), ";")
	value = strings.Map(func(r rune) rune {
		if r < 'a' || r > 'z' {
			if r < '0' || r > '9' {
				return -1
			}
		}
		return r
	}, value)
	switch value {
	case "base64", "b64", "base64encoded":
		return encodingBase64
	case "quotedprintable", "qp":
		return encodingQuoted
	case "xuuencode", "uuencode", "xuue", "uue", "xuu":
		return encodingUU
	}
	return ""
}

// parseParams reads `value; name=value; ...` and is content with nearly
// anything. The first of several parameters of one name counts; continuations
// and character sets (RFC 2231) are put together. value is in lower case.
func parseParams(s string) (value string, params map[string]string) {
	items := splitParams(s)
	params = make(map[string]string)
	var extended []segment
	last := "" // the parameter before, if it has no quotes
	for i := 0; i < len(items); i++ {
		item := items[i]
		name, val, ok := strings.Cut(item, "=")
		name = strings.ToLower(strings.Trim(name, " \t\""))
		if i == 0 && (!ok || strings.Contains(name, "/")) {
			value, item = cutValue(item)
			if name, val, ok = strings.Cut(item, "="); ok {
				name = strings.ToLower(strings.TrimSpace(name))
			}
		}
		if !ok && i > 0 && (last == "name" || last == "filename") { // the name has a semicolon
			params[last] += "; " + item
		}
		if !ok || name == "" {
			continue
		}
		if last = name; strings.Contains(val, `"`) {
			last = ""
		}
		val, rest := cutGlued(val)
		if rest != "" && len(items) < maxParams {
			items = append(items, rest)
		}
		val = unquote(val)
		if seg, ok := parseSegment(name, val); ok {
			extended = append(extended, seg)
		} else if _, dup := params[name]; !dup {
			params[name] = val
		}
	}
	joinSegments(extended, params)
	return value, params
}

// cutValue cuts `type/subtype` off the first item; a parameter may follow where
// its semicolon was forgotten.
func cutValue(item string) (value, rest string) {
	item = strings.TrimSpace(dropComments(item))
	if major, minor, ok := strings.Cut(item, "/"); ok {
		item = strings.TrimSpace(major) + "/" + strings.TrimSpace(minor)
	}
	end := strings.IndexAny(item, " \t,")
	if end < 0 {
		end = len(item)
	}
	return strings.ToLower(item[:end]), item[end:]
}

// splitParams cuts at semicolons outside quotes. A quote that is never closed
// ends at the next semicolon.
func splitParams(s string) []string {
	var items []string
	for s != "" && len(items) < maxParams {
		end := paramEnd(s)
		if item := strings.TrimSpace(s[:end]); item != "" {
			items = append(items, item)
		}
		s = s[min(end+1, len(s)):]
	}
	return items
}

func paramEnd(s string) int {
	plain, quoted := -1, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == ';' && !quoted:
			return i
		case c == ';' && plain < 0:
			plain = i
		}
	}
	if quoted && plain >= 0 {
		return plain
	}
	return len(s)
}

// gluedParam is where another parameter begins without a semicolon.
var gluedParam = regexp.MustCompile(`[ \t]+[A-Za-z][\w*-]*=`)

// cutGlued cuts an unquoted value where the semicolon before the next
// parameter was forgotten.
func cutGlued(value string) (first, rest string) {
	value = strings.TrimSpace(value)
	if strings.HasPrefix(value, `"`) || strings.HasPrefix(value, "=?") {
		return value, ""
	}
	if at := gluedParam.FindStringIndex(value); at != nil {
		return value[:at[0]], strings.TrimSpace(value[at[0]:])
	}
	return value, ""
}

// unquote removes the quotes of a quoted string and its backslashes, sparing
// those of Windows paths.
func unquote(s string) string {
	s = strings.TrimSpace(s)
	if !strings.HasPrefix(s, `"`) {
		return s
	}
	var out strings.Builder
	for i := 1; i < len(s); i++ {
		if s[i] == '"' {
			break
		}
		if s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\') {
			i++
		}
		out.WriteByte(s[i])
	}
	return strings.TrimSpace(out.String())
}

// dropComments removes (comments), nested ones included, outside of quotes. An
// open one ends with the text.
func dropComments(s string) string {
	if !strings.Contains(s, "(") {
		return s
	}
	var out strings.Builder
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s) && (depth > 0 || quoted):
			if i++; depth == 0 {
				out.WriteString(s[i-1 : i+1])
			}
		case c == '"' && depth == 0:
			quoted = !quoted
			out.WriteByte(c)
		case c == '(' && !quoted:
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth == 0:
			out.WriteByte(c)
		}
	}
	return out.String()
}

// segment is one piece of an RFC 2231 parameter.
type segment struct {
	name    string
	index   int
	encoded bool // percent-encoded, the first one after charset'language'
	value   string
}

// https://www.rfc-editor.org/rfc/rfc2231#section-4.1
func parseSegment(name, value string) (segment, bool) {
	base, rest, ok := strings.Cut(name, "*")
	if !ok {
		return segment{}, false
	}
	digits, encoded := strings.CutSuffix(rest, "*")
	if rest == "" {
		return segment{name: base, encoded: true, value: value}, true
	}
	index, err := strconv.Atoi(digits)
	if err != nil || index < 0 {
		return segment{}, false
	}
	return segment{name: base, index: index, encoded: encoded, value: value}, true
}

// joinSegments puts the pieces of each parameter together; they win over a
// plain parameter of the same name.
func joinSegments(segments []segment, params map[string]string) {
	slices.SortStableFunc(segments, func(a, b segment) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.index, b.index))
	})
	for len(segments) > 0 {
		name := segments[0].name
		end := slices.IndexFunc(segments, func(s segment) bool { return s.name != name })
		if end < 0 {
			end = len(segments)
		}
		if value := joinValue(segments[:end]); value != "" {
			params[name] = value
		}
		segments = segments[end:]
	}
}

func joinValue(segments []segment) string {
	var octets []byte
	charset := ""
	for i, s := range segments {
		value := s.value
		if i == 0 && s.encoded {
			if parts := strings.SplitN(value, "'", 3); len(parts) == 3 {
				charset, value = parts[0], parts[2]
			}
		}
		if s.encoded {
			octets = percentDecode(octets, value)
		} else {
			octets = append(octets, value...)
		}
	}
	return bodyText(octets, charset, false)
}

func percentDecode(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				dst = append(dst, byte(n))
				i += 2
				continue
			}
		}
		dst = append(dst, s[i])
	}
	return dst
}

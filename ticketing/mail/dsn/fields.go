package dsn

import (
	"iter"
	"strings"
)

// headerLines yields the unfolded lines of a header block, up to the first
// blank line after a field.
func headerLines(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		var folded strings.Builder
		lines := 0
		for line := range strings.Lines(text) {
			line = strings.TrimRight(line, "\r\n")
			if lines++; lines > maxLines {
				break
			}
			blank := strings.TrimSpace(line) == ""
			if !blank && (line[0] == ' ' || line[0] == '\t') && folded.Len() > 0 {
				if folded.Len() < maxFolded {
					folded.WriteString(" " + strings.TrimSpace(line))
				}
				continue
			}
			if folded.Len() > 0 {
				if !yield(folded.String()) {
					return
				}
				folded.Reset()
				if blank {
					return
				}
			}
			if !blank {
				folded.WriteString(strings.TrimSpace(line))
			}
		}
		if folded.Len() > 0 {
			yield(folded.String())
		}
	}
}

// looksLikeHeader tells whether a text is the header of a mail.
func looksLikeHeader(text string) bool {
	known := 0
	lines := 0
	for line := range headerLines(text) {
		if lines++; lines > 30 {
			break
		}
		name, _, ok := strings.Cut(line, ":")
		if !ok || strings.ContainsAny(name, " \t") {
			if strings.HasPrefix(line, "From ") {
				continue
			}
			return false
		}
		switch strings.ToLower(name) {
		case "received", "from", "to", "subject", "message-id", "date", "return-path", "mime-version":
			known++
		}
	}
	return known >= 3
}

// blocks cuts the body of a message/delivery-status part into its groups of
// fields, each field unfolded, with its name in lower case. A group that names a
// recipient twice is cut there, as some systems leave the blank line out.
func blocks(text string) []map[string]string {
	var found []map[string]string
	current := map[string]string{}
	flush := func() {
		if len(current) > 0 && len(found) < maxBlocks {
			found = append(found, current)
		}
		current = map[string]string{}
	}
	last, lines := "", 0
	for line := range strings.Lines(text) {
		if lines++; lines > maxLines*4 {
			break
		}
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" {
			flush()
			last = ""
			continue
		}
		if (line[0] == ' ' || line[0] == '\t') && last != "" {
			if len(current[last]) < maxFolded {
				current[last] += " " + strings.TrimSpace(line)
			}
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		name = strings.ToLower(strings.TrimSpace(name))
		if _, seen := current[name]; seen && name == "final-recipient" {
			flush()
		}
		if _, seen := current[name]; !seen {
			current[name] = strings.TrimSpace(value)
			last = name
		}
	}
	flush()
	return found
}

// typed splits `rfc822; a@b` into type and value; without a type it is "".
func typed(value string) (kind, rest string) {
	before, after, ok := strings.Cut(value, ";")
	if !ok || strings.ContainsAny(strings.TrimSpace(before), " @<") {
		return "", strings.TrimSpace(value)
	}
	return strings.ToLower(strings.TrimSpace(before)), strings.TrimSpace(after)
}

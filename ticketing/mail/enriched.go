package mail

import "strings"

// isEnriched tells whether a media type is a text with commands in angle
// brackets that is neither plain nor HTML.
func isEnriched(mediaType string) bool {
	return mediaType == "text/enriched" || mediaType == "text/richtext"
}

// enrichedText makes plain text of an enriched one: commands and their
// parameters go, `<<` is a bracket, single line ends are spaces unless the
// sender broke the lines (nofill, or richtext's <nl>).
//
// https://www.rfc-editor.org/rfc/rfc1896#section-2
func enrichedText(source string) string {
	var out strings.Builder
	newlines, params := 0, 0
	write := func(s string) {
		switch {
		case newlines == 1:
			out.WriteByte(' ')
		case newlines > 1:
			out.WriteString(strings.Repeat("\n", newlines-1))
		}
		newlines = 0
		out.WriteString(s)
	}
	for source != "" {
		end := strings.IndexAny(source, "<\n")
		if end < 0 {
			end = len(source)
		}
		if end > 0 && params == 0 {
			write(source[:end])
		}
		if source = source[end:]; source == "" {
			break
		}
		if source[0] == '\n' {
			newlines++
			source = source[1:]
			continue
		}
		command, rest, closed := strings.Cut(source[1:], ">")
		switch {
		case strings.HasPrefix(source, "<<"):
			if params == 0 {
				write("<")
			}
			source = source[2:]
			continue
		case !closed:
			command, rest = "", ""
		}
		switch strings.ToLower(command) {
		case "param":
			params++
		case "/param":
			params = max(params-1, 0)
		case "nl", "np", "paragraph":
			write("\n")
		}
		source = rest
	}
	return out.String() + "\n"
}

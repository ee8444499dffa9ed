package mail

import "strings"

// unflow joins the lines of a format=flowed text. Quote marks are kept, one
// per level, in front of each joined line.
//
// https://www.rfc-editor.org/rfc/rfc3676#section-4
func unflow(text string, delSp bool) string {
	var out strings.Builder
	flowing, depth := false, 0
	for line := range strings.Lines(text) {
		content, ended := strings.CutSuffix(line, "\n")
		quotes := len(content) - len(strings.TrimLeft(content, ">"))
		content = strings.TrimPrefix(content[quotes:], " ")
		signature := content == "-- "
		if flowing && (quotes != depth || signature) {
			out.WriteByte('\n')
			flowing = false
		}
		if !flowing && quotes > 0 {
			out.WriteString(strings.Repeat(">", quotes) + " ")
		}
		flowing, depth = strings.HasSuffix(content, " ") && !signature && ended, quotes
		if flowing && delSp {
			content = content[:len(content)-1]
		}
		out.WriteString(content)
		if !flowing && ended {
			out.WriteByte('\n')
		}
	}
	return out.String()
}

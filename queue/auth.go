package queue

import (
	"encoding/base64"
	"slices"
	"strings"
)

// auth signs in with the mechanism that both sides know, PLAIN first.
//
// https://www.rfc-editor.org/rfc/rfc4954#section-4
func (c *client) auth(user, password string) *failure {
	offered := strings.Fields(strings.ToUpper(c.ext["AUTH"]))
	var lines []string
	switch {
	case slices.Contains(offered, "PLAIN"):
		lines = []string{"AUTH PLAIN " + encode("\x00"+user+"\x00"+password)}
	case slices.Contains(offered, "LOGIN"):
		lines = []string{"AUTH LOGIN", encode(user), encode(password)}
	default:
		return temporary(scopeHost, "4.7.0", "AUTH: the server offers neither PLAIN nor LOGIN")
	}
	for i, line := range lines {
		r, f := c.command(stepAUTH, c.timeouts.Step, "%s", line)
		if f != nil {
			return f
		}
		want := 334
		if i == len(lines)-1 {
			want = 235
		}
		if r.code != want {
			return refused(stepAUTH, r).at(scopeHost)
		}
	}
	return nil
}

func encode(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

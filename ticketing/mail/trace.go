package mail

import (
	"slices"
	"strings"
)

// controlPrefix begins the names of header fields that only we may write.
const controlPrefix = "x-mxdesk-"

// Forged tells whether a header field of incoming mail claims to be ours:
// authentication results under our name, or one of our control fields. Nobody
// may read such a field; the raw mail keeps it. Hostname is our name.
//
// https://www.rfc-editor.org/rfc/rfc8601#section-5
func Forged(name, value, hostname string) bool {
	if len(name) >= len(controlPrefix) && strings.EqualFold(name[:len(controlPrefix)], controlPrefix) {
		return true
	}
	return strings.EqualFold(name, "Authentication-Results") && hostname != "" &&
		strings.EqualFold(AuthservID(value), strings.TrimSuffix(hostname, "."))
}

// AuthservID returns the name in front of the results in the value of an
// Authentication-Results field, without version and trailing dot.
//
// https://www.rfc-editor.org/rfc/rfc8601#section-2.5
func AuthservID(value string) string {
	id, _, _ := strings.Cut(dropComments(value), ";")
	words := strings.FieldsFunc(strings.NewReplacer(`"`, "", `\`, "").Replace(id), func(r rune) bool { return strings.ContainsRune(" \t\r\n/", r) })
	if len(words) == 0 {
		return ""
	}
	return strings.TrimSuffix(words[0], ".")
}

// dropForged takes the fields out that claim to be ours.
func (h *header) dropForged(hostname string) {
	h.fields = slices.DeleteFunc(h.fields, func(f field) bool { return Forged(f.name, f.value, hostname) })
}

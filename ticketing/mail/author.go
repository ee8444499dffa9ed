package mail

import "github.com/mxdesk/mxdesk/ticketing"

// Authors returns the From addresses that Parse finds in a mail whose From
// fields have these raw values, from top to bottom, and nothing but ASCII.
func Authors(values []string) []ticketing.Person {
	h := header{fields: make([]field, len(values))}
	for i, value := range values {
		h.fields[i] = field{"From", value}
	}
	return usable(people(h, "From"))
}

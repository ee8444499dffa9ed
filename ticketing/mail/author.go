package mail

import (
	"io"
	"strings"

	"github.com/mxdesk/mxdesk/ticketing"
)

// From returns the From addresses that Parse finds in a mail of size bytes and
// the raw values of the fields they are in, and reads nothing of its bodies but
// what tells how the header is to be read.
func From(r io.ReaderAt, size int64, o Options) (people []ticketing.Person, values []string) {
	defer func() {
		if recover() != nil {
			people, values = nil, nil
		}
	}()
	h := walk(r, size, o).header
	for _, f := range h.fields {
		if strings.EqualFold(f.name, "From") {
			values = append(values, f.value)
		}
	}
	return authors(h), values
}

// FromValues is From for a mail whose From fields have these raw values, from
// top to bottom, and nothing but ASCII.
func FromValues(values []string) []ticketing.Person {
	h := header{fields: make([]field, len(values))}
	for i, value := range values {
		h.fields[i] = field{"From", value}
	}
	return authors(h)
}

func authors(h header) []ticketing.Person { return usable(people(h, "From")) }

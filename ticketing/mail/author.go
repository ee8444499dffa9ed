package mail

import (
	"io"
	"slices"
	"strings"

	"github.com/mxdesk/mxdesk/ticketing"
)

// From returns whom Parse finds a mail of size bytes to be from: its From
// addresses, or its Sender where From names nobody. values are the raw values of
// the From fields. It reads nothing of the bodies but what tells how the header
// is to be read.
func From(r io.ReaderAt, size int64, o Options) (list []ticketing.Person, values []string) {
	defer func() {
		if recover() != nil {
			list, values = nil, nil
		}
	}()
	h := walk(r, size, o).header
	for _, f := range h.fields {
		if strings.EqualFold(f.name, "From") {
			values = append(values, f.value)
		}
	}
	list = authors(h)
	if sender := people(h, "Sender"); !IsNamed(list) && len(sender) > 0 {
		list = sender[:1]
	}
	return list, values
}

// IsNamed tells whether there is an address among the people.
func IsNamed(list []ticketing.Person) bool {
	return slices.ContainsFunc(list, func(p ticketing.Person) bool { return p.Address != "" })
}

// FromValues returns the addresses of From fields with these raw values, from top
// to bottom.
func FromValues(values []string) []ticketing.Person {
	h := header{fields: make([]field, len(values))}
	for i, value := range values {
		h.fields[i] = field{"From", value}
	}
	return authors(h)
}

func authors(h header) []ticketing.Person { return usable(people(h, "From")) }

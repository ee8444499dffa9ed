package mail

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mxdesk/mxdesk/ticketing"
)

const (
	maxSubject    = 998 // runes
	maxIDs        = 200 // in one message's In-Reply-To or References
	maxID         = 998 // octets of a Message-ID
	maxAddresses  = 1000
	maxRecipients = 100
)

// recipientFields are tried for our own address after To, in this order.
// "Received" stands for the address of its `for` clause.
var recipientFields = []string{
	"Delivered-To", "X-Delivered-To", "Envelope-To", "X-Envelope-To",
	"Received", "X-Original-To", "X-Forwarded-To", "Cc",
}

// readFields fills in everything that the header of the mail says.
func readFields(h header, msg *ticketing.Message) {
	msg.Subject = cutRunes(h.decoded("Subject"), maxSubject)
	msg.From = authors(h)
	msg.ReplyTo = people(h, "Reply-To")
	msg.To = people(h, "To")
	msg.Cc = people(h, "Cc")
	if senders := people(h, "Sender"); len(senders) > 0 {
		msg.Sender = senders[0]
	}
	if ids := messageIDs(h, "Message-ID"); len(ids) > 0 {
		msg.MessageID = ids[0]
	}
	msg.InReplyTo = messageIDs(h, "In-Reply-To")
	msg.References = messageIDs(h, "References")
	msg.Date = parseDate(h.get("Date"))
	msg.Recipients = recipients(h)
}

// people reads every field called name as one list of addresses.
func people(h header, name string) []ticketing.Person {
	var list []ticketing.Person
	for _, f := range h.fields {
		if !strings.EqualFold(f.name, name) {
			continue
		}
		some := parseAddresses(h.unfold(f.value))
		if list == nil {
			list = some
		} else {
			list = append(list, some...)
		}
		if len(list) >= maxAddresses {
			return list[:maxAddresses]
		}
	}
	return list
}

// usable keeps the people with an address, or all when nobody has one.
func usable(list []ticketing.Person) []ticketing.Person {
	if !slices.ContainsFunc(list, func(p ticketing.Person) bool { return p.Address == "" }) {
		return list
	}
	withAddress := slices.DeleteFunc(slices.Clone(list), func(p ticketing.Person) bool { return p.Address == "" })
	if len(withAddress) == 0 {
		return list
	}
	return withAddress
}

// recipients lists the addresses of recipientFields, each once.
func recipients(h header) []string {
	var list []string
	for _, name := range recipientFields {
		for _, value := range h.all(name) {
			if name == "Received" {
				value = receivedFor(value)
			}
			for _, p := range parseAddresses(value) {
				if len(list) < maxRecipients && p.Address != "" && !slices.Contains(list, p.Address) {
					list = append(list, p.Address)
				}
			}
		}
	}
	return list
}

// receivedFor returns what follows `for` in a Received field.
//
// https://www.rfc-editor.org/rfc/rfc5321#section-4.4
func receivedFor(value string) string {
	value, _, _ = strings.Cut(value, ";")
	words := strings.Fields(value)
	i := slices.IndexFunc(words, func(w string) bool { return strings.EqualFold(w, "for") })
	if i < 0 || i+1 == len(words) || !strings.Contains(words[i+1], "@") {
		return ""
	}
	return words[i+1]
}

// messageIDs reads every field called name as a list of message ids. Text
// without any <id> is read as bare ids.
//
// https://www.rfc-editor.org/rfc/rfc5322#section-3.6.4
func messageIDs(h header, name string) []string {
	var ids []string
	for _, value := range h.all(name) {
		found := bracketedIDs(value)
		if len(found) == 0 {
			found = bareIDs(value)
		}
		ids = append(ids, found...)
		if len(ids) >= maxIDs {
			return ids[:maxIDs]
		}
	}
	return ids
}

func bracketedIDs(s string) []string {
	var ids []string
	for len(ids) < maxIDs {
		_, rest, ok := strings.Cut(s, "<")
		if !ok {
			break
		}
		id, after, ok := strings.Cut(rest, ">")
		if !ok {
			id, after = rest, ""
		}
		if i := strings.LastIndexByte(id, '<'); i >= 0 {
			id = id[i+1:]
		}
		if id, ok := cleanID(id); ok {
			ids = append(ids, id)
		}
		s = after
	}
	return ids
}

func bareIDs(s string) []string {
	if words := strings.Fields(s); len(words) == 1 && len(s) <= maxID && !strings.Contains(s, ",") {
		if id := strings.Trim(s, "\"'<> \t"); id != "" {
			return []string{id}
		}
		return nil
	}
	var ids []string
	for item := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
		item = strings.Trim(item, "\"'>")
		if id, ok := cleanID(item); ok && strings.Contains(id, "@") && len(ids) < maxIDs {
			ids = append(ids, id)
		}
	}
	return ids
}

// cleanID removes the white space that folding left inside an id.
func cleanID(id string) (string, bool) {
	id = strings.Join(strings.Fields(id), "")
	return id, id != "" && len(id) <= maxID
}

// cutRunes shortens s to n runes.
func cutRunes(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n])
}

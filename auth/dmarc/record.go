package dmarc

import "strings"

// Policies that a domain can ask for.
const (
	PolicyNone       = "none"
	PolicyQuarantine = "quarantine"
	PolicyReject     = "reject"
)

// maxRecord bounds a policy record, in octets; a longer one is no record.
const maxRecord = 8 << 10

// Record is a policy record. Tags that are absent or that have no valid value
// stand at their defaults.
//
// https://www.rfc-editor.org/rfc/rfc9989#section-4.7
type Record struct {
	Policy             string // p: one of the policies; default none
	Subdomains         string // sp; "" when absent
	Absent             string // np, for subdomains that do not exist; "" when absent
	PSD                byte   // psd: 'y', 'n' or 'u'; default 'u'
	Testing            bool   // t=y
	StrictDKIM         bool   // adkim=s
	StrictSPF          bool   // aspf=s
	AggregateReporting bool   // rua has at least one URI
	// Broken tells that p, sp or np is there without a valid value.
	Broken bool
}

// ParseRecord reads the text of a policy record. It is not ok when the text is
// none: when it does not begin with v=DMARC1. Unknown tags are ignored; a tag
// that is there twice has no valid value. Names and key words are read in any
// case, as their grammar has it.
//
// https://www.rfc-editor.org/rfc/rfc9989#section-4.8
func ParseRecord(text string) (r Record, ok bool) {
	if len(text) > maxRecord {
		return Record{}, false
	}
	first, rest, _ := strings.Cut(text, ";")
	name, version, _ := strings.Cut(first, "=")
	if !strings.EqualFold(trim(name), "v") || trim(version) != "DMARC1" {
		return Record{}, false
	}
	r = Record{Policy: PolicyNone, PSD: 'u'}
	var tags tags
	tags.read(rest)
	for i, field := range [...]*string{tagP: &r.Policy, tagSP: &r.Subdomains, tagNP: &r.Absent} {
		switch t := tags[i]; t.value {
		case PolicyNone, PolicyQuarantine, PolicyReject:
			*field = t.value
		default:
			r.Broken = r.Broken || t.present
		}
	}
	if psd := tags[tagPSD].value; psd == "y" || psd == "n" {
		r.PSD = psd[0]
	}
	r.Testing = tags[tagT].value == "y"
	r.StrictDKIM = tags[tagADKIM].value == "s"
	r.StrictSPF = tags[tagASPF].value == "s"
	r.AggregateReporting = hasURI(tags[tagRUA].value)
	return r, true
}

// The tags that count here, and their names.
const (
	tagP = iota
	tagSP
	tagNP
	tagPSD
	tagT
	tagADKIM
	tagASPF
	tagRUA
)

var tagNames = [...]string{tagP: "p", tagSP: "sp", tagNP: "np", tagPSD: "psd", tagT: "t", tagADKIM: "adkim", tagASPF: "aspf", tagRUA: "rua"}

// tags are those of a record.
type tags [len(tagNames)]struct {
	value   string // in lower case; "" when the tag is there twice
	present bool
}

// read takes the tags of a list.
func (t *tags) read(list string) {
	for tag := range strings.SplitSeq(list, ";") {
		name, value, found := strings.Cut(tag, "=")
		if !found {
			continue
		}
		name = strings.ToLower(trim(name))
		for i := range t {
			switch {
			case name != tagNames[i]:
			case t[i].present:
				t[i].value = ""
			default:
				t[i].value, t[i].present = strings.ToLower(trim(value)), true
			}
		}
	}
}

func trim(s string) string { return strings.Trim(s, " \t\r\n") }

// hasURI tells whether a list of report addresses holds something of a scheme.
func hasURI(list string) bool {
	for item := range strings.SplitSeq(list, ",") {
		scheme, rest, found := strings.Cut(trim(item), ":")
		if found && isScheme(scheme) && strings.Trim(rest, "/") != "" && !strings.ContainsAny(rest, " \t\r\n") {
			return true
		}
	}
	return false
}

// https://www.rfc-editor.org/rfc/rfc3986#section-3.1
func isScheme(s string) bool {
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789+-.") == "" && s != "" && 'a' <= s[0] && s[0] <= 'z'
}

// usable returns the record as it is to be applied: a broken one asks for
// nothing when it names somebody to report to, else it is not to be used.
//
// https://www.rfc-editor.org/rfc/rfc9989#section-4.10.1
func (r Record) usable() (Record, bool) {
	if !r.Broken {
		return r, true
	}
	r.Policy, r.Subdomains, r.Absent = PolicyNone, "", ""
	return r, r.AggregateReporting
}

// milder is the policy one level below, which is what a domain expects that
// only tests its policy.
func milder(policy string) string {
	if policy == PolicyReject {
		return PolicyQuarantine
	}
	return PolicyNone
}

package dmarc

import (
	"context"
	"errors"
	"strings"

	"github.com/mxdesk/mxdesk/auth/dns"
)

// maxLabels is the number of labels of the second name that a tree walk asks,
// so that it asks at most eight.
//
// https://www.rfc-editor.org/rfc/rfc9989#section-4.10
const maxLabels = 7

// found is a policy record and the domain that published it.
type found struct {
	domain string
	record Record
}

// answer is what came of a query for the record of a domain.
type answer struct {
	domain string
	record Record
	ok     bool
	err    error // wraps dns.ErrTemporary
}

// walker looks records up and asks for each once.
type walker struct {
	resolver dns.Resolver
	answers  []answer
}

// query returns the one policy record of a domain. The error, if any, tells
// that it could not be known whether there is one.
func (w *walker) query(ctx context.Context, domain string) (Record, bool, error) {
	if w.answers == nil {
		w.answers = make([]answer, 0, maxLabels+1)
	}
	for _, a := range w.answers {
		if a.domain == domain {
			return a.record, a.ok, a.err
		}
	}
	a := answer{domain: domain}
	texts, _, err := w.resolver.TXT(ctx, "_dmarc."+domain)
	if errors.Is(err, dns.ErrTemporary) || ctx.Err() != nil {
		a.err = errors.Join(dns.ErrTemporary, err)
	} else {
		a.record, a.ok = only(texts)
	}
	w.answers = append(w.answers, a)
	return a.record, a.ok, a.err
}

// only returns the policy record among texts: several of them count as none.
func only(texts []string) (record Record, ok bool) {
	for _, text := range texts {
		r, isRecord := ParseRecord(text)
		if isRecord && ok {
			return Record{}, false
		}
		if isRecord {
			record, ok = r, true
		}
	}
	return record, ok
}

// walk returns the records from a domain upwards, the longest name first. It
// ends at one that tells where the public suffix is. The records found before
// an error are returned with it.
//
// https://www.rfc-editor.org/rfc/rfc9989#section-4.10
func (w *walker) walk(ctx context.Context, domain string) ([]found, error) {
	var records []found
	for target := domain; target != ""; target = parent(target) {
		r, ok, err := w.query(ctx, target)
		if err != nil {
			return records, err
		}
		if ok {
			records = append(records, found{target, r})
			if r.PSD != 'u' {
				break
			}
		}
	}
	return records, nil
}

// parent returns the name to ask after domain, "" after the last.
func parent(domain string) string {
	_, rest, _ := strings.Cut(domain, ".")
	for strings.Count(rest, ".") >= maxLabels {
		_, rest, _ = strings.Cut(rest, ".")
	}
	return rest
}

// organization picks the organizational domain out of the records of a walk
// that started at domain.
//
// https://www.rfc-editor.org/rfc/rfc9989#section-4.10.2
func organization(domain string, records []found) string {
	for _, f := range records {
		switch {
		case f.record.PSD == 'n':
			return f.domain
		case f.record.PSD == 'y' && f.domain != domain:
			return oneBelow(domain, f.domain)
		}
	}
	if len(records) == 0 {
		return domain
	}
	return records[len(records)-1].domain
}

// oneBelow returns the ancestor of domain, or domain itself, that has one label
// more than suffix.
func oneBelow(domain, suffix string) string {
	rest := strings.TrimSuffix(domain, "."+suffix)
	return rest[strings.LastIndexByte(rest, '.')+1:] + "." + suffix
}

// applicable picks the record to apply to mail of domain: its own, that of its
// organizational domain, or that of the public suffix.
//
// https://www.rfc-editor.org/rfc/rfc9989#section-4.10.1
func applicable(domain, organization string, records []found) (found, bool) {
	for _, candidate := range []string{domain, organization} {
		for _, f := range records {
			if f.domain == candidate {
				return f, true
			}
		}
	}
	if n := len(records); n > 0 && records[n-1].record.PSD == 'y' {
		return records[n-1], true
	}
	return found{}, false
}

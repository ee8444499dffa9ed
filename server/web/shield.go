package web

import (
	"fmt"
	"strings"

	"github.com/mxdesk/mxdesk/ticketing"
)

// shield tells whether a mail is from whom it says, in plain words first.
type shield struct {
	look
	Says  string
	Lines []check
}

// check is the outcome of one mechanism.
type check struct {
	Name      string
	Result    string
	Says      string
	Technical string
}

// shieldOf is nil for what did not come by mail.
func shieldOf(c *ticketing.Comment) *shield {
	if c.Auth == nil {
		return nil
	}
	return shieldFor(c.Auth, c.Verified)
}

func shieldFor(v *ticketing.Verdict, verified bool) *shield {
	s := &shield{look: look{"attention", "shield-open", "Unverified"}, Says: doubt(v), Lines: checks(v)}
	if verified {
		s.look, s.Says = look{"ok", "shield", "Verified"}, trust(v)
	}
	return s
}

func domainOr(domain, other string) string {
	if domain == "" {
		return other
	}
	return domain
}

func trust(v *ticketing.Verdict) string {
	from := domainOr(v.DMARC.Domain, "The sender’s domain")
	if v.Verdict.Reason == ticketing.ReasonTrustedARC && len(v.ARC.Sealers) > 0 {
		return fmt.Sprintf("A forwarder we trust, %s, saw that %s vouches for this mail.", v.ARC.Sealers[len(v.ARC.Sealers)-1], from)
	}
	return from + " vouches for this mail."
}

// doubt says why a mail is unverified.
func doubt(v *ticketing.Verdict) string {
	const may = "This mail may not come from who it says. "
	from := domainOr(v.DMARC.Domain, "The sender’s domain")
	switch v.DMARC.Result {
	case "fail":
		return may + from + " does not vouch for it."
	case "temperror":
		return may + "A name server did not answer, so it could not be checked."
	case "permerror":
		return may + from + " has published rules that cannot be read."
	}
	switch v.Verdict.Reason {
	case ticketing.ReasonListed:
		return "Block lists speak against where this mail comes from."
	case ticketing.ReasonManyFrom:
		return may + "It does not name one sender."
	}
	if v.DMARC.Result == "" {
		return may + "It could not be checked."
	}
	return may + from + " publishes no rules to check it by."
}

func checks(v *ticketing.Verdict) []check {
	lines := []check{spfCheck(v.SPF)}
	for _, d := range v.DKIM {
		lines = append(lines, dkimCheck(d))
	}
	if len(v.DKIM) == 0 {
		lines = append(lines, check{Name: "DKIM", Result: "none", Says: "The mail is not signed."})
	}
	lines = append(lines, dmarcCheck(v.DMARC), arcCheck(v.ARC))
	if v.IPRev.Result != "" {
		lines = append(lines, hostCheck(v))
	}
	if len(v.Lists.Hits) > 0 {
		lines = append(lines, listsCheck(v.Lists))
	}
	return lines
}

// fields writes the technical line of a mechanism, leaving out what is empty.
func fields(pairs ...string) string {
	var out []string
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			out = append(out, pairs[i]+"="+pairs[i+1])
		}
	}
	return strings.Join(out, " ")
}

func result(s string) string { return domainOr(s, "none") }

func spfCheck(r ticketing.SPFResult) check {
	c := check{Name: "SPF", Result: result(r.Result), Technical: fields("domain", r.Domain, "scope", r.Scope, "mechanism", r.Mechanism)}
	domain := domainOr(r.Domain, "The sending domain")
	switch c.Result {
	case "pass":
		c.Says = domain + " lists the server that sent this."
	case "fail":
		c.Says = domain + " says that this server does not send for it."
	case "softfail":
		c.Says = domain + " says that this server probably does not send for it."
	case "neutral":
		c.Says = domain + " does not say whether this server sends for it."
	case "temperror":
		c.Says = "A name server did not answer."
	case "permerror":
		c.Says = domain + " has published a list that cannot be read."
	default:
		c.Says = domain + " publishes no list of its servers."
	}
	return c
}

func dkimCheck(r ticketing.DKIMResult) check {
	c := check{Name: "DKIM", Result: result(r.Result), Technical: fields("domain", r.Domain, "selector", r.Selector, "algorithm", r.Algorithm, "reason", r.Reason)}
	if r.KeyBits > 0 {
		c.Technical += fmt.Sprintf(" bits=%d", r.KeyBits)
	}
	domain := domainOr(r.Domain, "an unknown domain")
	switch c.Result {
	case "pass":
		c.Says = "Signed by " + domain + ", and unchanged since."
	case "temperror":
		c.Says = "The key of " + domain + " could not be fetched."
	case "none":
		c.Says = "The mail is not signed."
	default:
		c.Says = "The signature of " + domain + " does not hold."
	}
	return c
}

func dmarcCheck(r ticketing.DMARCResult) check {
	var aligned []string
	if r.AlignedSPF {
		aligned = append(aligned, "spf")
	}
	if r.AlignedDKIM {
		aligned = append(aligned, "dkim")
	}
	c := check{
		Name: "DMARC", Result: result(r.Result),
		Technical: fields("domain", r.Domain, "policy", r.Policy, "disposition", r.Disposition, "override", r.Override, "aligned", strings.Join(aligned, ",")),
	}
	domain := domainOr(r.Domain, "The sender’s domain")
	switch c.Result {
	case "pass":
		c.Says = "What was checked belongs to " + domain + "."
	case "fail":
		c.Says = "Nothing that was checked belongs to " + domain + "."
	case "temperror":
		c.Says = "A name server did not answer."
	case "permerror":
		c.Says = domain + " has published rules that cannot be read."
	default:
		c.Says = domain + " publishes no rules."
	}
	return c
}

// hostCheck is about the host that brought the mail.
func hostCheck(v *ticketing.Verdict) check {
	c := check{Name: "Host", Result: v.IPRev.Result, Technical: fields("iprev", v.IPRev.Result, "name", v.IPRev.Name, "helo", v.Helo.Result)}
	switch c.Result {
	case "pass":
		c.Says = "The address of the server that sent this belongs to " + v.IPRev.Name + "."
	case "temperror":
		c.Says = "A name server did not answer."
	default:
		c.Says = "The address of the server that sent this has no name of its own."
	}
	if v.Helo.Result == "own" {
		c.Says = "The server that sent this claimed to be this one."
	}
	return c
}

// listsCheck is what block and allow lists say.
func listsCheck(r ticketing.ListsResult) check {
	c := check{Name: "Lists", Result: "listed", Says: "Block lists speak against where it comes from."}
	if r.Score <= 0 {
		c.Result, c.Says = "known", "Allow lists speak for where it comes from."
	}
	var hits []string
	for _, h := range r.Hits {
		hits = append(hits, fmt.Sprintf("%s=%s(%d)", h.Zone, h.Answer, h.Weight))
	}
	c.Technical = fmt.Sprintf("score=%d ", r.Score) + strings.Join(hits, " ")
	return c
}

func arcCheck(r ticketing.ARCResult) check {
	c := check{Name: "ARC", Result: result(r.Result), Technical: fields("sealers", strings.Join(r.Sealers, ","), "reason", r.Reason)}
	switch c.Result {
	case "pass":
		c.Says = "Its way through forwarders is sealed."
	case "fail":
		c.Says = "The seals of its forwarders do not hold."
	default:
		c.Says = "No forwarder sealed it."
	}
	return c
}

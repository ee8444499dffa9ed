package ticketing

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// Policy says how strictly mail is treated that authentication speaks against.
// A project has one, else the domain of the recipient, else the server.
type Policy string

// The policies, from harsh to mild.
const (
	PolicyInherit  Policy = ""         // no word of its own
	PolicyEnforce  Policy = "enforce"  // refuse and hold as the verdict says
	PolicyHold     Policy = "hold"     // hold what would be refused
	PolicyAnnotate Policy = "annotate" // take all of it, and show what speaks against it
)

var policies = []Policy{PolicyInherit, PolicyEnforce, PolicyHold, PolicyAnnotate}

// ParsePolicy reads a policy; "inherit" is none of its own. Anything else is a
// KindInvalid.
func ParsePolicy(s string) (Policy, error) {
	p := Policy(strings.ToLower(strings.TrimSpace(s)))
	if p == "inherit" {
		p = PolicyInherit
	}
	if !slices.Contains(policies, p) {
		return "", errorf(KindInvalid, "bad-policy", "%q is no policy: write enforce, hold, annotate or inherit", s)
	}
	return p, nil
}

// String is the policy as people write it.
func (p Policy) String() string { return cmp.Or(string(p), "inherit") }

// apply returns what becomes of a decision under the policy. That we could not
// judge a mail is not for a policy to pass over.
func (p Policy) apply(d Decision) Decision {
	switch {
	case d.Reason == ReasonVerifierFailed:
	case p == PolicyAnnotate:
		d.Action = ActionAccept
	case p == PolicyHold && d.Action == ActionReject:
		d.Action = ActionHold
	}
	return d
}

func milder(a, b Policy) Policy {
	if slices.Index(policies, b) > slices.Index(policies, a) {
		return b
	}
	return a
}

// Under returns the verdict as a policy has it; the same one where the policy
// changes nothing.
func (v *Verdict) Under(p Policy) *Verdict {
	d := p.apply(v.Verdict)
	if d == v.Verdict {
		return v
	}
	w := *v
	w.Verdict = d
	if w.DMARC.Result == "fail" {
		w.DMARC.Disposition, w.DMARC.Override = d.Action.Disposition(), OverrideLocalPolicy
	}
	return &w
}

// Mildest returns the mildest policy of those of the recipients' projects: one
// reply answers for all of them.
func (d *Desk) Mildest(ctx context.Context, rs []Recipient) (Policy, error) {
	return view(ctx, d, func(r store.Reader) (Policy, error) {
		mild := PolicyInherit
		for _, group := range groupByProject(rs) {
			p, err := find[Project](r, projectKey(group[0].Route.Project))
			if err != nil || p == nil {
				return mild, err
			}
			policy, err := d.policy(r, p, group)
			if err != nil {
				return mild, err
			}
			mild = milder(mild, policy)
		}
		return mild, nil
	})
}

// policy is the one that holds for a project's recipients: the project's own,
// else the mildest of their domains, else the server's.
func (d *Desk) policy(r store.Reader, p *Project, group []Recipient) (Policy, error) {
	if p.Policy != PolicyInherit {
		return p.Policy, nil
	}
	mild := PolicyInherit
	for _, rcpt := range group {
		served, err := find[Domain](r, domainKey(domainOf(rcpt.Address)))
		if err != nil {
			return mild, err
		}
		if served != nil {
			mild = milder(mild, served.Policy)
		}
	}
	return cmp.Or(mild, d.defaultPolicy), nil
}

// SetProjectPolicy sets how strict a project is.
func (d *Desk) SetProjectPolicy(ctx context.Context, project string, policy Policy) error {
	return d.update(ctx, func(tx store.Tx) error {
		p, err := projectByName(tx, project)
		if err != nil {
			return err
		}
		p.Policy = policy
		return save(tx, projectKey(p.ID), p)
	})
}

// SetDomainPolicy sets how strict the projects without a policy of their own
// are with mail to a served domain.
func (d *Desk) SetDomainPolicy(ctx context.Context, domain string, policy Policy) error {
	name, err := parseDomain(domain)
	if err != nil {
		return err
	}
	return d.update(ctx, func(tx store.Tx) error {
		served, err := mustFind[Domain](tx, domainKey(name), "domain", name)
		if err != nil {
			return err
		}
		served.Policy = policy
		return save(tx, domainKey(name), served)
	})
}

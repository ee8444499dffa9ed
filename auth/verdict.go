package auth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"strings"

	"github.com/mxdesk/mxdesk/auth/arc"
	"github.com/mxdesk/mxdesk/auth/dkim"
	"github.com/mxdesk/mxdesk/auth/dmarc"
	"github.com/mxdesk/mxdesk/auth/message"
	"github.com/mxdesk/mxdesk/auth/spf"
	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/store"
)

// verdict puts the results of the mechanisms together and decides.
func (c *check) verdict() *ticketing.Verdict {
	v := &ticketing.Verdict{
		SPF: ticketing.SPFResult{
			Result: c.spf.Result, Domain: c.spf.Domain, Scope: c.spf.Scope,
			Explanation: c.spf.Explanation, Mechanism: c.spf.Mechanism,
		},
		DKIM: make([]ticketing.DKIMResult, len(c.dkim)),
		DMARC: ticketing.DMARCResult{
			Result: c.dmarc.Result, Domain: c.dmarc.Domain, Policy: c.dmarc.Policy, Disposition: c.dmarc.Disposition,
			AlignedSPF: c.dmarc.AlignedSPF, AlignedDKIM: c.dmarc.AlignedDKIM,
		},
		ARC:                   ticketing.ARCResult{Result: c.arc.Result, Sealers: c.arc.Sealers, Reason: c.arc.Reason},
		IPRev:                 c.iprev,
		Helo:                  c.helo,
		Lists:                 c.lists,
		AuthenticationResults: c.format(),
	}
	for i, r := range c.dkim {
		v.DKIM[i] = ticketing.DKIMResult{
			Result: r.Result, Domain: r.Domain, Selector: r.Selector, Algorithm: r.Algorithm, KeyBits: r.KeyBits, Reason: r.Reason,
		}
	}
	if v.ARC.Sealers == nil {
		v.ARC.Sealers = []string{}
	}
	if c.author.single {
		v.FromDomain = c.author.domain
	}
	v.Verdict = c.decide()
	c.override(v)
	return v
}

// override tells why what is done is not what the policy asks for.
func (c *check) override(v *ticketing.Verdict) {
	done := v.Verdict.Action.Disposition()
	if c.dmarc.Result != dmarc.Fail || done == v.DMARC.Disposition || v.DMARC.Disposition == dmarc.PolicyNone {
		return
	}
	v.DMARC.Disposition, v.DMARC.Override = done, ticketing.OverrideLocalPolicy
	if c.vouched {
		v.DMARC.Override = ticketing.OverrideTrustedForwarder
	}
}

// decide says what is to be done with the mail. A trusted upstream would bounce
// what we refuse, so that its mail is held instead.
func (c *check) decide() ticketing.Decision {
	d := c.policy()
	if d.Action == ticketing.ActionReject && c.env.TrustedUpstream {
		d.Action = ticketing.ActionHold
	}
	accepted := d.Reason == ticketing.ReasonNone || d.Reason == ticketing.ReasonDMARCPass || d.Reason == ticketing.ReasonTrustedARC
	if accepted && c.message != nil && !c.author.single {
		d.Reason = ticketing.ReasonManyFrom
	}
	return d
}

// policy is the decision by the results alone.
func (c *check) policy() ticketing.Decision {
	accept := func(reason string) ticketing.Decision {
		return ticketing.Decision{Action: ticketing.ActionAccept, Reason: reason}
	}
	switch {
	case c.listed():
		return ticketing.Decision{Action: ticketing.ActionReject, Reason: ticketing.ReasonListed}
	case c.dmarc.Result == dmarc.Pass:
		return accept(ticketing.ReasonDMARCPass)
	case c.vouched:
		return accept(ticketing.ReasonTrustedARC)
	case c.dmarc.Disposition == dmarc.PolicyReject:
		return c.refusal()
	case c.author.impossible:
		return ticketing.Decision{Action: ticketing.ActionHold, Reason: ticketing.ReasonImpossibleFrom}
	case c.dmarc.Disposition == dmarc.PolicyQuarantine:
		return ticketing.Decision{Action: ticketing.ActionHold, Reason: ticketing.ReasonDMARCQuarantine}
	case (c.dmarc.Result == dmarc.TempError || c.unsure()) && c.ourFault():
		return ticketing.Decision{Action: ticketing.ActionTempfail, Reason: ticketing.ReasonVerifierFailed}
	case c.dmarc.Result == dmarc.TempError && c.defers():
		return ticketing.Decision{Action: ticketing.ActionTempfail, Reason: ticketing.ReasonTempError}
	case c.dmarc.Result == dmarc.TempError:
		return accept(ticketing.ReasonTempError)
	case c.dmarc.Result == dmarc.PermError:
		return accept(ticketing.ReasonDMARCPermError)
	case c.unsure():
		return accept(ticketing.ReasonTempError)
	}
	return accept(ticketing.ReasonNone)
}

// defers tells whether a mail that cannot be checked now is to come again. Where
// the policy is known, what is missing are answers about names that the sender
// chose, perhaps since they never come: that does not get it past a policy of
// reject.
func (c *check) defers() bool {
	switch {
	case c.dmarc.Policy == dmarc.PolicyReject && !c.dmarc.Record.Testing:
		return true
	case c.dmarc.Policy == dmarc.PolicyReject || c.dmarc.Policy == dmarc.PolicyQuarantine:
		return c.options.OnTemperror == TemperrorPolicy || c.options.OnTemperror == TemperrorDefer
	}
	return c.options.OnTemperror == TemperrorDefer
}

// ourFault tells that an answer is missing for want of our own: a mail whose
// sender brings that about must not be taken for it.
func (c *check) ourFault() bool { return c.broken.Load() || c.resolver.missed.Load() != c.missed }

// refusal is what follows from a policy of reject. A trusted sealer may vouch
// for the mail when its key can be had again, so the client is to come again.
func (c *check) refusal() ticketing.Decision {
	if n := len(c.arc.Sealers); c.arc.Result == arc.TempError && !c.arc.Partial && (n == 0 || c.trusts(c.arc.Sealers[n-1])) {
		return ticketing.Decision{Action: ticketing.ActionTempfail, Reason: ticketing.ReasonTempError}
	}
	return ticketing.Decision{Action: ticketing.ActionReject, Reason: ticketing.ReasonDMARCReject}
}

// unsure tells that a mechanism had no answer and that no other one vouches for
// the mail.
func (c *check) unsure() bool {
	if c.dmarc.AlignedSPF || c.dmarc.AlignedDKIM {
		return false
	}
	for _, r := range c.dkim {
		if r.Result == dkim.TempError {
			return true
		}
	}
	return c.spf.Result == spf.TempError
}

// unreadable is the verdict on a mail that could not be read: one whose header
// is beyond all bounds is for people to look at, all else is our own failure.
func (c *check) unreadable(err error) *ticketing.Verdict {
	c.options.Log.Error("message not readable", "id", c.env.ID, "error", err)
	v := c.verdict()
	v.Verdict = ticketing.Decision{Action: ticketing.ActionTempfail, Reason: ticketing.ReasonVerifierFailed}
	if errors.Is(err, message.ErrTooLarge) {
		v.Verdict.Action = ticketing.ActionHold
	}
	c.count(v)
	return v
}

// HashBody hashes the body of a raw mail in DKIM's relaxed form, which stays
// the same whatever relays do to white space and line ends. A mail whose header
// is beyond all bounds has no body: all of it is hashed.
func HashBody(raw io.ReaderAt, size int64) (h store.Hash, err error) {
	m, err := message.Read(raw, size, message.Limits{})
	if errors.Is(err, message.ErrTooLarge) {
		sum := sha256.New()
		_, err = io.Copy(sum, io.NewSectionReader(raw, 0, size))
		return store.Hash(sum.Sum(nil)), err
	}
	if err != nil {
		return h, err
	}
	return m.RelaxedBodyHash()
}

// trusts tells whether the seals of a domain count.
func (v *Verifier) trusts(sealer string) bool {
	for _, s := range v.sealers {
		if sealer == s || strings.HasSuffix(sealer, "."+s) {
			return true
		}
	}
	return false
}

// sealerVouches tells whether the newest sealer of a sound chain is trusted and
// saw the mail of this From domain pass.
//
// https://www.rfc-editor.org/rfc/rfc8617#section-7.2.1
func (c *check) sealerVouches(ctx context.Context) bool {
	n := len(c.arc.Sealers)
	if c.arc.Result != arc.Pass || c.arc.Partial || n == 0 || len(c.arc.AAR) != n || !c.trusts(c.arc.Sealers[n-1]) {
		return false
	}
	passed, saw := false, dmarc.Input{From: c.author.domain}
	for _, m := range parseResults(c.arc.AAR[n-1]) {
		ofFrom := m.method == "dmarc" && addressDomain(m.properties["header.from"]) == c.author.domain
		// A sender may have got a result of its own into a comment of the sealer's,
		// beside the one that the sealer found.
		if ofFrom && m.result == dmarc.Fail {
			return false
		}
		if m.result != dmarc.Pass {
			continue
		}
		id := dmarc.Identifier{Result: dmarc.Pass}
		switch m.method {
		case "dmarc":
			passed = passed || ofFrom
		case "spf":
			if id.Domain = addressDomain(m.properties["smtp.mailfrom"]); id.Domain != "" {
				saw.SPF = id
			}
		case "dkim":
			id.Domain = cmp.Or(addressDomain(m.properties["header.d"]), addressDomain(m.properties["header.i"]))
			saw.DKIM = append(saw.DKIM, id)
		}
	}
	if passed {
		return true
	}
	then := dmarc.Evaluate(ctx, c.resolver, saw)
	return then.AlignedSPF || then.AlignedDKIM
}

package ticketing

// Verdict is what the authentication of a mail came to: the results of each
// mechanism, in the words of RFC 8601, and what follows from them.
type Verdict struct {
	SPF     SPFResult    `json:"spf"`
	DKIM    []DKIMResult `json:"dkim"`
	DMARC   DMARCResult  `json:"dmarc"`
	ARC     ARCResult    `json:"arc"`
	IPRev   IPRevResult  `json:"iprev,omitzero"`
	Helo    HeloResult   `json:"helo,omitzero"`
	Lists   ListsResult  `json:"lists,omitzero"`
	Verdict Decision     `json:"verdict"`
	// AuthenticationResults is the value of the Authentication-Results field
	// (RFC 8601), unfolded.
	AuthenticationResults string `json:"authentication_results"`
	// FromDomain is the domain of the one From address, "" when there is none
	// or more than one.
	FromDomain string `json:"-"`
}

// SPFResult is the outcome of RFC 7208 for one transaction.
type SPFResult struct {
	Result      string `json:"result"`
	Domain      string `json:"domain"`
	Scope       string `json:"scope"` // mfrom or helo
	Explanation string `json:"explanation"`
	Mechanism   string `json:"mechanism"`
}

// DKIMResult is the outcome of RFC 6376 for one signature.
type DKIMResult struct {
	Result    string `json:"result"`
	Domain    string `json:"domain"`
	Selector  string `json:"selector"`
	Algorithm string `json:"algorithm"`
	KeyBits   int    `json:"key_bits"`
	Reason    string `json:"reason"`
}

// DMARCResult is the outcome of RFC 9989.
type DMARCResult struct {
	Result      string `json:"result"`      // none, pass, fail, temperror, permerror
	Domain      string `json:"domain"`      // the From domain
	Policy      string `json:"policy"`      // what the domain asks for: none, quarantine, reject; "" without a record
	Disposition string `json:"disposition"` // what is done: none, quarantine, reject
	AlignedSPF  bool   `json:"aligned_spf"`
	AlignedDKIM bool   `json:"aligned_dkim"`
	// Override says why the disposition is not what the policy asks for, in the
	// words of aggregate reports: trusted_forwarder or local_policy; else "".
	Override string `json:"override,omitempty"`
}

// Reasons of a DMARCResult's Override.
//
// https://www.rfc-editor.org/rfc/rfc9990
const (
	OverrideTrustedForwarder = "trusted_forwarder"
	OverrideLocalPolicy      = "local_policy"
)

// ARCResult is the outcome of RFC 8617.
type ARCResult struct {
	Result  string   `json:"result"`
	Sealers []string `json:"sealers"` // oldest first
	Reason  string   `json:"reason"`
}

// IPRevResult tells whether the client's address has a name that leads back to
// it (RFC 8601 section 3).
type IPRevResult struct {
	Result string `json:"result"`         // none, pass, fail, temperror, permerror
	Name   string `json:"name,omitempty"` // the name, when it passed
}

// HeloResult tells what the name is worth that the client gave: pass, mismatch,
// unresolvable, invalid, own, temperror, or none when there was nothing to check.
type HeloResult struct {
	Result string `json:"result"`
}

// ListsResult is what block and allow lists say (RFC 5782).
type ListsResult struct {
	Score  int       `json:"score"` // the sum of the weights of all hits
	Hits   []ListHit `json:"hits,omitempty"`
	Failed []string  `json:"failed,omitempty"` // zones of lists that could not be asked
}

// ListHit is one entry found on a list.
type ListHit struct {
	Zone   string `json:"zone"`
	Listed string `json:"listed"` // the address or domain
	Answer string `json:"answer"` // the address that stands for the kind of entry
	Weight int    `json:"weight"`
	Refuse bool   `json:"refuse,omitempty"` // one hit here is enough to refuse a mail
	Text   string `json:"text,omitempty"`   // what the list says about the entry
}

// Action says what is to be done with a mail.
type Action string

// The actions, from mild to harsh.
const (
	ActionAccept   Action = "accept"
	ActionHold     Action = "hold"
	ActionTempfail Action = "tempfail"
	ActionReject   Action = "reject"
)

// Disposition is DMARC's word for the action. To ask the client to come again
// is none of its words.
func (a Action) Disposition() string {
	switch a {
	case ActionHold:
		return "quarantine"
	case ActionReject:
		return "reject"
	}
	return "none"
}

// Decision is an action with one machine-readable reason.
type Decision struct {
	Action Action `json:"action"`
	Reason string `json:"reason"`
}

// Aligned tells whether the From domain vouches for the mail: an SPF or DKIM
// identifier that passed is aligned with it, or a trusted sealer saw so.
func (v *Verdict) Aligned() bool {
	return v.FromDomain != "" &&
		(v.DMARC.AlignedSPF || v.DMARC.AlignedDKIM || v.Verdict.Reason == ReasonTrustedARC)
}

// Reasons of a Decision by authentication.
const (
	ReasonNone            = "none"              // nothing speaks against the mail
	ReasonDMARCPass       = "dmarc-pass"        // an identifier is aligned
	ReasonDMARCReject     = "dmarc-reject"      // the From domain asks to refuse it
	ReasonDMARCQuarantine = "dmarc-quarantine"  // the From domain asks to set it aside
	ReasonTrustedARC      = "arc-trusted"       // a trusted sealer vouches for it
	ReasonTempError       = "auth-temperror"    // a name server could not tell
	ReasonManyFrom        = "from-not-one"      // no or several From addresses
	ReasonImpossibleFrom  = "from-impossible"   // a From address that is shown has what no domain can be
	ReasonDMARCPermError  = "dmarc-permerror"   // the policy record is broken
	ReasonListed          = "listed"            // block lists speak against the client or its domains
	ReasonVerifierFailed  = "verifier-deadline" // we did not finish in time
)

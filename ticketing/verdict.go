package ticketing

// Verdict is what the authentication of a mail came to: the results of each
// mechanism, in the words of RFC 8601, and what follows from them.
type Verdict struct {
	SPF     SPFResult    `json:"spf"`
	DKIM    []DKIMResult `json:"dkim"`
	DMARC   DMARCResult  `json:"dmarc"`
	ARC     ARCResult    `json:"arc"`
	Verdict Decision     `json:"verdict"`
	// AuthenticationResults is the value of the Authentication-Results field
	// (RFC 8601), unfolded.
	AuthenticationResults string `json:"authentication_results"`
	// FromDomain is the domain of the one From address, "" when there is none
	// or more than one.
	FromDomain string `json:"-"`
	// BodyHash is the SHA-256 of the body in DKIM's relaxed form, part of a
	// message's identity.
	BodyHash [32]byte `json:"-"`
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
}

// ARCResult is the outcome of RFC 8617.
type ARCResult struct {
	Result  string   `json:"result"`
	Sealers []string `json:"sealers"` // oldest first
	Reason  string   `json:"reason"`
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
	ReasonDMARCPermError  = "dmarc-permerror"   // the policy record is broken
	ReasonVerifierFailed  = "verifier-deadline" // we did not finish in time
)

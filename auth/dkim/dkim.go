// Package dkim verifies and makes DKIM signatures (RFC 6376 with RFC 8301,
// RFC 8463 and RFC 8616). The reading of signature tags, the key lookup and
// the check of a hash against keys are exported for ARC, which shares them.
package dkim

import "errors"

// The results of a signature, in the words of RFC 8601. A message without
// signature has no results at all.
//
// https://www.rfc-editor.org/rfc/rfc8601#section-2.7.1
const (
	Pass      = "pass"
	Fail      = "fail"      // body or header changed, or not signed by that key
	Neutral   = "neutral"   // the signature field cannot be parsed
	Policy    = "policy"    // sound, but beyond what is accepted here
	TempError = "temperror" // asking later may give another result
	PermError = "permerror" // asking later gives the same result
)

// Error is the reason why a signature does not pass.
type Error struct {
	// Result is one of the results above except Pass.
	Result string
	// Reason is a few lower-case words; it quotes nothing from the message
	// but names of tags.
	Reason string
}

// Error returns the reason.
func (e *Error) Error() string { return e.Reason }

func syntax(reason string) error    { return &Error{Neutral, reason} }
func permanent(reason string) error { return &Error{PermError, reason} }

// explain returns result and reason of an error of this package.
func explain(err error) (result, reason string) {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Result, e.Reason
	}
	return TempError, err.Error()
}

package ticketing

import (
	"errors"
	"fmt"
)

// Kind sorts errors by whose fault they are. The edges map it: one table to
// SMTP codes, one to HTTP codes, one to exit codes.
type Kind int

// The kinds.
const (
	KindInternal    Kind = iota // a bug or an unknown failure: ours, try again later
	KindUnavailable             // store, disk, name server or time ran out: ours, try again later
	KindInvalid                 // the request makes no sense as it stands
	KindNotFound                // what it names does not exist
	KindConflict                // what it makes exists already
	KindDenied                  // policy refuses it
	KindTooLarge                // over a limit
)

// Error is an error that may be shown to whoever caused it. Reason is one
// machine-readable word for the journal, metrics and logs; Message is a short
// sentence that leaks nothing internal. The cause is for logs only.
type Error struct {
	Kind    Kind
	Reason  string
	Message string
	Cause   error
}

// Error returns the safe message, followed by the cause for logs.
func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Message + ": " + e.Cause.Error()
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Temporary tells whether trying the same again later can succeed.
func (e *Error) Temporary() bool { return e.Kind == KindInternal || e.Kind == KindUnavailable }

// errorf makes an Error without cause.
func errorf(k Kind, reason, format string, args ...any) error {
	return &Error{Kind: k, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// AsError returns the Error in err's chain; any other error becomes one of
// KindInternal whose message tells nothing.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Kind: KindInternal, Reason: "internal-error", Message: "internal error", Cause: err}
}

// KindOf returns the kind of an error.
func KindOf(err error) Kind { return AsError(err).Kind }

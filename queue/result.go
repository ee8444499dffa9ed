package queue

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
)

// scope says how far a failure reaches.
type scope int

const (
	// scopeCopy is the next hop's answer about this mail: nobody else is asked,
	// the connection stays good.
	scopeCopy scope = iota
	// scopeLost ended the connection when the next hop may have taken the mail:
	// nobody else is asked in this attempt.
	scopeLost
	// scopeHost concerns this host: the next one may do better.
	scopeHost
	// scopeDestination concerns every mail that goes the same way now.
	scopeDestination
)

// failure is why an attempt did not deliver. Failures of our own making have
// no code; the first digit of enhanced then tells whether they last.
type failure struct {
	scope    scope
	code     int    // reply code, 0 without a reply
	enhanced string // "" when a reply carried none
	text     string // one line, safe to show
	ours     bool   // ours to correct, whatever the code: never permanent
	again    bool   // we cut the attempt short: due again at once
}

// permanent tells that trying again is pointless.
func (f *failure) permanent() bool {
	if f.ours {
		return false
	}
	if f.code == 0 {
		return strings.HasPrefix(f.enhanced, "5.")
	}
	return f.code >= 500
}

// at returns the failure with another scope.
func (f *failure) at(s scope) *failure {
	c := *f
	c.scope = s
	return &c
}

// permanent makes a failure of one copy that will not go away.
func permanent(enhanced, text string) *failure {
	return &failure{enhanced: enhanced, text: oneLine(text)}
}

// temporary makes a failure that may be gone later.
func temporary(s scope, enhanced, text string) *failure {
	return &failure{scope: s, enhanced: enhanced, text: oneLine(text)}
}

// refused makes a failure of a negative reply. 421 says that the server is
// about to close the connection, whatever was asked.
//
// https://www.rfc-editor.org/rfc/rfc5321#section-3.8
func refused(step string, r reply) *failure {
	f := &failure{code: r.code, enhanced: r.enhanced, text: oneLine(step + ": " + r.text())}
	if r.code == 421 {
		f.scope = scopeHost
	}
	if r.positive() { // 250 where 354 was due
		f.code, f.enhanced, f.scope = 0, "4.5.0", scopeHost
		f.text = oneLine(step + ": unexpected reply: " + r.text())
	}
	return f
}

// broken makes a failure of a network error at a step.
func broken(step string, err error) *failure {
	enhanced := "4.4.2"
	if step == stepConnect {
		enhanced = "4.4.1"
	}
	if errors.Is(err, errReplySyntax) || errors.Is(err, errReplyTooLong) {
		enhanced = "4.5.0"
	}
	return temporary(scopeHost, enhanced, step+": "+reason(err))
}

// reason puts a network error into words that do not repeat addresses or
// leak anything local.
func reason(err error) string {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe):
		return "the server closed the connection"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer in time"
	}
	if n, ok := errors.AsType[net.Error](err); ok && n.Timeout() {
		return "no answer in time"
	}
	if no, ok := errors.AsType[syscall.Errno](err); ok {
		return no.Error()
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "the name of the host could not be looked up"
	}
	return err.Error()
}

// milder returns the failure that leaves more hope; a wins a draw. A mail is
// given up only when every host that was asked refused it for good.
func milder(a, b *failure) *failure {
	if a == nil || (b != nil && a.permanent() && !b.permanent()) {
		return b
	}
	return a
}

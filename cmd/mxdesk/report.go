package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// exitError is an error that ends the program with a code of its own.
type exitError struct {
	code   int
	reason string // the server's word for it, "" for that of the code
	err    error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func exitf(code int, format string, args ...any) error {
	return &exitError{code: code, err: fmt.Errorf(format, args...)}
}

// errSaid is the cause of an exit whose reason has been written already.
var errSaid = errors.New("said")

// report writes an error and returns the exit code that goes with it.
func report(e *Env, err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errSaid):
		return exitCode(err)
	}
	complain(e, err)
	return exitCode(err)
}

func exitCode(err error) int {
	if x, ok := errors.AsType[*exitError](err); ok {
		return x.code
	}
	return exitIO
}

// complaint is an error as scripts read it.
type complaint struct {
	Error  string `json:"error"`
	Reason string `json:"reason"`
	Exit   int    `json:"exit"`
}

// complain is the one place where errors are written: a line for people, and one
// JSON object with --json.
func complain(e *Env, err error) {
	text := clean(err.Error())
	if !e.Global.JSON {
		fmt.Fprintln(e.Stderr, "mxdesk:", text)
		return
	}
	c := complaint{Error: text, Exit: exitCode(err)}
	c.Reason = reasons[c.Exit]
	if x, ok := errors.AsType[*exitError](err); ok && x.reason != "" {
		c.Reason = x.reason
	}
	enc := json.NewEncoder(e.Stderr)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(c) // there is nobody to tell
}

// reasons are the words for errors that do not come with one.
var reasons = map[int]string{exitRefused: "refused", exitUsage: "usage", exitIO: "io", exitNoDesk: "no-server"}

// wantsJSON tells whether a command line that is not understood asked for JSON.
func wantsJSON(args []string) bool {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	return slices.ContainsFunc(args, func(a string) bool { return a == "--json" || strings.EqualFold(a, "--json=true") })
}

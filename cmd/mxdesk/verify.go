package main

import "errors"

// VerifyCmd checks the authentication of messages in files.
type VerifyCmd struct {
	Files []string `arg:"" optional:"" help:"Files, each one message as it came over the wire." placeholder:"FILE"`
}

// Run checks the files.
func (c VerifyCmd) Run(*Env) error { return errors.New("not implemented") }

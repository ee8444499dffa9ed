package main

// ReadyCmd asks whether mail is taken.
type ReadyCmd struct{}

// Run asks the running server. It is refused when no mail is taken.
func (ReadyCmd) Run(e *Env) error { return e.done("ready", struct{}{}) }

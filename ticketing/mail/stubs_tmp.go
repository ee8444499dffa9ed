package mail

func (p *part) name() {}

// Own tells which hosts and addresses are ours.
type Own struct {
	Hosts     []string
	Addresses func(string) bool
}

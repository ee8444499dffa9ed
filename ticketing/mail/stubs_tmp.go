package mail

import "github.com/mxdesk/mxdesk/ticketing"

func deliveries(p *parsed, text string) []ticketing.DeliveryReport { return nil }

func suppressReply(h header) bool { return false }

func classify(p *parsed, msg *ticketing.Message, own Own) ticketing.Machine {
	return ticketing.Machine{Class: ticketing.MachineNone}
}

// Own tells which hosts and addresses are ours.
type Own struct {
	Hosts     []string
	Addresses func(string) bool
}

package main

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/server/api"
)

// TestRealKeyRotation takes a domain from its first keys to the next ones, with
// Knot DNS loading what `dkim dns --zone` prints and another program verifying
// both signatures at every step.
func TestRealKeyRotation(t *testing.T) {
	bin := needs(t, "knotd", "python3")
	server, replace := nameServer(t, customerZone)
	d := newDesk(t, bin, fmt.Sprintf("dns.servers = [%q]\n", server))
	d.start()
	d.project("support", "support@desk.test")
	publish := func() { t.Helper(); replace(customerZone + "\n" + d.do("dkim", "dns", "desk.test", "--zone")) }
	d.expectKeys("rsa:active:missing ed:active:missing")
	publish()
	d.expectKeys("rsa:active:published ed:active:published")
	d.deliverTo(t, "support@desk.test", letter("ann@customer.test", "support@desk.test", "Hello", "keys.1@customer.test", "Hi."))
	first := d.outgoing(1)
	verifySignature(t, server, first)

	made := d.do("dkim", "rotate", "desk.test")
	stamp := d.keys()[2].Selector[len("rsa"):]
	if strings.Count(made, "\nrsa"+stamp+"._domainkey.desk.test.  TXT  v=DKIM1; k=rsa; p=") != 1 || strings.Count(made, "\ned"+stamp+"._domainkey.desk.test.  TXT  v=DKIM1; k=ed25519; p=") != 1 {
		t.Errorf("rotate prints:\n%s", made)
	}
	d.refuses(exitRefused, "is missing", "dkim", "rotate", "desk.test")
	d.refuses(exitRefused, "made already", "dkim", "rotate", "desk.test", "--rsa-bits", "4096")
	d.expectKeys("rsa:active:published ed:active:published rsa:next:missing ed:next:missing")
	publish()
	if got := d.do("dkim", "rotate", "desk.test"); !strings.Contains(got, "signs with rsa"+stamp+" and ed"+stamp) {
		t.Errorf("rotate prints %q", got)
	}
	d.expectKeys("rsa:retired:published ed:retired:published rsa:active:published ed:active:published")
	for i, restart := range []bool{false, true} {
		if restart {
			d.stop(syscall.SIGTERM)
			d.start()
		}
		d.do("ticket", "reply", "support#1", "--body", fmt.Sprintf("Answer %d.", i))
		next := d.outgoing(i + 2)
		verifySignature(t, server, next)
		rsa, ed := strings.Index(next, "s=rsa"+stamp+";"), strings.Index(next, "s=ed"+stamp+";")
		if rsa < 0 || ed < rsa {
			t.Errorf("signatures by others, or in another order:\n%s", next)
		}
	}
	verifySignature(t, server, first)

	d.do("dkim", "rotate", "desk.test", "--rsa-bits", "4096")
	publish()
	d.expectKeys("rsa:retired:published ed:retired:published rsa:active:published ed:active:published rsa:next:published ed:next:published")
	if k := d.keys()[4]; k.Bits != 4096 || len(k.Strings) != 3 {
		t.Errorf("%d bits in %d strings", k.Bits, len(k.Strings))
	}
	d.do("dkim", "rotate", "desk.test", "--abort")
	d.expectKeys("rsa:retired:published ed:retired:published rsa:active:published ed:active:published rsa:gone:published ed:gone:published")

	d.refuses(exitRefused, "dkim rotate desk.test", "dkim", "keygen", "desk.test")
	d.refuses(exitUsage, "3072", "dkim", "keygen", "new.test", "--rsa-bits", "1024")
	d.refuses(exitRefused, "dkim keygen other.test", "dkim", "rotate", "other.test")
	d.refuses(exitUsage, "not a domain", "dkim", "keygen", "../desk.test")
	d.refuses(exitUsage, "can't be used together", "dkim", "rotate", "desk.test", "--now", "--abort")
	if got := d.do("dkim", "keygen", "new.test", "--rsa-bits", "3072"); !strings.Contains(got, "._domainkey.new.test.  TXT  v=DKIM1; k=rsa; p=") {
		t.Errorf("keygen prints %q", got)
	}
	d.stop(syscall.SIGTERM)
	d.refuses(exitNoDesk, "no server is running", "dkim", "list")
}

func (d *desk) keys() []api.DKIMKey {
	d.t.Helper()
	return decode[api.DKIMKey](d, "dkim", "list", "desk.test", "--check")
}

// expectKeys compares algorithm, state and publication of the keys.
func (d *desk) expectKeys(want string) {
	d.t.Helper()
	var words []string
	for _, k := range d.keys() {
		words = append(words, fmt.Sprintf("%s:%s:%s", strings.TrimSuffix(k.Algorithm, "25519"), k.State, k.DNS))
	}
	if got := strings.Join(words, " "); got != want {
		d.t.Errorf("keys are %q, want %q", got, want)
	}
}

// refuses runs a command that is to fail.
func (d *desk) refuses(code int, why string, args ...string) {
	d.t.Helper()
	stdout, stderr, got := d.try(args...)
	if got != code || !strings.Contains(stderr, why) || stdout != "" {
		d.t.Errorf("%q: exit %d, want %d; %s%s", args, got, code, stdout, stderr)
	}
}

// outgoing waits for the nth outgoing mail and returns it as it would be sent.
func (d *desk) outgoing(n int) (text string) {
	d.t.Helper()
	eventually(d.t, 20*time.Second, "outgoing mail", func() error {
		list := decode[api.Outgoing](d, "queue", "list")
		if len(list) < n || list[0].State != "captured" {
			return fmt.Errorf("%+v", list)
		}
		text = d.do("queue", "show", list[0].ID)
		return nil
	})
	return text
}

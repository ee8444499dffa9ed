package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mxdesk/mxdesk/auth/keyring"
	"github.com/mxdesk/mxdesk/server/api"
)

// DKIMCmd groups the commands on DKIM keys.
type DKIMCmd struct {
	Keygen DKIMKeygenCmd `cmd:"" help:"Make the first keys of a domain, RSA and Ed25519."`
	List   DKIMListCmd   `cmd:"" help:"List the keys and their states."`
	Rotate DKIMRotateCmd `cmd:"" help:"Go over to new keys: the first call makes them, the next one lets them sign once the DNS has them."`
	DNS    DKIMDNSCmd    `cmd:"" name:"dns" help:"Print the DNS records of the keys."`
}

// DKIMKeygenCmd makes the first keys of a domain.
type DKIMKeygenCmd struct {
	Domain  string `arg:"" help:"Domain; it may be served later."`
	RSABits int    `name:"rsa-bits" help:"Size of the RSA key: 2048, 3072 or 4096. Every verifier takes 2048." default:"2048"`
}

// Run makes the first keys of a domain.
func (c DKIMKeygenCmd) Run(e *Env) error {
	return ask(e, "dkim.keygen", api.DKIMRequest{Domain: c.Domain, Bits: c.RSABits}, func(ks []api.DKIMKey) error {
		fmt.Fprint(e.Stdout, "The keys are made and sign from now on. Publish these records:\n\n")
		printRecords(e.Stdout, ks)
		return nil
	})
}

// DKIMListCmd lists keys.
type DKIMListCmd struct {
	Domain string `arg:"" optional:"" help:"Domain; all if not given."`
	Check  bool   `help:"Ask the DNS whether the records are published."`
}

// Run lists keys.
func (c DKIMListCmd) Run(e *Env) error {
	return askKeys(e, "dkim.list", api.DKIMRequest{Domain: c.Domain, Check: c.Check}, func(ks []api.DKIMKey) error {
		if len(ks) == 0 {
			return none(e.Stdout, "keys")
		}
		head := []string{"DOMAIN", "SELECTOR", "ALGORITHM", "STATE", "SINCE", "UNTIL"}
		if c.Check {
			head = append(head, "DNS")
		}
		rows := [][]string{head}
		for _, k := range ks {
			rows = append(rows, []string{k.Domain, k.Selector, algorithm(k), string(k.State), whenever(k.Since), whenever(k.Until), inDNS(k)})
		}
		table(e.Stdout, rows)
		return nil
	})
}

// askKeys is ask for the keys of domains. It shows those that are in order and
// fails when some domain's are broken.
func askKeys(e *Env, name string, req api.DKIMRequest, show func([]api.DKIMKey) error) error {
	var keys []api.DKIMKey
	err := e.call(name, req, func(line []byte) error {
		var k api.DKIMKey
		if err := json.Unmarshal(line, &k); err != nil {
			return fmt.Errorf("the answer of the server: %w", err)
		}
		keys = append(keys, k)
		if e.Global.JSON {
			_, err := e.Stdout.Write(line)
			return err
		}
		return nil
	})
	if err == nil && !e.Global.JSON {
		err = show(keys)
	}
	if err != nil {
		return err
	}
	for _, k := range keys {
		if k.State == api.Broken {
			complain(e, exitf(exitRefused, "%s", k.Error))
			err = &exitError{code: exitRefused, err: errSaid}
		}
	}
	return err
}

func algorithm(k api.DKIMKey) string {
	if k.Algorithm == keyring.RSA {
		return k.Algorithm + "-" + strconv.Itoa(k.Bits)
	}
	return k.Algorithm
}

// whenever is a time, "" where there is none.
func whenever(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return when(t)
}

// inDNS says what the DNS has of a key, and of one that is gone what to do.
func inDNS(k api.DKIMKey) string {
	switch {
	case k.DNS == keyring.Unknown:
		return "could not be asked"
	case k.State == keyring.Gone && (k.DNS == keyring.Published || k.DNS == keyring.Differs):
		return string(k.DNS) + ", can be removed"
	}
	return string(k.DNS)
}

// DKIMRotateCmd takes the next step to new keys.
type DKIMRotateCmd struct {
	Domain  string `arg:"" help:"Domain."`
	RSABits int    `name:"rsa-bits" xor:"how" help:"Size of the new RSA key: 2048, 3072 or 4096; as before if not given."`
	Now     bool   `xor:"how" help:"Let the new keys sign without asking the DNS."`
	Abort   bool   `xor:"how" help:"Throw the new keys away while they do not sign yet."`
}

// Run takes the next step to new keys.
func (c DKIMRotateCmd) Run(e *Env) error {
	req := api.DKIMRequest{Domain: c.Domain, Bits: c.RSABits, Now: c.Now, Abort: c.Abort}
	return ask(e, "dkim.rotate", req, func(rs []api.DKIMRotation) error {
		for _, r := range rs {
			fmt.Fprintf(e.Stdout, "%s.\n", clean(r.Message))
			if r.Step == keyring.Made {
				fmt.Fprintln(e.Stdout)
				printRecords(e.Stdout, r.Keys)
			}
		}
		return nil
	})
}

// DKIMDNSCmd prints the records of keys.
type DKIMDNSCmd struct {
	Domain string `arg:"" optional:"" help:"Domain; all if not given."`
	Zone   bool   `help:"Write lines for a zone file, with the long texts cut as they have to be there."`
}

// Run prints the records of keys.
func (c DKIMDNSCmd) Run(e *Env) error {
	return askKeys(e, "dkim.dns", api.DKIMRequest{Domain: c.Domain}, func(ks []api.DKIMKey) error {
		if len(ks) == 0 {
			return none(e.Stdout, "keys")
		}
		write := printRecords
		if c.Zone {
			write = printZone
		}
		write(e.Stdout, slices.DeleteFunc(slices.Clone(ks), func(k api.DKIMKey) bool { return k.State == api.Broken }))
		return nil
	})
}

func printRecords(w io.Writer, ks []api.DKIMKey) {
	for _, k := range ks {
		fmt.Fprintf(w, "%s.  TXT  %s\n", k.Name, clean(k.Value))
	}
}

// zoneTTL is the time to live in zone files, in seconds.
const zoneTTL = 3600

// printZone writes the records of keys in the form of zone files.
func printZone(w io.Writer, ks []api.DKIMKey) {
	for _, k := range ks {
		note := string(k.State)
		if !k.Until.IsZero() {
			note += ", to stay until " + k.Until.Format(time.RFC3339)
		}
		fmt.Fprintln(w, ";", note)
		zoneText(w, k.Name, k.Strings)
	}
}

// zoneText writes a TXT record in the form of zone files.
//
// https://www.rfc-editor.org/rfc/rfc1035#section-5.1
func zoneText(w io.Writer, name string, texts []string) {
	quoted := make([]string, len(texts))
	for i, s := range texts {
		quoted[i] = `"` + clean(s) + `"`
	}
	fmt.Fprintf(w, "%s. %d IN TXT ( %s )\n", name, zoneTTL, strings.Join(quoted, "\n\t"))
}

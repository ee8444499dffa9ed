package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/mxdesk/mxdesk/auth"
	"github.com/mxdesk/mxdesk/auth/dns"
	"github.com/mxdesk/mxdesk/ticketing"
)

// VerifyCmd checks the authentication of messages in files.
type VerifyCmd struct {
	IP            string   `help:"Address of the client; without one SPF is none." placeholder:"ADDRESS"`
	Helo          string   `help:"Name the client gave in EHLO or HELO." placeholder:"NAME"`
	MailFrom      string   `help:"Envelope sender; empty is the null sender." placeholder:"ADDRESS"`
	DNSZone       string   `name:"dns-zone" help:"Answer lookups from this JSON file alone." placeholder:"FILE"`
	DNSServer     string   `name:"dns-server" help:"Ask this name server instead of those of the system." placeholder:"HOST[:PORT]"`
	Now           string   `help:"Check as if it were this time (RFC 3339)." placeholder:"TIME"`
	Hostname      string   `help:"Name at the front of the authentication results." default:"localhost" placeholder:"NAME"`
	TrustedSealer []string `help:"Domain whose ARC seals count. May be repeated." placeholder:"DOMAIN"`
	SPFOnly       bool     `name:"spf-only" help:"Check SPF alone; no message is read."`
	Files         []string `arg:"" optional:"" help:"Files, each one message as it came over the wire; - is standard input." placeholder:"FILE"`
}

// verified is one line of output; scripts rely on its shape.
type verified struct {
	File string `json:"file"`
	ticketing.Verdict
}

// Run checks the files.
func (c VerifyCmd) Run(e *Env) error {
	if c.SPFOnly == (len(c.Files) > 0) {
		return exitf(exitUsage, "verify takes files, or --spf-only and no file")
	}
	env, err := c.envelope()
	if err != nil {
		return err
	}
	v, err := c.verifier()
	if err != nil {
		return err
	}
	if c.SPFOnly {
		return showVerdict(e, "", v.VerifyEnvelope(e.Ctx, env))
	}
	return eachFile(e, c.Files, func(name string, f io.ReaderAt, size int64) error {
		raw := fileRaw{io.NewSectionReader(f, 0, size)}
		if _, err := raw.ReadAt(make([]byte, 1), 0); err != nil && size > 0 {
			return err
		}
		return showVerdict(e, name, v.Verify(e.Ctx, env, raw))
	})
}

func (c VerifyCmd) envelope() (*ticketing.Envelope, error) {
	env := &ticketing.Envelope{Helo: c.Helo, MailFrom: strings.TrimSuffix(strings.TrimPrefix(c.MailFrom, "<"), ">")}
	if c.IP != "" {
		ip, err := netip.ParseAddr(c.IP)
		if err != nil {
			return nil, exitf(exitUsage, "--ip %s: not an address", c.IP)
		}
		env.Client = netip.AddrPortFrom(ip, 0)
	}
	return env, nil
}

func (c VerifyCmd) verifier() (*auth.Verifier, error) {
	o := auth.Options{Hostname: c.Hostname, TrustedSealers: c.TrustedSealer}
	if c.Now != "" {
		now, err := time.Parse(time.RFC3339, c.Now)
		if err != nil {
			return nil, exitf(exitUsage, "--now %s: write it as 2006-01-02T15:04:05Z", c.Now)
		}
		o.Now = func() time.Time { return now }
	}
	r, err := c.resolver()
	if err != nil {
		return nil, err
	}
	return auth.New(r, o), nil
}

func (c VerifyCmd) resolver() (dns.Resolver, error) {
	var o dns.Options
	switch {
	case c.DNSZone != "" && c.DNSServer != "":
		return nil, exitf(exitUsage, "--dns-zone and --dns-server: give one of them")
	case c.DNSZone != "":
		zone, err := dns.LoadZone(c.DNSZone)
		if _, unread := errors.AsType[*fs.PathError](err); unread {
			return nil, exitf(exitIO, "--dns-zone: %w", err)
		}
		if err != nil {
			return nil, exitf(exitIO, "--dns-zone %s: %w: write it as {\"example.com\": [[\"A\", \"192.0.2.1\"]]}", c.DNSZone, err)
		}
		return zone, nil
	case c.DNSServer != "":
		server, err := nameServerAddress(c.DNSServer)
		if err != nil {
			return nil, exitf(exitUsage, "--dns-server %s: %w", c.DNSServer, err)
		}
		o.Servers = []string{server}
	}
	return dns.NewCache(dns.New(o), dns.CacheOptions{}), nil
}

// nameServerAddress adds the port to a server that is written without one.
func nameServerAddress(server string) (string, error) {
	if ip, err := netip.ParseAddr(strings.Trim(server, "[]")); err == nil {
		return netip.AddrPortFrom(ip, 53).String(), nil
	}
	host, port, err := net.SplitHostPort(server)
	if err != nil && !strings.ContainsAny(server, ":[]") {
		host, port = server, "53"
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if host == "" || n == 0 || err != nil {
		return "", errors.New("write it as host or host:port")
	}
	return net.JoinHostPort(host, port), nil
}

// fileRaw is a message in a file.
type fileRaw struct{ *io.SectionReader }

// SHA256 reads the file; an error there shows in the verdict.
func (r fileRaw) SHA256() (sum [32]byte) {
	h := sha256.New()
	io.Copy(h, io.NewSectionReader(r, 0, r.Size()))
	return [32]byte(h.Sum(nil))
}

func showVerdict(e *Env, name string, v *ticketing.Verdict) error {
	if e.Global.JSON {
		return writeJSON(e, verified{name, *v})
	}
	if name != "" {
		fmt.Fprintln(e.Stdout, clean(name))
	}
	row := func(what, result string, details ...string) {
		line := fmt.Sprintf("  %-8s %-9s %s", what, result, cell(strings.Join(details, " "), 300))
		fmt.Fprintln(e.Stdout, strings.TrimRight(line, " "))
	}
	s := v.SPF
	row("spf", s.Result, s.Domain, s.Scope, s.Mechanism, s.Explanation)
	if name == "" {
		return nil
	}
	for _, r := range v.DKIM {
		row("dkim", r.Result, r.Domain, r.Selector, r.Algorithm, bitsText(r.KeyBits), r.Reason)
	}
	if r := v.IPRev; r.Result != "" {
		row("iprev", r.Result, r.Name)
	}
	if r := v.Helo.Result; r != "" {
		row("helo", r)
	}
	for _, h := range v.Lists.Hits {
		row("list", "listed", h.Zone, h.Listed, h.Answer, fmt.Sprintf("weight %d", h.Weight), h.Text)
	}
	row("arc", v.ARC.Result, strings.Join(v.ARC.Sealers, ", "), v.ARC.Reason)
	aligned := "not aligned"
	switch d := v.DMARC; {
	case d.AlignedSPF && d.AlignedDKIM:
		aligned = "aligned by spf and dkim"
	case d.AlignedSPF:
		aligned = "aligned by spf"
	case d.AlignedDKIM:
		aligned = "aligned by dkim"
	}
	row("dmarc", v.DMARC.Result, v.DMARC.Domain, aligned, policyText(v.DMARC.Policy), overrideText(v.DMARC.Override))
	row("verdict", string(v.Verdict.Action), v.Verdict.Reason)
	fmt.Fprint(e.Stdout, "\n", strings.NewReplacer("\r\n", "\n", "\t", "    ").Replace(auth.Field(v)))
	return nil
}

func bitsText(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d bits", n)
}

func overrideText(why string) string {
	if why == "" {
		return ""
	}
	return "overridden by " + why
}

func policyText(policy string) string {
	if policy == "" {
		return ""
	}
	return "policy " + policy
}

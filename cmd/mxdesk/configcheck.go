package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mxdesk/mxdesk/auth/dns"
	"github.com/mxdesk/mxdesk/auth/dnsbl"
	"github.com/mxdesk/mxdesk/queue"
)

// misspelt lists the variables that look like settings and are none.
func (c *Config) misspelt(environ []string) []string {
	known := []string{"MXDESK_CONFIG"}
	for _, o := range c.options() {
		known = append(known, o.variable())
	}
	var out []string
	for _, v := range environ {
		name, _, _ := strings.Cut(v, "=")
		if strings.HasPrefix(name, "MXDESK_") && !slices.Contains(known, name) {
			out = append(out, name)
		}
	}
	return out
}

// validate returns the first key whose value cannot be, and why.
func (c *Config) validate() (key string, err error) {
	checks := []struct {
		key string
		err error
	}{
		{"hostname", checkHost(c.Hostname)},
		{"data", checkNotEmpty(c.Data, "the folder for the data")},
		{"store", checkOneOf(c.Store, "badger", "memory")},
		{"smtp.listen", checkListen(c.SMTP.Listen, false)},
		{"smtp.trusted", checkNets(c.SMTP.Trusted)},
		{"smtp.trusted_relays", checkNets(c.SMTP.TrustedRelays)},
		{"smtp.bare_newline", checkOneOf(c.SMTP.BareNewline, "reject", "normalize")},
		{"smtp.max_size", checkBetween(c.SMTP.MaxSize, 64<<10, 1<<30)},
		{"smtp.max_recipients", checkBetween(int64(c.SMTP.MaxRecipients), 100, 10_000)},
		{"lmtp.listen", checkListen(c.LMTP.Listen, true)},
		{halfOf(c.TLS), checkPair(c.TLS.Certificate, c.TLS.Key)},
		{"http.listen", checkListen(nonEmpty(c.HTTP.Listen), false)},
		{"http.public_url", checkURL(c.HTTP.PublicURL)},
		{"metrics.listen", checkListen(nonEmpty(c.Metrics.Listen), false)},
		{"dns.servers", checkListen(c.DNS.Servers, false)},
		{"dns.timeout", checkTime(c.DNS.Timeout, 10*time.Millisecond, time.Minute)},
		{"auth.trusted_sealers", checkSealers(c.Auth.TrustedSealers)},
		{"auth.policy", checkOneOf(c.Auth.Policy, "enforce", "hold", "annotate")},
		{"auth.on_temperror", checkOneOf(c.Auth.OnTemperror, "accept", "policy", "defer")},
		{"auth.upstream_results", checkUpstreams(c.Auth.UpstreamResults, c.Hostname)},
		{"auth.lists", checkLists(c.Auth.Lists)},
		{"auth.list_score", checkBetween(int64(c.Auth.ListScore), 0, 1_000_000)},
		{"auth.help_url", checkURL(c.Auth.HelpURL)},
		{"queue.relay", checkRelay(c.Queue.Relay)},
		{"queue.mx_port", checkBetween(int64(c.Queue.MXPort), 1, 65535)},
		{"queue.allow_nets", checkNets(c.Queue.AllowNets)},
		{"log.level", checkOneOf(c.Log.Level, "debug", "info", "warn", "error")},
		{"log.format", checkOneOf(c.Log.Format, "text", "json")},
	}
	for _, check := range checks {
		if check.err != nil {
			return check.key, check.err
		}
	}
	return c.checkApart()
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func checkNotEmpty(s, what string) error {
	if strings.TrimSpace(s) == "" {
		return fmt.Errorf("%s is not named", what)
	}
	return nil
}

func checkOneOf(s string, allowed ...string) error {
	if slices.Contains(allowed, s) {
		return nil
	}
	return fmt.Errorf("%q is not one of %s", s, strings.Join(allowed, ", "))
}

// checkTime checks a duration. A bare number of the file counts nanoseconds,
// which nobody means.
func checkTime(d Duration, low, high time.Duration) error {
	if d > 0 && d < Duration(time.Microsecond) {
		return errors.New("this is a number without a unit, write for example \"5s\"")
	}
	return checkBetween(time.Duration(d), low, high)
}

func checkBetween[T int64 | time.Duration](n, low, high T) error {
	if n < low || n > high {
		return fmt.Errorf("%v is not between %v and %v", n, low, high)
	}
	return nil
}

func checkHost(s string) error {
	if s == "" || len(s) > 253 || strings.ContainsFunc(s, func(r rune) bool {
		return !(r == '.' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z')
	}) {
		return fmt.Errorf("%q is no host name", s)
	}
	return nil
}

func checkLists(lines []string) error {
	lists, err := parseLists(lines)
	if err == nil {
		_, err = dnsbl.New(nil, lists, dnsbl.Options{})
	}
	return err
}

func parseLists(lines []string) ([]dnsbl.List, error) {
	lists := make([]dnsbl.List, len(lines))
	for i, line := range lines {
		var err error
		if lists[i], err = dnsbl.ParseList(line); err != nil {
			return nil, err
		}
	}
	return lists, nil
}

// checkSealers checks the domains whose seals count. One label would be all
// domains of a registry.
func checkSealers(domains []string) error {
	for _, d := range domains {
		if name, err := dns.Hostname(d); err != nil || !strings.Contains(name, ".") {
			return fmt.Errorf("%q is no domain of somebody who forwards mail", d)
		}
	}
	return nil
}

func checkUpstreams(names []string, own string) error {
	for _, n := range names {
		if err := checkHost(n); err != nil {
			return err
		}
		if strings.EqualFold(n, own) {
			return fmt.Errorf("%s is our own name, and nobody else's results are ours", n)
		}
	}
	return nil
}

func checkListen(addrs []string, unixToo bool) error {
	for _, a := range addrs {
		if unixToo && strings.Contains(a, "/") {
			continue
		}
		_, port, err := net.SplitHostPort(a)
		if err != nil {
			return fmt.Errorf("%q is not of the form host:port", a)
		}
		if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
			return fmt.Errorf("%q has no port between 0 and 65535", a)
		}
	}
	return nil
}

func checkNets(nets []string) error {
	_, err := parseNets(nets)
	return err
}

// parseNets reads networks in CIDR form, or single addresses.
func parseNets(nets []string) ([]netip.Prefix, error) {
	out := make([]netip.Prefix, 0, len(nets))
	for _, s := range nets {
		p, err := netip.ParsePrefix(s)
		if addr, err2 := netip.ParseAddr(s); err2 == nil {
			p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("%q is no network, write for example 192.0.2.0/24", s)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// halfOf names the key of the pair that is there.
func halfOf(c TLSConfig) string {
	if c.Certificate != "" {
		return "tls.certificate"
	}
	return "tls.key"
}

func checkPair(cert, key string) error {
	if (cert == "") != (key == "") {
		return errors.New("certificate and key are given together")
	}
	return nil
}

func checkURL(s string) error {
	u, err := url.Parse(s)
	if s != "" && (err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "") {
		return fmt.Errorf("%q is no address of the form https://desk.example.org", s)
	}
	return nil
}

func checkRelay(s string) error {
	if _, err := queue.ParseRoute(s); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "relay: "))
	}
	return nil
}

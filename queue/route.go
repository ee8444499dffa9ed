package queue

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Mode says how mail leaves.
type Mode string

// The modes.
const (
	Capture Mode = "capture" // it does not: every copy is kept for an explicit release
	MX      Mode = "mx"      // to the mail exchangers of each recipient's domain
	SMTP    Mode = "smtp"    // through one relay
	LMTP    Mode = "lmtp"    // into one local delivery agent
)

// TLSMode says what is asked of the connection to a relay.
type TLSMode string

// The TLS modes. Opportunistic encrypts where the server offers it, checks no
// certificate and goes on in plain text otherwise; credentials are never sent
// in plain text, except to a loopback address with TLSOff.
const (
	TLSOff           TLSMode = "off"
	TLSOpportunistic TLSMode = "opportunistic"
	TLSRequire       TLSMode = "require" // with a valid certificate for the host
)

// Route is a parsed `queue.relay` setting. The zero Route is capture.
type Route struct {
	Mode     Mode
	Network  string // "tcp" or "unix"
	Address  string // host:port or the path of the socket
	Host     string // name for the certificate check and for display
	TLS      TLSMode
	User     string
	Password string
}

// ParseRoute reads a `queue.relay` setting:
//
//	capture                                  keep everything (also "")
//	mx                                       deliver to mail exchangers
//	smtp://[user:pass@]host[:port][?tls=…]   relay; tls is off, opportunistic or require
//	lmtp://host:port, lmtp:///path/socket    local delivery agent
//
// The port of smtp defaults to 25, with credentials to 587. tls defaults to
// opportunistic, with credentials to require.
func ParseRoute(s string) (Route, error) {
	switch s {
	case "", string(Capture):
		return Route{Mode: Capture}, nil
	case string(MX):
		return Route{Mode: MX, TLS: TLSOpportunistic}, nil
	}
	u, err := url.Parse(s)
	if err != nil {
		// The error of net/url would repeat the setting with its password.
		return Route{}, errors.New("relay: not a URL: special characters in user and password are written as %XX")
	}
	switch u.Scheme {
	case "smtp":
		return parseSMTP(u)
	case "lmtp":
		return parseLMTP(u)
	}
	return Route{}, errors.New("relay: want capture, mx, smtp://host or lmtp://host:port")
}

// parseSMTP reads the address of a relay.
func parseSMTP(u *url.URL) (Route, error) {
	r := Route{Mode: SMTP, Network: "tcp", Host: u.Hostname(), TLS: TLSOpportunistic}
	port := "25"
	if u.User != nil {
		r.User = u.User.Username()
		r.Password, _ = u.User.Password()
		if r.User == "" || r.Password == "" {
			return Route{}, errors.New("relay: credentials want a user and a password")
		}
		port, r.TLS = "587", TLSRequire
	}
	if u.Port() != "" {
		port = u.Port()
	}
	if err := checkHost(u, port); err != nil {
		return Route{}, err
	}
	r.Address = net.JoinHostPort(r.Host, port)
	return r, r.parseTLS(u)
}

// parseTLS reads the parameters of a relay.
func (r *Route) parseTLS(u *url.URL) error {
	if u.Path != "" && u.Path != "/" {
		return errors.New("relay: smtp:// takes no path")
	}
	for key, values := range u.Query() {
		if key != "tls" || len(values) != 1 {
			return errors.New("relay: the only parameter is tls, once")
		}
		switch mode := TLSMode(values[0]); mode {
		case TLSOff, TLSOpportunistic, TLSRequire:
			r.TLS = mode
		default:
			return fmt.Errorf("relay: tls=%q: want off, opportunistic or require", values[0])
		}
	}
	if r.User != "" && r.TLS == TLSOff && !isLoopback(r.Host) {
		return errors.New("relay: credentials with tls=off only go to a loopback address")
	}
	return nil
}

// parseLMTP reads the address of a delivery agent.
func parseLMTP(u *url.URL) (Route, error) {
	if u.User != nil || u.RawQuery != "" {
		return Route{}, errors.New("relay: lmtp:// takes neither credentials nor parameters")
	}
	if u.Host == "" {
		if len(u.Path) < 2 {
			return Route{}, errors.New("relay: lmtp:// wants host:port or /path/of/socket")
		}
		return Route{Mode: LMTP, Network: "unix", Address: u.Path, Host: u.Path, TLS: TLSOff}, nil
	}
	if u.Path != "" && u.Path != "/" {
		return Route{}, errors.New("relay: lmtp:// wants host:port or, with three slashes, /path/of/socket")
	}
	if err := checkHost(u, u.Port()); err != nil {
		return Route{}, err
	}
	return Route{Mode: LMTP, Network: "tcp", Address: u.Host, Host: u.Hostname(), TLS: TLSOff}, nil
}

func checkHost(u *url.URL, port string) error {
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("relay: port %q: want a number from 1 to 65535", port)
	}
	if u.Hostname() == "" || strings.ContainsFunc(u.Hostname(), isControl) {
		return errors.New("relay: the host is missing")
	}
	return nil
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && addr.IsLoopback())
}

// String writes the route as a setting, without the password.
func (r Route) String() string {
	switch {
	case r.Mode == "":
		return string(Capture)
	case r.Mode == Capture || r.Mode == MX:
		return string(r.Mode)
	case r.Mode == LMTP && r.Network == "unix":
		return "lmtp://" + r.Address
	case r.Mode == LMTP:
		return "lmtp://" + r.Address
	}
	user := ""
	if r.User != "" {
		user = url.User(r.User).String() + ":***@"
	}
	return "smtp://" + user + r.Address + "?tls=" + string(r.TLS)
}

// GoString keeps the password out of %#v.
func (r Route) GoString() string { return r.String() }

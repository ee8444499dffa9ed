package main

import (
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Config is everything that can be set. The help tags are the documentation:
// `mxdesk config print` and docs/config.md show them.
type Config struct {
	Hostname string `toml:"hostname" help:"Our own name: in the greeting, in EHLO, in Message-IDs and in Authentication-Results."`
	Data     string `toml:"data" help:"Folder that holds everything mxdesk keeps."`
	Store    string `toml:"store" help:"Where tickets live: badger (in the data folder), or memory (gone at the end; for trying out)."`

	SMTP    SMTPConfig    `toml:"smtp"`
	LMTP    LMTPConfig    `toml:"lmtp"`
	TLS     TLSConfig     `toml:"tls"`
	HTTP    HTTPConfig    `toml:"http"`
	Metrics MetricsConfig `toml:"metrics"`
	DNS     DNSConfig     `toml:"dns"`
	Auth    AuthConfig    `toml:"auth"`
	Queue   QueueConfig   `toml:"queue"`
	Log     LogConfig     `toml:"log"`

	// File is the TOML file that was read, "" without one.
	File string `toml:"-"`
	// Elsewhere is set when --data named the folder instead of the file.
	Elsewhere bool `toml:"-"`
}

// SMTPConfig is the MX side.
type SMTPConfig struct {
	Listen        []string `toml:"listen" help:"Addresses on which mail servers deliver, host:port."`
	Trusted       []string `toml:"trusted" help:"Networks whose clients skip the greeting delay and the limits per client. Never routing, authentication or relay rules."`
	TrustedRelays []string `toml:"trusted_relays" help:"Networks of mail servers of your own that pass mail on: what policy would refuse is held instead."`
	BareNewline   string   `toml:"bare_newline" help:"What a bare CR or LF in DATA does: reject (521, the connection ends), or normalize (made CRLF, for trusted networks only)."`
	MaxSize       int64    `toml:"max_size" help:"Largest message that is taken, in octets."`
	MaxRecipients int      `toml:"max_recipients" help:"Most recipients of one message."`
}

// LMTPConfig is for an MTA of your own in front.
type LMTPConfig struct {
	Listen []string `toml:"listen" help:"Addresses on which your own MTA delivers by LMTP: host:port, or a path for a unix socket."`
}

// TLSConfig names the certificate.
type TLSConfig struct {
	Certificate string `toml:"certificate" help:"File with the certificate chain for STARTTLS, PEM. Empty: one made and signed by ourselves."`
	Key         string `toml:"key" help:"File with its private key, PEM."`
}

// HTTPConfig is the agents' side.
type HTTPConfig struct {
	Listen    string `toml:"listen" help:"Address of the agents' pages, host:port. Empty: none."`
	PublicURL string `toml:"public_url" help:"How agents' browsers reach the pages. Empty: http:// and the listen address."`
}

// MetricsConfig is the operators' side.
type MetricsConfig struct {
	Listen string `toml:"listen" help:"Address of /metrics, /livez and /readyz, host:port. Empty: none."`
}

// DNSConfig tells who is asked.
type DNSConfig struct {
	Servers []string `toml:"servers" help:"Name servers, host:port. Empty: those of /etc/resolv.conf."`
	Timeout Duration `toml:"timeout" help:"Longest time for one lookup, all tries together."`
}

// AuthConfig says whom to believe.
type AuthConfig struct {
	TrustedSealers  []string `toml:"trusted_sealers" help:"Domains whose ARC seals vouch for mail they forwarded, those below them included."`
	Policy          string   `toml:"policy" help:"What is done with mail that authentication speaks against, where neither project nor domain says otherwise: enforce (refused or held, as the verdict says), hold (held instead of refused), annotate (taken, and marked)."`
	OnTemperror     string   `toml:"on_temperror" help:"What is done with mail whose sender cannot be checked because a name server does not answer: accept (marked unverified; 451, so that the sender comes again, where the policy is known and asks to refuse what fails), policy (451 also where it asks to set that aside), or defer (451 always)."`
	UpstreamResults []string `toml:"upstream_results" help:"Names under which mail servers of your own in front of this one write Authentication-Results. Their SPF results are believed; name only servers that remove forged ones."`
	Lists           []string `toml:"lists" help:"DNS block and allow lists that are asked about clients with a public address and about domains, each \"zone key=value …\": weight=N (negative for an allow list), refuse (one hit is enough to refuse a mail), domains (a list of domains), answers=127.0.0.2-11 (which answers count), name=NAME (what it is called in logs). Example: \"zen.lists.example weight=5 refuse\"."`
	ListScore       int      `toml:"list_score" help:"Score of all lists together from which a mail is refused. 0: none, only lists with refuse do."`
	HelpURL         string   `toml:"help_url" help:"Page that senders are referred to when policy refuses their mail; {reason} in it stands for the reason. Empty: none."`
}

// QueueConfig is the outgoing side.
type QueueConfig struct {
	Relay     string   `toml:"relay" help:"Where outgoing mail goes: capture (kept and shown, never sent), mx (to the recipients' mail exchangers), smtp://host:port or lmtp://host:port (through a server of yours)."`
	MXPort    int      `toml:"mx_port" help:"Port of mail exchangers, for relay = mx."`
	AllowNets []string `toml:"allow_nets" help:"Private networks that mail exchangers may be in. Without: none."`
}

// LogConfig is for standard error.
type LogConfig struct {
	Level  string `toml:"level" help:"Least level that is logged: debug, info, warn or error."`
	Format string `toml:"format" help:"text or json."`
}

// Duration is a time.Duration written as in Go: 5s, 1m30s.
type Duration time.Duration

// UnmarshalText reads a duration.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("%q is no duration, write for example 5s", b)
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes a duration.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// DefaultConfig is what holds where nothing is set.
func DefaultConfig() Config {
	return Config{
		Hostname: defaultHostname(),
		Data:     "./mxdesk-data",
		Store:    "badger",
		SMTP: SMTPConfig{
			Listen: []string{"127.0.0.1:2525"}, Trusted: []string{"127.0.0.0/8", "::1/128"}, TrustedRelays: []string{},
			BareNewline: "reject", MaxSize: 50 << 20, MaxRecipients: 1000,
		},
		LMTP:    LMTPConfig{Listen: []string{"127.0.0.1:2424"}},
		HTTP:    HTTPConfig{Listen: "127.0.0.1:8080"},
		Metrics: MetricsConfig{Listen: "127.0.0.1:9925"},
		DNS:     DNSConfig{Servers: []string{}, Timeout: Duration(5 * time.Second)},
		Auth:    AuthConfig{TrustedSealers: []string{"google.com", "microsoft.com", "messagingengine.com", "yahoo.com", "icloud.com"}, Policy: "enforce", OnTemperror: "accept", UpstreamResults: []string{}, Lists: []string{}},
		Queue:   QueueConfig{Relay: "capture", MXPort: 25, AllowNets: []string{}},
		Log:     LogConfig{Level: "info", Format: "text"},
	}
}

func defaultHostname() string {
	h, err := os.Hostname()
	if err != nil || !strings.Contains(h, ".") {
		return "localhost"
	}
	return strings.ToLower(h)
}

// Sources are where settings come from, the strongest last.
type Sources struct {
	File string              // TOML, "" = none
	Env  func(string) string // MXDESK_<SECTION>_<KEY>
	Set  []string            // section.key=value, from the command line
	Data string              // --data
}

// LoadConfig reads the settings and checks them. Its errors name the file, line
// and key, or the variable, that is wrong.
func LoadConfig(s Sources) (Config, error) {
	c := DefaultConfig()
	var lines map[string]string
	if s.File != "" {
		text, err := os.ReadFile(s.File)
		if err != nil {
			return c, fmt.Errorf("config: %w", err)
		}
		if err := decodeTOML(s.File, text, &c); err != nil {
			return c, err
		}
		lines = keyLines(s.File, string(text))
		c.File = s.File
	}
	where := func(key string) string { return placeOf(lines, key) }
	over := make(map[string]string)
	for _, o := range c.options() {
		name := o.variable()
		if v := s.Env(name); v != "" {
			if err := o.set(v); err != nil {
				return c, fmt.Errorf("%s: %w", name, err)
			}
			over[o.key] = name
		}
	}
	if err := c.setAll(s.Set, over); err != nil {
		return c, err
	}
	if s.Data != "" {
		c.Data, c.Elsewhere, over["data"] = s.Data, true, "--data"
	}
	if key, err := c.validate(); err != nil {
		at := over[key]
		if at == "" {
			at = where(key)
		}
		if at == "" {
			at = key
		}
		return c, fmt.Errorf("%s: %w", at, err)
	}
	return c, nil
}

func (c *Config) setAll(set []string, over map[string]string) error {
	opts := c.options()
	for _, s := range set {
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			return fmt.Errorf("--set %s: write section.key=value", s)
		}
		found := false
		for _, o := range opts {
			if o.key != key {
				continue
			}
			found = true
			if err := o.set(value); err != nil {
				return fmt.Errorf("--set %s: %w", key, err)
			}
			over[key] = "--set " + key
		}
		if !found {
			return fmt.Errorf("--set %s: there is no such key", key)
		}
	}
	return nil
}

// option is one key of the configuration.
type option struct {
	key   string // section.key
	help  string
	value reflect.Value
}

// options lists every key in the order of the structs.
func (c *Config) options() []option {
	var out []option
	var walk func(prefix string, v reflect.Value)
	walk = func(prefix string, v reflect.Value) {
		for i := range v.NumField() {
			f := v.Type().Field(i)
			key := prefix + f.Tag.Get("toml")
			if f.Tag.Get("toml") == "-" {
				continue
			}
			if help := f.Tag.Get("help"); help != "" {
				out = append(out, option{key: key, help: help, value: v.Field(i)})
			} else {
				walk(key+".", v.Field(i))
			}
		}
	}
	walk("", reflect.ValueOf(c).Elem())
	return out
}

// variable is the name of the option in the environment.
func (o option) variable() string {
	return "MXDESK_" + strings.ToUpper(strings.ReplaceAll(o.key, ".", "_"))
}

// set reads a value from text; lists are separated by commas.
func (o option) set(s string) error {
	switch p := o.value.Addr().Interface().(type) {
	case *string:
		*p = s
	case *[]string:
		*p = []string{}
		for part := range strings.SplitSeq(s, ",") {
			if part = strings.TrimSpace(part); part != "" {
				*p = append(*p, part)
			}
		}
	case *int:
		n, err := strconv.Atoi(s)
		if err != nil {
			return fmt.Errorf("%q is no number", s)
		}
		*p = n
	case *int64:
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return fmt.Errorf("%q is no number", s)
		}
		*p = n
	case *Duration:
		return p.UnmarshalText([]byte(s))
	default:
		return fmt.Errorf("cannot be set")
	}
	return nil
}

// toml writes the value as TOML.
func (o option) toml() string {
	switch v := o.value.Interface().(type) {
	case []string:
		quoted := make([]string, len(v))
		for i, s := range v {
			quoted[i] = strconv.Quote(s)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	case Duration:
		return strconv.Quote(time.Duration(v).String())
	case string:
		return strconv.Quote(v)
	default:
		return fmt.Sprint(v)
	}
}

package queue

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseRoute(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Route
		out  string
	}{
		{"", Route{Mode: Capture}, "capture"},
		{"capture", Route{Mode: Capture}, "capture"},
		{"mx", Route{Mode: MX, TLS: TLSOpportunistic}, "mx"},
		{"smtp://relay.test", Route{SMTP, "tcp", "relay.test:25", "relay.test", TLSOpportunistic, "", ""}, "smtp://relay.test:25?tls=opportunistic"},
		{"smtp://relay.test:2525/?tls=off", Route{SMTP, "tcp", "relay.test:2525", "relay.test", TLSOff, "", ""}, "smtp://relay.test:2525?tls=off"},
		{"smtp://[2001:db8::1]:26?tls=require", Route{SMTP, "tcp", "[2001:db8::1]:26", "2001:db8::1", TLSRequire, "", ""}, "smtp://[2001:db8::1]:26?tls=require"},
		{"smtp://desk:p%40ss%2Fw@relay.test", Route{SMTP, "tcp", "relay.test:587", "relay.test", TLSRequire, "desk", "p@ss/w"}, "smtp://desk:***@relay.test:587?tls=require"},
		{"smtp://u:p@127.0.0.1:25?tls=off", Route{SMTP, "tcp", "127.0.0.1:25", "127.0.0.1", TLSOff, "u", "p"}, "smtp://u:***@127.0.0.1:25?tls=off"},
		{"lmtp://127.0.0.1:24", Route{LMTP, "tcp", "127.0.0.1:24", "127.0.0.1", TLSOff, "", ""}, "lmtp://127.0.0.1:24"},
		{"lmtp:///run/lmtp.sock", Route{LMTP, "unix", "/run/lmtp.sock", "/run/lmtp.sock", TLSOff, "", ""}, "lmtp:///run/lmtp.sock"},
	} {
		got, err := ParseRoute(tt.in)
		if err != nil || got != tt.want || got.String() != tt.out {
			t.Errorf("%q: %+v, %v, want %s", tt.in, got, err, tt.out)
		}
		if s := fmt.Sprintf("%v %+v %#v %s", got, got, got, got); got.Password != "" && strings.Contains(s, got.Password+"@") {
			t.Errorf("password shows in %s", s)
		}
	}
}

func TestParseRouteRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"MX":                                 "want capture, mx, smtp://host or lmtp://host:port",
		"smtps://relay.test":                 "want capture, mx",
		"relay.test:25":                      "want capture, mx",
		"smtp://":                            "host is missing",
		"smtp://:25":                         "host is missing",
		"smtp://relay.test:0":                `port "0"`,
		"smtp://relay.test:99999":            `port "99999"`,
		"smtp://relay.test/inbox":            "takes no path",
		"smtp://relay.test?tls=maybe":        `tls="maybe"`,
		"smtp://relay.test?tls=off&tls=off":  "only parameter is tls, once",
		"smtp://relay.test?starttls=no":      "only parameter is tls, once",
		"smtp://user@relay.test":             "a user and a password",
		"smtp://u:secret@relay.test?tls=off": "only go to a loopback address",
		"smtp://u:secret%@relay.test":        "special characters",
		"lmtp://":                            "wants host:port",
		"lmtp://host":                        `port ""`,
		"lmtp://host:24/path":                "three slashes",
		"lmtp://u:secret@host:24":            "neither credentials nor parameters",
		"lmtp:///":                           "wants host:port",
	} {
		_, err := ParseRoute(in)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}

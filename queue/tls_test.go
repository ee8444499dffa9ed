package queue

import (
	"crypto/tls"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/queue/queuetest"
	"github.com/mxdesk/mxdesk/ticketing"
)

// TestOpportunisticTLS: mx mode encrypts where it can, whatever the
// certificate, and goes on in plain text where it cannot.
func TestOpportunisticTLS(t *testing.T) {
	for _, tt := range []struct {
		name   string
		script queuetest.Script
		max    uint16
		tls    string
		conns  int
	}{
		{name: "self-signed", tls: "TLS 1.3", conns: 1},
		{name: "old", max: tls.VersionTLS12, tls: "TLS 1.2", conns: 1},
		{name: "refused", script: queuetest.Replies(map[string]string{"STARTTLS": "454 4.7.0 not now"}), conns: 1},
		{name: "refused for good", script: queuetest.Replies(map[string]string{"STARTTLS": "502 5.5.1 what"}), conns: 1},
		{name: "busy", script: queuetest.Replies(map[string]string{"STARTTLS": "421 4.7.0 bye"}), conns: 2},
		{name: "lost", script: drop("STARTTLS"), conns: 2},
		{name: "handshake fails", script: drop("TLS"), conns: 2},
		{name: "hello after it fails", script: func(e queuetest.Event) queuetest.Action {
			return queuetest.Action{Drop: e.Verb == "EHLO" && e.N == 2}
		}, conns: 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conf, _ := queuetest.Certificate(t, "somebody.else.test")
			conf.MaxVersion = tt.max
			mx := &queuetest.Server{TLS: conf, Script: tt.script}
			synctestWorld(t, mx, func(t *testing.T, w *world) {
				w.add("a@one.test")
				w.start("mx", nil)
				time.Sleep(time.Minute)
				w.stop()
				a, state := w.last("1")
				conns := mx.Connections()
				got := mx.Messages()
				if state != ticketing.DeliveryDelivered || a.TLS != tt.tls || conns != tt.conns || len(got) != 1 || got[0].TLS != (tt.tls != "") {
					t.Errorf("%s %+v, %d connections", state, a, conns)
				}
			})
		})
	}
}

// TestTLSInjection: what comes in plain text along with the reply to STARTTLS
// is not believed.
func TestTLSInjection(t *testing.T) {
	conf, _ := queuetest.Certificate(t, "mx.one.test")
	mx := &queuetest.Server{TLS: conf, Script: queuetest.Replies(map[string]string{"STARTTLS": "220 go\n250-mx.test\n250 AUTH PLAIN"})}
	synctestWorld(t, mx, func(t *testing.T, w *world) {
		w.o.Dialer = toOne{w.net}
		w.add("a@one.test")
		w.start("smtp://u:p@mx.one.test:25", nil)
		time.Sleep(time.Minute)
		w.stop()
		if a, state := w.last("1"); state != ticketing.DeliveryDeferred || a.Text != "STARTTLS: the server spoke before the handshake" {
			t.Errorf("%s %+v", state, a)
		}
	})
}

// TestRelayTLS: what tls= promises is kept, and nothing about our relay fails a
// mail for good.
func TestRelayTLS(t *testing.T) {
	plainAuth := []string{"PIPELINING", "AUTH PLAIN LOGIN"}
	for _, tt := range []struct {
		name, route string
		cert        string // name in the certificate, "" = no STARTTLS
		untrusted   bool
		ext         []string
		script      queuetest.Script
		text        string // of the deferral, "" = delivered
		tls         bool
		auth        string // the command
	}{
		{name: "require", route: "smtp://mx.one.test?tls=require", cert: "mx.one.test", tls: true},
		{name: "wrong name", route: "smtp://mx.one.test?tls=require", cert: "other.test", text: "STARTTLS: tls: failed to verify certificate"},
		{name: "untrusted", route: "smtp://mx.one.test?tls=require", cert: "mx.one.test", untrusted: true, text: "STARTTLS: tls: failed to verify certificate"},
		{name: "not offered", route: "smtp://mx.one.test?tls=require", text: "the relay offers no STARTTLS, and TLS is required"},
		{name: "refused", route: "smtp://mx.one.test?tls=require", cert: "mx.one.test", script: queuetest.Replies(map[string]string{"STARTTLS": "554 5.7.0 no"}), text: "STARTTLS: no"},
		{name: "opportunistic", route: "smtp://mx.one.test", cert: "other.test", tls: true},
		{name: "opportunistic, none", route: "smtp://mx.one.test"},
		{name: "off", route: "smtp://mx.one.test?tls=off", cert: "mx.one.test"},
		{name: "plain", route: "smtp://u:p@mx.one.test:25", cert: "mx.one.test", ext: plainAuth, tls: true, auth: "AUTH PLAIN " + b64("\x00u\x00p")},
		{name: "login", route: "smtp://u:p@mx.one.test:25", cert: "mx.one.test", ext: []string{"AUTH=LOGIN"}, tls: true, auth: "AUTH LOGIN " + b64("u") + " " + b64("p")},
		{name: "no mechanism", route: "smtp://u:p@mx.one.test:25", cert: "mx.one.test", ext: []string{"AUTH GSSAPI"}, text: "AUTH: the server offers neither PLAIN nor LOGIN"},
		{name: "wrong password", route: "smtp://u:p@mx.one.test:25", cert: "mx.one.test", ext: plainAuth, script: queuetest.Replies(map[string]string{"AUTH": "535 5.7.8 wrong"}), text: "AUTH: wrong", auth: "AUTH PLAIN " + b64("\x00u\x00p")},
		{name: "credentials need TLS", route: "smtp://u:p@mx.one.test:25", ext: plainAuth, text: "the relay offers no STARTTLS, and TLS is required"},
		{name: "even when opportunistic", route: "smtp://u:p@mx.one.test:25?tls=opportunistic", ext: plainAuth, text: "the relay offers no TLS, and credentials are not sent without it"},
		{name: "no downgrade with credentials", route: "smtp://u:p@mx.one.test:25?tls=opportunistic", cert: "mx.one.test", ext: plainAuth, script: drop("TLS"), text: "STARTTLS: the server closed the connection"},
		{name: "loopback", route: "smtp://u:p@127.0.0.1:25?tls=off", ext: plainAuth, auth: "AUTH PLAIN " + b64("\x00u\x00p")},
		{name: "closed", route: "smtp://mx.one.test", script: queuetest.Replies(map[string]string{"CONNECT": "554 5.7.1 who are you"}), text: "greeting: who are you"},
		{name: "unknown recipient", route: "smtp://mx.one.test", script: queuetest.Replies(map[string]string{"RCPT": "550 5.1.1 no"}), text: "RCPT: no"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mx := &queuetest.Server{Extensions: tt.ext, Script: tt.script}
			conf, pool := queuetest.Certificate(t, tt.cert)
			if tt.cert != "" {
				mx.TLS = conf
			}
			synctestWorld(t, mx, func(t *testing.T, w *world) {
				w.o.Dialer = toOne{w.net}
				if !tt.untrusted {
					w.o.RootCAs = pool
				}
				w.add("a@anywhere.test")
				w.start(tt.route, nil)
				// A pipe holds no octets: the alert that ends a bad handshake
				// waits for its deadline.
				time.Sleep(6 * time.Minute)
				w.stop()
				a, state := w.last("1")
				want := ticketing.DeliveryDeferred
				switch {
				case tt.name == "unknown recipient":
					want = ticketing.DeliveryFailed
				case tt.text == "":
					want = ticketing.DeliveryDelivered
				}
				if state != want || !strings.HasPrefix(a.Text, tt.text) || (tt.text == "" && (a.TLS != "") != tt.tls) {
					t.Errorf("%s %+v", state, a)
				}
				got := strings.Join(mx.Commands(), "\n")
				if tt.auth == "" && strings.Contains(got, "AUTH") || !strings.Contains(got, tt.auth) {
					t.Errorf("commands %s", got)
				}
			})
		})
	}
}

func TestLMTP(t *testing.T) {
	for name, tt := range map[string]struct {
		replies map[string]string
		state   ticketing.DeliveryState
		code    int
		next    ticketing.DeliveryState // of the copy after it
	}{
		"delivered": {nil, ticketing.DeliveryDelivered, 250, ticketing.DeliveryDelivered},
		"full":      {map[string]string{"END": "452 4.2.2 full"}, ticketing.DeliveryDeferred, 452, ticketing.DeliveryDeferred},
		"unknown":   {map[string]string{"RCPT": "550 5.1.1 unknown"}, ticketing.DeliveryFailed, 550, ticketing.DeliveryFailed},
		// Granted without a recipient: there would be no reply to wait for.
		"granted": {map[string]string{"RCPT": "550 5.1.1 unknown", "DATA": "354 go on"}, ticketing.DeliveryFailed, 550, ticketing.DeliveryFailed},
	} {
		t.Run(name, func(t *testing.T) {
			mx := &queuetest.Server{LMTP: true, Script: queuetest.Replies(tt.replies)}
			synctestWorld(t, mx, func(t *testing.T, w *world) {
				w.o.Dialer = toOne{w.net}
				w.o.PerDestination = 1
				w.add("a@anywhere.test", "b@elsewhere.test")
				w.start("lmtp:///run/lmtp.sock", nil)
				time.Sleep(time.Minute)
				w.stop()
				a, state := w.last("1")
				if state != tt.state || a.Code != tt.code || a.Host != "/run/lmtp.sock" {
					t.Errorf("%s %+v", state, a)
				}
				if _, state := w.last("2"); state != tt.next {
					t.Errorf("second: %s", state)
				}
				if mx.Commands()[0] != "LHLO desk.test" {
					t.Errorf("commands %q", mx.Commands())
				}
			})
		})
	}
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func drop(verb string) queuetest.Script {
	return func(e queuetest.Event) queuetest.Action { return queuetest.Action{Drop: e.Verb == verb} }
}

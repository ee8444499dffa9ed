package main

import (
	"encoding/json"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// service is a configuration that nothing speaks against.
func service(t *testing.T, set ...string) Config {
	t.Helper()
	set = append([]string{"hostname=desk.example.org", "data=/var/lib/mxdesk", "queue.relay=mx", "smtp.listen=:25"}, set...)
	c, err := LoadConfig(Sources{Env: noEnv, Set: set})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// nothing is a file system without folders.
func nothing(string) (fs.FileInfo, error) { return nil, fs.ErrNotExist }

func TestAdvice(t *testing.T) {
	for set, key := range map[string]string{
		"hostname=desk.example.org": "", "hostname=localhost": "hostname", "hostname=desk": "hostname", "hostname=192.0.2.1": "hostname",
		"queue.relay=capture": "queue.relay", "queue.relay=smtp://relay.example:25": "", "store=memory": "store",
		"lmtp.listen=:24": "lmtp.listen", "lmtp.listen=0.0.0.0:24": "lmtp.listen", "lmtp.listen=[::]:24": "lmtp.listen", "lmtp.listen=192.0.2.1:24": "lmtp.listen",
		"lmtp.listen=127.0.0.1:24": "", "lmtp.listen=10.1.2.3:24": "", "lmtp.listen=[fd00::1]:24": "", "lmtp.listen=/run/mxdesk/lmtp.sock": "",
		"lmtp.listen=localhost:24": "", "lmtp.listen=": "",
		"smtp.trusted=0.0.0.0/0": "smtp.trusted", "smtp.trusted=::/0": "smtp.trusted", "smtp.trusted=192.0.2.0/24": "",
	} {
		var keys []string
		c := service(t, set)
		for _, a := range c.advise(nothing) {
			keys = append(keys, a.Key)
		}
		if got := strings.Join(keys, " "); got != key {
			t.Errorf("%s: advice on %q, want %q", set, got, key)
		}
	}
}

func TestAdviceOnFolders(t *testing.T) {
	open := t.TempDir()
	closed := filepath.Join(open, "ours")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{open, closed, filepath.Join(closed, "to", "come")} {
		if got := openToAll(dir, os.Stat); got != open {
			t.Errorf("%s: open is %q, want %q", dir, got, open)
		}
	}
	onlyOurs := func(name string) (fs.FileInfo, error) {
		if name != closed {
			return nil, fs.ErrNotExist
		}
		return os.Stat(name)
	}
	if got := openToAll(filepath.Join(closed, "data"), onlyOurs); got != "" {
		t.Errorf("open is %q, want none", got)
	}
}

// A relay that is this server would send every answer round and round.
func TestRelayToOurselves(t *testing.T) {
	for relay, back := range map[string]bool{
		"smtp://127.0.0.1:25": true, "smtp://[::1]:25": true, "smtp://localhost:25": true, "smtp://desk.example.org:25": true, "lmtp:///run/mxdesk/lmtp.sock": true,
		"smtp://127.0.0.1:26": false, "smtp://relay.example:25": false, "smtp://192.0.2.1:25": false, "lmtp:///run/dovecot/lmtp": false, "mx": false, "capture": false,
	} {
		c := service(t, "lmtp.listen=/run/mxdesk/lmtp.sock")
		c.Queue.Relay = relay
		if key, err := c.checkApart(); (key == "queue.relay") != back || (err != nil) != back {
			t.Errorf("%s: %q, %v", relay, key, err)
		}
	}
}

// What is told of two addresses is what the system does with them.
func TestCollidingListeners(t *testing.T) {
	free := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		return port
	}
	for _, hosts := range [][2]string{
		{"127.0.0.1", "127.0.0.1"}, {"127.0.0.1", "127.0.0.2"}, {"", "127.0.0.1"}, {"0.0.0.0", "127.0.0.1"}, {"127.0.0.1", "0.0.0.0"}, {"::", "127.0.0.1"}, {"", "::1"}, {"::1", "127.0.0.1"}, {"0.0.0.0", "::"},
	} {
		port := free()
		a, b := net.JoinHostPort(hosts[0], port), net.JoinHostPort(hosts[1], port)
		first, err := net.Listen("tcp", a)
		if err != nil {
			t.Fatal(err)
		}
		second, err := net.Listen("tcp", b)
		if collide(a, b) != (err != nil) {
			t.Errorf("%s and %s: the system says %v", a, b, err)
		}
		if err == nil {
			second.Close()
		}
		first.Close()
	}
	for _, tc := range []struct{ set, want string }{
		{"lmtp.listen=127.0.0.1:25", "--set lmtp.listen: 127.0.0.1:25 is taken by smtp.listen = :25"},
		{"http.listen=127.0.0.1:9925", "metrics.listen: 127.0.0.1:9925 is taken by http.listen = 127.0.0.1:9925"},
		{"smtp.listen=127.0.0.1:26,127.0.0.1:26", "--set smtp.listen: 127.0.0.1:26 is taken by smtp.listen = 127.0.0.1:26"},
		{"lmtp.listen=/run/a,/run/x/../a", "--set lmtp.listen: /run/x/../a is taken by lmtp.listen = /run/a"},
		{"lmtp.listen=127.0.0.1:0,127.0.0.1:0,/run/a,./a", ""},
	} {
		_, err := LoadConfig(Sources{Env: noEnv, Set: []string{"smtp.listen=:25", tc.set}})
		if (err == nil) != (tc.want == "") || err != nil && err.Error() != tc.want {
			t.Errorf("%s: %v, want %q", tc.set, err, tc.want)
		}
	}
}

func TestConfigCheckWarns(t *testing.T) {
	args := []string{"config", "check", "--set=hostname=localhost", "--set=queue.relay=mx", "--data=/var/lib/mxdesk"}
	stdout, stderr, code := command(t, args...)
	if code != exitOK || !strings.HasPrefix(stderr, "mxdesk: warning: hostname: localhost is no name") || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stdout, "the settings are right") {
		t.Errorf("exit %d: %s%s", code, stderr, stdout)
	}
	stdout, stderr, code = command(t, append(args, "--json")...)
	var got checkedConfig
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != exitOK || stderr != "" || !got.OK ||
		!slices.ContainsFunc(got.Warnings, func(a advice) bool { return a.Key == "hostname" && a.Text != "" }) {
		t.Errorf("exit %d, %v: %s%s", code, err, stderr, stdout)
	}
}

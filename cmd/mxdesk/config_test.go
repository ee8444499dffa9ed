package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// sample is a value for a key that is not its default, as text and as TOML.
func sample(o option) (text, toml string) {
	special := map[string]string{
		"store": "memory", "smtp.bare_newline": "normalize", "log.level": "debug", "log.format": "json", "queue.relay": "mx",
		"http.public_url": "https://desk.example.org", "dns.timeout": "3s", "hostname": "mx.example.org",
		"http.listen": "127.0.0.1:9", "metrics.listen": "127.0.0.1:9", "smtp.max_size": "1000000", "smtp.max_recipients": "200",
		"auth.policy": "hold", "auth.on_temperror": "defer", "auth.help_url": "https://example.org/mail#{reason}",
	}
	switch text = special[o.key]; o.value.Kind() {
	case reflect.Slice:
		text = "192.0.2.0/24,2001:db8::/32"
		if strings.HasSuffix(o.key, "listen") || o.key == "dns.servers" {
			text = "127.0.0.1:1,[::1]:2"
		}
		if o.key == "auth.lists" {
			text = "zen.lists.example weight=5 refuse,dbl.example domains weight=5"
		}
		if o.key == "auth.upstream_results" || o.key == "auth.trusted_sealers" {
			text = "mx.example.org,mx2.example.org"
		}
		return text, `["` + strings.Join(strings.Split(text, ","), `", "`) + `"]`
	case reflect.Int, reflect.Int64:
		if o.key != "dns.timeout" {
			if text == "" {
				text = "26"
			}
			return text, text
		}
	}
	if text == "" {
		text = "/some/path"
	}
	return text, `"` + text + `"`
}

func noEnv(string) string { return "" }

// Every key can be set in each way, and the value arrives.
func TestEveryKeyByEverySource(t *testing.T) {
	d := DefaultConfig()
	for _, o := range d.options() {
		if strings.HasPrefix(o.key, "tls.") {
			continue // the two go together: below
		}
		text, toml := sample(o)
		file := filepath.Join(t.TempDir(), "mxdesk.toml")
		section, name, ok := strings.Cut(o.key, ".")
		body := o.key + " = " + toml + "\n"
		if ok {
			body = "[" + section + "]\n" + name + " = " + toml + "\n"
		}
		if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		env := "MXDESK_" + strings.ToUpper(strings.ReplaceAll(o.key, ".", "_"))
		for how, s := range map[string]Sources{
			"file": {File: file, Env: noEnv},
			"env": {Env: func(n string) string {
				if n == env {
					return text
				}
				return ""
			}},
			"set": {Env: noEnv, Set: []string{o.key + "=" + text}},
		} {
			c, err := LoadConfig(s)
			if err != nil {
				t.Errorf("%s by %s: %v", o.key, how, err)
				continue
			}
			for _, got := range c.options() {
				want := got.key == o.key
				if same := reflect.DeepEqual(got.value.Interface(), valueOf(d, got.key)); same == want {
					t.Errorf("%s by %s: %s is %v", o.key, how, got.key, got.value.Interface())
				}
				if want && strings.Trim(got.toml(), `"`) != strings.Trim(toml, `"`) {
					t.Errorf("%s by %s: %s, want %s", o.key, how, got.toml(), toml)
				}
			}
		}
	}
}

func valueOf(c Config, key string) any {
	for _, o := range c.options() {
		if o.key == key {
			return o.value.Interface()
		}
	}
	return nil
}

func TestSourcesInTheirOrder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mxdesk.toml")
	if err := os.WriteFile(file, []byte("hostname = \"file.test\"\ndata = \"file\"\n[tls]\ncertificate = \"c\"\nkey = \"k\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := Sources{File: file, Env: noEnv}
	for _, step := range []struct {
		change func()
		want   string
	}{
		{func() {}, "file.test file"},
		{func() { s.Env = func(n string) string { return map[string]string{"MXDESK_HOSTNAME": "env.test"}[n] } }, "env.test file"},
		{func() { s.Set = []string{"hostname=set.test", "data=set"} }, "set.test set"},
		{func() { s.Data = "flag" }, "set.test flag"},
	} {
		step.change()
		c, err := LoadConfig(s)
		if got := c.Hostname + " " + c.Data; err != nil || got != step.want || c.File == "" || c.TLS.Key != "k" {
			t.Errorf("%q, %v; want %q", got, err, step.want)
		}
	}
}

func TestErrorsNameThePlace(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"top level":            {"# a comment\n\nhostname = \"a b\"\n", ":3: hostname:"},
		"section":              {"[smtp]\nbare_newline = \"x\" # why\n", ":2: smtp.bare_newline:"},
		"section with comment": {"[ smtp ] # x = 1\nbare_newline = \"x\"\n", ":2: smtp.bare_newline:"},
		"dotted":               {"smtp.listen = [\"nowhere\"]\n", ":1: smtp.listen:"},
		"dotted with blanks":   {"smtp . listen = [\"nowhere\"]\n", ":1: smtp.listen:"},
		"quoted":               {"\"smtp\".'listen' = [\"nowhere\"]\n", ":1: smtp.listen:"},
		"quoted section":       {"[\"smtp\"]\n\"listen\" = [\"nowhere\"]\n", ":2: smtp.listen:"},
		"inline table":         {"\nsmtp = { bare_newline = \"x\" }\n", ":2: smtp.bare_newline:"},
		"list over lines":      {"[smtp]\nlisten = [\n  # listen = 1\n  \"127.0.0.1:1\",\n  \"nowhere\",\n]\n", ":2: smtp.listen:"},
		"after a list":         {"[smtp]\nlisten = [\n\"127.0.0.1:1\",\n]\nmax_size = 1\n", ":5: smtp.max_size:"},
		"list with an equals":  {"[tls]\ncertificate = \"\"\n[lmtp]\nlisten = [\n\"/run/key = x\",\n]\n[log]\nlevel = \"x\"\n", ":8: log.level:"},
		"text that looks so":   {"data = '''\n[log]\nlevel = 1\n'''\n[log]\nlevel = \"x\"\n", ":6: log.level"},
		"unknown":              {"[smtp]\n\nnothing = 1\n", ":3: smtp.nothing: there is no such key"},
		"unknown section":      {"[nothing]\na = 1\n", ":"},
		"wrong type":           {"[smtp]\nlisten = 25\n", ":2"},
		"no TOML":              {"[smtp\n", ":1"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "m.toml")
			if err := os.WriteFile(file, []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := LoadConfig(Sources{File: file, Env: noEnv})
			if err == nil || !strings.HasPrefix(err.Error(), file+tc.want) {
				t.Errorf("error %v, want %s", err, tc.want)
			}
		})
	}
	for _, tc := range []struct {
		s    Sources
		want string
	}{
		{Sources{Env: noEnv, Set: []string{"nothing=1"}}, "--set nothing: there is no such key"},
		{Sources{Env: noEnv, Set: []string{"smtp.listen"}}, "--set smtp.listen: write"},
		{Sources{Env: noEnv, Set: []string{"smtp.max_size=x"}}, `--set smtp.max_size: "x" is no number`},
		{Sources{Env: noEnv, Set: []string{"smtp.max_size=1"}}, "--set smtp.max_size: 1 is not between"},
		{Sources{Env: noEnv, Set: []string{"tls.key=x"}}, "--set tls.key: certificate and key"},
		{Sources{Env: noEnv, Set: []string{"data="}}, "--set data: the folder"},
		{Sources{Env: noEnv, File: "/does/not/exist"}, "config: open /does/not/exist"},
		{Sources{Env: func(n string) string { return map[string]string{"MXDESK_DNS_TIMEOUT": "5"}[n] }}, "MXDESK_DNS_TIMEOUT: "},
		{Sources{Env: func(n string) string { return map[string]string{"MXDESK_QUEUE_RELAY": "pigeon"}[n] }}, "MXDESK_QUEUE_RELAY: "},
	} {
		if _, err := LoadConfig(tc.s); err == nil || !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("error %v, want %s", err, tc.want)
		}
	}
}

func FuzzKeyLines(f *testing.F) {
	for _, s := range []string{"a = 1", "[a]\nb = x", "= 1", "[", "a = [\n1,\n", "a.b = 'x\ny'", "\"", "a = \"\"\"\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for key, place := range keyLines("f", s) {
			if !strings.HasPrefix(place, "f:") || !strings.HasSuffix(place, ": "+key) {
				t.Errorf("%q is at %q", key, place)
			}
		}
		c := DefaultConfig()
		if err := decodeTOML("f", []byte(s), &c); err != nil && !strings.HasPrefix(err.Error(), "f:") {
			t.Errorf("error %v names no place", err)
		}
	})
}

func TestMisspeltVariables(t *testing.T) {
	c := DefaultConfig()
	got := c.misspelt([]string{"PATH=/bin", "MXDESK_CONFIG=x", "MXDESK_QUEUE_RELAY=mx", "MXDESK_QUEUE_RELAI=mx", "MXDESK_HOSTNAME=h"})
	if len(got) != 1 || got[0] != "MXDESK_QUEUE_RELAI" {
		t.Errorf("misspelt: %v", got)
	}
}

func TestConfigPrintHidesThePassword(t *testing.T) {
	for _, args := range [][]string{{"config", "print"}, {"config", "print", "--json"}} {
		var out, errs bytes.Buffer
		e := &Env{Ctx: t.Context(), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }}
		if code := run(e, append(args, "--set", "queue.relay=smtp://ann:s3cret@relay.example:25")); code != exitOK {
			t.Fatalf("exit %d: %s", code, &errs)
		}
		if !strings.Contains(out.String(), "relay.example") || strings.Contains(out.String(), "s3cret") {
			t.Errorf("%v printed %s", args, &out)
		}
	}
}

// Nobody is believed who is no one in particular.
func TestWhoIsBelieved(t *testing.T) {
	for setting, ok := range map[string]bool{
		"auth.trusted_sealers=": true, "auth.trusted_sealers=forward.example": true, "auth.trusted_sealers=com": false, "auth.trusted_sealers=*.example.org": false,
		"auth.upstream_results=mx.example.org": true, "auth.upstream_results=desk.example.org": false, "auth.upstream_results=a b": false,
	} {
		if _, err := LoadConfig(Sources{Env: noEnv, Set: []string{"hostname=desk.example.org", setting}}); (err == nil) != ok {
			t.Errorf("%s: %v", setting, err)
		}
	}
}

// The machine's own file is for those who name neither a file nor a folder, and
// may read it.
func TestSystemConfig(t *testing.T) {
	system := writeText(t, filepath.Join(t.TempDir(), "mxdesk.toml"), "hostname = \"system.example.org\"\ndata = \"/var/lib/mxdesk\"\n")
	other := writeText(t, filepath.Join(t.TempDir(), "mxdesk.toml"), "hostname = \"other.example.org\"\n")
	none := filepath.Join(t.TempDir(), "none.toml")
	for _, tc := range []struct {
		system string
		env    map[string]string
		args   []string
		want   string // hostname
	}{
		{system: system, want: "system.example.org"},
		{system: system, args: []string{"--config", other}, want: "other.example.org"},
		{system: system, args: []string{"--data", "here"}},
		{system: system, env: map[string]string{"MXDESK_DATA": "here"}},
		{system: none},
		{system: ""},
	} {
		var out, errs bytes.Buffer
		e := &Env{Ctx: t.Context(), Stdout: &out, Stderr: &errs, Getenv: func(name string) string { return tc.env[name] }, SystemConfig: tc.system}
		if code := run(e, append(tc.args, "config", "print")); code != exitOK {
			t.Fatalf("%+v: exit %d: %s", tc, code, &errs)
		}
		if got := strings.Contains(out.String(), tc.want); !got || tc.want == "" && strings.Contains(out.String(), "example.org") {
			t.Errorf("%+v: %s", tc, &out)
		}
	}
}

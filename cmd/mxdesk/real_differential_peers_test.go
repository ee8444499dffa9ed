package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// islandServer is the one name server of an island. It is no loopback address,
// which resolver libraries refuse to ask.
const islandServer = "192.0.2.53"

// island is a namespace of its own for network and processes, with a name server
// at port 53 and nothing else: some peers ask only the servers of /etc/resolv.conf.
type island struct {
	t   *testing.T
	bin string
	dir string
	pid string
}

// newIsland makes an island whose name server knows the records, and has lost
// the zones named last: questions about those end in SERVFAIL.
func newIsland(t *testing.T, bin, records string, lost ...string) *island {
	t.Helper()
	needs(t, "unshare", "nsenter", "ip")
	i := &island{t: t, bin: bin, dir: t.TempDir()}
	for _, folder := range []string{filepath.Dir(i.dir), i.dir} { // the milters run as users of their own
		if err := os.Chmod(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	conf := writeText(t, filepath.Join(i.dir, "resolv.conf"), "nameserver "+islandServer+"\n")
	out := background(t, "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec",
		`ip link set lo up; ip addr add "$1/32" dev lo; mount --bind "$2" /etc/resolv.conf; read -r pid rest </proc/self/stat; echo "$pid"; exec sleep 600`, "sh", islandServer, conf)
	eventually(t, 10*time.Second, "a network namespace", func() error {
		if !regexp.MustCompile(`^\d+\n$`).MatchString(out.String()) {
			return fmt.Errorf("%s", out.String())
		}
		return nil
	})
	i.pid = strings.TrimSpace(out.String())
	defer t.Cleanup(i.sink) // before the cleanup of Knot, which waits for it
	startKnot(t, i.command(), islandServer+":53", records, lost, func() error {
		got := i.do(bin, "verify", "--json", "--spf-only", "--ip", "192.0.2.1", "--mail-from", "a@ns.test", "--dns-server", islandServer)
		if !strings.Contains(got, `"result":"none"`) {
			return fmt.Errorf("%s", got)
		}
		return nil
	})
	return i
}

// command is what to put before a command to run it on the island.
func (i *island) command(args ...string) []string {
	return append([]string{"nsenter", "-t", i.pid, "-n", "-m", "-p"}, args...)
}

// do runs a program on the island and returns its standard output.
func (i *island) do(args ...string) string {
	i.t.Helper()
	args = i.command(args...)
	stdout, stderr, code := execute(i.t, i.dir, args[0], args[1:]...)
	if code != 0 {
		i.t.Fatalf("%s: exit %d: %s%s", strings.Join(args, " "), code, tail(stdout, 500), stderr)
	}
	return stdout
}

// serve runs a program on the island until the test ends.
func (i *island) serve(args ...string) {
	i.t.Helper()
	args = i.command(args...)
	background(i.t, args[0], args[1:]...)
	i.t.Cleanup(i.sink) // before background waits for it
}

// sink ends all that runs on the island.
func (i *island) sink() {
	if pid, err := strconv.Atoi(i.pid); err == nil {
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

// python judges the cases with python3-spf and python3-dkim.
func (i *island) python(cases []mailCase) opinions {
	i.t.Helper()
	script, err := filepath.Abs("testdata/differential/peers.py")
	if err != nil {
		i.t.Fatal(err)
	}
	var lines strings.Builder
	for _, c := range cases {
		line, err := json.Marshal(map[string]string{"name": c.Name, "ip": c.IP, "helo": c.Helo, "sender": c.Sender, "file": c.file})
		if err != nil {
			i.t.Fatal(err)
		}
		lines.Write(append(line, '\n'))
	}
	file := writeText(i.t, filepath.Join(i.dir, "cases.json"), lines.String())
	said := opinions{}
	for _, r := range decodeLines[struct {
		Name, SPF, ARC string
		DKIM           []string
	}](i.t, i.do("/usr/bin/python3", script, file)) {
		said.add(r.Name, "python3-spf", "spf", r.SPF)
		said.add(r.Name, "python3-dkim", "arc", r.ARC)
		said.add(r.Name, "python3-dkim", "dkim", strings.Join(r.DKIM, " "))
	}
	return said
}

// milter hands the cases to a milter that listens at the socket and returns
// the values of the fields it adds, by case. With results, our own of SPF and
// DKIM stand on top of each mail.
func (i *island) milter(socket string, cases []mailCase, results func(mailCase) string) map[string][]string {
	i.t.Helper()
	var lua strings.Builder
	lua.WriteString("return {\n")
	for _, c := range cases {
		fields, body := splitMail(c.Raw)
		if results != nil {
			fields = append([]string{"Authentication-Results: " + results(c)}, fields...)
		}
		fmt.Fprintf(&lua, "{name=%s, ip=%s, helo=%s, sender=%s, body=%s, headers={", luaString(c.Name), luaString(c.IP), luaString(c.Helo), luaString(c.Sender), luaString(body))
		for _, f := range fields {
			// A milter gets line ends within a field as LF, and the space
			// behind the colon.
			name, value, _ := strings.Cut(f, ":")
			fmt.Fprintf(&lua, "{%s,%s},", luaString(name), luaString(strings.ReplaceAll(value, "\r\n", "\n")))
		}
		lua.WriteString("}},\n")
	}
	lua.WriteString("}\n")
	script, err := filepath.Abs("testdata/differential/milter.lua")
	if err != nil {
		i.t.Fatal(err)
	}
	file := writeText(i.t, socket+".lua", lua.String())
	said := map[string][]string{}
	// A milter may end while it is written to.
	out := i.do("sh", "-c", `trap "" PIPE; exec miltertest -w -D "cases=$1" -D "socket=unix:$2" -s "$3"`, "sh", file, socket, script)
	for line := range strings.Lines(out) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\n"), "\t"); ok {
			said[name] = append(said[name], value)
		}
	}
	return said
}

// luaString quotes with decimal escapes, which hold for any octet.
func luaString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			fmt.Fprintf(&b, `\%03d`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String() + `"`
}

var dkimWord = regexp.MustCompile(`dkim=(\w+)`)

// opendkim judges the signatures of the cases.
func (i *island) opendkim(cases []mailCase) opinions {
	i.t.Helper()
	socket := filepath.Join(i.dir, "opendkim.sock")
	conf := writeText(i.t, filepath.Join(i.dir, "opendkim.conf"), fmt.Sprintf(
		"Mode v\nSocket local:%s\nBackground no\nUserID root\nSyslog no\nAuthservID peer.example\nAlwaysAddARHeader yes\nMaximumSignaturesToVerify 10\nDNSTimeout 5\nRequireSafeKeys no\nNameservers %s\n", socket, islandServer))
	i.serve("opendkim", "-f", "-x", conf)
	said := opinions{}
	for name, values := range i.milter(socket, cases, nil) {
		var words []string
		for _, m := range dkimWord.FindAllStringSubmatch(strings.Join(values, " "), -1) {
			switch m[1] {
			case "none":
			case "pass", "temperror":
				words = append(words, m[1])
			default:
				words = append(words, "fail")
			}
		}
		said.add(name, "opendkim", "dkim", strings.Join(words, " "))
	}
	return said
}

var dmarcWords = regexp.MustCompile(`dmarc=(\w+)(?: \(p=\w+ dis=(\w+)\))?`)

// opendmarc judges the cases by our own results of SPF and DKIM, so that it
// differs about DMARC alone.
func (i *island) opendmarc(cases []mailCase, results func(mailCase) string) opinions {
	i.t.Helper()
	socket := filepath.Join(i.dir, "opendmarc.sock")
	suffixes := writeText(i.t, filepath.Join(i.dir, "suffixes"), "// the one suffix of the test\nexample\n")
	conf := writeText(i.t, filepath.Join(i.dir, "opendmarc.conf"), fmt.Sprintf(
		"Socket local:%s\nBackground no\nAutoRestart yes\nUserID root\nSyslog no\nAuthservID peer.example\nTrustedAuthservIDs desk.test\nIgnoreHosts /dev/null\n"+
			"RejectFailures yes\nHoldQuarantinedMessages yes\nPublicSuffixList %s\nDNSTimeout 5\n", socket, suffixes))
	i.serve("opendmarc", "-f", "-c", conf)
	said := opinions{}
	for name, values := range i.milter(socket, cases, results) {
		text := strings.TrimSpace(strings.Join(values, " "))
		result, disposition := "-", "-"
		if m := dmarcWords.FindStringSubmatch(text); m != nil {
			result, disposition = m[1], cmp.Or(m[2], "none")
		} else if text == "refused" {
			result, disposition = "fail", "reject"
		} else if text != "" {
			result = text
		}
		said.add(name, "opendmarc", "dmarc", result)
		said.add(name, "opendmarc", "disposition", disposition)
	}
	return said
}

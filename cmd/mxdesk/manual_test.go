package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// page is a manual page in the making: man(7).
type page struct{ strings.Builder }

// roff makes text harmless for roff.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, `"`, `\(dq`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	var b strings.Builder
	for _, r := range s {
		if r > 126 {
			fmt.Fprintf(&b, `\[u%04X]`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// macro writes a request whose arguments are made harmless.
func (p *page) macro(name string, args ...string) {
	p.WriteString("." + name)
	for _, a := range args {
		p.WriteString(` "` + roff(a) + `"`)
	}
	p.WriteByte('\n')
}

// text writes paragraphs, which an empty line parts.
func (p *page) text(s string) {
	for i, paragraph := range strings.Split(s, "\n\n") {
		if i > 0 {
			p.macro("PP")
		}
		for line := range strings.Lines(paragraph) {
			p.WriteString(roff(strings.TrimSpace(line)) + "\n")
		}
	}
}

// entry writes a term and what it means.
func (p *page) entry(term, meaning string) {
	p.macro("TP")
	p.macro("B", term)
	p.text(meaning)
}

// example writes lines as they are.
func (p *page) example(s string) {
	p.macro("PP")
	p.macro("EX")
	for line := range strings.Lines(s) {
		p.WriteString(roff(strings.TrimRight(line, "\n")) + "\n")
	}
	p.macro("EE")
}

func newPage(name, section, about string) *page {
	p := &page{}
	p.WriteString(".\\\" Generated from the code: UPDATE_DOCS=1 go test -run TestDocs ./cmd/mxdesk\n")
	p.macro("TH", strings.ToUpper(name), section, "", "mxdesk")
	p.macro("SH", "NAME")
	p.WriteString(name + ` \- ` + about + "\n")
	return p
}

// meaning is the help of a flag or argument with its default.
func meaning(v *kong.Value, envs []string) string {
	help := v.Help
	if v.HasDefault {
		help += " Default: " + v.Default + "."
	}
	if len(envs) > 0 {
		help += " Also: the variable " + strings.Join(envs, ", ") + "."
	}
	return help
}

// flags writes the flags of one command, or of all.
func (p *page) flags(flags []*kong.Flag) {
	for _, f := range flags {
		if f.Hidden || f.Name == "help" {
			continue
		}
		term := "--" + f.Name
		if !f.IsBool() {
			term += "=" + f.FormatPlaceHolder()
		}
		p.entry(term, meaning(f.Value, f.Envs))
	}
}

// command writes a command and those under it.
func (p *page) command(n *kong.Node) {
	if len(n.Children) > 0 {
		for _, c := range n.Children {
			p.command(c)
		}
		return
	}
	words := []string{"mxdesk", n.Path()}
	for _, a := range n.Positional {
		words = append(words, a.Summary())
	}
	p.entry(strings.Join(words, " "), n.Help)
	p.macro("RS")
	for _, a := range n.Positional {
		p.entry(a.Summary(), meaning(a, nil))
	}
	p.flags(n.Flags)
	p.macro("RE")
}

var exitLine = regexp.MustCompile(`(?m)^  (\d)  (.+)$`)

func TestDocsManual(t *testing.T) {
	parser, err := grammar(&commands{})
	if err != nil {
		t.Fatal(err)
	}
	p := newPage("mxdesk", "1", "a mail server that is a service desk")
	p.macro("SH", "SYNOPSIS")
	p.text("mxdesk [--config=FILE] [--data=DIR] [--set=KEY=VALUE]... [--json] COMMAND ...")
	p.macro("SH", "DESCRIPTION")
	p.text("mxdesk takes mail by SMTP and LMTP, makes tickets of it, and sends the agents' answers through its own queue. " +
		"\"mxdesk serve\" is the server; the other commands ask the server that runs on the same data folder, through a socket that only its owner and root can use. " +
		"verify, parse and config need no server.")
	p.macro("SH", "OPTIONS")
	p.flags(parser.Model.Flags)
	p.macro("SH", "COMMANDS")
	for _, c := range parser.Model.Children {
		p.macro("SS", c.Name)
		p.command(c)
	}
	p.macro("SH", "EXIT STATUS")
	for _, m := range exitLine.FindAllStringSubmatch(exitHelp, -1) {
		p.entry(m[1], m[2])
	}
	p.macro("PP")
	p.text(jsonHelp)
	p.macro("SH", "SIGNALS")
	p.entry("SIGTERM, SIGINT", "The server takes no new connections, finishes the mail in progress, and ends within 15 seconds.")
	p.entry("SIGHUP", "The server reads its certificate again. It does so by itself, too, within a minute.")
	p.macro("SH", "ENVIRONMENT")
	p.entry("MXDESK_CONFIG", "The file with the settings.")
	p.entry("MXDESK_<SECTION>_<KEY>", "One setting, for example MXDESK_QUEUE_RELAY. Lists are separated by commas.")
	p.entry("NOTIFY_SOCKET, WATCHDOG_USEC, LISTEN_FDS, LISTEN_FDNAMES", "As systemd sets them: see sd_notify(3) and sd_listen_fds(3).")
	p.entry("GOGC, GOMEMLIMIT", "Memory settings of the Go runtime, in place of ours (400 and 384 MiB).")
	p.macro("SH", "FILES")
	p.entry("/etc/mxdesk.toml", "The settings of the service, see mxdesk.toml(5).")
	p.entry("/var/lib/mxdesk", "The data of the service.")
	p.macro("SH", "EXAMPLES")
	p.example("mxdesk serve --data /tmp/desk\nmxdesk --config /etc/mxdesk.toml project create support --alias support@desk.example.org\nmxdesk --config /etc/mxdesk.toml trace ann@customer.example\nmxdesk verify --ip 192.0.2.1 --mail-from ann@customer.example message.eml")
	p.macro("SH", "SEE ALSO")
	p.text("mxdesk.toml(5), systemd.service(5), and the pages in /usr/share/doc/mxdesk")
	golden(t, "mxdesk.1", p.String())
}

func TestDocsManualOfSettings(t *testing.T) {
	c := DefaultConfig()
	c.Hostname = "localhost"
	p := newPage("mxdesk.toml", "5", "settings of mxdesk")
	p.macro("SH", "DESCRIPTION")
	p.text("The file that --config or MXDESK_CONFIG names, in TOML. Flags come before the environment, the environment before this file, and this file before the defaults, which are shown here. " +
		"An unknown key or a bad value ends the program with exit code 2 and one line that names file, line and key.\n\n" +
		"\"mxdesk config check\" looks for mistakes, \"mxdesk config print\" shows what holds.")
	p.macro("SH", "SETTINGS")
	section := ""
	for _, o := range c.options() {
		name, key, ok := strings.Cut(o.key, ".")
		if !ok {
			name, key = "", o.key
		}
		if name != section {
			section = name
			p.macro("SS", "["+section+"]")
		}
		p.entry(key+" = "+o.toml(), o.help)
	}
	p.macro("SH", "EXAMPLE")
	p.example("hostname = \"desk.example.org\"\ndata = \"/var/lib/mxdesk\"\n\n[smtp]\nlisten = [\":25\"]\n\n[http]\npublic_url = \"https://desk.example.org\"\n\n[queue]\nrelay = \"mx\"")
	p.macro("SH", "SEE ALSO")
	p.text("mxdesk(1)")
	golden(t, "mxdesk.toml.5", p.String())
}

// TestRealManual has groff and man read the pages.
func TestRealManual(t *testing.T) {
	needs(t, "man", "groff")
	for _, name := range []string{"mxdesk.1", "mxdesk.toml.5"} {
		for _, command := range [][]string{
			{"groff", "-man", "-Tutf8", "-ww", "-z", "../../docs/" + name},
			{"man", "--warnings", "-l", "../../docs/" + name},
		} {
			cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
			cmd.Env = append(cmd.Environ(), "LC_ALL=C.UTF-8", "MANWIDTH=100", "MANROFFSEQ=", "PAGER=cat")
			var warnings bytes.Buffer
			cmd.Stderr = &warnings
			text, err := cmd.Output()
			if err != nil || warnings.Len() > 0 {
				t.Errorf("%v: %v\n%s", command, err, &warnings)
			}
			if command[0] == "man" && !strings.Contains(string(text), "SEE ALSO") {
				t.Errorf("%s:\n%s", name, text)
			}
		}
	}
}

// packaged are the settings in which the packaged file differs from the
// defaults.
var packaged = map[string]string{"data": `"/var/lib/mxdesk"`, "smtp.listen": `[":25"]`}

// TestDocsPackagedSettings keeps the file that the package installs equal to
// the code: every key with its meaning, commented out where the default holds.
func TestDocsPackagedSettings(t *testing.T) {
	c := DefaultConfig()
	c.Hostname = "desk.example.org"
	var b strings.Builder
	b.WriteString("# Settings of mxdesk: see mxdesk.toml(5). What is commented out is the default;\n" +
		"# for hostname that is the full name of this machine. Check a change with\n# \"mxdesk --config /etc/mxdesk.toml config check\", then \"systemctl restart mxdesk\".\n\n")
	section := ""
	for _, o := range c.options() {
		name, key, ok := strings.Cut(o.key, ".")
		if !ok {
			name, key = "", o.key
		}
		if name != section {
			section = name
			fmt.Fprintf(&b, "[%s]\n\n", section)
		}
		value, set := packaged[o.key]
		if !set {
			key, value = "#"+key, o.toml()
		}
		for _, line := range wrapped(o.help, 76) {
			fmt.Fprintf(&b, "# %s\n", line)
		}
		fmt.Fprintf(&b, "%s = %s\n\n", key, value)
	}
	text := strings.TrimRight(b.String(), "\n") + "\n"
	goldenFile(t, "package/mxdesk.toml", text)

	got, err := LoadConfig(Sources{File: "package/mxdesk.toml", Env: noEnv})
	if err != nil {
		t.Fatal(err)
	}
	want := DefaultConfig()
	if got.Data != "/var/lib/mxdesk" || len(got.SMTP.Listen) != 1 || got.SMTP.Listen[0] != ":25" || got.Queue.Relay != want.Queue.Relay {
		t.Errorf("%+v", got)
	}
	// What is commented out can be taken in as it stands.
	all := regexp.MustCompile(`(?m)^#(\w+ = )`).ReplaceAllString(text, "$1")
	if _, err := LoadConfig(Sources{File: writeText(t, t.TempDir()+"/all.toml", all), Env: noEnv}); err != nil {
		t.Error(err)
	}
	if strings.Count(all, "\n#") == strings.Count(text, "\n#") {
		t.Error("nothing is commented out")
	}
}

// wrapped breaks text into lines.
func wrapped(s string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(s) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return append(lines, line)
}

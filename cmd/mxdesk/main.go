// Command mxdesk is a mail server that is a service desk: it takes mail by
// SMTP and LMTP, makes tickets of it, and sends the agents' answers.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/alecthomas/kong"
)

func main() {
	e := &Env{Ctx: context.Background(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Environ: os.Environ(), SystemConfig: "/etc/mxdesk.toml"}
	os.Exit(run(e, os.Args[1:]))
}

// Env is the world of one command.
type Env struct {
	Ctx            context.Context // ends the command; signals end the program, except in serve
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Environ        []string // all of it
	SystemConfig   string   // read where neither a file nor a data folder is named; "" for none
	Global         Global
}

// Global are the flags of every command.
type Global struct {
	Config string   `help:"Read settings from this TOML file; without it and --data, from /etc/mxdesk.toml if you may read that." placeholder:"FILE" env:"MXDESK_CONFIG"`
	Data   string   `help:"Folder that holds everything mxdesk keeps." placeholder:"DIR"`
	Set    []string `help:"Set one key, for example --set queue.relay=mx. May be repeated." placeholder:"KEY=VALUE" sep:"none"`
	JSON   bool     `help:"Write one JSON object per line, errors on standard error, too."`
}

// Exit codes, as the help lists them.
const (
	exitOK      = 0
	exitRefused = 1 // the desk said no, or is not as it should be
	exitUsage   = 2 // a word, value or setting that means nothing, whoever notices
	exitIO      = 3 // a file, folder or connection failed
	exitNoDesk  = 4 // no server is running
)

const jsonHelp = `With --json an error is a JSON object, too, on standard error: "error" is its text,
"reason" a word that does not change, "exit" the code.`

const exitHelp = `Exit codes:
  0  done
  1  the desk says no, or has nothing of that name; a store, a backup or keys are not whole
  2  a command, value or setting that is not understood, too long or out of range
  3  a file, folder or connection failed, or a backup is damaged
  4  no server is running

` + jsonHelp + `

Settings come from flags, then MXDESK_<SECTION>_<KEY> in the environment, then
the TOML file, then the defaults; "mxdesk config print" shows them all.`

type commands struct {
	Global
	Print kong.VersionFlag `name:"version" help:"Print the version."`

	Serve   ServeCmd   `cmd:"" help:"Run the server."`
	Ready   ReadyCmd   `cmd:"" help:"Ask whether the running server takes mail; exit code 0 if it does."`
	Ticket  TicketCmd  `cmd:"" help:"List, show, answer and change tickets."`
	Project ProjectCmd `cmd:"" help:"Make and list projects."`
	Alias   AliasCmd   `cmd:"" help:"Add, remove and list addresses that lead to projects."`
	Domain  DomainCmd  `cmd:"" help:"Add, remove and list the domains that are served."`
	DKIM    DKIMCmd    `cmd:"" name:"dkim" help:"Make, list, change and publish the DKIM keys of domains."`
	Agent   AgentCmd   `cmd:"" help:"Add, list and remove agents, and sign them in and out."`
	Queue   QueueCmd   `cmd:"" help:"List, show, retry and cancel outgoing mail."`
	Held    HeldCmd    `cmd:"" help:"List, release and delete held mail."`
	Trace   TraceCmd   `cmd:"" help:"Tell what happened to a mail."`
	Verify  VerifyCmd  `cmd:"" help:"Check SPF, DKIM, ARC and DMARC of messages in files."`
	Parse   ParseCmd   `cmd:"" help:"Show what messages in files say."`
	Backup  BackupCmd  `cmd:"" help:"Save the desk, while the server runs or not."`
	Restore RestoreCmd `cmd:"" help:"Make a desk of a backup, in an empty data folder."`
	Store   StoreCmd   `cmd:"" help:"Look into the store: verify, stats, ls, dump, compact."`
	Config  ConfigCmd  `cmd:"" help:"Check or print the settings."`
	Version VersionCmd `cmd:"" help:"Print the version."`
}

// run runs one command and returns its exit code.
func run(e *Env, args []string) int {
	var c commands
	exited := -1
	parser, err := grammar(&c, kong.Writers(e.Stdout, e.Stderr), kong.Exit(func(code int) { exited = code }))
	if err != nil {
		return report(e, &exitError{code: exitUsage, err: err})
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	ctx, err := parser.Parse(args)
	if exited >= 0 {
		return exited // --help
	}
	if err != nil {
		e.Global.JSON = wantsJSON(args)
		return report(e, exitf(exitUsage, "%w\nTry \"%s --help\".", err, understood(err)))
	}
	e.Global = c.Global
	return report(e, ctx.Run(e))
}

// understood is as much of a command line as made sense.
func understood(err error) string {
	words := []string{"mxdesk"}
	if p, ok := errors.AsType[*kong.ParseError](err); ok {
		for _, step := range p.Context.Path {
			if step.Command != nil {
				words = append(words, step.Command.Name)
			}
		}
	}
	return strings.Join(words, " ")
}

// grammar is how the words of a command line are read into c.
func grammar(c *commands, more ...kong.Option) (*kong.Kong, error) {
	return kong.New(c, append([]kong.Option{
		kong.Name("mxdesk"),
		kong.Description("A mail server that is a service desk." + "\n\n" + exitHelp),
		kong.Vars{
			"version":  "mxdesk " + version(),
			"policies": "enforce (refused or held, as the verdict says), hold (held instead of refused), annotate (taken, and marked)",
		},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.UsageOnError(),
	}, more...)...)
}

// settings loads the configuration that the flags and the environment name.
func (e *Env) settings() (Config, error) {
	c, err := LoadConfig(Sources{File: e.configFile(), Env: e.Getenv, Set: e.Global.Set, Data: e.Global.Data})
	if err != nil {
		return c, &exitError{code: exitUsage, err: err}
	}
	return c, nil
}

// configFile is the TOML file to read, "" for none. The machine's own is passed
// over by those who may not read it: not all commands need it.
func (e *Env) configFile() string {
	if e.Global.Config != "" || e.namesData() || !canRead(e.SystemConfig) {
		return e.Global.Config
	}
	return e.SystemConfig
}

// namesData tells whether the data folder was named outside of a file.
func (e *Env) namesData() bool { return e.Global.Data != "" || e.Getenv("MXDESK_DATA") != "" }

func canRead(file string) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	return f.Close() == nil
}

// elsewhere is what else to say to somebody for whom no server was found.
func (e *Env) elsewhere() string {
	if _, err := os.Stat(e.SystemConfig); err != nil || e.Global.Config != "" || e.namesData() || canRead(e.SystemConfig) {
		return ""
	}
	return fmt.Sprintf(" (%s is not yours to read: as root or the user mxdesk you would reach its server)", e.SystemConfig)
}

// VersionCmd prints the version.
type VersionCmd struct{}

// Run prints the version.
func (VersionCmd) Run(e *Env) error {
	if e.Global.JSON {
		return writeJSON(e, map[string]string{"version": version()})
	}
	_, err := fmt.Fprintln(e.Stdout, "mxdesk", version())
	return err
}

// version is the module's version, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	v := info.Main.Version
	if v == "" || v == "(devel)" {
		v = "devel"
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				v += "-" + s.Value[:12]
			}
		}
	}
	return strings.TrimPrefix(v, "v")
}

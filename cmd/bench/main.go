// Command bench measures mxdesk beside other mail servers, and at a growing
// number of tickets. docs/performance.md says how and what the figures mean.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes, as the help lists them.
const (
	exitWrong = 1 // a count was wrong
	exitUsage = 2
	exitIO    = 3 // a part is missing or a server failed
)

const help = `Measures mxdesk. Progress goes to standard error, the result to standard output.

Exit codes:
  0  measured; a goal that was missed is shown, it is no failure
  1  a server kept another number of mails than it answered 250
  2  wrong usage
  3  a part is missing, or a server failed
130  stopped by Ctrl-C`

type commands struct {
	JSON    bool   `help:"Write one JSON object."`
	Scratch string `help:"Folder for the servers' data, on the disk that is to be measured; every user must be able to enter it." default:"/var/tmp" placeholder:"DIR"`

	Intake IntakeCmd `cmd:"" help:"Take mails in by SMTP and LMTP beside Postfix, rspamd and Dovecot."`
	Big    BigCmd    `cmd:"" help:"Cost of mails, lists and lookups at 1 k, 100 k and 1 M tickets."`
}

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	var c commands
	parser, err := kong.New(&c, kong.Name("bench"), kong.Description(help), kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return exitUsage
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	parsed.BindTo(ctx, (*context.Context)(nil))
	err = parsed.Run(&c)
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "\nbench: stopped")
		return 130
	}
	fmt.Fprintln(os.Stderr, "bench:", err)
	if errors.Is(err, errWrong) {
		return exitWrong
	}
	return exitIO
}

// errWrong says that a figure cannot be trusted.
var errWrong = errors.New("not every mail that was answered 250 was found")

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/mail"
)

// ParseCmd shows what messages in files say.
type ParseCmd struct {
	Files []string `arg:"" help:"Files, each one message as it came over the wire; - is standard input." placeholder:"FILE"`
}

// parsed is one line of output; scripts rely on its shape.
type parsed struct {
	File        string                     `json:"file"`
	Subject     string                     `json:"subject"`
	From        ticketing.Person           `json:"from"`
	ReplyTo     []ticketing.Person         `json:"reply_to"`
	To          []ticketing.Person         `json:"to"`
	Cc          []ticketing.Person         `json:"cc"`
	MessageID   string                     `json:"message_id"`
	InReplyTo   []string                   `json:"in_reply_to"`
	References  []string                   `json:"references"`
	Date        string                     `json:"date"`
	Text        string                     `json:"text"`
	HTML        bool                       `json:"html"`
	ReplyText   string                     `json:"reply_text"`
	QuotedText  string                     `json:"quoted_text"`
	Forwarded   *ticketing.Forwarded       `json:"forwarded"`
	Attachments []ticketing.Attachment     `json:"attachments"`
	Machine     ticketing.Machine          `json:"machine"`
	Deliveries  []ticketing.DeliveryReport `json:"deliveries"`
	Warnings    []string                   `json:"warnings"`
}

// Run parses the files.
func (c ParseCmd) Run(e *Env) error {
	return eachFile(e, c.Files, func(name string, f io.ReaderAt, size int64) error {
		p := parsedView(name, mail.Parse(f, size, mail.Options{}))
		if e.Global.JSON {
			return writeJSON(e, p)
		}
		showParsed(e, p)
		return nil
	})
}

// standardInput is the name of standard input among files.
const standardInput = "-"

// maxInput is how much of standard input is taken, in octets. It is held in
// memory.
const maxInput = 256 << 20

// eachFile opens each file and goes on after one that cannot be read.
func eachFile(e *Env, names []string, do func(name string, f io.ReaderAt, size int64) error) error {
	if first := slices.Index(names, standardInput); first >= 0 && slices.Contains(names[first+1:], standardInput) {
		return exitf(exitUsage, "standard input, -, can be read once only")
	}
	failed := false
	for _, name := range names {
		err := withFile(e, name, do)
		if err != nil {
			failed = true
			complain(e, err)
		}
	}
	if failed {
		return &exitError{code: exitIO, err: errSaid}
	}
	return nil
}

func withFile(e *Env, name string, do func(name string, f io.ReaderAt, size int64) error) error {
	if name == standardInput {
		text, err := io.ReadAll(io.LimitReader(e.Stdin, maxInput+1))
		if err == nil && len(text) > maxInput {
			err = fmt.Errorf("larger than %s", size(maxInput))
		}
		if err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
		return do(name, bytes.NewReader(text), int64(len(text)))
	}
	// To open a pipe would wait for its writer.
	fi, err := os.Stat(name)
	if err != nil {
		return err
	}
	if !fi.Mode().IsRegular() {
		return fmt.Errorf("%s: not a regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return do(name, f, fi.Size())
}

func writeJSON(e *Env, v any) error {
	enc := json.NewEncoder(e.Stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// orEmpty makes an absent list an empty one.
func orEmpty[T any](in []T) []T {
	if in == nil {
		return []T{}
	}
	return in
}

func parsedView(name string, m *ticketing.Message) parsed {
	reply, quoted := m.Reply()
	p := parsed{
		File: name, Subject: m.Subject, From: m.Author(), ReplyTo: orEmpty(m.ReplyTo), To: orEmpty(m.To), Cc: orEmpty(m.Cc),
		MessageID: m.MessageID, InReplyTo: orEmpty(m.InReplyTo), References: orEmpty(m.References), Text: m.Text, HTML: m.IsHTML,
		ReplyText: reply, QuotedText: quoted, Forwarded: m.Forwarded, Attachments: orEmpty(m.Attachments),
		Machine: m.Machine, Deliveries: orEmpty(m.Deliveries), Warnings: orEmpty(m.Warnings),
	}
	p.Machine.Signals = orEmpty(p.Machine.Signals)
	if p.Machine.Class == "" {
		p.Machine.Class = ticketing.MachineNone
	}
	if !m.Date.IsZero() {
		p.Date = m.Date.Format(time.RFC3339)
	}
	return p
}

func showParsed(e *Env, p parsed) {
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(e.Stdout, "  %-12s %s\n", name, cell(value, 200))
		}
	}
	fmt.Fprintln(e.Stdout, clean(p.File))
	row("subject", p.Subject)
	row("from", person(p.From))
	row("to", personList(p.To))
	row("cc", personList(p.Cc))
	row("date", p.Date)
	row("message id", p.MessageID)
	row("machine", string(p.Machine.Class)+"  "+strings.Join(p.Machine.Signals, "; "))
	for _, a := range p.Attachments {
		row("attachment", fmt.Sprintf("%s  %s  %s", a.Name, a.Type, size(a.Size)))
	}
	for _, d := range p.Deliveries {
		row("delivery", fmt.Sprintf("%s %s %s %s", d.Recipient, d.Action, d.Status, d.Reason))
	}
	if p.Forwarded != nil {
		row("forwarded", person(p.Forwarded.From)+"  "+p.Forwarded.Subject)
	}
	for _, w := range p.Warnings {
		row("warning", w)
	}
	if strings.TrimSpace(p.ReplyText) != "" {
		fmt.Fprintf(e.Stdout, "\n%s\n", indent(p.ReplyText, "    "))
	}
	fmt.Fprintln(e.Stdout)
}

func person(p ticketing.Person) string {
	if p.Name == "" {
		return p.Address
	}
	return fmt.Sprintf("%s <%s>", p.Name, p.Address)
}

func personList(ps []ticketing.Person) string {
	out := make([]string, len(ps))
	for i, p := range ps {
		out[i] = person(p)
	}
	return strings.Join(out, ", ")
}

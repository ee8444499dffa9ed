// Command conformance runs the test suites of other projects and prints what
// passes as one table. Each suite's test reports its figures as a test attribute
// of the form "suite | what | passed/total". The table in docs/conformance.md
// must be the same: with UPDATE_DOCS=1 it is written there, else a difference
// ends the program with code 1, as a test that fails does.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

const (
	doc   = "docs/conformance.md"
	begin = "<!-- suites, written by make conformance -->\n"
	end   = "<!-- end of suites -->\n"
)

// packages have the suites. Tests of a suite are named as in pattern.
var packages = []string{"./auth/...", "./ticketing/mail/...", "./server/smtpd"}

const pattern = "Suite|Valimail|Chasquid|Dkimpy|Flanker|AgainstList|Corpus|Sisimai|Enmime|Discourse|GitHub|Smuggling"

func main() {
	if err := run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

func run(out io.Writer) error {
	rows, err := runSuites()
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		fmt.Fprintln(out, "The suites' data is not here: set CORPORA to its folder.")
		return nil
	}
	table := format(rows)
	fmt.Fprint(out, table)
	return document(table)
}

// row is one line of the table.
type row struct{ suite, what, figures string }

// runSuites runs the tests and collects what they report.
func runSuites() ([]row, error) {
	cmd := exec.Command("go", append([]string{"test", "-count=1", "-json", "-run", pattern}, packages...)...)
	cmd.Stderr = os.Stderr
	text, failed := cmd.Output()
	var rows []row
	var output strings.Builder
	for dec := json.NewDecoder(bytes.NewReader(text)); dec.More(); {
		var event struct{ Action, Test, Key, Value, Output string }
		if err := dec.Decode(&event); err != nil {
			return nil, fmt.Errorf("output of go test: %w", err)
		}
		output.WriteString(event.Output)
		if event.Action != "attr" || event.Key != "conformance" {
			continue
		}
		f := strings.Split(event.Value, " | ")
		if len(f) != 3 {
			return nil, fmt.Errorf("%s reports %q", event.Test, event.Value)
		}
		rows = append(rows, row{f[0], f[1], f[2]})
	}
	if failed != nil {
		return nil, fmt.Errorf("go test: %w\n%s", failed, output.String())
	}
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.suite+a.what, b.suite+b.what) })
	return rows, nil
}

// format makes an aligned table that is Markdown too.
func format(rows []row) string {
	rows = append([]row{{"suite", "what", "passed"}, {"---", "---", "---:"}}, rows...)
	var width [3]int
	for _, r := range rows {
		width[0], width[1], width[2] = max(width[0], len(r.suite)), max(width[1], len(r.what)), max(width[2], len(r.figures))
	}
	var b strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&b, "| %-*s | %-*s | %*s |\n", width[0], r.suite, width[1], r.what, width[2], r.figures)
	}
	return b.String()
}

// document compares the table with the one of the page, or writes it there
// with the date.
func document(table string) error {
	page, err := os.ReadFile(doc)
	if err != nil {
		return err
	}
	head, rest, ok := strings.Cut(string(page), begin)
	old, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return errors.New(doc + " has no place for the table")
	}
	if strings.HasSuffix(old, "\n\n"+table+"\n") {
		return nil
	}
	if os.Getenv("UPDATE_DOCS") == "" {
		return errors.New(doc + " has other figures: run UPDATE_DOCS=1 make conformance")
	}
	text := head + begin + "As of " + time.Now().UTC().Format(time.DateOnly) + ":\n\n" + table + "\n" + end + tail
	return os.WriteFile(doc, []byte(text), 0o644)
}

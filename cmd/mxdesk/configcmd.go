package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/mxdesk/mxdesk/queue"
)

// ConfigCmd groups the commands on settings.
type ConfigCmd struct {
	Check ConfigCheckCmd `cmd:"" help:"Check the settings and the certificate that they name."`
	Print ConfigPrintCmd `cmd:"" help:"Print every setting with its value and meaning, as TOML."`
}

// ConfigCheckCmd checks the settings, and the certificate they name.
type ConfigCheckCmd struct{}

// checkedConfig is what is said of settings that are right; scripts rely on its
// shape.
type checkedConfig struct {
	OK       bool     `json:"ok"`
	Warnings []advice `json:"warnings"`
}

// Run checks the settings.
func (ConfigCheckCmd) Run(e *Env) error {
	c, err := e.settings()
	if err != nil {
		return err
	}
	if c.TLS.Certificate != "" {
		if _, err := openCertificate(c, time.Now, slog.New(slog.DiscardHandler)); err != nil {
			return startError(c, err)
		}
	}
	warnings := c.advise(os.Stat)
	for _, name := range c.misspelt(e.Environ) {
		warnings = append(warnings, advice{name, "there is no such setting, it is passed over"})
	}
	if e.Global.JSON {
		return writeJSON(e, checkedConfig{OK: true, Warnings: orEmpty(warnings)})
	}
	for _, w := range warnings {
		fmt.Fprintf(e.Stderr, "mxdesk: warning: %s: %s\n", w.Key, clean(w.Text))
	}
	_, err = fmt.Fprintf(e.Stdout, "the settings are right (%s)\n", cmp.Or(c.File, "defaults, environment and flags; no file"))
	return err
}

// ConfigPrintCmd prints the settings.
type ConfigPrintCmd struct{}

// Run prints the settings.
func (ConfigPrintCmd) Run(e *Env) error {
	c, err := e.settings()
	if err != nil {
		return err
	}
	if route, err := queue.ParseRoute(c.Queue.Relay); err == nil {
		c.Queue.Relay = route.String() // without its password
	}
	if !e.Global.JSON {
		return printConfig(e.Stdout, c)
	}
	enc := json.NewEncoder(e.Stdout)
	for _, o := range c.options() {
		line := map[string]any{"key": o.key, "value": o.value.Interface(), "help": o.help}
		if err := enc.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

// printConfig writes a configuration as a TOML file that explains itself.
func printConfig(w io.Writer, c Config) error {
	section := ""
	for _, o := range c.options() {
		name, key, ok := strings.Cut(o.key, ".")
		if !ok {
			name, key = "", o.key
		}
		if name != section {
			section = name
			fmt.Fprintf(w, "[%s]\n\n", section)
		}
		if _, err := fmt.Fprintf(w, "# %s\n%s = %s\n\n", o.help, key, o.toml()); err != nil {
			return err
		}
	}
	return nil
}

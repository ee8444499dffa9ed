package main

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// decodeTOML reads a TOML text into c. Its errors begin with file:line: key.
func decodeTOML(file string, text []byte, c *Config) error {
	dec := toml.NewDecoder(strings.NewReader(string(text)))
	dec.DisallowUnknownFields()
	err := dec.Decode(c)
	if unknown, ok := errors.AsType[*toml.StrictMissingError](err); ok && len(unknown.Errors) > 0 {
		first := unknown.Errors[0]
		line, _ := first.Position()
		return fmt.Errorf("%s:%d: %s: there is no such key", file, line, strings.Join(first.Key(), "."))
	}
	if bad, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, _ := bad.Position()
		what := strings.TrimPrefix(bad.Error(), "toml: ")
		if kind := c.kindOf(strings.Join(bad.Key(), ".")); kind != "" && strings.Contains(what, "cannot decode TOML") {
			what = "this is no " + kind
		}
		return fmt.Errorf("%s: %s", keyAt(file, string(text), line), what)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// kindOf says in words what a key takes, "" if there is no such key.
func (c *Config) kindOf(key string) string {
	for _, o := range c.options() {
		if o.key != key {
			continue
		}
		switch {
		case o.value.Type() == reflect.TypeFor[Duration]():
			return `duration, write for example "5s"`
		case o.value.Kind() == reflect.Slice:
			return `list of texts, write for example ["one", "two"]`
		case o.value.CanInt():
			return "whole number"
		}
		return `text, write it in quotes: "…"`
	}
	return ""
}

// keyAt is "file:line: key", without the key where there is none in the line.
func keyAt(file, text string, line int) string {
	at := fmt.Sprintf("%s:%d", file, line)
	for key, place := range keyLines(file, text) {
		if place == at+": "+key {
			return place
		}
	}
	return at
}

// keyLines maps each key of a TOML text to "file:line: key"; of a key that
// stands twice, the last one counts. It stops at the first line that is no TOML.
func keyLines(file, text string) map[string]string {
	lines := make(map[string]string)
	var p unstable.Parser
	p.Reset([]byte(text))
	section := ""
	for p.NextExpression() {
		switch e := p.Expression(); e.Kind {
		case unstable.Table:
			section, _ = keyOf(&p, e)
			section += "."
		case unstable.KeyValue:
			key, line := keyOf(&p, e)
			lines[section+key] = fmt.Sprintf("%s:%d: %s", file, line, section+key)
		}
	}
	if bad, ok := errors.AsType[*unstable.ParserError](p.Error()); ok {
		line := p.Shape(p.Range(bad.Highlight)).Start.Line
		text, _, ok := strings.Cut(strings.Split(text, "\n")[line-1], "=")
		if key := strings.TrimSpace(text); ok {
			lines[section+key] = fmt.Sprintf("%s:%d: %s", file, line, section+key)
		}
	}
	return lines
}

// keyOf is the dotted key of an expression, and its line.
func keyOf(p *unstable.Parser, e *unstable.Node) (key string, line int) {
	var parts []string
	for it := e.Key(); it.Next(); {
		line = p.Shape(it.Node().Raw).Start.Line
		parts = append(parts, string(it.Node().Data))
	}
	return strings.Join(parts, "."), line
}

// placeOf finds where a key was set: its own line, or that of the table it was
// set in. It is "" where the file says nothing of it.
func placeOf(lines map[string]string, key string) string {
	table, _, _ := strings.Cut(key, ".")
	if own := lines[key]; own != "" || lines[table] == "" {
		return own
	}
	return strings.TrimSuffix(lines[table], table) + key
}

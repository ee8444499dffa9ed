package keyring

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

const (
	stateName    = "keys.json"
	stateVersion = 1
	maxStateFile = 512 << 10 // octets; maxKeys take less than half of it
)

// stateFile is what keys.json holds.
type stateFile struct {
	Version int  `json:"version"`
	Keys    ring `json:"keys"`
}

// parseState reads the state of a domain's keys. It takes what formatState
// writes and what people may make of it by hand, and nothing that leaves a
// question open.
func parseState(text []byte) (ring, error) {
	var f stateFile
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the keys")
	}
	if f.Version != stateVersion {
		return nil, fmt.Errorf("version %d is not known", f.Version)
	}
	if len(f.Keys) > maxKeys {
		return nil, fmt.Errorf("more than %d keys", maxKeys)
	}
	seen := make(map[string]bool)
	for _, k := range f.Keys {
		name := strings.ToLower(k.Selector)
		if seen[name] {
			return nil, fmt.Errorf("selector %q twice", k.Selector)
		}
		seen[name] = true
		if err := k.check(); err != nil {
			return nil, fmt.Errorf("key %.70q: %w", k.Selector, err)
		}
	}
	if len(f.Keys.in(Active)) == 0 {
		return nil, errors.New("no key is active")
	}
	return f.Keys.each(func(k Key) Key {
		k.Since, k.Until = k.Since.UTC(), k.Until.UTC()
		return k
	}), nil
}

func (k Key) check() error {
	switch {
	case !isName(k.Selector):
		return errors.New("not a selector")
	case !slices.Contains([]State{Next, Active, Retired, Gone}, k.State):
		return fmt.Errorf("state %.20q is not known", k.State)
	case k.Algorithm != RSA && k.Algorithm != Ed25519:
		return fmt.Errorf("algorithm %.20q is not known", k.Algorithm)
	case k.Bits < 0 || k.Bits > 1<<16:
		return fmt.Errorf("%d bits", k.Bits)
	case k.Since.IsZero():
		return errors.New("no since")
	case max(k.Since.Year(), k.Until.Year()) >= 9999:
		return errors.New("a time that nobody lives to see")
	case k.State == Retired && k.Until.IsZero():
		return errors.New("retired without until")
	case k.State != Retired && !k.Until.IsZero():
		return fmt.Errorf("%s with until", k.State)
	}
	return nil
}

// formatState is the inverse of parseState.
func formatState(r ring) ([]byte, error) {
	text, err := json.MarshalIndent(stateFile{stateVersion, r}, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(text, '\n'), nil
}

// isName tells whether a domain or selector is a name of letters, digits,
// dashes and underscores between dots, short enough for the DNS: also one that
// cannot lead out of its folder.
func isName(name string) bool {
	if len(name) > 200 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool {
			return !(r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z')
		}) {
			return false
		}
	}
	return true
}

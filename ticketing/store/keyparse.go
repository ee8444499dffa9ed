package store

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ParseKey reads a key as [Key.String] shows it, or the beginning of one that
// ends between two elements.
func ParseKey(s string) (Key, error) {
	var b []byte
	for rest := s; rest != ""; {
		var err error
		if b, rest, err = parsePart(b, rest); err != nil {
			return "", fmt.Errorf("key at character %d: %w", len(s)-len(rest), err)
		}
		if rest == "" {
			break
		}
		if rest[0] != '/' {
			return "", fmt.Errorf("key at character %d: want / between elements", len(s)-len(rest))
		}
		rest = rest[1:]
	}
	return Key(b), nil
}

// parsePart appends the first element of s.
func parsePart(b []byte, s string) (key []byte, rest string, err error) {
	if s[0] == '"' {
		quoted, err := strconv.QuotedPrefix(s)
		if err != nil {
			return b, s, err
		}
		text, err := strconv.Unquote(quoted)
		return appendPart(b, text), s[len(quoted):], err
	}
	word, _, _ := strings.Cut(s, "/")
	rest = s[len(word):]
	if word == "" {
		return b, s, fmt.Errorf("an empty element is written \"\"")
	}
	if raw, ok := strings.CutPrefix(word, "!"); ok {
		tail, err := hex.DecodeString(raw)
		return append(b, tail...), rest, err
	}
	part, err := parseWord(word)
	if err != nil {
		return b, s, err
	}
	return appendPart(b, part), rest, nil
}

// parseWord reads an element that is not quoted.
func parseWord(word string) (any, error) {
	switch {
	case word == "true" || word == "false":
		return word == "true", nil
	case strings.HasPrefix(word, "x'") && strings.HasSuffix(word, "'") && len(word) > 2:
		return hex.DecodeString(word[2 : len(word)-1])
	case word[0] == '~':
		at, err := time.Parse(time.RFC3339Nano, word[1:])
		return Desc(at), err
	case showString(word) == word:
		return word, nil
	}
	if at, err := time.Parse(time.RFC3339Nano, word); err == nil {
		return at, nil
	}
	if n, err := strconv.ParseUint(word, 10, 64); err == nil {
		return n, nil
	}
	n, err := strconv.ParseInt(word, 10, 64)
	return n, err
}

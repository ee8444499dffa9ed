package dkim

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/mxdesk/mxdesk/auth/message"
)

// Base holds the tags that every signature field of DKIM and ARC has.
type Base struct {
	Algorithm string // "rsa-sha256" or "ed25519-sha256"
	Signature []byte // b= decoded
	Prefix    string // the first eight characters of b=
	Domain    string // d= in lower case and A-label form
	Selector  string // s= in the same form
	Time      int64  // t= in seconds since 1970, -1 when absent
}

// Content holds the tags of a signature over header fields and body, as
// DKIM-Signature and ARC-Message-Signature have them.
type Content struct {
	Base
	BodyHash    [sha256.Size]byte // bh= decoded; zero when it is no SHA-256
	HeaderCanon message.Canon     // left half of c=
	Body        message.BodySpec
	Headers     string // h= without white space, names with colons between them
	Expires     int64  // x= in seconds since 1970, -1 when absent
}

// clockSkew is how far ahead of our clock a signer's may be.
const clockSkew = 5 * time.Minute

// infinite stands for numbers of more digits than anyone needs.
//
// https://www.rfc-editor.org/rfc/rfc6376#section-3.5
const infinite = math.MaxInt64

// ReadBase reads the tags of Base. Errors are of type *Error.
func ReadBase(tags message.Tags) (Base, error) {
	b := Base{}
	// What identifies the signature is read first, for the sake of reports
	// about signatures that are refused.
	signature, _ := tags.Get("b")
	b.Prefix = prefix(signature)
	var err error
	if b.Domain, err = domainTag(tags, "d", 2); err != nil {
		return b, err
	}
	if b.Selector, err = domainTag(tags, "s", 1); err != nil {
		return b, err
	}
	if b.Algorithm, err = algorithmTag(tags); err != nil {
		return b, err
	}
	if b.Signature, err = base64Tag(nil, tags, "b"); err != nil {
		return b, err
	}
	b.Time, err = numberTag(tags, "t", 12)
	return b, err
}

// ReadContent reads the tags of Content. Errors are of type *Error.
func ReadContent(tags message.Tags) (Content, error) {
	base, err := ReadBase(tags)
	c := Content{Base: base, Body: message.BodySpec{Limit: message.WholeBody}}
	if err != nil {
		return c, err
	}
	var room [sha256.Size + 1]byte
	bodyHash, err := base64Tag(room[:0], tags, "bh")
	if err != nil {
		return c, err
	}
	if len(bodyHash) == sha256.Size {
		c.BodyHash = [sha256.Size]byte(bodyHash)
	}
	if c.HeaderCanon, c.Body.Canon, err = canonTag(tags); err != nil {
		return c, err
	}
	if c.Body.Limit, err = numberTag(tags, "l", 18); err != nil {
		return c, err
	}
	if c.Expires, err = numberTag(tags, "x", 12); err != nil {
		return c, err
	}
	if err := checkQuery(tags); err != nil {
		return c, err
	}
	headers, ok := tags.Get("h")
	if !ok {
		return c, permanent("no tag h")
	}
	c.Headers = message.RemoveSpace(headers)
	return c, nil
}

// prefix returns the first eight characters of a value without white space.
func prefix(value string) string {
	const length = 8
	if start := value[:min(length, len(value))]; message.RemoveSpace(start) == start {
		return start
	}
	value = message.RemoveSpace(value)
	return value[:min(length, len(value))]
}

// SignsFrom tells whether h= names the From field, as that of a signature must.
//
// https://www.rfc-editor.org/rfc/rfc6376#section-5.4
func (c Content) SignsFrom() bool {
	for name := range strings.SplitSeq(c.Headers, ":") {
		if strings.EqualFold(name, "From") {
			return true
		}
	}
	return false
}

// CheckTime compares the time of signing and of expiry with the clock.
func (c Content) CheckTime(now time.Time) error {
	switch {
	case c.Expires >= 0 && c.Time >= 0 && c.Expires <= c.Time:
		return permanent("signature expires before it was made")
	case c.Expires >= 0 && now.Unix() > c.Expires:
		return permanent("signature expired")
	case c.Time > now.Add(clockSkew).Unix():
		return &Error{Policy, "signature from the future"}
	}
	return nil
}

// CheckBody compares the body hash of the signature with that of the message,
// whose hashing came to err.
func (c Content) CheckBody(m *message.Message, err error) error {
	var h message.BodyHash
	if err == nil {
		h, err = m.BodyHash(c.Body)
	}
	switch {
	case err != nil:
		return &Error{TempError, "message not readable"}
	case h.Short:
		return &Error{Fail, "body shorter than signed"}
	case c.BodyHash != h.Sum:
		return &Error{Fail, "body hash did not verify"}
	}
	return nil
}

// https://www.rfc-editor.org/rfc/rfc8301#section-3.1
func algorithmTag(tags message.Tags) (string, error) {
	a, ok := tags.Get("a")
	if !ok {
		return "", permanent("no tag a")
	}
	switch a {
	case "rsa-sha256", "ed25519-sha256":
		return a, nil
	case "rsa-sha1":
		return a, permanent("algorithm rsa-sha1 is not secure")
	}
	return "", permanent("unknown algorithm")
}

func canonTag(tags message.Tags) (header, body message.Canon, err error) {
	c, ok := tags.Get("c")
	if !ok {
		return message.Simple, message.Simple, nil
	}
	left, right, both := strings.Cut(c, "/")
	header, ok = message.ParseCanon(left)
	if ok && both {
		body, ok = message.ParseCanon(right)
	}
	if !ok {
		return 0, 0, permanent("unknown canonicalisation")
	}
	return header, body, nil
}

// base64Tag decodes a tag and appends it to dst.
func base64Tag(dst []byte, tags message.Tags, name string) ([]byte, error) {
	value, ok := tags.Get(name)
	if !ok {
		return nil, permanent("no tag " + name)
	}
	decoded, err := decodeBase64(dst, value)
	if err != nil || len(decoded) == 0 {
		return nil, syntax("malformed tag " + name)
	}
	return decoded, nil
}

// decodeBase64 reads base64 with white space anywhere and padding or not, and
// appends what it stands for to dst.
//
// https://www.rfc-editor.org/rfc/rfc6376#section-2.10
func decodeBase64(dst []byte, value string) ([]byte, error) {
	var room [1 << 10]byte // enough for the keys and signatures in use
	text := room[:0]
	for i := range len(value) {
		if c := value[i]; c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			text = append(text, c)
		}
	}
	for range 2 {
		text = bytes.TrimSuffix(text, []byte("="))
	}
	return base64.RawStdEncoding.AppendDecode(dst, text)
}

// numberTag reads an optional number, -1 when absent; one of more digits than
// given counts as infinite.
func numberTag(tags message.Tags, name string, digits int) (int64, error) {
	value, ok := tags.Get(name)
	if !ok {
		return -1, nil
	}
	for i := range len(value) {
		if value[i] < '0' || value[i] > '9' {
			return -1, syntax("malformed tag " + name)
		}
	}
	if value == "" {
		return -1, syntax("malformed tag " + name)
	}
	if len(value) > digits {
		return infinite, nil
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return -1, syntax("malformed tag " + name)
	}
	return n, nil
}

func domainTag(tags message.Tags, name string, labels int) (string, error) {
	value, ok := tags.Get(name)
	if !ok {
		return "", permanent("no tag " + name)
	}
	ascii, ok := toASCII(value)
	if !ok || strings.Count(ascii, ".")+1 < labels {
		return "", syntax("malformed tag " + name)
	}
	return ascii, nil
}

// checkQuery wants the one query method there is among those offered. White
// space may stand around a method, not within it.
//
// https://www.rfc-editor.org/rfc/rfc6376#section-3.5
func checkQuery(tags message.Tags) error {
	q, ok := tags.Get("q")
	if !ok {
		return nil
	}
	for method := range strings.SplitSeq(q, ":") {
		if strings.Trim(method, " \t\r\n") == "dns/txt" {
			return nil
		}
	}
	return permanent("unknown query method")
}

// splitList splits a colon-separated list and takes white space out of it.
func splitList(value string) []string {
	return strings.Split(message.RemoveSpace(value), ":")
}

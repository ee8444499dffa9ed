package dkim

import (
	"context"
	"crypto/sha256"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mxdesk/mxdesk/auth/dns"
	"github.com/mxdesk/mxdesk/auth/message"
)

const (
	fieldName     = "DKIM-Signature"
	maxSignatures = 10
)

// Result is the outcome of one signature.
type Result struct {
	Result      string // one of the constants of this package
	Domain      string // d= in lower case and A-label form
	Selector    string // s= in the same form
	Algorithm   string // "rsa-sha256" or "ed25519-sha256"
	KeyBits     int    // 0 when no key was found
	Reason      string // why it did not pass, a few lower-case words
	Identity    string // i= decoded, "@" and d= when absent
	BPrefix     string // first eight characters of b=
	Testing     bool   // the key says t=y: the signer is only trying
	BodyLimited bool   // l= is there: text may have been appended to the body
	Weak        bool   // RSA key of less than 2048 bits
}

// Options adjusts a Verifier. Zero values mean the defaults.
type Options struct {
	Now           func() time.Time // default time.Now
	MaxSignatures int              // signatures looked at, from the top; default 10
	Timeout       time.Duration    // for all key lookups of a message; default 10 s
}

// Verifier checks the DKIM signatures of messages. It is safe for concurrent
// use.
type Verifier struct {
	keys    *KeyFetcher
	options Options
}

// New returns a Verifier that finds keys through r.
func New(r dns.Resolver, o Options) *Verifier {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxSignatures <= 0 {
		o.MaxSignatures = maxSignatures
	}
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	return &Verifier{keys: NewKeyFetcher(r), options: o}
}

// attempt is one signature on its way to a result.
type attempt struct {
	field  message.Field
	tags   message.Tags
	sig    signature
	keys   Keys
	err    error // why it does not pass, once that is known
	result Result
}

// Verify checks the signatures of a message and returns a result for each, in
// the order of the fields, at most MaxSignatures. A message without signature
// has none.
//
// https://www.rfc-editor.org/rfc/rfc6376#section-6.1
func (v *Verifier) Verify(ctx context.Context, m *message.Message) []Result {
	n := min(m.Count(fieldName), v.options.MaxSignatures)
	if n == 0 {
		return nil
	}
	ctx, cancel := dns.Within(ctx, v.options.Timeout)
	defer cancel()

	attempts := make([]attempt, 0, n)
	for _, at := range m.Named(fieldName)[:n] {
		attempts = append(attempts, v.begin(m.Fields[at]))
	}
	checkBodies(m, attempts)
	v.fetchKeys(ctx, attempts)
	results := make([]Result, n)
	for i := range attempts {
		attempts[i].finish(m)
		results[i] = attempts[i].result
	}
	return results
}

// begin does all checks that need neither body nor DNS.
func (v *Verifier) begin(f message.Field) attempt {
	a := attempt{field: f}
	a.tags, a.err = message.ParseTags(f.RawValue())
	if a.err != nil {
		a.err = syntax(a.err.Error())
		return a
	}
	a.sig, a.err = readSignature(a.tags)
	if a.err == nil {
		a.err = a.sig.CheckTime(v.options.Now())
	}
	a.result = Result{
		Domain:      a.sig.Domain,
		Selector:    a.sig.Selector,
		Algorithm:   a.sig.Algorithm,
		Identity:    a.sig.identity,
		BPrefix:     a.sig.Prefix,
		BodyLimited: a.sig.Body.Limit != message.WholeBody,
	}
	return a
}

// checkBodies compares body hashes, all of them in one pass over the body.
func checkBodies(m *message.Message, attempts []attempt) {
	var room [10]message.BodySpec
	specs := room[:0]
	for i := range attempts {
		if attempts[i].err == nil {
			specs = append(specs, attempts[i].sig.Body)
		}
	}
	err := m.HashBody(specs...)
	for i := range attempts {
		if a := &attempts[i]; a.err == nil {
			a.err = a.sig.CheckBody(m, err)
		}
	}
}

// fetchKeys gets the keys of the signatures that still have a chance.
func (v *Verifier) fetchKeys(ctx context.Context, attempts []attempt) {
	names := make([]string, len(attempts))
	for i, a := range attempts {
		if a.err == nil {
			names[i] = a.sig.KeyName()
		}
	}
	for i, keys := range v.keys.Fetch(ctx, names) {
		attempts[i].keys = keys
	}
}

// finish checks the signature itself and fills the result.
func (a *attempt) finish(m *message.Message) {
	if a.err == nil {
		hash := HeaderHash(m, a.sig.Content, a.field, a.tags)
		var key *Record
		key, a.err = a.keys.Check(a.sig.Base, hash, a.sig.subdomain)
		if key != nil {
			a.result.KeyBits = key.Bits
			a.result.Testing = key.Testing
			a.result.Weak = key.Type == "rsa" && key.Bits < goodBits
		}
	}
	if a.err == nil {
		a.result.Result = Pass
		return
	}
	a.result.Result, a.result.Reason = explain(a.err)
}

// HeaderHash returns the SHA-256 that a signature in field f with the parsed
// tags signs: the header fields it names and then f itself without its b=.
//
// https://www.rfc-editor.org/rfc/rfc6376#section-3.7
func HeaderHash(m *message.Message, c Content, f message.Field, tags message.Tags) [sha256.Size]byte {
	h := message.NewHasher()
	defer h.Release()
	for signed := range m.Select(c.Headers, f.Offset) {
		h.Add(c.HeaderCanon, signed)
	}
	return h.Sum(c.HeaderCanon, f, tags)
}

// signature is a DKIM-Signature field.
type signature struct {
	Content
	identity  string
	subdomain bool // the identity lies below d=
}

// readSignature reads the tags and checks what RFC 6376 demands of them.
//
// https://www.rfc-editor.org/rfc/rfc6376#section-6.1.1
func readSignature(tags message.Tags) (signature, error) {
	c, err := ReadContent(tags)
	s := signature{Content: c}
	if s.Domain != "" {
		s.identity = "@" + s.Domain
	}
	if v, ok := tags.Get("v"); !ok {
		return s, permanent("no tag v")
	} else if v != "1" {
		return s, permanent("unknown version")
	}
	if err != nil {
		return s, err
	}
	for name := range strings.SplitSeq(s.Headers, ":") {
		if name == "" {
			return s, syntax("malformed tag h")
		}
	}
	if !s.SignsFrom() {
		return s, permanent("from field not signed")
	}
	return s, s.readIdentity(tags)
}

// readIdentity checks that the domain of i= is d= or below it.
func (s *signature) readIdentity(tags message.Tags) error {
	raw, ok := tags.Get("i")
	if !ok {
		return nil
	}
	identity, ok := decodeQuoted(raw)
	at := strings.LastIndexByte(identity, '@')
	if !ok || at < 0 {
		return syntax("malformed tag i")
	}
	domain, ok := toASCII(identity[at+1:])
	if !ok {
		return syntax("malformed tag i")
	}
	s.subdomain = strings.HasSuffix(domain, "."+s.Domain)
	if domain != s.Domain && !s.subdomain {
		return permanent("identity outside the signing domain")
	}
	s.identity = identity
	return nil
}

// decodeQuoted decodes DKIM quoted-printable, which ignores white space. It
// refuses what would decode to a control character or is not UTF-8.
//
// https://www.rfc-editor.org/rfc/rfc6376#section-2.11
func decodeQuoted(s string) (string, bool) {
	s = message.RemoveSpace(s)
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '=' {
			if i+2 >= len(s) {
				return "", false
			}
			high, low := unhex(s[i+1]), unhex(s[i+2])
			if high < 0 || low < 0 {
				return "", false
			}
			c = byte(high<<4 | low)
			i += 2
		}
		if c < ' ' || c == 0x7f {
			return "", false
		}
		b.WriteByte(c)
	}
	return b.String(), utf8.ValidString(b.String())
}

func unhex(c byte) int {
	return strings.IndexByte("0123456789ABCDEF", upper(c))
}

func upper(c byte) byte {
	if 'a' <= c && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}

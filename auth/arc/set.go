package arc

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/mxdesk/mxdesk/auth/dkim"
	"github.com/mxdesk/mxdesk/auth/message"
)

// The three fields of a set.
//
// https://www.rfc-editor.org/rfc/rfc8617#section-4.1
const (
	resultsField   = "ARC-Authentication-Results"
	signatureField = "ARC-Message-Signature"
	sealField      = "ARC-Seal"
)

var errInstance = errors.New("malformed instance")

// set is one ARC set.
type set struct {
	instance int

	results message.Field
	payload string // of results, without the instance

	signed     message.Field
	signedTags message.Tags
	signature  dkim.Content
	// signatureKeys may hold the key of signature.
	signatureKeys dkim.Keys

	sealed     message.Field
	sealedTags message.Tags
	seal       dkim.Base
	sealKeys   dkim.Keys
	state      string // cv=
}

// collect returns the sets of a message, the first instance first, or nil when
// there is none. Every set must be complete, unique and well formed.
func collect(m *message.Message, limit int) ([]set, error) {
	n := max(m.Count(resultsField), m.Count(signatureField), m.Count(sealField))
	if n > limit {
		return nil, errors.New("too many sets")
	}
	sets := make([]set, n)
	for _, part := range [...]struct {
		name string
		add  func([]set, message.Field) error
	}{
		{resultsField, addResults}, {signatureField, addSignature}, {sealField, addSeal},
	} {
		if m.Count(part.name) != n {
			return nil, errors.New("incomplete set")
		}
		for _, at := range m.Named(part.name) {
			f := m.Fields[at]
			if err := part.add(sets, f); err != nil {
				return nil, fmt.Errorf("%s: %w", strings.ToLower(part.name), err)
			}
		}
	}
	return sets, nil
}

// place puts a field into its slot of the set of that instance. As many fields
// as sets that never share a slot fill all of them.
func place(sets []set, instance int, f message.Field, slot func(*set) *message.Field) (*set, error) {
	if instance < 1 || instance > len(sets) {
		return nil, errors.New("instance out of order")
	}
	s := &sets[instance-1]
	if slot(s).Raw != "" {
		return nil, errors.New("instance twice")
	}
	s.instance = instance
	*slot(s) = f
	return s, nil
}

func addResults(sets []set, f message.Field) error {
	instance, payload, err := splitResults(f.Value())
	if err != nil {
		return err
	}
	s, err := place(sets, instance, f, func(s *set) *message.Field { return &s.results })
	if err != nil {
		return err
	}
	s.payload = payload
	return nil
}

func addSignature(sets []set, f message.Field) error {
	tags, instance, err := parseTags(f)
	if err != nil {
		return err
	}
	s, err := place(sets, instance, f, func(s *set) *message.Field { return &s.signed })
	if err != nil {
		return err
	}
	s.signedTags = tags
	if s.signature, err = dkim.ReadContent(tags); err != nil {
		return err
	}
	// Sealers that leave c= out mean relaxed, other than DKIM signers; the
	// public test suite has it so too.
	if _, ok := tags.Get("c"); !ok {
		s.signature.HeaderCanon, s.signature.Body.Canon = message.Relaxed, message.Relaxed
	}
	// https://www.rfc-editor.org/rfc/rfc8617#section-4.1.2
	for name := range strings.SplitSeq(s.signature.Headers, ":") {
		if strings.EqualFold(name, sealField) {
			return errors.New("signs a seal")
		}
	}
	return nil
}

func addSeal(sets []set, f message.Field) error {
	tags, instance, err := parseTags(f)
	if err != nil {
		return err
	}
	s, err := place(sets, instance, f, func(s *set) *message.Field { return &s.sealed })
	if err != nil {
		return err
	}
	s.sealedTags = tags
	if s.seal, err = dkim.ReadBase(tags); err != nil {
		return err
	}
	// https://www.rfc-editor.org/rfc/rfc8617#section-4.1.3
	if _, ok := tags.Get("h"); ok {
		return errors.New("tag h is not allowed")
	}
	s.state, _ = tags.Get("cv")
	if s.state != None && s.state != Pass && s.state != Fail {
		return errors.New("malformed tag cv")
	}
	return nil
}

func parseTags(f message.Field) (tags message.Tags, instance int, err error) {
	tags, err = message.ParseTags(f.RawValue())
	if err != nil {
		return tags, 0, err
	}
	i, _ := tags.Get("i")
	instance, err = parseInstance(i)
	return tags, instance, err
}

func parseInstance(s string) (int, error) {
	if s == "" || len(s) > 2 {
		return 0, errInstance
	}
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, errInstance
		}
		n = 10*n + int(s[i]-'0')
	}
	return n, nil
}

// splitResults takes the instance off the front of authentication results.
// Comments may stand around its parts.
//
// https://www.rfc-editor.org/rfc/rfc8617#section-4.1.1
func splitResults(value string) (instance int, payload string, err error) {
	rest, ok := strings.CutPrefix(skipComments(value), "i")
	if !ok {
		return 0, "", errInstance
	}
	rest, ok = strings.CutPrefix(skipComments(rest), "=")
	if !ok {
		return 0, "", errInstance
	}
	rest = skipComments(rest)
	digits := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	if instance, err = parseInstance(digits); err != nil {
		return 0, "", err
	}
	rest, ok = strings.CutPrefix(skipComments(rest[len(digits):]), ";")
	if !ok {
		return 0, "", errInstance
	}
	return instance, strings.TrimSpace(rest), nil
}

// skipComments skips white space and comments, which may be nested. A comment
// without end is left as it is.
//
// https://www.rfc-editor.org/rfc/rfc5322#section-3.2.2
func skipComments(s string) string {
	for {
		s = strings.TrimLeft(s, " \t")
		if !strings.HasPrefix(s, "(") {
			return s
		}
		end := commentEnd(s)
		if end < 0 {
			return s
		}
		s = s[end:]
	}
}

func commentEnd(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			depth--
			if depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

// checkFrom wants From among the fields that are signed, if any are.
func (s *set) checkFrom() error {
	if s.signature.Headers != "" && !s.signature.SignsFrom() {
		return errors.New("from field not signed")
	}
	return nil
}

// checkMessage checks the message signature of a set.
func (s *set) checkMessage(m *message.Message) error {
	hash := dkim.HeaderHash(m, s.signature, s.signed, s.signedTags)
	if _, err := s.signatureKeys.Check(s.signature.Base, hash, false); err != nil {
		return fmt.Errorf("message signature %d: %w", s.instance, err)
	}
	return nil
}

// checkSeal checks the seal of a set over its hash.
func (s *set) checkSeal(hash [sha256.Size]byte) error {
	if _, err := s.sealKeys.Check(s.seal, hash, false); err != nil {
		return fmt.Errorf("seal %d: %w", s.instance, err)
	}
	return nil
}

// sealHashes returns what each seal signs: all fields of the sets before it
// and its own, the seal itself without b=. One hash state runs through all
// sets, so the work is that of one reading.
//
// https://www.rfc-editor.org/rfc/rfc8617#section-5.1.1
func sealHashes(sets []set) [][sha256.Size]byte {
	chain := message.NewHasher()
	defer chain.Release()
	hashes := make([][sha256.Size]byte, len(sets))
	for i := range sets {
		s := &sets[i]
		chain.Add(message.Relaxed, s.results)
		chain.Add(message.Relaxed, s.signed)
		hashes[i] = chain.Sum(message.Relaxed, s.sealed, s.sealedTags)
		chain.Add(message.Relaxed, s.sealed)
	}
	return hashes
}

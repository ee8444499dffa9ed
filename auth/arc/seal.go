package arc

import (
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mxdesk/mxdesk/auth/dkim"
	"github.com/mxdesk/mxdesk/auth/message"
)

// SealOptions says who seals.
type SealOptions struct {
	Domain   string        // d= of signature and seal, in A-label form
	Selector string        // s= of both
	Key      crypto.Signer // RSA or Ed25519
	// Headers are the names to sign, a name once for each field to cover. Nil
	// means the fields an author writes and the DKIM signatures, as many as
	// there are, and From in any case.
	Headers []string
	Now     func() time.Time // default time.Now
}

// defaultHeaders are signed when SealOptions names none.
var defaultHeaders = [...]string{
	"From", "To", "Cc", "Subject", "Date", "Message-ID", "Reply-To", "In-Reply-To", "References",
	"MIME-Version", "Content-Type", "Content-Transfer-Encoding", "List-Unsubscribe", "List-Id",
	"DKIM-Signature",
}

const (
	maxMentions = 10 // of one name among the default headers
	lineWidth   = 76
)

var (
	errResults = errors.New("authentication results with a control character")
	errState   = errors.New("chain is not that of the message")
)

// Seal returns the three fields to put above a message that is relayed: seal,
// message signature and authentication results, each ending in CRLF. The chain
// is what Verify said about the message as it came in; results is the value of
// an Authentication-Results field, beginning with the authserv-id. A chain
// that was sealed as failed, that is full, or whose state is not known gets no
// further set: the result is nil then.
//
// https://www.rfc-editor.org/rfc/rfc8617#section-5.1
func Seal(m *message.Message, chain Result, results string, o SealOptions) ([]byte, error) {
	instance, closed := nextInstance(m)
	if closed || instance > maxInstance || chain.Result == TempError {
		return nil, nil
	}
	if !isState(chain.Result, instance) {
		return nil, errState
	}
	results = strings.TrimSpace(results)
	if strings.IndexFunc(results, func(r rune) bool { return r < ' ' || r == 0x7f }) >= 0 {
		return nil, errResults
	}
	algorithm, err := dkim.Algorithm(o.Key)
	if err != nil {
		return nil, err
	}
	now := time.Now
	if o.Now != nil {
		now = o.Now
	}
	s := sealing{
		options: o, algorithm: algorithm, instance: instance, state: chain.Result,
		time: now().Unix(), message: m,
	}
	return s.fields(results)
}

// isState tells whether a chain of that state can have the next instance.
func isState(state string, instance int) bool {
	switch state {
	case None:
		return instance == 1
	case Pass:
		return instance > 1
	}
	return state == Fail
}

// nextInstance returns the instance of the next set, and whether the chain
// takes no more because its latest seal says that it failed.
func nextInstance(m *message.Message) (instance int, closed bool) {
	highest := 0
	for _, at := range m.Named(sealField) {
		f := m.Fields[at]
		tags, i, err := parseTags(f)
		if err != nil || i < highest {
			continue
		}
		cv, _ := tags.Get("cv")
		highest, closed = i, cv == Fail
	}
	for _, at := range m.Named(signatureField) {
		f := m.Fields[at]
		if _, i, err := parseTags(f); err == nil {
			highest = max(highest, i)
		}
	}
	for _, at := range m.Named(resultsField) {
		f := m.Fields[at]
		if i, _, err := splitResults(f.Value()); err == nil {
			highest = max(highest, i)
		}
	}
	return highest + 1, closed
}

// sealing is a set being made.
type sealing struct {
	options   SealOptions
	algorithm string
	instance  int
	state     string
	time      int64
	message   *message.Message
}

func (s sealing) fields(payload string) ([]byte, error) {
	results := newField(resultsField, fmt.Sprintf("i=%d; %s", s.instance, payload))
	body, err := s.message.RelaxedBodyHash()
	if err != nil {
		return nil, err
	}
	signed, err := s.sign(base64.StdEncoding.EncodeToString(body[:]))
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	sealed, err := s.seal(results, signed)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return []byte(sealed.Raw + signed.Raw + results.Raw), nil
}

// sign makes the ARC-Message-Signature.
func (s sealing) sign(bodyHash string) (message.Field, error) {
	headers := s.options.Headers
	if headers == nil {
		headers = presentHeaders(s.message)
	}
	names := strings.Join(headers, ":")
	value := func(b string) string {
		return fmt.Sprintf("a=%s; b=%s; bh=%s; c=relaxed/relaxed; d=%s; h=%s; i=%d; s=%s; t=%d",
			s.algorithm, b, bodyHash, s.options.Domain, names, s.instance, s.options.Selector, s.time)
	}
	h := message.NewHasher()
	defer h.Release()
	for f := range s.message.Select(names, -1) {
		h.Add(message.Relaxed, f)
	}
	return s.finish(h, signatureField, value)
}

// seal makes the ARC-Seal. With a failed chain it covers its own set only.
//
// https://www.rfc-editor.org/rfc/rfc8617#section-5.1.2
func (s sealing) seal(results, signed message.Field) (message.Field, error) {
	value := func(b string) string {
		return fmt.Sprintf("a=%s; b=%s; cv=%s; d=%s; i=%d; s=%s; t=%d",
			s.algorithm, b, s.state, s.options.Domain, s.instance, s.options.Selector, s.time)
	}
	h := message.NewHasher()
	defer h.Release()
	if s.state == Pass {
		sets, err := collect(s.message, maxInstance)
		if err != nil {
			return message.Field{}, err
		}
		for _, set := range sets {
			h.Add(message.Relaxed, set.results)
			h.Add(message.Relaxed, set.signed)
			h.Add(message.Relaxed, set.sealed)
		}
	}
	h.Add(message.Relaxed, results)
	h.Add(message.Relaxed, signed)
	return s.finish(h, sealField, value)
}

// finish signs a field whose value depends on the signature in it.
func (s sealing) finish(h *message.Hasher, name string, value func(b string) string) (message.Field, error) {
	unsigned := newField(name, value(""))
	tags, err := message.ParseTags(unsigned.RawValue())
	if err != nil {
		return message.Field{}, err
	}
	hash := h.Sum(message.Relaxed, unsigned, tags)
	b, err := dkim.SignHash(s.options.Key, hash[:])
	if err != nil {
		return message.Field{}, err
	}
	return newField(name, value(base64.StdEncoding.EncodeToString(b))), nil
}

func presentHeaders(m *message.Message) []string {
	var names []string
	for _, name := range defaultHeaders {
		n := m.Count(name)
		if name == "From" {
			n = max(n, 1)
		}
		for range min(n, maxMentions) {
			names = append(names, strings.ToLower(name))
		}
	}
	return names
}

// newField folds a value at its spaces, which its canonical form does not
// show.
func newField(name, value string) message.Field {
	var b strings.Builder
	b.WriteString(name)
	b.WriteByte(':')
	width := b.Len()
	for word := range strings.FieldsSeq(value) {
		if width+1+len(word) > lineWidth && width > 1 {
			b.WriteString("\r\n")
			width = 0
		}
		b.WriteByte(' ')
		b.WriteString(word)
		width += 1 + len(word)
	}
	b.WriteString("\r\n")
	return message.NewField(b.String(), -1)
}

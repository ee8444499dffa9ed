package dkim

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"github.com/mxdesk/mxdesk/auth/message"
)

// signed are named once more in h= than they occur, so that adding one breaks
// the signature: each decides what a reader sees, where an answer goes or what a
// button does. Fields that relays write or change stay out.
//
// https://www.rfc-editor.org/rfc/rfc6376#section-5.4.1
// https://www.rfc-editor.org/rfc/rfc6376#section-8.15
var signed = [...]string{
	"From", "Subject", "To", "Cc", "Date", "Message-ID", "Reply-To", "In-Reply-To", "References",
	"MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Auto-Submitted",
	"List-Unsubscribe", "List-Unsubscribe-Post",
}

var errFrom = errors.New("message must have one from field to be signed")

// Signer signs the outgoing mail of one domain. It is safe for concurrent use.
type Signer struct {
	domain string
	keys   []Key
}

// NewSigner returns a Signer that makes one signature with each key.
func NewSigner(domain string, keys []Key) *Signer {
	return &Signer{domain: domain, keys: keys}
}

// Sign copies the message in r to w with a signature field for each key above
// it. Lines must end in CRLF. The message is held in memory. An error leaves
// nothing written unless w returned it.
func (s *Signer) Sign(w io.Writer, r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m, err := message.Read(bytes.NewReader(raw), int64(len(raw)), message.Limits{})
	if err != nil {
		return err
	}
	if m.Count("From") != 1 {
		return errFrom
	}
	var out []byte
	names := signedNames(m)
	for _, k := range s.keys {
		field, err := s.sign(k, names, raw)
		if err != nil {
			return fmt.Errorf("sign with %s: %w", k.Selector, err)
		}
		out = append(out, field...)
	}
	if _, err := w.Write(out); err != nil {
		return err
	}
	_, err = w.Write(raw)
	return err
}

// signedNames returns the entries of h= for a message.
func signedNames(m *message.Message) []string {
	var names []string
	for _, name := range signed {
		for range m.Count(name) + 1 {
			names = append(names, name)
		}
	}
	return names
}

func (s *Signer) sign(k Key, names []string, raw []byte) (field string, err error) {
	signer, err := msgauth.NewSigner(&msgauth.SignOptions{
		Domain:                 s.domain,
		Selector:               k.Selector,
		Signer:                 k.Private,
		HeaderCanonicalization: msgauth.CanonicalizationRelaxed,
		BodyCanonicalization:   msgauth.CanonicalizationRelaxed,
		HeaderKeys:             names,
	})
	if err != nil {
		return "", err
	}
	_, err = signer.Write(raw)
	if closed := signer.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return "", err
	}
	return signer.Signature(), nil
}

package ticketing

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// identityKept is how long a message is recognised when it comes again.
const identityKept = 90 * 24 * time.Hour

// A message's identity within its project is its Message-ID and its body as
// DKIM's relaxed form has it. To hash a body takes as long as all other work on
// a large mail, and few mails share a Message-ID, so there are two kinds of
// rows: one for the Message-ID alone, which remembers the raw mail that brought
// it first, and once its body has been read, one for each body.

// seenRow is a message that was taken before.
type seenRow struct {
	At     time.Time `json:"at"`
	Ticket string    `json:"ticket"`
	ID     string    `json:"id"` // of the first transaction
	// Raw is set on the row of a Message-ID until its body has been read: the
	// mail, to compare with. Without it the bodies have rows of their own.
	Raw *store.Hash `json:"raw,omitempty"`
}

// errBodyUnknown ends a transaction that cannot decide without the hash of a
// body: it is read while nobody waits, and the transaction runs again.
var errBodyUnknown = errors.New("hash of a body is needed")

// maxBodies bounds the bodies that are read for one message: its own and one
// for each project, and again where others commit meanwhile.
const maxBodies = 2 * (1 + maxProjects)

// bodies are what is known of the bodies of raw mails.
type bodies struct {
	known  map[store.Hash]*store.Hash // by raw mail; nil: it cannot be read
	wanted store.Hash
}

// of returns the hash of a mail's body, nil if that mail cannot be read any more.
func (b *bodies) of(raw store.Hash) (*store.Hash, error) {
	h, ok := b.known[raw]
	if !ok {
		b.wanted = raw
		return nil, errBodyUnknown
	}
	return h, nil
}

// learn reads the body that was wanted. A mail of before that is gone or
// damaged is like no other: it is no reason to refuse this one for ever.
func (d *Desk) learn(ctx context.Context, in *Inbound, b *bodies) error {
	if len(b.known) >= maxBodies {
		return &Error{Kind: KindUnavailable, Reason: "busy", Message: "other mails with this Message-ID come in now, try again later"}
	}
	h, err := d.bodyHash(ctx, in, b.wanted)
	switch {
	case err == nil:
		b.known[b.wanted] = &h
	case b.wanted != in.Raw.Hash && isGone(err):
		b.known[b.wanted] = nil
	default:
		return storeError(err)
	}
	return nil
}

// isGone tells whether a blob can never be read again.
func isGone(err error) bool {
	return errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) || errors.Is(err, fs.ErrNotExist)
}

func (d *Desk) bodyHash(ctx context.Context, in *Inbound, raw store.Hash) (store.Hash, error) {
	if raw == in.Raw.Hash {
		return d.hashBody(in.Octets, in.Size)
	}
	blob, err := d.db.OpenBlob(ctx, raw)
	if err != nil {
		return store.Hash{}, err
	}
	defer blob.Close()
	return d.hashBody(blob, blob.Size())
}

// hashAll is the hash of every octet, for desks that were given no other.
func hashAll(raw io.ReaderAt, size int64) (h store.Hash, err error) {
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(raw, 0, size)); err != nil {
		return h, err
	}
	return store.Hash(sum.Sum(nil)), nil
}

// identity is a message under the eyes of one project.
type identity struct {
	rx      *receiver
	project uint64
	byID    *seenRow // of its Message-ID
}

// identify looks whether the project has taken the message before. The row is
// nil when it is new.
func (rx *receiver) identify(project uint64) (*identity, *seenRow, error) {
	is := &identity{rx: rx, project: project}
	if rx.in.Message.MessageID == "" {
		row, err := is.withBody(rx.in.Raw.Hash)
		return is, row, err
	}
	var err error
	if is.byID, err = is.find(rx.idOnly()); err != nil {
		return nil, nil, err
	}
	if is.byID == nil {
		if hashed, err := rx.allHashed(); err != nil || !hashed {
			return is, nil, err
		}
	} else if raw := is.byID.Raw; raw != nil {
		same, err := rx.sameBody(*raw)
		if err != nil || same {
			return is, is.byID, err
		}
	}
	row, err := is.withBody(rx.in.Raw.Hash)
	return is, row, err
}

// find returns a row that counts still.
func (is *identity) find(name []byte) (*seenRow, error) {
	row, err := find[seenRow](is.rx.tx, seenKey(is.project, name))
	if err != nil || row == nil || is.rx.now.Sub(row.At) > identityKept {
		return nil, err
	}
	return row, nil
}

// withBody finds the row of the Message-ID with the body of a raw mail.
func (is *identity) withBody(raw store.Hash) (*seenRow, error) {
	name, err := is.rx.idAndBody(raw)
	if err != nil || name == nil {
		return nil, err
	}
	return is.find(name)
}

// sameBody tells whether an earlier mail has this one's body.
func (rx *receiver) sameBody(raw store.Hash) (bool, error) {
	if raw == rx.in.Raw.Hash {
		return true, nil
	}
	ours, err := rx.bodies.of(rx.in.Raw.Hash)
	if err != nil {
		return false, err
	}
	theirs, err := rx.bodies.of(raw)
	return theirs != nil && *theirs == *ours, err
}

// remember notes that the message was taken.
func (is *identity) remember(out Outcome) error {
	rx := is.rx
	row := seenRow{At: rx.now, Ticket: out.Ticket, ID: rx.in.Envelope.ID}
	if rx.in.Message.MessageID == "" {
		return is.saveWithBody(rx.in.Raw.Hash, row)
	}
	if is.byID == nil && rx.kept {
		row.Raw = &rx.in.Raw.Hash
		return is.save(rx.idOnly(), row)
	}
	byID := row
	if old := is.byID; old != nil && old.At.After(row.At) {
		byID.At = old.At // mails are not committed in the order in which they came
	}
	return errors.Join(is.split(), is.save(rx.idOnly(), byID), is.saveWithBody(rx.in.Raw.Hash, row))
}

// split gives the first body of a Message-ID a row of its own, once it has been
// compared with another mail: it may be large, and is not to be read again.
func (is *identity) split() error {
	if is.byID == nil || is.byID.Raw == nil || *is.byID.Raw == is.rx.in.Raw.Hash {
		return nil
	}
	row := *is.byID
	row.Raw = nil
	return errors.Join(is.saveWithBody(*is.byID.Raw, row), is.save(is.rx.idOnly(), row))
}

func (is *identity) saveWithBody(raw store.Hash, row seenRow) error {
	name, err := is.rx.idAndBody(raw)
	if err != nil || name == nil {
		return err
	}
	return is.save(name, row)
}

func (is *identity) save(name []byte, row seenRow) error {
	if err := save(is.rx.tx, seenKey(is.project, name), row); err != nil {
		return err
	}
	return is.rx.tx.Put(seenAtKey(row.At, is.project, name), ref)
}

func (rx *receiver) idOnly() []byte {
	h := sha256.Sum256([]byte("id alone\x00" + rx.in.Message.MessageID))
	return h[:]
}

// idAndBody names a message by Message-ID, or without one by From, Date and
// Subject, and by the body of a raw mail; nil when that cannot be read any
// more. A message with neither Message-ID nor Date is only itself when every
// octet is the same: an alarm that says the same thing next week is news.
func (rx *receiver) idAndBody(raw store.Hash) ([]byte, error) {
	body, err := rx.bodies.of(raw)
	if err != nil || body == nil {
		return nil, err
	}
	m := rx.in.Message
	h := sha256.New()
	if m.MessageID != "" {
		h.Write([]byte("id\x00" + m.MessageID + "\x00"))
	} else {
		if m.Date.IsZero() {
			h.Write(rx.in.Raw.Hash[:])
		}
		h.Write([]byte("none\x00" + m.Author().Address + "\x00" + m.Date.UTC().Format(time.RFC3339) + "\x00" + m.Subject + "\x00"))
	}
	h.Write(body[:])
	return h.Sum(nil), nil
}

// hashedRow tells until when there are messages that have no row for their
// Message-ID alone: those of before schema 3.
type hashedRow struct {
	Until time.Time `json:"until"`
}

// allHashed tells whether a message may have come before though nothing is
// known of its Message-ID.
func (rx *receiver) allHashed() (bool, error) {
	row, err := find[hashedRow](rx.tx, hashedKey())
	return row != nil && rx.now.Before(row.Until), err
}

// noteHashed is the upgrade to schema 3.
func noteHashed(tx store.Tx, _ store.Key) (store.Key, error) {
	row, err := load[schemaRow](tx, schemaKey())
	if err != nil {
		return "", err
	}
	return "", save(tx, hashedKey(), hashedRow{Until: row.Since.Add(identityKept)})
}

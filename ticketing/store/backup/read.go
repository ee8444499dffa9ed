package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// Handler is told what a backup holds, in its order. Nothing that it gets may
// be kept after the call, unless copied. Its errors end the reading.
type Handler interface {
	Header(Header) error
	// File is a file beside the store; its name is a valid path of package fs.
	File(name string, data []byte) error
	// Blob is a blob with its bytes, which need not be read to their end. It is
	// nil when the bytes are lost.
	Blob(b Blob, data io.Reader) error
	// Elsewhere is a blob whose bytes are not in the stream.
	Elsewhere(b Blob) error
	Items(items []store.Item) error
}

// Read reads a backup to its end, checks every part of it, and tells h. What h
// was told is a whole backup only when Read returns no error. An error that
// wraps ErrDamaged is the backup's own fault and says where. The manifest of a
// cut backup is what was read so far, without a digest.
func Read(r io.Reader, h Handler) (Manifest, error) {
	in := &reader{frames: frameReader{r: r}, h: h, digest: newDigester()}
	if err := in.frames.line(streamLine); err != nil {
		return Manifest{}, err
	}
	for {
		start := in.frames.at
		kind, payload, err := in.frames.next()
		if errors.Is(err, io.EOF) {
			err = ErrCut
		}
		if err == nil {
			err = in.record(kind, payload)
		}
		if err != nil {
			return in.manifest, err
		}
		if kind == kindManifest {
			return in.manifest, in.end(start)
		}
	}
}

// Tell hears how the reading of a backup gets on: how many bytes of about how
// many are done.
type Tell func(done, of int64)

// Telling tells how reading gets on, and passes everything on to h.
func Telling(h Handler, tell Tell) Handler {
	if tell == nil {
		return h
	}
	return &telling{Handler: h, tell: tell}
}

type telling struct {
	Handler
	tell     Tell
	done, of int64
}

func (t *telling) step(n int64, err error) error {
	t.done += n
	t.of = max(t.of, t.done)
	t.tell(t.done, t.of)
	return err
}

func (t *telling) Header(h Header) error {
	t.of = h.Bytes
	return t.step(0, t.Handler.Header(h))
}

func (t *telling) Blob(b Blob, data io.Reader) error { return t.step(b.Size, t.Handler.Blob(b, data)) }
func (t *telling) Elsewhere(b Blob) error            { return t.step(b.Size, t.Handler.Elsewhere(b)) }

func (t *telling) Items(items []store.Item) error {
	var n int64
	for _, i := range items {
		n += int64(len(i.Key) + len(i.Value))
	}
	return t.step(n, t.Handler.Items(items))
}

// order is the order of the kinds in a stream.
var order = []byte{kindHeader, kindFile, kindBlob, kindItems, kindManifest}

type reader struct {
	frames   frameReader
	h        Handler
	digest   *digester
	manifest Manifest

	files   int
	lost    int64
	begun   bool
	stage   int // index in order
	last    store.Key
	blob    store.Hash
	blobs   bool // there was one
	scratch []store.Item
}

func (in *reader) record(kind byte, payload []byte) error {
	if kind == kindFailure {
		return fmt.Errorf("%w: its writer gave up: %s", ErrCut, payload)
	}
	stage := bytes.IndexByte(order, kind)
	if stage < in.stage || (stage == 0) == in.begun {
		return in.frames.damaged("a record of kind %q does not belong here", kind)
	}
	in.stage, in.begun = stage, true
	switch kind {
	case kindHeader:
		return in.header(payload)
	case kindFile:
		return in.file(payload)
	case kindBlob:
		return in.blobRecord(payload)
	case kindItems:
		return in.items(payload)
	default:
		return in.json(payload, &in.manifest)
	}
}

func (in *reader) json(payload []byte, v any) error {
	if err := json.Unmarshal(payload, v); err != nil {
		return in.frames.damaged("%v", err)
	}
	return nil
}

func (in *reader) header(payload []byte) error {
	var h Header
	if err := in.json(payload, &h); err != nil {
		return err
	}
	in.manifest.Made, in.manifest.Mxdesk = h.Made, h.Mxdesk
	return in.h.Header(h)
}

func (in *reader) file(payload []byte) error {
	name, data, ok := cutSized(payload, 2)
	if !ok || !fs.ValidPath(string(name)) || string(name) == "." {
		return in.frames.damaged("a file has no proper name")
	}
	in.files++
	return in.h.File(string(name), data)
}

// cutSized takes a length of n bytes, and that many bytes.
func cutSized(b []byte, n int) (head, rest []byte, ok bool) {
	if len(b) < n {
		return nil, nil, false
	}
	var size uint64
	for _, c := range b[:n] {
		size = size<<8 | uint64(c)
	}
	if b = b[n:]; uint64(len(b)) < size {
		return nil, nil, false
	}
	return b[:size], b[size:], true
}

// parseBlob reads a blob record.
func parseBlob(payload []byte) (b Blob, where byte, ok bool) {
	if len(payload) != 49 {
		return b, 0, false
	}
	copy(b.Hash[:], payload)
	size, refs := binary.BigEndian.Uint64(payload[32:]), binary.BigEndian.Uint64(payload[40:])
	b.Size, b.Refs = int64(size), int64(refs)
	return b, payload[48], size < 1<<48 && refs < 1<<48 && payload[48] <= bytesLost
}

func (in *reader) blobRecord(payload []byte) error {
	b, where, ok := parseBlob(payload)
	if !ok {
		return in.frames.damaged("the record of a blob makes no sense")
	}
	if in.blobs && bytes.Compare(in.blob[:], b.Hash[:]) >= 0 {
		return in.frames.damaged("blobs are out of order")
	}
	in.blob, in.blobs = b.Hash, true
	in.digest.blob(b)
	switch where {
	case bytesElsewhere:
		return in.h.Elsewhere(b)
	case bytesLost:
		in.lost++
		return in.h.Blob(b, nil)
	}
	data := newDataReader(&in.frames, b)
	if err := in.h.Blob(b, data); err != nil {
		return cmpErr(data.err, err)
	}
	if _, err := io.Copy(io.Discard, data); err != nil {
		return err
	}
	return nil
}

// cmpErr prefers what is wrong with the backup to what followed from it.
func cmpErr(damage, err error) error {
	if damage != nil && !errors.Is(damage, io.EOF) {
		return damage
	}
	return err
}

// dataReader reads the bytes of a blob from its data records, and fails at
// their end unless they are what they should be.
type dataReader struct {
	frames *frameReader
	want   Blob
	sum    hash.Hash
	n      int64
	rest   []byte
	err    error
}

func newDataReader(frames *frameReader, want Blob) *dataReader {
	return &dataReader{frames: frames, want: want, sum: sha256.New()}
}

func (d *dataReader) Read(p []byte) (int, error) {
	if len(d.rest) == 0 && d.err == nil {
		d.err = d.fill()
	}
	if d.err != nil {
		return 0, d.err
	}
	n := copy(p, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

func (d *dataReader) fill() error {
	if d.n == d.want.Size {
		if store.Hash(d.sum.Sum(nil)) != d.want.Hash {
			return d.frames.damaged("the bytes of blob %v are not those of its hash", d.want.Hash)
		}
		return io.EOF
	}
	kind, payload, err := d.frames.next()
	switch {
	case errors.Is(err, io.EOF):
		return ErrCut
	case err != nil:
		return err
	case kind == kindFailure:
		return fmt.Errorf("%w: its writer gave up: %s", ErrCut, payload)
	case kind != kindData || len(payload) == 0 || int64(len(payload)) > d.want.Size-d.n:
		return d.frames.damaged("blob %v is not as long as it says", d.want.Hash)
	}
	d.n += int64(len(payload))
	d.sum.Write(payload)
	d.rest = payload
	return nil
}

func (in *reader) items(payload []byte) error {
	in.scratch = in.scratch[:0]
	for len(payload) > 0 {
		key, rest, ok1 := cutSized(payload, 2)
		value, rest, ok2 := cutSized(rest, 4)
		if !ok1 || !ok2 || len(key) == 0 || len(key) > store.MaxKeyBytes {
			return in.frames.damaged("a key or its value is cut off")
		}
		item := store.Item{Key: store.Key(key), Value: value}
		if item.Key <= in.last || store.OfBlob(item.Key) {
			return in.frames.damaged("key %v is out of place", item.Key)
		}
		in.last, payload = item.Key, rest
		in.digest.item(item)
		in.scratch = append(in.scratch, item)
	}
	return in.h.Items(in.scratch)
}

// end compares what was read with the manifest, which began at start.
func (in *reader) end(start int64) error {
	in.frames.at = start
	switch m := in.manifest; {
	case m.Counts != in.digest.n:
		return in.frames.damaged("it has %+v, its manifest says %+v", in.digest.n, m.Counts)
	case m.Files != in.files || m.Lost != in.lost:
		return in.frames.damaged("it has %d files and %d lost blobs, its manifest says %d and %d", in.files, in.lost, m.Files, m.Lost)
	case m.Digest != in.digest.digest():
		return in.frames.damaged("its digest is not that of its manifest")
	}
	if n, err := in.frames.r.Read(make([]byte, 1)); n > 0 {
		return in.frames.damaged("something follows the manifest")
	} else if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

package backup

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// packBytes ends a pack.
const packBytes = 256 << 20

// entry tells where a blob is.
type entry struct {
	hash   store.Hash
	offset int64 // of its record in the pack
	pack   int32 // index in the folder's list
}

// entryBytes is the length of an entry in the index of a pack.
const entryBytes = 40

// packWriter writes a pack. Its file has a name of its own until it is whole.
type packWriter struct {
	*newFile
	frames frameWriter
	index  []entry
	buf    []byte
}

func newPack(dir, name string) (*packWriter, error) {
	f, err := createNew(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	p := &packWriter{newFile: f, frames: frameWriter{w: f}, buf: make([]byte, dataBytes)}
	return p, p.frames.line(packLine)
}

func (p *packWriter) add(ctx context.Context, b Blob, data io.Reader) error {
	p.index = append(p.index, entry{hash: b.Hash, offset: p.frames.at})
	b.Refs = 0 // a matter of each snapshot
	if err := p.frames.write(kindBlob, append(appendBlob(nil, b), bytesFollow)); err != nil {
		return err
	}
	return copyData(ctx, &p.frames, data, p.buf)
}

// finish writes the index and puts the pack in its place.
func (p *packWriter) finish() error {
	start := p.frames.at
	for part := range slices.Chunk(p.index, dataBytes/entryBytes) {
		var b []byte
		for _, e := range part {
			b = binary.BigEndian.AppendUint64(append(b, e.hash[:]...), uint64(e.offset))
		}
		if err := p.frames.write(kindIndex, b); err != nil {
			return err
		}
	}
	if err := p.frames.write(kindTail, binary.BigEndian.AppendUint64(nil, uint64(start))); err != nil {
		return err
	}
	return p.keep()
}

// readIndex reads the index at the end of a pack.
func readIndex(path string) ([]entry, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	in := &frameReader{r: f, at: info.Size() - frameBytes(8)}
	if in.at < int64(len(packLine)) {
		return nil, ErrCut
	}
	tail := in.at
	if _, err := f.Seek(in.at, io.SeekStart); err != nil {
		return nil, err
	}
	kind, payload, err := in.next()
	if err != nil || kind != kindTail || len(payload) != 8 {
		return nil, fmt.Errorf("%w: it does not end as a pack does (%v)", ErrDamaged, err)
	}
	in.at = int64(binary.BigEndian.Uint64(payload))
	if in.at < int64(len(packLine)) || in.at > tail {
		return nil, in.damaged("there is no index")
	}
	if _, err := f.Seek(in.at, io.SeekStart); err != nil {
		return nil, err
	}
	var list []entry
	for in.at < tail {
		kind, payload, err := in.next()
		if err != nil {
			return nil, err
		}
		if kind != kindIndex || len(payload)%entryBytes != 0 {
			return nil, in.damaged("the index makes no sense")
		}
		for part := range slices.Chunk(payload, entryBytes) {
			list = append(list, entry{hash: store.Hash(part[:32]), offset: int64(binary.BigEndian.Uint64(part[32:]))})
		}
	}
	return list, nil
}

// openPacked opens a blob in a pack and compares what its record says with
// what is looked for. The reader checks its bytes.
func openPacked(path string, e entry, want Blob) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := packed(f, e, want)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return b, nil
}

func packed(f *os.File, e entry, want Blob) (io.ReadCloser, error) {
	if _, err := f.Seek(e.offset, io.SeekStart); err != nil {
		return nil, err
	}
	in := &frameReader{r: f, at: e.offset}
	kind, payload, err := in.next()
	if err == io.EOF {
		err = ErrCut
	}
	if err != nil {
		return nil, err
	}
	b, where, ok := parseBlob(payload)
	if kind != kindBlob || !ok || where != bytesFollow || b.Hash != want.Hash || b.Size != want.Size {
		return nil, in.damaged("blob %v should be here", want.Hash)
	}
	return struct {
		io.Reader
		io.Closer
	}{newDataReader(in, want), f}, nil
}

// compareEntries orders by hash.
func compareEntries(a, b entry) int { return bytes.Compare(a.hash[:], b.hash[:]) }

package backup_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/backup"
	"github.com/mxdesk/mxdesk/ticketing/store/memdb"
)

func FuzzRead(f *testing.F) {
	f.Add([]byte("mxdesk backup 1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		db := store.Open(memdb.New(memdb.Options{}), store.Options{})
		defer db.Close(context.Background())
		m, err := backup.Restore(t.Context(), db, t.TempDir(), nil, reading(b))
		if err == nil && m.Digest == (store.Hash{}) {
			t.Error("restored without a manifest")
		}
	})
}

// FuzzReadSealed puts right checksums on what it is given, to get behind them.
func FuzzReadSealed(f *testing.F) {
	f.Add([]byte("HFBDDKE"), []byte("{}"))
	f.Fuzz(func(t *testing.T, kinds, payload []byte) {
		b := backup.Seal(kinds, payload)
		if _, err := backup.Read(bytes.NewReader(b), backup.Discard{}); err != nil && !errors.Is(err, backup.ErrDamaged) {
			t.Error(err)
		}
	})
}

// Records that are whole and yet not those that were written do not pass.
func TestManifestHasTheLastWord(t *testing.T) {
	good := tiny(t)
	for what, edit := range map[string]func(kind byte, payload []byte) []byte{
		"another value": func(kind byte, p []byte) []byte {
			if kind == 'K' {
				return bytes.Replace(p, []byte("\x00\x00\x00\x03two"), []byte("\x00\x00\x00\x03tw0"), 1)
			}
			return p
		},
		"more references": func(kind byte, p []byte) []byte {
			if kind == 'B' {
				p[47] = 9
			}
			return p
		},
		"no file": func(kind byte, p []byte) []byte {
			if kind == 'F' {
				return nil
			}
			return p
		},
		"no keys": func(kind byte, p []byte) []byte {
			if kind == 'K' {
				return nil
			}
			return p
		},
	} {
		bad := backup.Reseal(good, edit)
		if _, err := backup.Read(bytes.NewReader(bad), backup.Discard{}); bytes.Equal(bad, good) || !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
	}
	same := backup.Reseal(good, func(_ byte, p []byte) []byte { return p })
	if !bytes.Equal(same, good) {
		t.Error("resealing alone changes the stream")
	}
}

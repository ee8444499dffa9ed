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

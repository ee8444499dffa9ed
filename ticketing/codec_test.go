package ticketing

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/memdb"
)

func TestValuesBeginWithTheVersion(t *testing.T) {
	for _, tc := range []struct {
		v    any
		want string
	}{
		{counter{Last: 7}, `{"v":3,"last":7}`},
		{struct{}{}, `{"v":3}`},
		{Alias{Address: "<a&b>@x"}, `{"v":3,"address":"<a&b>@x","project":0}`},
		{Alias{Address: "a\x00b"}, `{"v":3,"address":"a\ufffdb","project":0}`},
		{Alias{Address: `a\u0000b`}, `{"v":3,"address":"a\\u0000b","project":0}`},
		{Alias{Address: `a\` + "\x00"}, `{"v":3,"address":"a\\\ufffd","project":0}`},
	} {
		b, err := encode(tc.v)
		if err != nil || string(b) != tc.want {
			t.Errorf("encode(%+v) = %s, %v; want %s", tc.v, b, err, tc.want)
		}
	}
	for _, bad := range []any{7, "x", []int{1}, func() {}} {
		if b, err := encode(bad); err == nil {
			t.Errorf("encode(%T) = %s", bad, b)
		}
	}
}

func FuzzEncode(f *testing.F) {
	for _, s := range []string{"", "a\x00b", `\u0000`, `\\u0000`, "\xff\xfe", "\u2028<&>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b, err := encode(Alias{Address: s})
		if err != nil || !utf8.Valid(b) || !json.Valid(b) {
			t.Fatalf("encode(%q) = %q, %v", s, b, err)
		}
		got, err := decode[Alias](b)
		if err != nil || strings.ContainsRune(got.Address, 0) {
			t.Fatalf("decode(%s) = %+v, %v", b, got, err)
		}
		want := strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
		if utf8.ValidString(s) && got.Address != want {
			t.Fatalf("%q came back as %q", s, got.Address)
		}
	})
}

func FuzzClip(f *testing.F) {
	f.Add("a\x00b\x7f\r\n\t", 3)
	f.Add("\xff\xfeäöü", 5)
	f.Fuzz(func(t *testing.T, s string, max int) {
		if max < 0 {
			return
		}
		got := clip(s, max)
		if len(got) > max || !utf8.ValidString(got) || strings.ContainsFunc(got, unstorable) || clip(got, max) != got {
			t.Fatalf("clip(%q, %d) = %q", s, max, got)
		}
	})
}

func TestMigrateRefusesNewerData(t *testing.T) {
	db := store.Open(memdb.New(memdb.Options{}), store.Options{RunTwice: true})
	defer db.Close(context.Background())
	d := New(db, Options{})
	for _, want := range []bool{true, false} {
		if fresh, err := d.Migrate(t.Context()); err != nil || fresh != want {
			t.Fatalf("Migrate = %v, %v; want %v", fresh, err, want)
		}
	}
	err := db.Update(t.Context(), func(tx store.Tx) error { return save(tx, schemaKey(), schemaRow{Version: SchemaVersion + 1}) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Migrate(t.Context()); KindOf(err) != KindConflict {
		t.Errorf("Migrate of newer data: %v", err)
	}
}

func TestStoreErrors(t *testing.T) {
	for _, tc := range []struct {
		err    error
		kind   Kind
		reason string
	}{
		{context.DeadlineExceeded, KindUnavailable, "deadline"},
		{store.ErrNoSpace, KindUnavailable, "disk-full"},
		{store.ErrUnknownOutcome, KindUnavailable, "unknown-outcome"},
		{store.ErrFailed, KindUnavailable, "store-failed"},
		{store.ErrTooLarge, KindTooLarge, "too-complex"},
		{errors.New("secret path"), KindUnavailable, "store-unavailable"},
		{errorf(KindDenied, "mine", "no"), KindDenied, "mine"},
	} {
		e := AsError(storeError(tc.err))
		if e.Kind != tc.kind || e.Reason != tc.reason || strings.Contains(e.Message, "secret") {
			t.Errorf("storeError(%v) = %+v", tc.err, e)
		}
	}
}

func TestOneLine(t *testing.T) {
	for in, want := range map[string]string{
		" a\r\n b\t": "a b", "a\u2028b\u0085c": "a b c", "a\x1b[31mb": "a [31mb", "äöüß": "äöü", "": "", "\n": "",
	} {
		max := 7
		if in == "äöüß" {
			max = 3
		}
		if got := oneLine(in, max); got != want {
			t.Errorf("oneLine(%q) = %q, want %q", in, got, want)
		}
	}
}

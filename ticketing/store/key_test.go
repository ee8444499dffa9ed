package store_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 1000, time.UTC)

// ascending are tuples in the order that their keys must have.
var ascending = [][]any{
	{},
	{[]byte{}},
	{[]byte{0}},
	{[]byte{0xff}},
	{""},
	{"", ""},
	{"", 1},
	{"\x00"},
	{"\x00\x00"},
	{"\x00\xff"},
	{"\x01"},
	{"a"},
	{"a", []byte("z")},
	{"a", "b"},
	{"a", math.MinInt64},
	{"a", -256},
	{"a", -255},
	{"a", -1},
	{"a", 0},
	{"a", 1},
	{"a", 1, "x"},
	{"a", 255},
	{"a", 256},
	{"a", int64(math.MaxInt64)},
	{"a", uint64(math.MaxUint64)},
	{"a", false},
	{"a", true},
	{"a", time.Time{}},
	{"a", time.UnixMicro(-1)},
	{"a", time.UnixMicro(0)},
	{"a", noon},
	{"a", noon.Add(time.Microsecond)},
	{"a", store.Desc(noon.Add(time.Microsecond))},
	{"a", store.Desc(noon)},
	{"a", store.Desc(time.UnixMicro(-1))},
	{"a\x00"},
	{"a\x00b"},
	{"ab"},
	{"b"},
	{"\xff"},
}

func TestKeyOrder(t *testing.T) {
	for i := 1; i < len(ascending); i++ {
		a, b := store.K(ascending[i-1]...), store.K(ascending[i]...)
		if a >= b {
			t.Errorf("%v is not before %v", a, b)
		}
	}
}

func TestKeyPrefix(t *testing.T) {
	for _, prefix := range ascending {
		r := store.Prefix(prefix...)
		for _, tuple := range ascending {
			k := store.K(tuple...)
			want := len(tuple) >= len(prefix) && store.K(tuple[:len(prefix)]...) == store.K(prefix...)
			if got := k >= r.Start && k < r.End; got != want {
				t.Errorf("%v below %v: %v, want %v", k, store.K(prefix...), got, want)
			}
		}
	}
}

func TestKeySplit(t *testing.T) {
	for _, tuple := range ascending {
		k := store.K(tuple...)
		parts, err := k.Split()
		if err != nil || len(parts) != len(tuple) {
			t.Fatalf("%v: %v, %v", k, parts, err)
		}
		if again := store.K(parts...); again != k {
			t.Errorf("%v comes back as %v", k, again)
		}
	}
	parts, err := store.K("t", -7, 7, noon.In(time.FixedZone("", 3600)), true).Split()
	want := []any{"t", int64(-7), uint64(7), noon, true}
	if err != nil || !slices.Equal(parts, want) {
		t.Errorf("%#v, %v, want %#v", parts, err, want)
	}
}

func TestKeyString(t *testing.T) {
	for _, test := range []struct {
		key  store.Key
		want string
	}{
		{store.K(), ""},
		{store.K("ticket", 7, uint64(12)), "ticket/7/12"},
		{store.K("ticket", "7", -12), `ticket/"7"/-12`},
		{store.K("mail", "a.b+c@example.org"), "mail/a.b+c@example.org"},
		{store.K("a/b", "", "true", true, false), `"a/b"/""/"true"/true/false`},
		{store.K("x", []byte{0, 255}), "x/x'00ff'"},
		{store.K("at", noon, store.Desc(noon)), "at/2026-11-22T12:00:00.000001Z/~2026-11-22T12:00:00.000001Z"},
		{store.K("h", store.Hash{1}), "h/x'01" + strings.Repeat("00", 31) + "'"},
		{store.K("caf\u00e9", "a\x00\u202e\n\xff"), `"caf\u00e9"/"a\x00\u202e\n\xff"`},
		{store.K("ticket", 1) + "\xff\x00", "ticket/1/!ff00"},
		{"\x02unfinished", "!02756e66696e6973686564"},
	} {
		if got := test.key.String(); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

func TestKeyMalformed(t *testing.T) {
	for name, k := range map[string]store.Key{
		"tag":               "\xfe",
		"string":            "\x02abc",
		"string, escape":    "\x02abc\x00\xff",
		"integer":           "\x16\x01",
		"integer, zero":     "\x15\x00",
		"integer, padded":   "\x16\x00\x01",
		"integer, negative": "\x13\xff",
		"integer, too low":  "\x0c\x00\x00\x00\x00\x00\x00\x00\x00",
		"time":              "\x28\x00\x00",
	} {
		if parts, err := k.Split(); err == nil {
			t.Errorf("%s: split into %v", name, parts)
		}
	}
}

func TestKeyText(t *testing.T) {
	k := store.K("ticket", 7, "\x00\xff")
	b, err := json.Marshal([]store.Key{k, ""})
	if err != nil {
		t.Fatal(err)
	}
	var out []store.Key
	if err := json.Unmarshal(b, &out); err != nil || !slices.Equal(out, []store.Key{k, ""}) {
		t.Errorf("%s comes back as %q, %v", b, out, err)
	}
	if err := new(store.Key).UnmarshalText([]byte("0g")); err == nil {
		t.Error("bad digits are accepted")
	}
}

func TestKeyUnsupported(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a float is encoded")
		}
	}()
	store.K(1.5)
}

// element makes a tuple element out of fuzzed values.
func element(kind byte, s string, n int64) any {
	switch kind % 7 {
	case 0:
		return s
	case 1:
		return []byte(s)
	case 2:
		return n
	case 3:
		return uint64(n)
	case 4:
		return n%2 == 0
	case 5:
		return time.UnixMicro(n).UTC()
	}
	return store.Desc(time.UnixMicro(n).UTC())
}

// rank orders the types.
func rank(x any) int {
	switch x.(type) {
	case []byte:
		return 0
	case string:
		return 1
	case int64, uint64:
		return 2
	case bool:
		return 3
	case time.Time:
		return 4
	}
	return 5
}

// compareElements orders elements by their meaning.
func compareElements(a, b any) int {
	if c := cmp.Compare(rank(a), rank(b)); c != 0 {
		return c
	}
	switch a := a.(type) {
	case []byte:
		return bytes.Compare(a, b.([]byte))
	case string:
		return strings.Compare(a, b.(string))
	case bool:
		return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
	case time.Time:
		return a.Compare(b.(time.Time))
	case store.Desc:
		return time.Time(b.(store.Desc)).Compare(time.Time(a))
	}
	return compareIntegers(a, b)
}

func compareIntegers(a, b any) int {
	negative := func(x any) bool { n, ok := x.(int64); return ok && n < 0 }
	magnitude := func(x any) uint64 {
		if n, ok := x.(int64); ok {
			return uint64(n)
		}
		return x.(uint64)
	}
	if negative(a) != negative(b) {
		if negative(a) {
			return -1
		}
		return 1
	}
	return cmp.Compare(magnitude(a), magnitude(b))
}

func FuzzKey(f *testing.F) {
	f.Add(byte(0), "a", int64(1), byte(2), "", int64(-1), byte(0), "a\x00", int64(0), byte(6), "", int64(5))
	f.Add(byte(1), "\x00\xff", int64(0), byte(3), "", int64(-1), byte(1), "\x00", int64(0), byte(2), "", int64(math.MinInt64))
	f.Fuzz(func(t *testing.T, k1 byte, s1 string, n1 int64, k2 byte, s2 string, n2 int64, k3 byte, s3 string, n3 int64, k4 byte, s4 string, n4 int64) {
		a := []any{element(k1, s1, n1), element(k2, s2, n2)}
		b := []any{element(k3, s3, n3), element(k4, s4, n4)}
		if k3&0x80 != 0 {
			b = []any{a[0], b[1]} // a shared beginning is where order goes wrong
		}
		if k4&0x80 != 0 {
			b = b[:1]
		}
		ka, kb := store.K(a...), store.K(b...)
		if got, want := cmp.Compare(ka, kb), slices.CompareFunc(a, b, compareElements); got != want {
			t.Errorf("%v and %v: order %d, want %d", ka, kb, got, want)
		}
		checkKey(t, ka)
		checkKey(t, store.Key(s1))
		parts, err := ka.Split()
		if err != nil || slices.CompareFunc(a, parts, compareElements) != 0 {
			t.Errorf("%v splits into %v, %v", ka, parts, err)
		}
		if (ka.String() == kb.String()) != (ka == kb) {
			t.Errorf("%x and %x are both shown as %v", string(ka), string(kb), ka)
		}
	})
}

// checkKey checks what holds for any bytes.
func checkKey(t *testing.T, k store.Key) {
	for _, c := range k.String() {
		if c < 0x20 || c > 0x7e {
			t.Errorf("%q holds %U", k.String(), c)
		}
	}
	if parts, err := k.Split(); err == nil && store.K(parts...) != k {
		t.Errorf("%x is a second encoding of %v", string(k), k)
	}
	if again, err := store.ParseKey(k.String()); err == nil && again != k {
		t.Errorf("%v is read back as %v", k, again)
	}
}

func TestParseKey(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 0, 0, 1000, time.UTC)
	for _, k := range []store.Key{
		"", store.K("ticket", 7, uint64(1)<<63, -5), store.K("a b", "", "true", "x'00'", "ü/\x00\""), store.K([]byte{}, []byte{0, 0xff}, true, false),
		store.K(at, store.Desc(at), "tail") + "\x02cut", store.K(store.Hash{1}),
	} {
		if got, err := store.ParseKey(k.String()); err != nil || got != k {
			t.Errorf("ParseKey(%v) = %v, %v", k, got, err)
		}
	}
	for _, s := range []string{"/", "a//b", `"a`, `"a"b`, "x'0", "~now", "!z", "12x", "-", "'"} {
		if k, err := store.ParseKey(s); err == nil {
			t.Errorf("ParseKey(%q) = %v", s, k)
		}
	}
}

package message

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// countingReader counts the bytes taken from a source.
type countingReader struct {
	r    io.ReaderAt
	read int64
}

func (c *countingReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(p, off)
	c.read += int64(n)
	return n, err
}

func parse(t testing.TB, raw string) *Message {
	t.Helper()
	m, err := Read(strings.NewReader(raw), int64(len(raw)), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func bodyOf(t testing.TB, m *Message) string {
	t.Helper()
	b, err := io.ReadAll(m.Body())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRead(t *testing.T) {
	tests := []struct {
		name, raw string
		fields    []string // Name|Value
		body      string
		defect    bool
	}{
		{name: "empty"},
		{name: "no header", raw: "\r\nbody\r\n", body: "body\r\n"},
		{name: "crlf", raw: "A: 1\r\nB:2\r\n\r\nbody", fields: []string{"A|1", "B|2"}, body: "body"},
		{name: "lf", raw: "A: 1\nB:2\n\nbody\n", fields: []string{"A|1", "B|2"}, body: "body\n"},
		{name: "mixed", raw: "A: 1\nB:2\r\n\nbody", fields: []string{"A|1", "B|2"}, body: "body"},
		{name: "header only", raw: "A: 1\r\nB: 2\r\n", fields: []string{"A|1", "B|2"}},
		{name: "cut line", raw: "A: 1\r\nB: 2", fields: []string{"A|1", "B|2"}},
		{name: "folded", raw: "A: 1\r\n 2\r\n\t3\r\nB:\r\n 4\r\n\r\n", fields: []string{"A|1 2\t3", "B|4"}},
		{name: "blank continuation", raw: "A: 1\r\n  \r\nB: 2\r\n\r\n", fields: []string{"A|1", "B|2"}},
		{name: "space before colon", raw: "A \t: 1\r\n\r\n", fields: []string{"A|1"}},
		{name: "no colon", raw: "A: 1\r\nnonsense\r\nB: 2\r\n\r\nx", fields: []string{"A|1", "|", "B|2"}, body: "x", defect: true},
		{name: "no name", raw: ": 1\r\n\r\nx", fields: []string{"|"}, body: "x", defect: true},
		{name: "leading continuation", raw: " A: 1\r\n\r\nx", fields: []string{"|"}, body: "x", defect: true},
		{name: "mbox line", raw: "From a@b Mon Jan  1 00:00:00 2020\r\nA: 1\r\n\r\n", fields: []string{"|", "A|1"}, defect: true},
		{name: "bare cr is no line end", raw: "A: 1\rB: 2\r\n\r\n", fields: []string{"A|1\rB: 2"}},
		{name: "only a line end", raw: "\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := parse(t, tt.raw)
			var got []string
			for _, f := range m.Fields {
				got = append(got, f.Name+"|"+f.Value())
				if end := f.Offset + int64(len(f.Raw)); tt.raw[f.Offset:end] != f.Raw {
					t.Errorf("field %q is not at offset %d", f.Raw, f.Offset)
				}
			}
			if !slices.Equal(got, tt.fields) {
				t.Errorf("fields %q, want %q", got, tt.fields)
			}
			if b := bodyOf(t, m); b != tt.body {
				t.Errorf("body %q, want %q", b, tt.body)
			}
			if (m.Defect != nil) != tt.defect {
				t.Errorf("defect %v", m.Defect)
			}
		})
	}
}

func TestReadLimits(t *testing.T) {
	read := func(raw string, o Limits) error {
		_, err := Read(strings.NewReader(raw), int64(len(raw)), o)
		return err
	}
	line := "A: 1\r\n"
	if err := read(strings.Repeat(line, 1000)+"\r\n", Limits{}); err != nil {
		t.Errorf("1000 fields: %v", err)
	}
	if err := read(strings.Repeat(line, 1001)+"\r\n", Limits{}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("1001 fields: %v", err)
	}
	full := "A:" + strings.Repeat("x", 256<<10-4) + "\r\n"
	if err := read(full+"\r\nbody", Limits{}); err != nil {
		t.Errorf("256 KiB: %v", err)
	}
	if err := read("x"+full+"\r\nbody", Limits{}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("256 KiB and one: %v", err)
	}
	if err := read(line+line, Limits{HeaderBytes: 11}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("own limit: %v", err)
	}
}

// TestReadStopsAtLimit shows that a header without end is not read to its end.
func TestReadStopsAtLimit(t *testing.T) {
	src := &countingReader{r: strings.NewReader(strings.Repeat("x", 4<<20))}
	if _, err := Read(src, 4<<20, Limits{}); !errors.Is(err, ErrTooLarge) {
		t.Fatal(err)
	}
	if src.read > 256<<10+2*readBuffer {
		t.Errorf("read %d bytes", src.read)
	}
}

type failingReader struct{ after int64 }

func (r failingReader) ReadAt(p []byte, off int64) (int, error) {
	if off >= r.after {
		return 0, iotest.ErrTimeout
	}
	return copy(p, bytes.Repeat([]byte("A:\n"), int(r.after))[off:r.after]), nil
}

func TestReadError(t *testing.T) {
	if _, err := Read(failingReader{}, 100, Limits{}); !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("header: %v", err)
	}
	raw := "A: 1\r\n\r\nbody"
	m := parse(t, raw)
	m.source = failingReader{}
	if _, err := m.RelaxedBodyHash(); !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("body: %v", err)
	}
}

func TestGet(t *testing.T) {
	m := parse(t, "To: 1\r\nFrom: 2\r\nTO: 3\r\n\r\n")
	var got []string
	for _, f := range m.Get("tO") {
		got = append(got, f.Value())
	}
	if !slices.Equal(got, []string{"1", "3"}) || m.Count("to") != 2 {
		t.Errorf("got %q, count %d", got, m.Count("to"))
	}
	if len(m.Get("Cc")) > 0 {
		t.Error("found a field that is not there")
	}
}

func TestSelect(t *testing.T) {
	m := parse(t, "S: 0\r\nA: 1\r\nB: 2\r\nA: 3\r\nS: 4\r\nA: 5\r\n\r\n")
	tests := []struct {
		names  string
		except int64
		want   string
	}{
		{"a b", -1, "5 2"},
		{"a a A a", -1, "5 3 1"},
		{"none a", -1, "5"},
		{"s s", 0, "4"},
		{"s s", m.Get("s")[1].Offset, "0"},
		{"s s s", -1, "4 0"},
	}
	for _, tt := range tests {
		var got []string
		for f := range m.Select(strings.ReplaceAll(tt.names, " ", ":"), tt.except) {
			got = append(got, f.Value())
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s except %d: %s, want %s", tt.names, tt.except, s, tt.want)
		}
	}
}

// TestFoldedHeader shows that a header of 5,000 folds costs its size only.
func TestFoldedHeader(t *testing.T) {
	raw := "Subject: x" + strings.Repeat("\r\n y", 5000) + "\r\n\r\n"
	src := &countingReader{r: strings.NewReader(raw)}
	m, err := Read(src, int64(len(raw)), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if src.read > int64(len(raw)) {
		t.Errorf("read %d of %d bytes", src.read, len(raw))
	}
	want := "subject:x" + strings.Repeat(" y", 5000) + "\r\n"
	buf := make([]byte, 0, len(raw))
	if got := Relaxed.AppendField(buf, m.Fields[0]); string(got) != want {
		t.Error("relaxed form is wrong")
	}
	if n := testing.AllocsPerRun(1, func() { Relaxed.AppendField(buf, m.Fields[0]) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if n := testing.AllocsPerRun(1, func() { _ = m.Fields[0].Value() }); n > 2 {
		t.Errorf("value: %v allocations", n)
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{
		"", "\r\n", "A: 1\r\n\r\nbody\r\n", "A: 1\n b\n\n \n\r\n", " x\r\n:\r\n\r\n", "A: 1", "A:\r\r\n\r\n\r\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := Read(bytes.NewReader(raw), int64(len(raw)), Limits{})
		if err != nil {
			if !errors.Is(err, ErrTooLarge) {
				t.Fatal(err)
			}
			return
		}
		next := int64(0)
		for _, field := range m.Fields {
			if field.Offset != next {
				t.Fatalf("gap before offset %d", field.Offset)
			}
			next += int64(len(field.Raw))
			if v := field.Value(); strings.Contains(v, "\n") {
				t.Fatalf("line end in value %q", v)
			}
			checkIdempotent(t, field)
		}
		if rest := m.bodyOffset - next; rest < 0 || rest > 2 {
			t.Fatalf("%d bytes between header and body", rest)
		}
		checkStreaming(t, raw[m.bodyOffset:])
	})
}

// checkIdempotent checks that a canonical field is its own canonical form.
func checkIdempotent(t *testing.T, f Field) {
	t.Helper()
	if f.Name == "" {
		return
	}
	for _, c := range []Canon{Simple, Relaxed} {
		once := c.AppendField(nil, f)
		twice := c.AppendField(nil, NewField(string(once), 0))
		if !bytes.Equal(once, twice) && !strings.Contains(f.Raw, "\r\r") && !strings.Contains(f.Raw, "\r ") &&
			!strings.Contains(f.Raw, "\r\t") && !strings.HasSuffix(f.Raw, "\r") {
			t.Fatalf("%v: %q then %q", c, once, twice)
		}
	}
}

func ExampleField_Value() {
	raw := "Subject: one\r\n two\r\n\r\n"
	m, _ := Read(strings.NewReader(raw), int64(len(raw)), Limits{})
	fmt.Println(m.Get("subject")[0].Value())
	// Output: one two
}

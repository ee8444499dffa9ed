package message

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
)

// corpora returns a folder of shared test data or skips the test.
func corpora(t testing.TB, path string) string {
	t.Helper()
	root := os.Getenv("CORPORA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "corpora")
	}
	dir := filepath.Join(root, filepath.FromSlash(path))
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("test data %s is not here (set CORPORA): suite not run", path)
	}
	return dir
}

// record collects the canonical bytes that a digest would hash.
type record struct {
	bytes.Buffer
}

func (r *record) Sum([]byte) []byte { return make([]byte, sha256.Size) }
func (r *record) Size() int         { return sha256.Size }
func (r *record) BlockSize() int    { return sha256.BlockSize }

// canonicalBody returns the canonical form of a body fed in pieces of size n.
func canonicalBody(c Canon, raw []byte, n int) string {
	rec := &record{}
	b := &body{digest: digest{canon: c, hash: rec}}
	for len(raw) > 0 {
		k := min(n, len(raw))
		b.write(raw[:k])
		raw = raw[k:]
	}
	b.close()
	return rec.String()
}

var trailingSpace = regexp.MustCompile(`[ \t]+\r\n`)
var innerSpace = regexp.MustCompile(`[ \t]+`)

// plainBody is the definition of RFC 6376 written down without streaming.
func plainBody(c Canon, raw []byte) string {
	s := strings.ReplaceAll(string(raw), "\r\n", "\n")
	s = strings.ReplaceAll(s, "\n", "\r\n")
	if s != "" && !strings.HasSuffix(s, "\r\n") {
		s += "\r\n"
	}
	if c == Relaxed {
		s = trailingSpace.ReplaceAllString(s, "\r\n")
		s = innerSpace.ReplaceAllString(s, " ")
	}
	for strings.HasSuffix(s, "\r\n\r\n") {
		s = s[:len(s)-2]
	}
	if s == "" || s == "\r\n" {
		s = map[Canon]string{Simple: "\r\n", Relaxed: ""}[c]
	}
	return s
}

// checkStreaming compares the streamed form with the definition, in pieces of
// one byte and as a whole.
func checkStreaming(t *testing.T, raw []byte) {
	t.Helper()
	for _, c := range []Canon{Simple, Relaxed} {
		want := plainBody(c, raw)
		for _, n := range []int{1, 2, 3, len(raw) + 1} {
			if got := canonicalBody(c, raw, n); got != want {
				t.Fatalf("%v in pieces of %d of %q: %q, want %q", c, n, raw, got, want)
			}
		}
	}
}

func TestBodyStreaming(t *testing.T) {
	alphabet := []string{"a", "b", " ", "\t", "\r\n", "\n", "\r", "\r\n\r\n", "word"}
	r := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		var raw []byte
		for range r.IntN(12) {
			raw = append(raw, alphabet[r.IntN(len(alphabet))]...)
		}
		checkStreaming(t, raw)
	}
	checkStreaming(t, bytes.Repeat([]byte("\r\n"), 20000))
	checkStreaming(t, append(bytes.Repeat([]byte("\r\n"), 20000), bytes.Repeat([]byte("x"), 40000)...))
}

// TestBodyVectors has the hashes that RFC 6376 gives for an empty body and the
// example of its section 3.4.5.
//
// https://www.rfc-editor.org/rfc/rfc6376#section-3.4.5
func TestBodyVectors(t *testing.T) {
	m := parse(t, "A: X\r\nB : Y\t\r\n\tZ  \r\n\r\n C \r\nD \t E\r\n\r\n\r\n")
	var relaxed, simple []byte
	for _, f := range m.Fields {
		relaxed = Relaxed.AppendField(relaxed, f)
		simple = Simple.AppendField(simple, f)
	}
	if string(relaxed) != "a:X\r\nb:Y Z\r\n" {
		t.Errorf("relaxed header %q", relaxed)
	}
	if string(simple) != "A: X\r\nB : Y\t\r\n\tZ  \r\n" {
		t.Errorf("simple header %q", simple)
	}
	raw := []byte(bodyOf(t, m))
	if got := canonicalBody(Relaxed, raw, 100); got != " C\r\nD E\r\n" {
		t.Errorf("relaxed body %q", got)
	}
	if got := canonicalBody(Simple, raw, 100); got != " C \r\nD \t E\r\n" {
		t.Errorf("simple body %q", got)
	}
	empty := parse(t, "A: 1\r\n")
	for c, want := range map[Canon]string{
		Simple:  "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=",
		Relaxed: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
	} {
		h, err := empty.BodyHash(BodySpec{c, WholeBody})
		if got := base64.StdEncoding.EncodeToString(h.Sum[:]); got != want || err != nil {
			t.Errorf("empty body, %v: %s, %v, want %s", c, got, err, want)
		}
	}
}

func TestBodyHashes(t *testing.T) {
	body := "one  \r\ntwo\r\n\r\n"
	m := parse(t, "A: 1\r\n\r\n"+body)
	simple, relaxed := "one  \r\ntwo\r\n", "one\r\ntwo\r\n"
	specs := []BodySpec{
		{Simple, WholeBody}, {Relaxed, WholeBody}, {Simple, 0}, {Relaxed, 4}, {Simple, 4}, {Simple, 4},
		{Relaxed, int64(len(relaxed))}, {Relaxed, int64(len(relaxed)) + 1}, {Simple, -7},
	}
	want := []string{simple, relaxed, "", relaxed[:4], simple[:4], simple[:4], relaxed, "short", simple}
	if err := m.HashBody(specs...); err != nil {
		t.Fatal(err)
	}
	for i, s := range specs {
		got, err := m.BodyHash(s)
		if err != nil {
			t.Fatal(err)
		}
		if want[i] == "short" {
			if !got.Short {
				t.Errorf("%v: not short", s)
			}
			continue
		}
		if got.Sum != sha256.Sum256([]byte(want[i])) || got.Short {
			t.Errorf("%v: wrong hash", s)
		}
	}
	if id, err := m.RelaxedBodyHash(); err != nil || id != sha256.Sum256([]byte(relaxed)) {
		t.Errorf("relaxed body hash: %x, %v", id, err)
	}
}

// TestBodyOnePass shows that many specs cost one reading of the body, and that
// asking again costs none.
func TestBodyOnePass(t *testing.T) {
	raw := "A: 1\r\n\r\n" + strings.Repeat("line of text\r\n", 100000)
	src := &countingReader{r: strings.NewReader(raw)}
	m, err := Read(src, int64(len(raw)), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	src.read = 0
	var specs []BodySpec
	for i := range int64(200) {
		specs = append(specs, BodySpec{Canon(i % 2), i * 1000})
	}
	for range 2 {
		if err := m.HashBody(specs...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.RelaxedBodyHash(); err != nil {
		t.Fatal(err)
	}
	if src.read > int64(len(raw)) {
		t.Errorf("read %d bytes of a body of %d", src.read, len(raw))
	}
}

// TestFlankerCanon runs the canonicalisation triples. The relaxed form of
// email.24 is wrong there: its body has nothing but white space and line ends,
// of which it keeps one space, while all white space at the end of a line is
// to be ignored and empty lines at the end of the body after that.
//
// https://www.rfc-editor.org/rfc/rfc6376#section-3.4.4
func TestFlankerCanon(t *testing.T) {
	dir := corpora(t, "dkim/flanker-canon")
	files, err := filepath.Glob(filepath.Join(dir, "email.*"))
	if err != nil || len(files) != 21 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	agree := 0
	for _, file := range files {
		number := strings.TrimPrefix(filepath.Ext(file), ".")
		raw := readFile(t, file)
		for _, c := range []Canon{Simple, Relaxed} {
			want := string(readFile(t, filepath.Join(dir, fmt.Sprintf("%v.expected.%s", c, number))))
			got := canonicalMessage(t, c, raw)
			if got == want {
				agree++
			}
			if wrong := number == "24" && c == Relaxed; (got == want) == wrong {
				t.Errorf("%v of email.%s: %q, want %q", c, number, got, want)
			}
			if number == "24" && c == Relaxed && !strings.HasSuffix(got, ">\r\n\r\n") {
				t.Errorf("body of email.24 is %q", got)
			}
		}
	}
	t.Attr("conformance", fmt.Sprintf("dkim/flanker-canon | canonical forms, simple and relaxed | %d/%d", agree, 2*len(files)))
}

func canonicalMessage(t *testing.T, c Canon, raw []byte) string {
	m := parse(t, string(raw))
	var out []byte
	for _, f := range m.Fields {
		out = c.AppendField(out, f)
	}
	return string(out) + "\r\n" + canonicalBody(c, []byte(bodyOf(t, m)), 7)
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBodyIsReadableTwice(t *testing.T) {
	m := parse(t, "A: 1\r\n\r\nbody")
	for range 2 {
		if err := iotest.TestReader(m.Body(), []byte("body")); err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkBodyHashes(b *testing.B) {
	raw := "A: 1\r\n\r\n" + strings.Repeat("The quick brown fox jumps over the lazy dog.\r\n", 22000)
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		m := parse(b, raw)
		if err := m.HashBody(BodySpec{Simple, WholeBody}, BodySpec{Relaxed, WholeBody}); err != nil {
			b.Fatal(err)
		}
	}
}

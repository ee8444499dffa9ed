package keyring

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/auth/arc"
	"github.com/mxdesk/mxdesk/auth/dkim"
	"github.com/mxdesk/mxdesk/auth/dns"
	"github.com/mxdesk/mxdesk/auth/message"
	"github.com/mxdesk/mxdesk/ticketing"
)

const mail = "From: a@desk.test\r\nTo: b@x.test\r\nSubject: s\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@desk.test>\r\n\r\ntext\r\n"

// world is a keyring on a clock and a DNS that the test sets.
type world struct {
	*Keyring
	t    *testing.T
	dir  string
	logs bytes.Buffer

	dns.Resolver
	mu    sync.Mutex
	now   time.Time
	txt   map[string][]string // "SERVFAIL" is a failure
	asked func()              // when the DNS is asked
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: filepath.Join(t.TempDir(), "dkim"), now: start, txt: map[string][]string{}}
	w.restart()
	return w
}

// restart forgets all that is not on disk.
func (w *world) restart() {
	w.Keyring = New(Options{Dir: w.dir, Resolver: w, Now: w.clock, Log: slog.New(slog.NewTextHandler(&w.logs, nil))})
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) TXT(_ context.Context, name string) ([]string, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.asked != nil {
		w.asked()
	}
	texts, ok := w.txt[name]
	switch {
	case !ok:
		return nil, false, dns.ErrNotFound
	case texts[0] == "SERVFAIL":
		return nil, false, dns.ErrTemporary
	}
	return texts, false, nil
}

// publish puts the records of all keys into the DNS.
func (w *world) publish() {
	w.t.Helper()
	keys, err := w.Keys(w.t.Context(), "desk.test")
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range keys {
		w.txt[k.Name()] = []string{k.Record}
	}
}

// states lists the keys of desk.test as selector:state words.
func (w *world) states() string {
	w.t.Helper()
	keys, err := w.Keys(w.t.Context(), "desk.test")
	if err != nil {
		w.t.Fatal(err)
	}
	words := make([]string, len(keys))
	for i, k := range keys {
		words[i] = k.Selector + ":" + string(k.State)
	}
	return strings.Join(words, " ")
}

func (w *world) expect(states string) {
	w.t.Helper()
	if got := w.states(); got != states {
		w.t.Errorf("keys are %q, want %q", got, states)
	}
}

func (w *world) rotate(o RotateOptions) Rotation {
	w.t.Helper()
	r, err := w.Rotate(w.t.Context(), "desk.test", o)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) sweep() {
	w.t.Helper()
	if err := w.Sweep(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// signed signs a mail and returns "selector result" of each signature from the
// top, as a receiver sees them.
func (w *world) signed() string {
	w.t.Helper()
	out, err := w.Sign(w.t.Context(), "desk.test", []byte(mail))
	if err != nil || !bytes.HasSuffix(out, []byte(mail)) {
		w.t.Fatalf("signed %q, %v", out, err)
	}
	return w.received(out)
}

func (w *world) received(raw []byte) string {
	w.t.Helper()
	m, err := message.Read(bytes.NewReader(raw), int64(len(raw)), message.Limits{})
	if err != nil {
		w.t.Fatal(err)
	}
	var words []string
	for _, r := range dkim.New(w, dkim.Options{}).Verify(w.t.Context(), m) {
		words = append(words, r.Selector+" "+r.Result)
	}
	return strings.Join(words, ", ")
}

func (w *world) files() string {
	entries, _ := os.ReadDir(filepath.Join(w.dir, "desk.test"))
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return strings.Join(names, " ")
}

func TestKeysAreMadeOnce(t *testing.T) {
	w := newWorld(t)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if err := w.Ensure(t.Context(), "Desk.Test."); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	read := func() map[string]string {
		files, err := filepath.Glob(filepath.Join(w.dir, "desk.test", "*"))
		if err != nil || len(files) != 3 {
			t.Fatalf("files = %v, %v", files, err)
		}
		texts := make(map[string]string)
		for _, f := range files {
			fi, err := os.Stat(f)
			if err != nil || fi.Mode().Perm() != 0o600 {
				t.Errorf("%s: mode %v, %v", f, fi.Mode(), err)
			}
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			texts[filepath.Base(f)] = string(text)
		}
		return texts
	}
	first := read()
	if got := slices.Sorted(maps.Keys(first)); !slices.Equal(got, []string{"ed202611.pem", "keys.json", "rsa202611.pem"}) {
		t.Errorf("files %q", got)
	}
	if keys, err := w.Keys(t.Context(), "desk.test"); err != nil || len(keys) != 2 || keys[0].Bits != 2048 || keys[1].Algorithm != Ed25519 {
		t.Errorf("keys = %+v, %v", keys, err)
	}
	w.now = start.AddDate(1, 0, 0)
	w.restart()
	if err := w.Ensure(t.Context(), "desk.test"); err != nil || !maps.Equal(first, read()) {
		t.Errorf("keys were made anew: %v", err)
	}
	if _, err := w.Generate(t.Context(), "desk.test", 2048); ticketing.KindOf(err) != ticketing.KindConflict || !strings.Contains(err.Error(), "dkim rotate desk.test") {
		t.Errorf("a second first pair: %v", err)
	}
	if fi, err := os.Stat(filepath.Join(w.dir, "desk.test")); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v, %v", fi.Mode(), err)
	}
}

func TestRotation(t *testing.T) {
	w := newWorld(t)
	if err := w.Ensure(t.Context(), "desk.test"); err != nil {
		t.Fatal(err)
	}
	w.publish()
	old, err := w.Sign(t.Context(), "desk.test", []byte(mail))
	if err != nil {
		t.Fatal(err)
	}
	const pass = "rsa202611 pass, ed202611 pass"
	if got := w.received(old); got != pass {
		t.Fatalf("first signatures: %s", got)
	}

	r := w.rotate(RotateOptions{})
	if r.Step != Made || ring(r.Next).String() != "rsa202611b, ed202611b" {
		t.Errorf("%+v", r)
	}
	w.expect("rsa202611:active ed202611:active rsa202611b:next ed202611b:next")
	r = w.rotate(RotateOptions{})
	if r.Step != Waiting || !slices.Equal(r.Published, []Publication{Missing, Missing}) {
		t.Errorf("%+v", r)
	}
	w.txt[r.Next[0].Name()] = []string{r.Next[0].Record}
	w.txt[r.Next[1].Name()] = []string{r.Next[0].Record} // the wrong one
	if r = w.rotate(RotateOptions{}); r.Step != Waiting || !slices.Equal(r.Published, []Publication{Published, Differs}) {
		t.Errorf("%+v", r)
	}
	w.restart()
	if got := w.signed(); got != pass {
		t.Errorf("while it waits: %s", got)
	}

	w.publish()
	w.now = days(1)
	r = w.rotate(RotateOptions{})
	if r.Step != Turned || ring(r.Retired).String() != "rsa202611, ed202611" || !r.Retired[0].Until.Equal(days(8)) {
		t.Errorf("%+v", r)
	}
	const after = "rsa202611b pass, ed202611b pass"
	if got := w.signed(); got != after {
		t.Errorf("after the change: %s", got)
	}
	w.restart()
	if got := w.signed(); got != after {
		t.Errorf("after a restart: %s", got)
	}
	if got := w.received(old); got != pass {
		t.Errorf("mail on the road: %s", got)
	}

	w.now = days(8).Add(-time.Second)
	w.sweep()
	w.expect("rsa202611:retired ed202611:retired rsa202611b:active ed202611b:active")
	w.now = days(8)
	w.sweep()
	w.expect("rsa202611:gone ed202611:gone rsa202611b:active ed202611b:active")
	if got := w.files(); got != "ed202611b.pem keys.json rsa202611b.pem" {
		t.Errorf("files: %s", got)
	}
	for _, want := range []string{"dkim keys made", "next dkim keys made", "dkim keys changed", "dkim key removed"} {
		if !strings.Contains(w.logs.String(), want) {
			t.Errorf("the log does not tell %q", want)
		}
	}
	w.restart()
	if got := w.signed(); got != after {
		t.Errorf("at the end: %s", got)
	}
	if r = w.rotate(RotateOptions{Bits: 3072}); ring(r.Next).String() != "rsa202611c, ed202611c" || r.Next[0].Bits != 3072 {
		t.Errorf("selectors or size: %+v", r.Next)
	}
}

func TestSweepTurnsWhenPublished(t *testing.T) {
	w := newWorld(t)
	if err := w.Ensure(t.Context(), "desk.test"); err != nil {
		t.Fatal(err)
	}
	next := w.rotate(RotateOptions{}).Next
	w.sweep()
	w.txt[next[0].Name()] = []string{"SERVFAIL"}
	w.txt[next[1].Name()] = []string{next[1].Record}
	w.sweep()
	w.expect("rsa202611:active ed202611:active rsa202611b:next ed202611b:next")
	w.publish()
	w.sweep()
	w.expect("rsa202611:retired ed202611:retired rsa202611b:active ed202611b:active")
}

func TestAbortAndUnasked(t *testing.T) {
	w := newWorld(t)
	if err := w.Ensure(t.Context(), "desk.test"); err != nil {
		t.Fatal(err)
	}
	for name, step := range map[string]func() (Rotation, error){
		"abort": func() (Rotation, error) { return w.Abort(t.Context(), "desk.test") },
		"now":   func() (Rotation, error) { return w.Rotate(t.Context(), "desk.test", RotateOptions{Unasked: true}) },
	} {
		if _, err := step(); ticketing.KindOf(err) != ticketing.KindConflict {
			t.Errorf("%s without next keys: %v", name, err)
		}
	}
	w.rotate(RotateOptions{})
	if _, err := w.Rotate(t.Context(), "desk.test", RotateOptions{Bits: 4096}); ticketing.KindOf(err) != ticketing.KindConflict {
		t.Errorf("other bits while keys wait: %v", err)
	}
	r, err := w.Abort(t.Context(), "desk.test")
	if err != nil || r.Step != Dropped || ring(r.Next).String() != "rsa202611b, ed202611b" {
		t.Errorf("%+v, %v", r, err)
	}
	if got := w.files(); got != "ed202611.pem keys.json rsa202611.pem" {
		t.Errorf("files: %s", got)
	}
	if n := len(w.current().secrets); n != 2 {
		t.Errorf("%d private keys in memory", n)
	}
	w.rotate(RotateOptions{})
	if r := w.rotate(RotateOptions{Unasked: true}); r.Step != Turned {
		t.Errorf("%+v", r)
	}
	w.expect("rsa202611:retired ed202611:retired rsa202611b:gone ed202611b:gone rsa202611c:active ed202611c:active")
	for _, bits := range []int{1024, 2047, 8192, -1} {
		if _, err := w.Rotate(t.Context(), "desk.test", RotateOptions{Bits: bits}); ticketing.KindOf(err) != ticketing.KindInvalid {
			t.Errorf("%d bits: %v", bits, err)
		}
		if _, err := w.Generate(t.Context(), "new.test", bits); ticketing.KindOf(err) != ticketing.KindInvalid {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
}

func TestDomainsWithoutKeys(t *testing.T) {
	w := newWorld(t)
	if err := os.MkdirAll(filepath.Join(w.dir, "empty.test"), 0o700); err != nil {
		t.Fatal(err)
	}
	if domains, err := w.Domains(t.Context()); err != nil || len(domains) != 0 {
		t.Errorf("domains = %v, %v", domains, err)
	}
	for _, d := range []string{"desk.test", "empty.test"} {
		_, listed := w.Keys(t.Context(), d)
		_, rotated := w.Rotate(t.Context(), d, RotateOptions{})
		_, aborted := w.Abort(t.Context(), d)
		for _, err := range []error{listed, rotated, aborted} {
			if ticketing.KindOf(err) != ticketing.KindNotFound || !strings.Contains(err.Error(), "dkim keygen "+d) {
				t.Errorf("%s: %v", d, err)
			}
		}
	}
	w.sweep()
	if entries, _ := os.ReadDir(w.dir); len(entries) != 1 {
		t.Errorf("asking made %v", entries)
	}
}

func TestDomainsStayInTheirFolder(t *testing.T) {
	w := newWorld(t)
	for _, d := range []string{"", ".", "..", "../x", "a/b", "a*", "/etc", "a\x00", ".new-x", "a..b", strings.Repeat("a", 64), strings.Repeat("a.", 120) + "b"} {
		_, signed := w.Sign(t.Context(), d, []byte(mail))
		_, listed := w.Keys(t.Context(), d)
		if d == "" {
			listed = signed // "" lists all
		}
		_, made := w.Generate(t.Context(), d, 2048)
		for _, err := range []error{w.Ensure(t.Context(), d), signed, listed, made} {
			if ticketing.KindOf(err) != ticketing.KindInvalid {
				t.Errorf("%q: %v", d, err)
			}
		}
	}
	if entries, err := os.ReadDir(w.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("made %v", entries)
	}
}

// TestSignWhileKeysChange signs in two domains while one of them goes through
// rotations: each mail bears one whole pair, and all verify.
func TestSignWhileKeysChange(t *testing.T) {
	w := newWorld(t)
	for _, d := range []string{"desk.test", "other.test"} {
		if err := w.Ensure(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	w.publish()
	done := make(chan struct{})
	var all sync.WaitGroup
	seen := make([]map[string]bool, 3)
	for i := range seen {
		seen[i] = map[string]bool{}
		all.Go(func() {
			for more := true; more; {
				select {
				case <-done:
					more = false // once more, with the last keys
				default:
				}
				raw, err := w.Sign(t.Context(), []string{"desk.test", "desk.test", "other.test"}[i], []byte(mail))
				if err != nil {
					t.Error(err)
					return
				}
				if i < 2 {
					seen[i][w.received(raw)] = true
				}
			}
		})
	}
	for range 2 {
		w.rotate(RotateOptions{})
		w.publish()
		w.rotate(RotateOptions{})
		w.sweep()
	}
	close(done)
	all.Wait()
	allowed := map[string]bool{}
	for _, x := range []string{"", "b", "c"} {
		allowed[fmt.Sprintf("rsa202611%s pass, ed202611%[1]s pass", x)] = true
	}
	for _, s := range seen[:2] {
		if !s["rsa202611c pass, ed202611c pass"] {
			t.Errorf("the last keys never signed: %v", s)
		}
		for got := range s {
			if !allowed[got] {
				t.Errorf("signed %q", got)
			}
		}
	}
}

// TestSignWhileTheDNSIsAsked has a name server that takes its time after a
// restart: mail does not wait for it.
func TestSignWhileTheDNSIsAsked(t *testing.T) {
	w := newWorld(t)
	if err := w.Ensure(t.Context(), "desk.test"); err != nil {
		t.Fatal(err)
	}
	w.rotate(RotateOptions{})
	w.restart()
	asked := false
	w.asked = func() {
		asked = true
		if w.current() == nil { // Sign would wait for the lock that the rotation has
			t.Error("there is nothing to sign with")
			return
		}
		if out, err := w.Sign(t.Context(), "desk.test", []byte(mail)); err != nil || !bytes.Contains(out, []byte("s=rsa202611;")) {
			t.Errorf("signed %q, %v", out, err)
		}
	}
	if r := w.rotate(RotateOptions{}); r.Step != Waiting || !asked {
		t.Errorf("%+v, asked %t", r, asked)
	}
}

// current is what desk.test signs with.
func (w *world) current() *set {
	w.t.Helper()
	o, _, err := w.owner("desk.test")
	if err != nil {
		w.t.Fatal(err)
	}
	return o.current.Load()
}

func TestSeal(t *testing.T) {
	w := newWorld(t)
	if err := w.Ensure(t.Context(), "desk.test"); err != nil {
		t.Fatal(err)
	}
	w.publish()
	verify := func(raw []byte) arc.Result {
		m, err := message.Read(bytes.NewReader(raw), int64(len(raw)), message.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		return arc.New(w, arc.Options{Now: w.clock}).Verify(t.Context(), m)
	}
	raw := []byte(mail)
	for i := range 2 {
		sealed, err := w.Seal(t.Context(), "Desk.test", raw, verify(raw), "mx.desk.test; spf=pass smtp.mailfrom=a@desk.test")
		if err != nil || !bytes.HasSuffix(sealed, raw) || bytes.Count(sealed, []byte("ARC-Seal:")) != i+1 {
			t.Fatalf("sealed %q, %v", sealed, err)
		}
		if !bytes.Contains(sealed, []byte("s=rsa202611;")) {
			t.Errorf("not sealed with the RSA key:\n%s", sealed)
		}
		if got := verify(sealed); got.Result != arc.Pass || len(got.Sealers) != i+1 || got.Sealers[i] != "desk.test" {
			t.Errorf("verified %+v", got)
		}
		raw = sealed
	}
	if out, err := w.Seal(t.Context(), "desk.test", raw, arc.Result{Result: arc.TempError}, "x"); err != nil || !bytes.Equal(out, raw) {
		t.Errorf("a chain that takes no set: %v", err)
	}
	if out, err := w.Seal(t.Context(), "desk.test", raw, arc.Result{Result: arc.None}, "x"); err == nil || out != nil {
		t.Error("a wrong chain is sealed")
	}
}

package keyring

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mxdesk/mxdesk/ticketing"
)

func (w *world) path(name string) string { return filepath.Join(w.dir, "desk.test", name) }

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := WriteSecret(w.path(name), []byte(text)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) read(name string) string {
	w.t.Helper()
	text, err := os.ReadFile(w.path(name))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

// legacy makes keys in a folder without keys.json, as earlier versions did.
func legacy(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	if err := w.Ensure(t.Context(), "desk.test"); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(w.path(stateName)); err != nil {
		t.Fatal(err)
	}
	w.restart()
	return w
}

func TestFolderWithoutStateGoesOn(t *testing.T) {
	w := legacy(t)
	w.publish()
	if got := w.signed(); got != "rsa202611 pass, ed202611 pass" {
		t.Errorf("signed %s", got)
	}
	w.sweep()
	if got := w.files(); got != "ed202611.pem rsa202611.pem" {
		t.Errorf("files: %s", got)
	}
	w.rotate(RotateOptions{})
	w.restart()
	w.publish()
	w.sweep()
	w.expect("ed202611:retired rsa202611:retired rsa202611b:active ed202611b:active")
	if got := w.signed(); got != "rsa202611b pass, ed202611b pass" {
		t.Errorf("signed %s", got)
	}
}

// TestBrokenFoldersAreToldAndKept spoils a folder in ways that people and disks
// do. The error names file and cure, mail waits for it, and nothing is written.
func TestBrokenFoldersAreToldAndKept(t *testing.T) {
	good := newWorld(t)
	if err := good.Ensure(t.Context(), "desk.test"); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		spoil func(w *world)
		want  []string
	}{
		"state cut": {func(w *world) { w.write(stateName, w.read(stateName)[:90]) },
			[]string{"dkim/desk.test/keys.json in the data folder: unexpected EOF", "backup"}},
		"state empty": {func(w *world) { w.write(stateName, "") }, []string{"keys.json", "EOF", "backup"}},
		"state edited": {func(w *world) { w.write(stateName, strings.ReplaceAll(w.read(stateName), "active", "activ")) },
			[]string{"keys.json", `state "activ" is not known`, "mend it"}},
		"state huge":  {func(w *world) { w.write(stateName, strings.Repeat(" ", maxStateFile+1)) }, []string{"keys.json", "larger than"}},
		"key missing": {func(w *world) { os.Remove(w.path("rsa202611.pem")) }, []string{"dkim/desk.test/rsa202611.pem", "no such file", "backup"}},
		"key rubbish": {func(w *world) { w.write("rsa202611.pem", "rubbish") }, []string{"rsa202611.pem", "no pem block", "backup"}},
		"key huge":    {func(w *world) { w.write("ed202611.pem", strings.Repeat(" ", maxPEMFile+1)) }, []string{"ed202611.pem", "larger than"}},
		"no state, key rubbish": {func(w *world) { os.Remove(w.path(stateName)); w.write("x.pem", "rubbish") },
			[]string{"x.pem", "no pem block"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if err := os.CopyFS(w.dir, os.DirFS(good.dir)); err != nil {
				t.Fatal(err)
			}
			if err := w.Ensure(t.Context(), "desk.test"); err != nil {
				t.Fatal(err)
			}
			tt.spoil(w)
			before := w.snapshot()
			if _, err := w.Sign(t.Context(), "desk.test", []byte(mail)); err != nil {
				t.Errorf("a running server stops to sign: %v", err)
			}
			swept := w.Sweep(t.Context())
			w.restart()
			_, signed := w.Sign(t.Context(), "desk.test", []byte(mail))
			_, made := w.Generate(t.Context(), "desk.test", 2048)
			_, rotated := w.Rotate(t.Context(), "desk.test", RotateOptions{})
			_, listed := w.Keys(t.Context(), "desk.test")
			if domains, err := w.Domains(t.Context()); err != nil || !slices.Equal(domains, []string{"desk.test"}) {
				t.Errorf("domains: %q, %v", domains, err)
			}
			for i, err := range []error{w.Ensure(t.Context(), "desk.test"), signed, made, rotated, listed, swept} {
				if !ticketing.AsError(err).Temporary() || strings.Contains(fmt.Sprint(err), w.dir) {
					t.Errorf("%d: %v", i, err)
				}
				for _, want := range tt.want {
					if !strings.Contains(fmt.Sprint(err), want) {
						t.Errorf("%d: %v does not say %q", i, err, want)
					}
				}
			}
			if after := w.snapshot(); after != before {
				t.Errorf("the folder changed:\n%s\nto\n%s", before, after)
			}
		})
	}
}

// snapshot is all that is in the folder.
func (w *world) snapshot() string {
	w.t.Helper()
	var b strings.Builder
	for name := range strings.FieldsSeq(w.files()) {
		text := w.read(name)
		fmt.Fprintf(&b, "%s %d %.2000q\n", name, len(text), text)
	}
	return b.String()
}

// TestStopBetweenWrites leaves behind what a stop at each point of a step
// leaves behind.
func TestStopBetweenWrites(t *testing.T) {
	w := newWorld(t)
	if err := w.Ensure(t.Context(), "desk.test"); err != nil {
		t.Fatal(err)
	}
	w.write("rsa202611b.pem", w.read("rsa202611.pem")) // made, not in the state
	w.write(making+"123", "half a key")
	w.restart()
	w.expect("rsa202611:active ed202611:active")
	if !strings.Contains(w.logs.String(), "rsa202611b.pem") {
		t.Error("nobody is told of the key that is not used")
	}
	if got := ring(w.rotate(RotateOptions{}).Next).String(); got != "rsa202611c, ed202611c" {
		t.Errorf("next keys %s", got)
	}
	gone := w.read("rsa202611c.pem")
	if _, err := w.Abort(t.Context(), "desk.test"); err != nil {
		t.Fatal(err)
	}
	w.write("rsa202611c.pem", gone) // gone in the state, not removed
	w.restart()
	w.sweep()
	if got := w.files(); got != "ed202611.pem keys.json rsa202611.pem rsa202611b.pem" {
		t.Errorf("files: %s", got)
	}
}

// TestFirstKeysCountTogether leaves behind what a stop while the first keys are
// made leaves behind: none of them count, and the next use makes others.
func TestFirstKeysCountTogether(t *testing.T) {
	w := newWorld(t)
	w.write("ed202611.pem", "written")
	w.write(unfinished, "")
	if domains, err := w.Domains(t.Context()); err != nil || len(domains) > 0 {
		t.Errorf("domains: %q, %v", domains, err)
	}
	w.sweep()
	if _, err := w.Keys(t.Context(), "desk.test"); ticketing.KindOf(err) != ticketing.KindNotFound {
		t.Errorf("keys: %v", err)
	}
	if err := w.Ensure(t.Context(), "desk.test"); err != nil {
		t.Fatal(err)
	}
	w.restart()
	w.expect("rsa202611b:active ed202611b:active")
	if got := w.files(); got != "ed202611.pem ed202611b.pem keys.json rsa202611b.pem" {
		t.Errorf("files: %s", got)
	}
}

// TestStrayFilesArePassedOver finds files that are no keys where the first keys
// are to be made.
func TestStrayFilesArePassedOver(t *testing.T) {
	w := newWorld(t)
	w.write("README", "keep out")
	w.write("key.pem.old", "not any more")
	for range 2 {
		if err := w.Ensure(t.Context(), "desk.test"); err != nil {
			t.Fatal(err)
		}
		w.publish()
		if got := w.signed(); got != "rsa202611 pass, ed202611 pass" {
			t.Errorf("signed %s", got)
		}
		w.restart()
	}
	if got := w.read("README") + ", " + w.read("key.pem.old"); got != "keep out, not any more" {
		t.Errorf("files: %s", got)
	}
	for _, name := range []string{"README", "key.pem.old"} {
		if strings.Count(w.logs.String(), w.path(name)) != 1 {
			t.Errorf("%s in the log:\n%s", name, &w.logs)
		}
	}
}

// TestNothingSignsThatIsNotOnDisk puts a folder in the place of the state while
// a step is on its way: what cannot be written is not done.
func TestNothingSignsThatIsNotOnDisk(t *testing.T) {
	w := newWorld(t)
	if err := w.Ensure(t.Context(), "desk.test"); err != nil {
		t.Fatal(err)
	}
	w.rotate(RotateOptions{})
	w.publish()
	w.asked = func() {
		os.Remove(w.path(stateName))
		if err := os.MkdirAll(w.path(stateName), 0o700); err != nil {
			t.Error(err)
		}
	}
	r, err := w.Rotate(t.Context(), "desk.test", RotateOptions{})
	if err == nil || !strings.Contains(err.Error(), "rename") {
		t.Errorf("%+v, %v", r, err)
	}
	w.asked = nil
	if got := w.signed(); got != "rsa202611 pass, ed202611 pass" {
		t.Errorf("signed %s", got)
	}
}

func TestKeysThatOthersCanReadAreToldOf(t *testing.T) {
	w := newWorld(t)
	if err := w.Ensure(t.Context(), "desk.test"); err != nil {
		t.Fatal(err)
	}
	w.restart()
	if w.states(); strings.Contains(w.logs.String(), "others can read") {
		t.Errorf("log: %s", w.logs.String())
	}
	if err := os.Chmod(w.path("ed202611.pem"), 0o640); err != nil {
		t.Fatal(err)
	}
	w.restart()
	w.publish()
	if got := w.signed(); got != "rsa202611 pass, ed202611 pass" {
		t.Errorf("signed %s", got)
	}
	if !strings.Contains(w.logs.String(), "others can read") || !strings.Contains(w.logs.String(), "ed202611.pem") || strings.Contains(w.logs.String(), "rsa202611.pem") {
		t.Errorf("log: %s", w.logs.String())
	}
}

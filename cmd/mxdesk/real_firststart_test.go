package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/mxdesk/mxdesk/server/api"
	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/badgerdb"
)

// bareDesk is a desk without settings: an empty folder, no HOME, and ports of
// its own because the usual ones may be taken.
func bareDesk(t *testing.T, bin string) *desk {
	t.Helper()
	d := newDesk(t, bin, "")
	if err := os.Remove(d.config()); err != nil {
		t.Fatal(err)
	}
	d.Data = filepath.Join(d.dir, "mxdesk-data")
	d.Flags = []string{
		"--set", "smtp.listen=" + d.SMTP, "--set", "lmtp.listen=" + d.LMTP,
		"--set", "http.listen=" + d.HTTP, "--set", "metrics.listen=" + d.Metrics,
	}
	return d
}

// serveBare runs serve as a newcomer would.
func (d *desk) serveBare() {
	d.t.Helper()
	d.run(d.bin, append([]string{"serve"}, d.Flags...))
	d.waitReady()
}

func TestRealFirstStart(t *testing.T) {
	d := bareDesk(t, needs(t, "sh", "curl"))
	began := time.Now()
	d.serveBare()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("ready after %s", took)
	}
	greeting := d.out.String()
	link := regexp.MustCompile(`http://\S+/sign-in/\S+`).FindString(greeting)
	if link == "" {
		t.Fatalf("no sign-in link:\n%s", greeting)
	}
	t.Run("Curl", func(t *testing.T) { sendPrinted(t, d, greeting) })
	t.Run("SignIn", func(t *testing.T) { signIn(t, d, link) })
	t.Run("Modes", func(t *testing.T) { checkModes(t, d.Data) })
	t.Run("SecondServer", func(t *testing.T) {
		began := time.Now()
		_, stderr, code := execute(t, d.dir, d.bin, "serve", "--set", "smtp.listen=127.0.0.1:0")
		if code != exitIO || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "--data") || !strings.Contains(stderr, d.pid()) {
			t.Errorf("exit %d: %s", code, stderr)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("noticed after %s", took)
		}
	})
	if strings.Contains(d.log.String(), link[strings.LastIndex(link, "/"):]) {
		t.Error("the sign-in link is in the log")
	}
	if code := d.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit %d after SIGTERM", code)
	}
	if strings.Contains(d.log.String(), "level=WARN") {
		t.Error("a trial is warned of being one")
	}
	d.serveBare()
	if again := d.out.String(); strings.Contains(again, "/sign-in/") || strings.Contains(again, "curl") {
		t.Errorf("the second start greets as the first:\n%s", again)
	}
	if _, stderr, code := execute(t, d.dir, d.bin, "ticket", "show", "support#1"); code != 0 {
		t.Errorf("after a restart: exit %d: %s", code, stderr)
	}
}

// Who has written settings is told which are for a trial only.
func TestRealTrialSettings(t *testing.T) {
	d := newDesk(t, needs(t), "queue.relay = \"capture\"")
	d.start()
	d.stop(syscall.SIGTERM) // it has said all by then
	want := `level=WARN msg="setting is meant for a trial only" setting=queue.relay advice=`
	if log := d.log.String(); !strings.Contains(log, want) || strings.Contains(log, "setting=hostname") {
		t.Errorf("log:\n%s", log)
	}
}

// sendPrinted runs the line that the first start printed, as it was printed.
func sendPrinted(t *testing.T, d *desk, greeting string) {
	i := strings.Index(greeting, "  printf ")
	if i < 0 {
		t.Fatalf("no line to try:\n%s", greeting)
	}
	line := strings.TrimSuffix(greeting[i:], "ready\n")
	if _, stderr, code := execute(t, d.dir, "sh", "-c", line); code != 0 {
		t.Fatalf("exit %d: %s\n%s", code, stderr, line)
	}
	stdout, stderr, code := execute(t, d.dir, d.bin, "ticket", "list", "--json")
	var ticket api.Ticket
	if err := json.Unmarshal([]byte(stdout), &ticket); err != nil || code != 0 {
		t.Fatalf("exit %d: %s%s", code, stdout, stderr)
	}
	if ticket.Project != "support" || ticket.IID != 1 || ticket.Title != "Printer on fire" || ticket.Requester != "ann@customer.example" {
		t.Errorf("ticket = %+v", ticket)
	}
}

// signIn follows the link as a browser does: the page first, then its form.
func signIn(t *testing.T, d *desk, link string) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, Timeout: 10 * time.Second}
	for range 2 { // showing the page does not spend the link
		if code, body := browse(t, browser, "GET", link, nil); code != http.StatusOK || !strings.Contains(body, "<form") {
			t.Fatalf("GET of the link: %d\n%s", code, tail(body, 2000))
		}
	}
	_, page := browse(t, browser, "GET", link, nil)
	if code, body := browse(t, browser, "POST", link, hiddenFields(page)); code != http.StatusOK {
		t.Fatalf("POST of the link: %d\n%s", code, tail(body, 2000))
	}
	code, body := browse(t, browser, "GET", "http://"+d.HTTP+"/tickets", nil)
	if code != http.StatusOK || !strings.Contains(body, "Printer on fire") {
		t.Errorf("GET /tickets: %d\n%s", code, tail(body, 2000))
	}
	stranger := &http.Client{Timeout: 10 * time.Second}
	if _, body := browse(t, stranger, "GET", "http://"+d.HTTP+"/tickets", nil); strings.Contains(body, "Printer on fire") {
		t.Error("a stranger sees tickets")
	}
	if code, _ := browse(t, stranger, "POST", link, hiddenFields(page)); code < 400 {
		t.Errorf("the link worked twice: %d", code)
	}
}

func browse(t *testing.T, c *http.Client, method, address string, form url.Values) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(address)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", u.Scheme+"://"+u.Host)
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

var (
	hiddenField = regexp.MustCompile(`<input[^>]*type="hidden"[^>]*>`)
	attribute   = regexp.MustCompile(`(name|value)="([^"]*)"`)
)

// hiddenFields are what a browser would send along with a page's form.
func hiddenFields(page string) url.Values {
	form := url.Values{}
	for _, input := range hiddenField.FindAllString(page, -1) {
		at := map[string]string{}
		for _, m := range attribute.FindAllStringSubmatch(input, -1) {
			at[m[1]] = m[2]
		}
		form.Set(at["name"], at["value"])
	}
	return form
}

// checkModes finds what other users of the machine could read: every folder is
// 0700, and every file that is not the engine's is 0600.
func checkModes(t *testing.T, dir string) {
	seen := 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		mode, engine := info.Mode().Perm(), strings.Contains(path, "/store/kv/")
		if e.IsDir() && mode != 0o700 || !e.IsDir() && !engine && mode != 0o600 {
			t.Errorf("%s has mode %o", path, mode)
		}
		seen++
		return nil
	})
	if err != nil || seen < 10 {
		t.Errorf("%d files, %v", seen, err)
	}
}

func TestRealStartRefused(t *testing.T) {
	bin := needs(t)
	t.Run("PortTaken", func(t *testing.T) {
		d := bareDesk(t, bin)
		l, err := net.Listen("tcp", d.HTTP)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		d.mustRefuse(exitIO, d.HTTP, "address already in use")
		if _, err := os.Lstat(d.Data); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the data folder: %v", err)
		}
	})
	t.Run("NotWritable", func(t *testing.T) {
		d := bareDesk(t, bin)
		// A file in the place of a folder stops root as well.
		writeText(t, d.Data, "in the way")
		d.mustRefuse(exitIO, "mxdesk-data")
	})
	t.Run("NotAllowed", func(t *testing.T) {
		d := bareDesk(t, bin)
		if err := os.Mkdir(d.Data, 0o755); err != nil {
			t.Fatal(err)
		}
		d.mustRefuseAs(65534, exitIO, "mxdesk-data", "--data")
	})
	t.Run("NewerSchema", func(t *testing.T) {
		d := bareDesk(t, bin)
		newerSchema(t, d.Data)
		d.mustRefuse(exitIO, "mxdesk-data", "999", "newer mxdesk")
	})
	t.Run("NoServer", func(t *testing.T) {
		d := bareDesk(t, bin)
		_, stderr, code := execute(t, d.dir, bin, "ticket", "list")
		if code != exitNoDesk || !strings.Contains(stderr, "mxdesk serve") {
			t.Errorf("exit %d: %s", code, stderr)
		}
	})
}

func (d *desk) mustRefuse(code int, words ...string) {
	d.t.Helper()
	d.mustRefuseAs(os.Getuid(), code, words...)
}

// mustRefuseAs starts a server as a user and wants it to end with a code and
// one line, besides its log, that has all the words.
func (d *desk) mustRefuseAs(uid, code int, words ...string) {
	d.t.Helper()
	if uid != os.Getuid() && os.Getuid() != 0 {
		d.t.Fatal("another user is needed: run the tests as root")
	}
	stderr, got := serveAs(d.t, d.dir, uid, d.bin, append([]string{"serve"}, d.Flags...)...)
	if got != code || len(refusals(stderr)) != 1 {
		d.t.Errorf("exit %d, want %d: %s", got, code, stderr)
	}
	for _, w := range words {
		if !strings.Contains(strings.Join(refusals(stderr), ""), w) {
			d.t.Errorf("%q is not in: %s", w, stderr)
		}
	}
}

// refusals are the lines that are none of the log.
func refusals(stderr string) (lines []string) {
	for line := range strings.Lines(stderr) {
		if !strings.HasPrefix(line, "time=") {
			lines = append(lines, line)
		}
	}
	return lines
}

// newerSchema makes a data folder as a later version would leave it.
func newerSchema(t *testing.T, dir string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	engine, err := badgerdb.Open(filepath.Join(dir, "store"), badgerdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	db := store.Open(engine, store.Options{})
	desk := ticketing.New(db, ticketing.Options{})
	if _, err := desk.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	key := store.K("meta", "schema")
	err = db.Update(ctx, func(tx store.Tx) error {
		row, err := tx.Get(key)
		if err != nil {
			return err
		}
		version := regexp.MustCompile(`("version"):\d+`)
		if !version.Match(row) {
			t.Errorf("schema row %s", row)
		}
		return tx.Put(key, version.ReplaceAll(row, []byte("$1:999")))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestRealBadConfig(t *testing.T) {
	bin := needs(t)
	files, err := filepath.Glob("testdata/badconfig/*.txtar")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d broken settings, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			text := map[string]string{}
			for _, f := range ar.Files {
				text[f.Name] = string(f.Data)
			}
			writeText(t, filepath.Join(dir, "mxdesk.toml"), text["mxdesk.toml"])
			args := append([]string{"serve", "--config", "mxdesk.toml"}, strings.Fields(text["flags"])...)
			for _, args := range [][]string{args, append([]string{"config", "check"}, args[1:]...)} {
				stdout, stderr, code := execute(t, dir, bin, args...)
				if code != exitUsage || stdout != "" || stderr != text["stderr"] {
					t.Errorf("%s: exit %d\n%s%swant\n%s", args[0], code, stdout, stderr, text["stderr"])
				}
			}
			if _, err := os.Stat(filepath.Join(dir, "mxdesk-data")); err == nil {
				t.Error("a data folder was made")
			}
		})
	}
}

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/auth/keyring"
	"github.com/mxdesk/mxdesk/server/api"
	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/store"
)

// keptDesks are the data folders in testdata/desks with the digests that they
// had when they were made.
var keptDesks = map[string]string{
	"schema-1": "2cf65a3eee7ee3cc1d689963bdc262eab5d5c330a73d7ceae043b74fb66172a2",
	"schema-2": "913b84e7f09aef63fe4a53a8edb583c803f78bdf7378637b1f1efeef0d8a0f3e",
	"schema-3": "d88abc1731ed7aa79c5de082217c90402d8269b7b0c2f5f3293abbc1c6e9547f",
}

// unpackDesk puts a kept data folder into a new one.
func unpackDesk(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata/desks", name+".tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	gz, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(t.TempDir(), "data")
	for tr := tar.NewReader(gz); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return data
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		text, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		if err := keyring.WriteSecret(filepath.Join(data, h.Name), text); err != nil {
			t.Fatal(err)
		}
	}
}

// command runs a command in this process.
func command(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, said bytes.Buffer
	none := func(string) string { return "" }
	code = run(&Env{Ctx: t.Context(), Stdin: strings.NewReader(""), Stdout: &out, Stderr: &said, Getenv: none}, args)
	return out.String(), said.String(), code
}

func mustCommand(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, code := command(t, args...)
	if code != 0 {
		t.Fatalf("mxdesk %s: exit %d: %s", strings.Join(args, " "), code, stderr)
	}
	return stdout
}

// soundDigest is the digest of a data folder in which nothing is wrong.
func soundDigest(t *testing.T, data string) string {
	t.Helper()
	vs := decodeLines[api.Verified](t, mustCommand(t, "store", "verify", "--json", "--data", data))
	if len(vs) != 1 || vs[0].Sum == nil {
		t.Fatalf("%+v", vs)
	}
	return vs[0].Sum.Digest.String()
}

// What any release has left behind is opened, found to be as it was, saved and
// restored.
func TestKeptDesks(t *testing.T) {
	kept, err := filepath.Glob("testdata/desks/*.tar.gz")
	if err != nil || len(kept) != len(keptDesks) {
		t.Fatalf("%d folders, %d digests, %v", len(kept), len(keptDesks), err)
	}
	for name, want := range keptDesks {
		t.Run(name, func(t *testing.T) {
			data := unpackDesk(t, name)
			if got := soundDigest(t, data); got != want {
				t.Errorf("digest %s, want %s", got, want)
			}
			saved, restored := filepath.Join(t.TempDir(), "saved"), filepath.Join(t.TempDir(), "data")
			mustCommand(t, "backup", saved, "--data", data)
			mustCommand(t, "restore", saved, "--data", restored)
			if got := soundDigest(t, restored); got != want {
				t.Errorf("restored: digest %s, want %s", got, want)
			}
			if a, b := readTree(t, filepath.Join(data, "dkim")), readTree(t, filepath.Join(restored, "dkim")); a != b || a == "" {
				t.Errorf("DKIM keys %q, want %q", b, a)
			}
			mailsComeAgain(t, restored)
			soundDigest(t, restored)
		})
	}
}

// mailsComeAgain starts the server on a data folder the day after it was made,
// and delivers every mail in its tickets once more, with another header: each
// is known.
func mailsComeAgain(t *testing.T, data string) {
	t.Helper()
	c := localConfig(t)
	c.Data = data
	begin := time.Now()
	app, stop := startApp(t, c, Parts{Now: func() time.Time { return keptDay.Add(time.Since(begin)) }})
	defer stop()
	tickets, err := app.Desk.Tickets(t.Context(), ticketing.TicketFilter{})
	if err != nil {
		t.Fatal(err)
	}
	known := 0
	for _, ticket := range tickets {
		th, err := app.Desk.Thread(t.Context(), ticket.Ref())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range th.Entries {
			if e.Raw == nil {
				continue
			}
			out := deliverAgain(t, app, "support+"+ticket.Ref().Project+"@desk.test", *e.Raw)
			if out.Decision != ticketing.JournalDuplicate || out.Ticket != ticket.Ref().String() {
				t.Errorf("%s, %s again: %+v", ticket.Ref(), e.MessageID, out)
			}
			known++
		}
	}
	if known < 4 {
		t.Errorf("%d mails in tickets", known)
	}
}

// keptDay is the day after the kept desks were made.
var keptDay = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func deliverAgain(t *testing.T, app *App, to string, raw store.Hash) ticketing.Outcome {
	t.Helper()
	blob, err := app.Desk.OpenRaw(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	text, err := io.ReadAll(io.NewSectionReader(blob, 0, blob.Size()))
	if err != nil {
		t.Fatal(err)
	}
	route, err := app.Desk.Route(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	env := &ticketing.Envelope{ID: ticketing.NewID(keptDay), ReceivedAt: keptDay, Recipients: []ticketing.Recipient{{Address: to, Route: route}}}
	return app.intake.Deliver(t.Context(), env, newRawMail("X-Relay: another\r\n"+string(text)))[0]
}

// markTickets is an upgrade that gives every ticket a mark, one in each step;
// it fails at the step of this number.
func markTickets(mark string, fail int, ran *[]store.Key) ticketing.Upgrade {
	return ticketing.Upgrade{Step: func(tx store.Tx, after store.Key) (store.Key, error) {
		if *ran = append(*ran, after); len(*ran) == fail {
			return "", errors.New("the power went")
		}
		rg := store.Prefix("ticket")
		rg.Start = max(rg.Start, after+"\x00")
		for i, err := range tx.Scan(rg, false) {
			if err != nil {
				return "", err
			}
			v := bytes.Replace(i.Value, []byte(`{"v":1,`), []byte(`{"v":1,"mark":"`+mark+`",`), 1)
			return i.Key, tx.Put(i.Key, v)
		}
		return "", nil
	}}
}

// An older data folder is upgraded after a copy, goes on where it was cut off,
// and can be taken back.
func TestUpgradeOfAKeptDesk(t *testing.T) {
	c := localConfig(t)
	c.Data = unpackDesk(t, "schema-1")
	start := func(fail int) (ran []store.Key, err error) {
		at := time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)
		app, err := NewApp(t.Context(), c, Parts{Now: func() time.Time { return at }, Upgrades: []ticketing.Upgrade{markTickets("new", fail, &ran)}})
		if err != nil {
			return ran, err
		}
		return ran, app.Close(context.Background())
	}
	if _, err := start(3); err == nil {
		t.Fatal("the upgrade did not fail")
	}
	if _, err := NewApp(t.Context(), c, Parts{Upgrades: []ticketing.Upgrade{}}); err == nil || !strings.Contains(startError(c, err).Error(), "use a newer mxdesk") {
		t.Errorf("an older program opens half an upgrade: %v", err)
	}
	ran, err := start(0)
	if want := []store.Key{store.K("ticket", 1, 2), store.K("ticket", 1, 3), store.K("ticket", 2, 1)}; err != nil || !slices.Equal(ran, want) {
		t.Fatalf("steps after %v, want %v; %v", ran, want, err)
	}
	tickets := mustCommand(t, "store", "dump", "ticket", "--data", c.Data)
	if n := strings.Count(tickets, `"mark":"new"`); n != 4 || strings.Count(tickets, "\n") != 4 {
		t.Errorf("%d marks:\n%s", n, tickets)
	}
	copies, err := filepath.Glob(filepath.Join(c.Data, "schema-1-*.mxdesk"))
	if err != nil || len(copies) != 1 {
		t.Fatalf("copies %v, %v", copies, err)
	}
	if info, err := os.Stat(copies[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	old := filepath.Join(t.TempDir(), "data")
	mustCommand(t, "restore", copies[0], "--data", old)
	if got := soundDigest(t, old); got != keptDesks["schema-1"] {
		t.Errorf("the copy has digest %s", got)
	}
}

func TestNoUpgradeWithoutRoom(t *testing.T) {
	c := localConfig(t)
	c.Data = unpackDesk(t, "schema-1")
	c.SMTP.MaxSize = 1 << 60 // of which two must stay free
	var ran []store.Key
	_, err := NewApp(t.Context(), c, Parts{Upgrades: []ticketing.Upgrade{markTickets("new", 0, &ran)}})
	if !errors.Is(err, store.ErrNoSpace) || len(ran) > 0 {
		t.Errorf("%v, steps %v", err, ran)
	}
	if got := soundDigest(t, c.Data); got != keptDesks["schema-1"] {
		t.Errorf("digest %s", got)
	}
}

// A store that is not as it should be is said to be so, in words and by the
// exit code.
func TestVerifyOfADamagedDesk(t *testing.T) {
	data := unpackDesk(t, "schema-1")
	seg := filepath.Join(data, "store", "blobs", "0000000001.seg")
	text := []byte(readFile(t, seg))
	text[500] ^= 1
	writeText(t, seg, string(text))
	stdout, stderr, code := command(t, "store", "verify", "--data", data)
	if code != exitRefused || !strings.Contains(stdout, "the blob cannot be read") || !strings.Contains(stdout, "1 wrong\n") || !strings.Contains(stderr, "1 things are wrong") {
		t.Errorf("exit %d\n%s\n%s", code, stdout, stderr)
	}
	saved := filepath.Join(t.TempDir(), "saved")
	stdout, stderr, code = command(t, "backup", saved, "--data", data)
	if code != exitRefused || !strings.Contains(stdout, "9 new") || !strings.Contains(stderr, "1 blobs cannot be read any more") {
		t.Errorf("exit %d\n%s\n%s", code, stdout, stderr)
	}
}

func TestStoreCommands(t *testing.T) {
	data := unpackDesk(t, "schema-1")
	for _, tc := range []struct {
		args string
		want string // in what is said
		code int
	}{
		{"store ls ticket --limit 2", "ticket/1/1\nticket/1/2\n", 0},
		{"store ls ticket --after ticket/1/2", "ticket/1/3\nticket/2/1\n", 0},
		{"store ls ticket/2 --json", `{"key":"ticket/2/1","size":`, 0},
		{"store ls ticket/1/9", "", 0},
		{"store ls 'ticket", "key at character 0", exitUsage},
		{"store dump store/seq", `{"key":"store/seq","size":2,"value":47}`, 0},
		{"store dump store/blobdata --limit 1", `"bytes":"`, 0},
		{"store stats", "blobs in segments  1", 0},
		{"store stats --json", `{"kind":"held","rows":1,`, 0},
		{"store compact", "tables:", 0},
		{"backup " + filepath.Join(data, "store", "x"), "is inside the store", exitUsage},
		{"backup testdata", "holds something else", exitIO},
		{"backup - --keep 3", "--keep is for folders", exitUsage},
		{"restore testdata", "is no backup folder", exitIO},
		{"restore testdata/desks/README.md --check", "does not begin with", exitIO},
		{"restore - --data testdata", "testdata is not empty", exitRefused},
		{"restore none", "no such file", exitIO},
		{"store verify --data " + filepath.Join(data, "none"), "there is no store in it", exitIO},
	} {
		args := strings.Fields(tc.args)
		if !strings.Contains(tc.args, "--data") {
			args = append(args, "--data", data)
		}
		stdout, stderr, code := command(t, args...)
		if code != tc.code || !strings.Contains(stdout+stderr, tc.want) {
			t.Errorf("mxdesk %s: exit %d, want %d\n%s%s", tc.args, code, tc.code, stdout, stderr)
		}
	}
}

// A restore that is cut short by a crash leaves nothing that passes for a desk.
func TestRestoreCutShort(t *testing.T) {
	c := localConfig(t)
	if err := os.MkdirAll(filepath.Join(c.Data, restoreFolder), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := NewApp(t.Context(), c, Parts{}); err == nil || !strings.Contains(err.Error(), "was cut short") {
		t.Errorf("serve: %v", err)
	}
	if _, stderr, code := command(t, "restore", "-", "--data", c.Data); code != exitRefused || !strings.Contains(stderr, "was cut short") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

func TestProgressLine(t *testing.T) {
	for _, tc := range []struct {
		done, of int64
		spent    time.Duration
		want     string
	}{
		{0, 0, 0, "backup [....................]   0 %  0 B"},
		{512 << 10, 1 << 20, 2 * time.Second, "backup [##########..........]  50 %  512.0 KiB  256.0 KiB/s  2s left"},
		{3 << 40, 2 << 40, time.Hour, "backup [####################] 100 %  3.0 TiB  873.8 MiB/s  0s left"},
	} {
		if got := progressLine("backup", tc.done, tc.of, tc.spent); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
}

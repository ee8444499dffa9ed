package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mxdesk/mxdesk/server/api"
	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/mail"
)

// parcel is a file of the corpus on its way.
type parcel struct {
	file  string
	bytes []byte
	id    string // of the transaction
	body  string // of its comment
	shown bool   // has one
}

// TestRealCorpus delivers every file of the MIME corpora, mails and other
// bytes alike, by LMTP: with proper line ends by DATA into one project, and as
// it is by BDAT into another. Each has to become visible exactly once.
func TestRealCorpus(t *testing.T) {
	dir := testdata(t, "mime")
	d := loadedDesk(t, "")
	d.project("data", "data@desk.test")
	d.project("bdat", "bdat@desk.test")
	parcels := map[string][]*parcel{}
	for _, way := range []string{"data", "bdat"} {
		c, err := dial(d.LMTP, true)
		if err != nil {
			t.Fatal(err)
		}
		defer c.close()
		for n, p := range readCorpus(t, dir) {
			if way == "data" {
				p.bytes = properLines(p.bytes)
			}
			post(t, c, way, n, p)
			parcels[way] = append(parcels[way], p)
		}
	}
	for way, ps := range parcels {
		t.Run(way, func(t *testing.T) { checkParcels(t, d, way, ps) })
	}
	t.Run("Texts", func(t *testing.T) { checkTexts(t, dir, parcels["data"]) })
	if d.readyz() != 200 {
		t.Error("the server is not ready any more")
	}
}

func readCorpus(t *testing.T, dir string) []*parcel {
	t.Helper()
	var out []*parcel
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == "SOURCE.txt" || strings.HasSuffix(path, ".json") {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		out = append(out, &parcel{file: rel, bytes: b})
		return err
	})
	if err != nil || len(out) < 300 {
		t.Fatalf("%d files, %v", len(out), err)
	}
	return out
}

// properLines makes every line end CRLF.
func properLines(b []byte) []byte {
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	b = bytes.ReplaceAll(b, []byte("\r"), []byte("\n"))
	return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
}

var queuedAs = regexp.MustCompile(`^250 2\.6\.0 .*queued as (\w+)`)

func post(t *testing.T, c *client, way string, n int, p *parcel) {
	t.Helper()
	send := c.deliver
	if way == "bdat" {
		send = c.chunk
	}
	got, err := send(fmt.Sprintf("n%d@corpus.test", n), way+"@desk.test", string(p.bytes))
	if err != nil {
		t.Fatalf("%s by %s: %v", p.file, way, err)
	}
	m := queuedAs.FindStringSubmatch(got)
	if m == nil {
		t.Errorf("%s by %s: %s", p.file, way, got)
		c.say("RSET")
		return
	}
	p.id = m[1]
}

// checkParcels finds the one place of each parcel.
func checkParcels(t *testing.T, d *desk, way string, ps []*parcel) {
	counts := map[string]int{}
	held := map[string]bool{} // transactions
	for _, h := range decode[api.Held](d, "held", "list", "--limit", "0") {
		for _, e := range decode[api.Transaction](d, "trace", h.MessageID) {
			held[e.ID] = true
		}
	}
	earlier := map[string]*parcel{}   // by what makes a mail the same: its ids and its body
	comments := map[string][]string{} // transaction -> bodies
	for _, tk := range decode[api.Ticket](d, "ticket", "list", "--project", way, "--limit", "0") {
		for _, c := range d.thread(fmt.Sprintf("%s#%d", way, tk.IID)).Comments {
			if c.Kind != ticketing.CommentSystem {
				comments[c.Transaction] = append(comments[c.Transaction], c.Body)
			}
		}
	}
	for _, p := range ps {
		if p.id == "" {
			continue
		}
		var e api.Transaction
		if err := d.admin("trace", api.NameRequest{Name: p.id}, &e); err != nil {
			t.Errorf("%s: trace: %v", p.file, err)
			continue
		}
		counts[e.Decision+" "+e.Reason]++
		n := len(comments[p.id])
		same := e.MessageID + "\x00" + relaxedBody(p.bytes)
		if e.MessageID == "" {
			same += "\x00" + e.From + "\x00" + e.Subject
		}
		switch {
		case e.Decision == "accepted" && e.Ticket != "" && n != 1:
			t.Errorf("%s: %s is there %d times", p.file, e.Ticket, n)
		case e.Decision == "duplicate" && (n != 0 || earlier[same] == nil):
			t.Errorf("%s is taken for a mail that was there before, and is there %d times", p.file, n)
		case e.Decision == "held" && !held[p.id]:
			t.Errorf("%s is held and not there", p.file)
		case e.Decision != "accepted" && e.Decision != "duplicate" && e.Decision != "held":
			t.Errorf("%s: %s, %s", p.file, e.Decision, e.Reason)
		}
		if e.Decision == "duplicate" && earlier[same] != nil && !bytes.Equal(earlier[same].bytes, p.bytes) {
			counts["duplicate, differs in other header fields"]++
		}
		if n == 1 {
			p.body, p.shown = comments[p.id][0], true
		}
		if earlier[same] == nil {
			earlier[same] = p
		}
	}
	t.Logf("%d files: %v", len(ps), counts)
}

var spaces = regexp.MustCompile(`[ \t]+`)

// relaxedBody is the body as DKIM's relaxed form has it.
func relaxedBody(b []byte) string {
	_, body, _ := strings.Cut(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n\n")
	var out strings.Builder
	for line := range strings.SplitSeq(body, "\n") {
		out.WriteString(strings.TrimRight(spaces.ReplaceAllString(line, " "), " ") + "\n")
	}
	return strings.TrimRight(out.String(), "\n")
}

// checkTexts wants words where the mail has some, by another parser's account
// and by our own of the whole mail.
func checkTexts(t *testing.T, dir string, ps []*parcel) {
	var expected map[string]struct {
		Text [][2]string `json:"text_body"`
	}
	raw := readFile(t, filepath.Join(dir, "mail-parser", "expected.json"))
	if err := json.Unmarshal([]byte(raw), &expected); err != nil {
		t.Fatal(err)
	}
	words := 0
	for _, p := range ps {
		m := mail.Parse(bytes.NewReader(p.bytes), int64(len(p.bytes)), mail.Options{})
		want := strings.TrimSpace(m.Text) != ""
		for _, part := range expected[strings.TrimPrefix(p.file, "mail-parser/")].Text {
			want = want || strings.TrimSpace(part[1]) != ""
		}
		if p.body != "" {
			words++
		}
		if want && p.shown && strings.TrimSpace(p.body) == "" {
			t.Errorf("%s has text, its comment has none", p.file)
		}
	}
	t.Logf("%d comments with text", words)
}

package mail

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/mxdesk/mxdesk/ticketing"
)

// corpora returns a folder of test data that is not part of this repository.
func corpora(t testing.TB, elem ...string) string {
	root := os.Getenv("CORPORA")
	if root == "" {
		root = "../../../shared/corpora"
	}
	dir := filepath.Join(append([]string{root}, elem...)...)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no test data at %s (set CORPORA): this suite is not run", dir)
	}
	return dir
}

func parseBytes(data []byte) *ticketing.Message {
	return Parse(bytes.NewReader(data), int64(len(data)), Options{})
}

// checkMessage asserts what holds for every mail, however broken.
func checkMessage(t *testing.T, name string, data []byte, msg *ticketing.Message) {
	t.Helper()
	reply, quoted := msg.Reply()
	again := Text(bytes.NewReader(data), int64(len(data)), Options{})
	if r, q := again.Reply(); again.Text != msg.Text || r != reply || q != quoted {
		t.Errorf("%s: Text reads something else", name)
	}
	for _, w := range msg.Warnings {
		if strings.HasPrefix(w, "reading stopped") {
			t.Errorf("%s: %s", name, w)
		}
	}
	texts := []string{msg.Subject, msg.Text, reply, quoted, msg.MessageID}
	for _, p := range append(append(append(msg.From, msg.To...), msg.Cc...), msg.ReplyTo...) {
		texts = append(texts, p.Name, p.Address)
	}
	for _, a := range msg.Attachments {
		texts = append(texts, a.Name, a.Type, a.ContentID)
		if a.Offset < 0 || a.Length < 0 || a.Offset+a.Length > int64(len(data)) || a.Name == "" {
			t.Errorf("%s: attachment %+v is not inside the mail", name, a)
		}
	}
	for _, s := range texts {
		if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
			t.Errorf("%s: text is not clean UTF-8: %.80q", name, s)
		}
	}
	if strings.TrimSpace(msg.Text) != "" && strings.TrimSpace(reply) == "" {
		t.Errorf("%s: reply is empty, text is not", name)
	}
}

// TestCorpusSafe reads every file there is as if it were a mail.
func TestCorpusSafe(t *testing.T) {
	count := 0
	err := filepath.WalkDir(corpora(t, "mime"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		count++
		checkMessage(t, path, data, parseBytes(data))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !t.Failed() {
		t.Attr("conformance", fmt.Sprintf("mime (all four) | mails read to clean text, none refused | %d/%d", count, count))
	}
	if count < 400 {
		t.Errorf("only %d files", count)
	}
}

type expectedMail struct {
	Subject     *string
	From, To    [][]*string
	TextBody    [][]string `json:"text_body"`
	HTMLBody    [][]string `json:"html_body"`
	Attachments []struct{ Name *string }
}

// expectedText is the text of the mail as we would show it.
func (e expectedMail) text() string {
	var out strings.Builder
	for _, part := range e.TextBody {
		text := part[1]
		if part[0] == "html" {
			text = htmlToText(text)
		}
		out.WriteString(text + "\n")
	}
	return squash(out.String())
}

func squash(s string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(s, "\x00", "")), " ")
}

func samePeople(want [][]*string, got []ticketing.Person) bool {
	if len(want) != len(got) {
		return false
	}
	for i, p := range want {
		if str(p[0]) != got[i].Name || !strings.EqualFold(str(p[1]), got[i].Address) {
			return false
		}
	}
	return true
}

func str(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func TestCorpusExpected(t *testing.T) {
	dir := corpora(t, "mime", "mail-parser")
	data, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases map[string]expectedMail
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	agree := map[string]int{}
	for name, want := range cases {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		got := parseBytes(raw)
		check := func(what string, ok bool, w, g any) {
			if ok {
				agree[what]++
			} else {
				t.Logf("%s: %s: want %.600q\n got %.600q", name, what, w, g)
			}
		}
		people := func(list [][]*string) (s string) {
			for _, p := range list {
				s += str(p[0]) + " <" + str(p[1]) + ">, "
			}
			return s
		}
		check("subject", str(want.Subject) == got.Subject, str(want.Subject), got.Subject)
		check("from", samePeople(want.From, got.From), people(want.From), got.From)
		check("to", samePeople(want.To, got.To), people(want.To), got.To)
		check("text", want.text() == squash(got.Text), want.text(), squash(got.Text))
		var names []string
		for _, a := range want.Attachments {
			names = append(names, str(a.Name))
		}
		check("attachments", len(names) == len(got.Attachments), names, got.Attachments)
	}
	for _, what := range slices.Sorted(maps.Keys(agree)) {
		t.Attr("conformance", fmt.Sprintf("mime/mail-parser | %s of a mail | %d/%d", what, agree[what], len(cases)))
	}
	// Where we differ: a multipart whose boundary never comes, or comes too
	// early, is text to us and an attachment there; all plain parts count as
	// text; signature.asc and a richtext alternative are no attachments; an
	// address has an @.
	floor := map[string]int{"subject": 53, "from": 52, "to": 53, "text": 40, "attachments": 38}
	for what, n := range floor {
		if agree[what] < n {
			t.Errorf("%s: %d agree, was %d", what, agree[what], n)
		}
	}
}

// readJSON reads one of the files of single fields.
func readJSON[T any](t *testing.T, name string) (list []struct {
	Header   string
	Expected T
}) {
	data, err := os.ReadFile(filepath.Join(corpora(t, "mime", "mail-parser"), name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// atLeast reports how many results agree. Most that do not are matters of
// form: other libraries keep comments, white space and addresses without @.
func atLeast(t *testing.T, what string, agree, floor, all int) {
	t.Helper()
	t.Attr("conformance", fmt.Sprintf("mime/mail-parser | %s | %d/%d", what, agree, all))
	if agree < floor {
		t.Errorf("%d agree, was %d", agree, floor)
	}
}

func TestCorpusAddresses(t *testing.T) {
	type person struct{ Name, Address *string }
	type lists struct {
		List  []person
		Group []struct{ Addresses []person }
	}
	list := readJSON[*lists](t, "address.json")
	agree := 0
	for _, c := range list {
		var want [][]*string
		if c.Expected != nil {
			for _, p := range c.Expected.List {
				want = append(want, []*string{p.Name, p.Address})
			}
			for _, g := range c.Expected.Group {
				for _, p := range g.Addresses {
					want = append(want, []*string{p.Name, p.Address})
				}
			}
		}
		value := header{}.unfold(c.Header)
		if got := parseAddresses(value); samePeople(want, got) {
			agree++
		} else {
			shown, _ := json.Marshal(c.Expected)
			t.Logf("%q:\nwant %s\ngot %q", value, shown, got)
		}
	}
	atLeast(t, "address fields", agree, 38, len(list))
}

func TestCorpusDates(t *testing.T) {
	type date struct {
		Year, Month, Day, Hour, Minute, Second int
		Before                                 bool `json:"tz_before_gmt"`
		ZoneHour                               int  `json:"tz_hour"`
		ZoneMinute                             int  `json:"tz_minute"`
	}
	list := readJSON[*date](t, "date.json")
	agree := 0
	for _, c := range list {
		var want time.Time
		if d := c.Expected; d != nil {
			zone := d.ZoneHour*3600 + d.ZoneMinute*60
			if d.Before {
				zone = -zone
			}
			want = time.Date(d.Year, time.Month(d.Month), d.Day, d.Hour, d.Minute, d.Second, 0, time.FixedZone("", zone))
		}
		if got := parseDate(header{}.unfold(c.Header)); got.Equal(want) {
			agree++
		} else {
			t.Logf("%q: want %v, got %v", c.Header, want, got)
		}
	}
	atLeast(t, "date fields", agree, 36, len(list))
}

func TestCorpusIDs(t *testing.T) {
	list := readJSON[[]string](t, "id.json")
	agree := 0
	for _, c := range list {
		h := header{fields: []field{{"References", c.Header}}}
		if got := messageIDs(h, "References"); strings.Join(got, " ") == strings.Join(c.Expected, " ") {
			agree++
		} else {
			t.Logf("%q: want %q, got %q", c.Header, c.Expected, got)
		}
	}
	atLeast(t, "message ID fields", agree, 8, len(list))
}

func TestCorpusTypes(t *testing.T) {
	type contentType struct {
		Type       string  `json:"c_type"`
		Subtype    *string `json:"c_subtype"`
		Attributes [][]string
	}
	list := readJSON[*contentType](t, "content_type.json")
	agree := 0
	for _, c := range list {
		if c.Expected == nil {
			continue
		}
		want := c.Expected.Type
		if c.Expected.Subtype != nil {
			want += "/" + *c.Expected.Subtype
		}
		got, params := parseParams(header{}.unfold(c.Header))
		same := strings.EqualFold(got, want) && len(params) == len(c.Expected.Attributes)
		for _, a := range c.Expected.Attributes {
			same = same && params[strings.ToLower(a[0])] == a[1]
		}
		if same {
			agree++
		} else {
			t.Logf("%q: want %s %q, got %s %q", c.Header, want, c.Expected.Attributes, got, params)
		}
	}
	atLeast(t, "content type fields", agree, 66, len(list))
}

func TestCorpusUnstructured(t *testing.T) {
	list := readJSON[*string](t, "unstructured.json")
	agree := 0
	for _, c := range list {
		h := header{fields: []field{{"Subject", c.Header}}}
		if got := h.decoded("Subject"); squash(got) == squash(str(c.Expected)) {
			agree++
		} else {
			t.Logf("%q: want %q, got %q", c.Header, str(c.Expected), got)
		}
	}
	atLeast(t, "unstructured fields", agree, 25, len(list))
}

// TestCorpusText lists the mails without text: all of those that are left have
// nothing but empty bodies or attachments.
func TestCorpusText(t *testing.T) {
	count, empty := 0, 0
	for _, name := range []string{"enmime", "cpython", "ruby-mail"} {
		err := filepath.WalkDir(corpora(t, "mime", name), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || d.Name() == "SOURCE.txt" || !slices.Contains([]string{".raw", ".eml", ".txt"}, filepath.Ext(path)) {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			count++
			if msg := parseBytes(data); strings.TrimSpace(msg.Text) == "" {
				empty++
				t.Logf("no text: %s (%d files) %q", path, len(msg.Attachments), msg.Warnings)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Attr("conformance", fmt.Sprintf("mime/enmime, cpython, ruby-mail | mails that have text | %d/%d", count-empty, count))
	if count > 0 && empty > 40 {
		t.Errorf("%d mails without text, were 40", empty)
	}
}

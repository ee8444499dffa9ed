package mail

import (
	"bytes"
	"io"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
)

func outgoing() Outgoing {
	return Outgoing{
		From:      ticketing.Person{Name: "Desk, Support", Address: "help@desk.example"},
		To:        ticketing.Person{Name: "Jürgen Müller", Address: "jm@kunde.example"},
		ReplyTo:   ticketing.Person{Address: "inbox+abcdef@desk.example"},
		Subject:   "Re: Größe der Bestellung",
		MessageID: "1.2@desk.example",
		InReplyTo: "first@kunde.example",
		References: []string{
			"first@kunde.example", "bad id>", "thread.7@desk.example",
		},
		Date: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC),
		Text: "Hallo,\n\nschöne **Grüße**\n",
		HTML: "<p>Hallo,</p><p>schöne <strong>Grüße</strong></p>",
	}
}

func compose(t *testing.T, o Outgoing) []byte {
	t.Helper()
	raw, err := Compose(o)
	if err != nil {
		t.Fatal(err)
	}
	checkWire(t, raw)
	return raw
}

// checkWire asserts what every composed mail must keep to.
func checkWire(t *testing.T, raw []byte) {
	t.Helper()
	if !bytes.HasSuffix(raw, []byte("\r\n")) {
		t.Error("no line end at the end")
	}
	if bytes.Contains(bytes.ReplaceAll(raw, []byte("\r\n"), nil), []byte("\n")) ||
		bytes.Contains(bytes.ReplaceAll(raw, []byte("\r\n"), nil), []byte("\r")) {
		t.Error("bare CR or LF")
	}
	for i, line := range strings.Split(string(raw), "\r\n") {
		if len(line) > 998 {
			t.Errorf("line %d has %d octets", i, len(line))
		}
		if i > 0 && line != "" && strings.TrimSpace(line) == "" {
			t.Errorf("line %d is blank but not empty", i)
		}
	}
	if _, err := mail.ReadMessage(bytes.NewReader(raw)); err != nil {
		t.Error(err)
	}
}

func TestComposeReadBack(t *testing.T) {
	o := outgoing()
	o.AutoSubmitted = "auto-replied"
	o.ListUnsubscribe = "<https://desk.example/u/1>, <mailto:u+1@desk.example>"
	o.Extra = []Field{{"X-Ticket", "7"}}
	o.Attachments = []File{
		{"Rechnung für März – lange, sehr lange Bezeichnung der Datei.pdf", "application/pdf", bytes.Repeat([]byte{0, 1, 2, 255}, 300)},
		{"note.txt", "text/plain; charset=utf-8", []byte("ä\n")},
		{"../../etc/passwd", "no type", []byte("x")},
		{"old.eml", "message/rfc822", []byte("Subject: x\n\nbody\n")},
	}
	raw := compose(t, o)
	for _, c := range raw {
		if c >= 0x80 {
			t.Fatal("8-bit octets")
		}
	}
	for i, line := range strings.Split(string(raw), "\r\n") {
		if len(line) > 78 {
			t.Errorf("line %d has %d octets: %s", i, len(line), line)
		}
	}
	msg := parseBytes(raw)
	if msg.Subject != o.Subject || msg.Author() != o.From || msg.To[0] != o.To || msg.ReplyTo[0] != o.ReplyTo ||
		msg.MessageID != o.MessageID || !msg.Date.Equal(o.Date) || strings.TrimSpace(msg.Text) != strings.TrimSpace(o.Text) {
		t.Errorf("read back: %+v", msg)
	}
	if want := []string{"first@kunde.example", "thread.7@desk.example"}; !slices.Equal(msg.References, want) {
		t.Errorf("references %q", msg.References)
	}
	if html := HTMLBody(bytes.NewReader(raw), int64(len(raw)), Options{}); strings.TrimSpace(html) != o.HTML {
		t.Errorf("html %q", html)
	}
	names := []string{o.Attachments[0].Name, "note.txt", "passwd", "old.eml"}
	for i, a := range msg.Attachments {
		data, _ := io.ReadAll(OpenPart(bytes.NewReader(raw), int64(len(raw)), a))
		if a.Name != names[i] || i < 3 && !bytes.Equal(data, o.Attachments[i].Data) || int64(len(data)) != a.Size {
			t.Errorf("attachment %d: %+v %q", i, a, data)
		}
	}
	if len(msg.Attachments) != 4 {
		t.Errorf("%d attachments", len(msg.Attachments))
	}
	if got := string(raw); !strings.Contains(got, "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n") ||
		!strings.Contains(got, "X-Auto-Response-Suppress: All\r\n") || !strings.Contains(got, "X-Ticket: 7\r\n") {
		t.Errorf("header: %s", got[:800])
	}
	if again := compose(t, o); !bytes.Equal(raw, again) {
		t.Error("the same mail has other bytes")
	}
	o.MessageID = "1.3@desk.example"
	if other := compose(t, o); boundaryOf(raw) == boundaryOf(other) {
		t.Error("two mails share a boundary")
	}
}

func boundaryOf(raw []byte) string {
	_, after, _ := strings.Cut(string(raw), "boundary=")
	boundary, _, _ := strings.Cut(after, "\r\n")
	return boundary
}

func TestComposeBodies(t *testing.T) {
	for name, text := range map[string]string{
		"plain":      "Hello\n",
		"no end":     "Hello",
		"dots":       ".\n..\nFrom here\n",
		"long line":  strings.Repeat("word ", 500) + "\n",
		"one word":   strings.Repeat("x", 5000) + "\n",
		"japanese":   "こんにちは、世界\n",
		"trailing":   "-- \nme\n",
		"crlf":       "a\r\nb\rc\n",
		"empty":      "",
		"not utf-8":  "a\xffb\n",
		"equals":     "a=3D=\nb\n",
		"tabs":       "a\tb\t\n",
		"control":    "a\x07b\n",
		"emoji":      strings.Repeat("🙂", 100) + "\n",
		"boundaries": "--=_x\n--=_x--\n",
	} {
		t.Run(name, func(t *testing.T) {
			o := outgoing()
			o.Text, o.HTML = text, ""
			msg := parseBytes(compose(t, o))
			want := strings.TrimSuffix(lineEnds(strings.ToValidUTF8(text, "\ufffd")), "\n")
			if got := strings.TrimSuffix(msg.Text, "\n"); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestComposeSubjects(t *testing.T) {
	for _, subject := range []string{
		"", "x", "two  spaces", " lead", "=?utf-8?q?no?=", strings.Repeat("long word ", 30) + "end",
		strings.Repeat("y", 400), strings.Repeat("ü", 300), "日本語の件名がとても長い場合でも正しく折り返されること、そして元に戻ること", "tab\tin",
	} {
		o := outgoing()
		o.Subject = subject
		msg := parseBytes(compose(t, o))
		if want := strings.TrimSpace(strings.ReplaceAll(subject, "\t", " ")); msg.Subject != want && subject != "=?utf-8?q?no?=" {
			t.Errorf("subject %q came back as %q", want, msg.Subject)
		}
	}
}

func TestComposePeople(t *testing.T) {
	for _, p := range []ticketing.Person{
		{Address: "a@b.example"},
		{Name: "Plain Name", Address: "a@b.example"},
		{Name: `Back\slash "Q" (c)`, Address: "a@b.example"},
		{Name: "a@b.example", Address: "a@b.example"},
		{Name: strings.Repeat("Ärger ", 30) + "x", Address: "a@b.example"},
		{Name: "x", Address: "john doe@b.example"},
		{Name: "x", Address: "ünïcode@b.example"},
		{Name: "x", Address: "a@[192.0.2.1]"},
		{Name: "x", Address: "a..b@b.example"},
	} {
		o := outgoing()
		o.To = p
		msg := parseBytes(compose(t, o))
		if len(msg.To) != 1 || msg.To[0] != p {
			t.Errorf("%+v came back as %+v", p, msg.To)
		}
	}
	o := outgoing()
	o.To.Address = "x@bücher.example"
	if raw := compose(t, o); !bytes.Contains(raw, []byte("x@xn--bcher-kva.example")) {
		t.Errorf("domain is no A-label: %s", raw)
	}
}

func TestComposeRefuses(t *testing.T) {
	for name, change := range map[string]func(*Outgoing){
		"no date":             func(o *Outgoing) { o.Date = time.Time{} },
		"no id":               func(o *Outgoing) { o.MessageID = "" },
		"id with bracket":     func(o *Outgoing) { o.MessageID = "a>b@c" },
		"id with line end":    func(o *Outgoing) { o.MessageID = "a\r\nb@c" },
		"no sender":           func(o *Outgoing) { o.From.Address = "" },
		"no recipient":        func(o *Outgoing) { o.To.Address = "x" },
		"two recipients":      func(o *Outgoing) { o.To.Address = "a@b.example, c@d.example" },
		"subject with CR":     func(o *Outgoing) { o.Subject = "a\rBcc: x@y.example" },
		"subject with LF":     func(o *Outgoing) { o.Subject = "a\nBcc: x@y.example" },
		"subject with NUL":    func(o *Outgoing) { o.Subject = "a\x00" },
		"subject not UTF-8":   func(o *Outgoing) { o.Subject = "a\xff" },
		"name with LF":        func(o *Outgoing) { o.From.Name = "a\nb" },
		"address with LF":     func(o *Outgoing) { o.To.Address = "a\n@b.example" },
		"domain with bracket": func(o *Outgoing) { o.To.Address = "a@b.example>" },
		"extra Bcc":           func(o *Outgoing) { o.Extra = []Field{{"bcc", "x@y.example"}} },
		"extra content":       func(o *Outgoing) { o.Extra = []Field{{"Content-Type", "text/html"}} },
		"extra name":          func(o *Outgoing) { o.Extra = []Field{{"A: b\r\nX", "x"}} },
		"extra value":         func(o *Outgoing) { o.Extra = []Field{{"X-A", "x\r\nBcc: y@z.example"}} },
		"unsubscribe":         func(o *Outgoing) { o.ListUnsubscribe = "<x>\n" },
		"auto":                func(o *Outgoing) { o.AutoSubmitted = "auto-replied\n" },
	} {
		o := outgoing()
		change(&o)
		if raw, err := Compose(o); err == nil {
			t.Errorf("%s: no error, wrote %s", name, raw)
		}
	}
}

func TestReferencesAreBounded(t *testing.T) {
	o := outgoing()
	o.References = nil
	for i := range 300 {
		o.References = append(o.References, strings.Repeat("x", i%7)+"@host.example")
	}
	o.References[0] = "root@kunde.example"
	o.References[299] = "last@kunde.example"
	got := parseBytes(compose(t, o)).References
	if len(got) != maxReferences || got[0] != "root@kunde.example" || got[len(got)-1] != "last@kunde.example" {
		t.Errorf("%d references: %q", len(got), got)
	}
}

func TestRenderMarkdown(t *testing.T) {
	for source, want := range map[string]string{
		"**a** _b_":                     "<p><strong>a</strong> <em>b</em></p>",
		"a\nb":                          "<p>a<br>\nb</p>",
		"<b>x</b> y":                    "<p>&lt;b&gt;x&lt;/b&gt; y</p>",
		"<script>alert(1)</script>":     "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>",
		"[x](javascript:alert(1))":      "<p>x</p>",
		"[x](https://a.example)":        `<p><a href="https://a.example" rel="nofollow noreferrer">x</a></p>`,
		"https://a.example/?b=1":        `<p><a href="https://a.example/?b=1" rel="nofollow noreferrer">https://a.example/?b=1</a></p>`,
		"![logo](https://a.example/x)":  "<p>logo</p>",
		"- a\n- b":                      "<ul>\n<li>a</li>\n<li>b</li>\n</ul>",
		"> q":                           "<blockquote>\n<p>q</p>\n</blockquote>",
		"[x](data:text/html;base64,AA)": "<p>x</p>",
		"- [x] done":                    "<ul>\n<li>[x] done</li>\n</ul>",
	} {
		if got := strings.TrimSpace(RenderMarkdown(source)); got != want {
			t.Errorf("%q:\n got %s\nwant %s", source, got, want)
		}
	}
	if got := RenderMarkdown(strings.Repeat("<x>", maxMarkdown)); !strings.HasPrefix(got, "<pre>&lt;x&gt;") {
		t.Errorf("long text: %.40q", got)
	}
}

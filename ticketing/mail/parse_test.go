package mail

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/mxdesk/mxdesk/ticketing"
)

// TestGolden reads testdata/*.txtar: `mail` is the raw mail, `message` what is
// expected. UPDATE_GOLDEN=1 writes the expectation anew.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no goldens", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			raw := goldenMail(archive.Files[0].Data)
			msg := parseBytes(raw)
			checkMessage(t, file, raw, msg)
			got := append(goldenJSON(t, raw, msg), '\n')
			if os.Getenv("UPDATE_GOLDEN") != "" {
				archive.Files = append(archive.Files[:1], txtar.File{Name: "message", Data: got})
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if len(archive.Files) < 2 || !bytes.Equal(archive.Files[1].Data, got) {
				t.Errorf("got\n%s\nwant\n%s", got, archive.Files[1].Data)
			}
		})
	}
}

// goldenMail makes octets of a readable file: `\xNN` is one octet.
func goldenMail(data []byte) []byte {
	var out []byte
	for i := 0; i < len(data); i++ {
		if bytes.HasPrefix(data[i:], []byte(`\x`)) && i+3 < len(data) && unhex(data[i+2]) < 16 && unhex(data[i+3]) < 16 {
			out = append(out, unhex(data[i+2])<<4|unhex(data[i+3]))
			i += 3
			continue
		}
		out = append(out, data[i])
	}
	return out
}

// goldenJSON shows what this package finds; what machines say and forwards
// have tests of their own.
func goldenJSON(t *testing.T, raw []byte, msg *ticketing.Message) []byte {
	type file struct {
		Name, Type, ContentID, Part, Encoding, Head string
		Size                                        int64
		Inline                                      bool
	}
	shown := map[string]any{}
	put := func(key string, value any, present bool) {
		if present {
			shown[key] = value
		}
	}
	put("subject", msg.Subject, msg.Subject != "")
	put("from", msg.From, len(msg.From) > 0)
	put("to", msg.To, len(msg.To) > 0)
	put("cc", msg.Cc, len(msg.Cc) > 0)
	put("reply_to", msg.ReplyTo, len(msg.ReplyTo) > 0)
	put("sender", msg.Sender, msg.Sender != ticketing.Person{})
	put("message_id", msg.MessageID, msg.MessageID != "")
	put("in_reply_to", msg.InReplyTo, len(msg.InReplyTo) > 0)
	put("references", msg.References, len(msg.References) > 0)
	put("date", msg.Date.Format(time.RFC3339), !msg.Date.IsZero())
	put("recipients", msg.Recipients, len(msg.Recipients) > 0)
	put("html_part", msg.HTMLPart, msg.IsHTML)
	put("text", strings.Split(msg.Text, "\n"), msg.Text != "")
	put("warnings", msg.Warnings, len(msg.Warnings) > 0)
	var files []file
	for _, a := range msg.Attachments {
		data, _ := io.ReadAll(OpenPart(bytes.NewReader(raw), int64(len(raw)), a))
		head := string(data[:min(len(data), 24)])
		files = append(files, file{a.Name, a.Type, a.ContentID, a.Part, a.Encoding, head, a.Size, a.Inline})
	}
	put("attachments", files, len(files) > 0)
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(shown); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(out.Bytes())
}

func TestDeepNesting(t *testing.T) {
	var mail bytes.Buffer
	for i := range 2000 {
		fmt.Fprintf(&mail, "Content-Type: multipart/mixed; boundary=\"b%d\"\n\n--b%d\n", i, i)
	}
	mail.WriteString("\nbottom\n")
	msg := parseBytes(mail.Bytes())
	checkMessage(t, "deep", mail.Bytes(), msg)
	if len(msg.Attachments) != 1 || len(msg.Warnings) == 0 {
		t.Errorf("%d attachments, warnings %q", len(msg.Attachments), msg.Warnings)
	}
	data, _ := io.ReadAll(OpenPart(bytes.NewReader(mail.Bytes()), int64(mail.Len()), msg.Attachments[0]))
	if !bytes.HasSuffix(data, []byte("bottom\n")) {
		t.Error("the inner parts are lost")
	}
}

func TestManyParts(t *testing.T) {
	mail := []byte("Content-Type: multipart/mixed; boundary=x\n\n" +
		strings.Repeat("--x\nContent-Type: image/png\n\nabc\n", 20_000) + "--x--\n")
	msg := parseBytes(mail)
	if len(msg.Attachments) != 1000 || len(msg.Warnings) == 0 {
		t.Errorf("%d attachments, warnings %q", len(msg.Attachments), msg.Warnings)
	}
	last := msg.Attachments[len(msg.Attachments)-1]
	if last.Type != "application/octet-stream" || last.Offset+last.Length != int64(len(mail)) {
		t.Errorf("rest is not kept: %+v", last)
	}
}

// TestHostile tries what makes parsers slow. There is no clock in it: what is
// worse than linear runs into the time limit of the test program.
func TestHostile(t *testing.T) {
	n := 200_000
	if testing.Short() {
		n = 20_000
	}
	for name, mail := range map[string]string{
		"boundary lines":  "Content-Type: multipart/mixed; boundary=x\n\n" + strings.Repeat("--y\n", n),
		"fake boundaries": "Content-Type: multipart/mixed\n\n" + strings.Repeat("--\n", n),
		"empty fields":    strings.Repeat("A:\n", n) + "\nbody",
		"folds":           "Subject: x" + strings.Repeat("\n y", n) + "\n\nbody",
		"no header":       strings.Repeat("no colon here\n", n),
		"malformed lines": strings.Repeat("no colon here\nA: b\n", n),
		"encoded words":   "Subject: " + strings.Repeat("=?utf-8?q?", n/10) + "\n\n",
		"open words":      "Subject: " + strings.Repeat("=?a?b?", n/6) + "\n\n",
		"addresses":       "To: " + strings.Repeat("a@b.example,", n/12) + "\n\n",
		"open quotes":     "To: " + strings.Repeat(`"`, n) + "\n\n",
		"open comments":   "To: " + strings.Repeat("(", n) + "\n\n",
		"open angles":     "To: " + strings.Repeat("<", n) + "\n\n",
		"colons":          "To: " + strings.Repeat("a:", n) + ";\n\n",
		"commas":          "To: " + strings.Repeat(",", n) + "\n\n",
		"bare names":      "To: " + strings.Repeat("name,", n/5) + "\n\n",
		"ids":             "References: " + strings.Repeat("<a@b>", n/5) + "\n\n",
		"open ids":        "References: " + strings.Repeat("<", n) + "\n\n",
		"params":          "Content-Type: text/plain" + strings.Repeat("; a=b", n/5) + "\n\n",
		"param quotes":    "Content-Type: text/plain" + strings.Repeat(`; a="`, n/5) + "\n\n",
		"segments":        "Content-Type: text/plain" + strings.Repeat("; a*0*=b", n/8) + "\n\n",
		"tags":            "Content-Type: text/html\n\n" + strings.Repeat("<div>", n),
		"quotes":          "Content-Type: text/html\n\n" + strings.Repeat("<blockquote>x", n/10),
		"links":           "Content-Type: text/html\n\n" + strings.Repeat("<a href=http://x>y", n/10),
		"end tags":        "Content-Type: text/html\n\n" + strings.Repeat("<ul>", 200) + strings.Repeat("</a>", n),
		"hidden":          "Content-Type: text/html\n\n" + strings.Repeat("<p hidden>x", n/10),
		"cid":             "Content-Type: text/html\n\n" + strings.Repeat("cid:", n),
		"entities":        "Content-Type: text/html\n\n" + strings.Repeat("&amp;", n),
		"begin":           "\n" + strings.Repeat("begin 644 a\n", n/10),
		"one line":        "Content-Transfer-Encoding: quoted-printable\n\n" + strings.Repeat("=41", n),
		"flowed":          "Content-Type: text/plain; format=flowed\n\n" + strings.Repeat("> a \n", n/5),
		"utf-7":           "Content-Type: text/plain; charset=utf-7\n\n" + strings.Repeat("+AA", n),
		"carriage":        strings.Repeat("\r", n),
		"nul":             strings.Repeat("\x00", n),
	} {
		t.Run(name, func(t *testing.T) {
			checkMessage(t, name, []byte(mail), parseBytes([]byte(mail)))
		})
	}
}

// TestBigAttachment checks that decoded attachments are not held in memory.
func TestBigAttachment(t *testing.T) {
	line := strings.Repeat("QUJD", 19) + "\r\n"
	mail := []byte("Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nhello\r\n--x\r\n" +
		"Content-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		strings.Repeat(line, 200_000) + "--x--\r\n")
	msg := parseBytes(mail)
	if len(msg.Attachments) != 1 || msg.Attachments[0].Size != 57*200_000 {
		t.Fatalf("attachments: %+v", msg.Attachments)
	}
	allocated := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			parseBytes(mail)
		}
	}).AllocedBytesPerOp()
	if allocated > 1<<20 {
		t.Errorf("%d bytes allocated for a mail of %d", allocated, len(mail))
	}
}

// TestDamage cuts, doubles and overwrites pieces of whole mails.
func TestDamage(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txtar")
	random := rand.New(rand.NewPCG(1, 2))
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for range 50 {
			mail := bytes.Clone(goldenMail(archive.Files[0].Data))
			for range 1 + random.IntN(4) {
				at := random.IntN(len(mail))
				switch end := min(at+random.IntN(60), len(mail)); random.IntN(3) {
				case 0:
					mail = append(mail[:at:at], mail[end:]...)
				case 1:
					mail = append(mail[:end:end], mail[at:]...)
				default:
					mail[at] = byte(random.IntN(256))
				}
				if len(mail) == 0 {
					mail = []byte("x")
				}
			}
			checkMessage(t, file, mail, parseBytes(mail))
		}
	}
}

func TestRecover(t *testing.T) {
	msg := Parse(panicReader{}, 100, Options{})
	if len(msg.Warnings) != 1 || !strings.Contains(msg.Warnings[0], "out of order") {
		t.Errorf("warnings %q", msg.Warnings)
	}
	if got := HTMLBody(panicReader{}, 100, Options{}); got != "" {
		t.Errorf("html %q", got)
	}
}

type panicReader struct{}

func (panicReader) ReadAt([]byte, int64) (int, error) { panic("out of order") }

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(goldenMail(archive.Files[0].Data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		checkMessage(t, "fuzz", data, parseBytes(data))
		HTMLBody(bytes.NewReader(data), int64(len(data)), Options{})
	})
}

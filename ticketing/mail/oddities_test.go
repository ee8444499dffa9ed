package mail

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"
)

// summary is what a mail says, in one line: its text, its files, its warnings.
func summary(mail string) string {
	msg := parseBytes([]byte(strings.ReplaceAll(mail, "\n", "\r\n")))
	var s strings.Builder
	s.WriteString(fmt.Sprintf("%q", strings.TrimSpace(msg.Text)))
	for _, a := range msg.Attachments {
		s.WriteString(fmt.Sprintf(" %s:%s", a.Name, a.Type))
	}
	for _, w := range msg.Warnings {
		s.WriteString(" !" + w)
	}
	return s.String()
}

func mixed(parts ...string) string {
	return "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b\n" + strings.Join(parts, "\n--b\n") + "\n--b--\n"
}

func inUTF16(text string, little bool) string {
	var out strings.Builder
	for _, u := range utf16.Encode([]rune(text)) {
		if little {
			u = u<<8 | u>>8
		}
		out.WriteByte(byte(u >> 8))
		out.WriteByte(byte(u))
	}
	return out.String()
}

func TestOddities(t *testing.T) {
	for _, tt := range []struct{ name, mail, want string }{
		{"S/MIME, encrypted", "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\nContent-Transfer-Encoding: base64\n\nMIIB\n", `"" smime.p7m:application/pkcs7-mime !encrypted with S/MIME: its text cannot be read`},
		{"S/MIME, signed, old type", "Content-Type: application/x-pkcs7-mime; smime-type=signed-data\nContent-Transfer-Encoding: base64\n\nMIIB\n", `"" smime.p7m:application/x-pkcs7-mime !signed with S/MIME: its text cannot be read`},
		{"enriched", "Content-Type: text/enriched\n\n<bold>Now</bold> is\nthe time\n\nfor <color><param>red</param><<men></color>\n", `"Now is the time\nfor <men>"`},
		{"enriched beside plain", "Content-Type: multipart/alternative; boundary=b\n\n--b\n\nplain\n--b\nContent-Type: text/enriched\n\n<bold>rich</bold>\n--b--\n", `"plain"`},
		{"enriched alone in an alternative", "Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/enriched\n\n<bold>rich</bold>\n--b--\n", `"rich"`},
		{"UTF-16 without mark, big", "Content-Type: text/plain; charset=utf-16\n\n" + inUTF16("hello ünï", false), `"hello ünï"`},
		{"UTF-16 without mark, little", "Content-Type: text/plain; charset=utf-16\n\n" + inUTF16("hello ünï", true), `"hello ünï"`},
		{"hidden preview", "Content-Type: text/html\n\n<div style='max-height:0px; overflow: hidden'>a</div><p style='opacity:0'>b</p><p style='opacity:0.9'>c</p>", `"c"`},
		{"semicolon in a name", mixed("Content-Type: application/pdf\nContent-Disposition: attachment; filename=a b; c.pdf\n\n1"), `"x" a b; c.pdf:application/pdf`},
		{"name from Content-ID", mixed("Content-Type: image/png\nContent-ID: <image001.png@01D5.F00>\n\n1"), `"x" image001.png:image/png`},
		{"two Content-Type fields", "Content-Type: text/plain; charset=utf-8\nContent-Type: text/html; charset=iso-8859-1\n\ngrün", `"grün"`},
		{"two HTML parts", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\n<p>one</p>\n--b\nContent-Type: text/html\n\n<p>two</p>\n--b--\n", `"one\ntwo"`},
		{"x-uuencode", mixed("Content-Type: application/octet-stream; name=a.txt\nContent-Transfer-Encoding: x-uuencode\n\nbegin 644 a.txt\n#0V%T\n`\nend"), `"x" a.txt:application/octet-stream`},
		{"broken soft breaks", "Content-Transfer-Encoding: quoted-printable\n\nsoft =\nbreak = \nnext =XY=\nend=", `"soft break next =XYend"`},
		{"Outlook's empty paragraphs", "Content-Type: text/html\n\n<p>Hi,<o:p></o:p></p><p><o:p>&nbsp;</o:p></p><p>two&nbsp;words<o:p></o:p></p>", `"Hi,\n\ntwo words"`},
	} {
		if got := summary(tt.mail); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

func TestBracketedAddresses(t *testing.T) {
	for value, want := range map[string]string{
		"[ann@example.org]": "<ann@example.org>", "Ann Ode [mailto:ann@example.org]": "Ann Ode<ann@example.org>", "Ann <ann@[192.0.2.1]>": "Ann<ann@[192.0.2.1]>", "[Team] Ann <ann@example.org>": "[Team] Ann<ann@example.org>",
	} {
		var got strings.Builder
		for _, p := range parseAddresses(value) {
			got.WriteString(p.Name + "<" + p.Address + ">")
		}
		if got.String() != want {
			t.Errorf("%s: %s, want %s", value, got.String(), want)
		}
	}
}

func FuzzEnrichedText(f *testing.F) {
	f.Add("<bold>a</bold> <<b\n\n<param>x</param>")
	f.Add("<nofill\n<")
	f.Fuzz(func(t *testing.T, source string) {
		if got := enrichedText(source); len(got) > len(source)+1 {
			t.Errorf("%d octets out of %d", len(got), len(source))
		}
	})
}

// A line whose CR is the last octet that is looked at ahead does not make a mail
// one with lines that end in CR.
func TestLineEndAtTheEndOfWhatIsLookedAt(t *testing.T) {
	text := "Subject: " + strings.Repeat("x", sniffLength-len("Subject: \r")) + "\r\nFrom: a@b.test\r\n\r\nHi.\r\n"
	if text[sniffLength-1] != '\r' {
		t.Fatal("the CR is somewhere else")
	}
	m := Parse(strings.NewReader(text), int64(len(text)), Options{})
	if m.Author().Address != "a@b.test" || strings.TrimSpace(m.Text) != "Hi." {
		t.Errorf("author %+v, text %.20q", m.Author(), m.Text)
	}
}
